import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { filterOf } from './check.ts';
import type { FilterSource } from './columns.ts';
import { compileFilter } from './evaluate.ts';
import { filterSchema, plainRow, type Row, setRows, sourceOf } from './filter-rows.suite.ts';

const SAFE = 2n ** 53n;

const rows: readonly Row[] = (
  [
    {
      big: SAFE,
      score: 0.1,
      price: 0.1,
      name: 'red',
      tags: ['a', 'b'],
      counts: [1n, 2n],
      meta: { a: 1n, s: 'x' },
    },
    { big: SAFE + 1n, score: 0.5, price: -2.5, name: 'Red', tags: [], counts: null, meta: { a: 1, s: 'y' } },
    { num: null, score: null, flag: null, name: null, meta: null, $meta: { color: 'red' } },
    { num: 7n, small: -128n, flag: true, name: '\u{ffff}', counts: [SAFE + 1n], meta: { a: SAFE + 1n } },
    { num: -7n, small: 127n, name: '\u{10000}', counts: [], meta: { a: null, l: [1n, 'x', [1n, 2n], true] } },
    {
      big: 2n ** 63n - 1n,
      price: 1e300,
      meta: { a: {}, l: [] },
      $meta: { 'ä"\\': 5n, n: { deep: [0n, 5n] } },
    },
    { big: -(2n ** 63n), price: Number.NaN, meta: { a: 'text', l: 5n }, $meta: { color: 'blue', a: [[1n]] } },
    { num: 2147483647n, meta: { a: true, l: ['x', 1, [1n, 2]] }, $meta: { color: 5n, wide: 2n ** 62n } },
  ] satisfies Partial<Row>[]
).map((row, i) => ({ ...plainRow, ...row, id: BigInt(i) }));

/** Enough copies of the rows for generated code to be used. */
const COPIES = 80;
const many = sourceOf(Array.from({ length: COPIES }, () => rows).flat());
const once = sourceOf(rows);

function matching(text: string): number[] {
  const filter = filterOf(text, filterSchema);
  const run = (source: FilterSource, codeGeneration: boolean): number[] => {
    const out = new Uint32Array(Math.ceil(source.rowCount / 32));
    compileFilter(filter, { codeGeneration }).evaluate(source, 0, source.rowCount, out);
    return setRows(out, source.rowCount);
  };
  const few = run(once, true);
  const expected = Array.from({ length: COPIES }, (_, copy) =>
    few.map((row) => row + copy * rows.length),
  ).flat();
  assert.deepEqual(run(many, true), expected, 'generated code');
  assert.deepEqual(run(many, false), expected, 'closures');
  return few;
}

describe('a filter matches the rows for which it is true', () => {
  const sentences: readonly (readonly [text: string, rows: readonly number[]])[] = [
    ['id > 5', [6, 7]],
    ['1 < id <= 3', [2, 3]],
    ['5 > id >= 4', [4]],
    ['id in [0, 7, 99]', [0, 7]],
    ['id in [0, 1, 2, 3, 4, 5, 6]', [0, 1, 2, 3, 4, 5, 6]],
    ['id not in [0, 1, 2, 3, 4, 5, 6]', [7]],
    ['id in []', []],
    ['id not in []', [0, 1, 2, 3, 4, 5, 6, 7]],
    // Null is unknown, and so is its negation.
    ['num == 7', [3]],
    ['num != 7', [0, 1, 4, 5, 6, 7]],
    ['not (num == 7)', [0, 1, 4, 5, 6, 7]],
    ['num not in [7]', [0, 1, 4, 5, 6, 7]],
    ['not (num == 7 and id == 99)', [0, 1, 2, 3, 4, 5, 6, 7]],
    ['num == 7 or id == 2', [2, 3]],
    ['num is null', [2]],
    ['num IS NOT NULL and not flag', [0, 1, 4, 5, 6, 7]],
    ['big is null', []],
    ['meta is null', [2]],
    ['flag', [3]],
    ['not flag', [0, 1, 4, 5, 6, 7]],
    ['flag != true', [0, 1, 4, 5, 6, 7]],
    ['flag in [false]', [0, 1, 4, 5, 6, 7]],
    // Int64 is exact, beside Doubles too.
    ['big == 9007199254740993', [1]],
    ['big == 9007199254740992.0', [0]],
    ['big > 9007199254740992.0', [1, 5]],
    ['big < 1.5 and big > -1.5', [2, 3, 4, 7]],
    ['big in [9007199254740993, 9223372036854775807]', [1, 5]],
    ['big == 9223372036854775807 or big == -9223372036854775808', [5, 6]],
    ['big > id', [0, 1, 5]],
    ['id == 9223372036854775807', []],
    // Integer arithmetic truncates and wraps around; a zero from the row makes the result unknown.
    ['num / 2 == -3', [4]],
    ['num % 4 == -3', [4]],
    ['num % -4 == 3', [3, 7]],
    ['id / 2 * 2 == id', [0, 2, 4, 6]],
    ['big + 1 < 0', [5, 6]],
    ['-big == big and big != 0', [6]],
    ['num + 1 == 2147483648', [7]],
    ['num * num * num > 9223372036854775806', []],
    ['num * num == 4611686014132420609', [7]],
    ['7 / num == 1', [3]],
    ['not (7 / num == 1)', [4, 7]],
    ['7 % num == 7', [7]],
    ['not (7 % num == 7)', [3, 4]],
    ['id ** 2 == 49', [7]],
    ['price / 0.5 == 0.2', [0]],
    ['id * 0.5 == 3.5', [7]],
    ['1.0 / price < 0.0', [1]],
    // A Float widens to Double before it is compared.
    ['score == 0.1', []],
    ['score == 0.5', [1]],
    ['price == 0.1', [0]],
    ['score > price', [0, 1]],
    ['price in [0.1, -2.5]', [0, 1]],
    ['price != 0', [0, 1, 5, 6]],
    ['not (price <= 0)', [0, 5, 6]],
    // Strings are compared by code point.
    ['name == "red"', [0]],
    ['name != "red"', [1, 3, 4, 5, 6, 7]],
    ['"red" > name', [1, 5, 6, 7]],
    ['name > "\uffff"', [4]],
    ['name in ["red", "\u{10000}", "x"]', [0, 4]],
    ['name like "_ed"', [0, 1]],
    ['not (name like "_ed")', [3, 4, 5, 6, 7]],
    ['name like "_"', [3, 4]],
    // Arrays.
    ['tags[0] == "a"', [0]],
    ['tags[0] != "x"', [0]],
    ['not (tags[1] == "a")', [0]],
    ['tags[1] like "%b"', [0]],
    ['counts[0] < 9007199254740993.5', [0, 3]],
    ['counts[0] + 1 == 2', [0]],
    ['array_length(tags) == 2', [0]],
    ['array_length(counts) != 1', [0, 2, 4, 5, 6, 7]],
    ['array_contains(tags, "b")', [0]],
    ['ARRAY_CONTAINS(counts, 9007199254740993)', [3]],
    ['not array_contains(counts, 1)', [2, 3, 4, 5, 6, 7]],
    ['array_contains_all(counts, [2, 1, 2])', [0]],
    ['array_contains_all(tags, []) and id < 2', [0, 1]],
    ['array_contains_any(tags, ["x", "a"])', [0]],
    ['array_contains_any(tags, [])', []],
    ['json_contains(tags, "a")', [0]],
    // JSON: a missing path, a null or another type is unknown.
    ['meta["a"] == 1', [0, 1]],
    ['meta["a"] != 1', [3]],
    ['not (meta["a"] == 1)', [3]],
    ['meta["a"] == 9007199254740993', [3]],
    ['meta["a"] > 9007199254740992.0', [3]],
    ['meta["a"] == "text"', [6]],
    ['meta["a"] != "x"', [6]],
    ['meta["a"] == true', [7]],
    ['meta["a"]', [7]],
    ['not meta["a"]', []],
    ['meta["a"] in [1, "text"]', [0, 1, 6]],
    ['meta["a"] not in [1, "text"]', [3]],
    ['meta["a"] not in []', [0, 1, 3, 6, 7]],
    ['meta["a"] like "t%"', [6]],
    ['meta["s"] < "y"', [0]],
    ['meta["a"] + 1 == 2', [0, 1]],
    ['meta["a"] / 2 == 0', [0]],
    ['meta["a"] / 2 == 0.5', [1]],
    ['meta["a"] % 2 == 1', [0, 3]],
    ['meta["a"] == id', [1]],
    ['meta["s"] == name', []],
    ['meta["a"] == color', []],
    ['meta["a"] is null', [2, 4, 5]],
    ['exists meta["a"]', [0, 1, 3, 6, 7]],
    ['not exists meta["a"]', [2, 4, 5]],
    ['meta["l"][0] == 1', [4]],
    ['meta["l"][2][1] == 2', [4, 7]],
    ['array_length(meta["l"]) == 0', [5]],
    ['array_length(meta["l"]) != 0', [4, 7]],
    ['json_contains(meta["l"], 1)', [4, 7]],
    ['not json_contains(meta["l"], 1)', [5]],
    ['JSON_CONTAINS(meta["l"], [1, 2])', [4, 7]],
    ['json_contains_all(meta["l"], ["x", 1, true])', [4]],
    ['json_contains_any(meta["l"], [true, "y"])', [4]],
    ['json_contains(meta["l"], "[1,2]")', []],
    // Dynamic keys.
    ['color == "red"', [2]],
    ['$meta["color"] != "red"', [6]],
    ['color like "%u%"', [6]],
    ['color == 5', [7]],
    ['wide == 4611686018427387904', [7]],
    ['wide - 1 == 4611686018427387903', [7]],
    ['n["deep"][1] == 5', [5]],
    ['$meta["ä\\"\\\\"] == 5', [5]],
    ['a[0][0] == 1', [6]],
    ['$meta is not null and id == 1', [1]],
    ['true', [0, 1, 2, 3, 4, 5, 6, 7]],
    ['1 > 2', []],
  ];
  for (const [text, expected] of sentences) test(text, () => assert.deepEqual(matching(text), expected));
});

test('only the bits of the rows asked for are written', () => {
  const filter = compileFilter(filterOf('id >= 0', filterSchema));
  for (const source of [once, many])
    for (const [from, to] of [
      [0, 0],
      [3, 5],
      [0, 8],
      [5, 1000],
      [31, 33],
      [64, 640],
      [37, 603],
    ] as const) {
      const ones = new Uint32Array(Math.ceil(many.rowCount / 32)).fill(0xffff_ffff);
      compileFilter(filterOf('id < 0', filterSchema)).evaluate(source, from, to, ones);
      const zeros = new Uint32Array(ones.length);
      filter.evaluate(source, from, to, zeros);
      const expected = Array.from({ length: many.rowCount }, (_, i) => i).filter(
        (i) => i >= from && i < Math.min(to, source.rowCount),
      );
      assert.deepEqual(setRows(zeros, many.rowCount), expected);
      assert.deepEqual(
        setRows(
          ones.map((word) => ~word),
          many.rowCount,
        ),
        expected,
      );
    }
});

test('a block read in slices gives what it gives at once', () => {
  const texts = [
    'name in ["red"] or color == "red"',
    'json_contains(meta["l"], 1)',
    'tags[0] == "a" and name like "r%"',
    'meta["a"] is null',
  ];
  for (const text of texts) {
    const source = sourceOf(Array.from({ length: COPIES }, () => rows).flat());
    const filter = compileFilter(filterOf(text, filterSchema));
    const sliced = new Uint32Array(Math.ceil(source.rowCount / 32));
    for (let from = 0; from < source.rowCount; from += 100) filter.evaluate(source, from, from + 100, sliced);
    const whole = new Uint32Array(sliced.length);
    compileFilter(filterOf(text, filterSchema)).evaluate(many, 0, many.rowCount, whole);
    assert.deepEqual(sliced, whole);
  }
});

test('one compiled filter serves blocks with and without nulls, with narrow and with wide integers', () => {
  const filter = compileFilter(filterOf('num + big > 10', filterSchema));
  const blocks = [
    {
      rows: [
        { num: 5n, big: 6n },
        { num: 5n, big: 5n },
      ],
      expected: 0,
    },
    {
      rows: [
        { num: null, big: 60n },
        { num: 5n, big: 6n },
      ],
      expected: 1,
    },
    {
      rows: [
        { num: 1n, big: 2n ** 63n - 1n },
        { num: 1n, big: 2n ** 62n },
      ],
      expected: 1,
    },
  ];
  for (const { rows: pair, expected } of blocks) {
    const source = sourceOf(Array.from({ length: 600 }, (_, i) => ({ ...plainRow, ...pair[i % 2] })));
    const out = new Uint32Array(19);
    filter.evaluate(source, 0, 600, out);
    assert.deepEqual(
      setRows(out, 600),
      Array.from({ length: 300 }, (_, i) => 2 * i + expected),
    );
  }
});

test('what a filter decodes is there for the next one', () => {
  const source = sourceOf(rows);
  const out = new Uint32Array(1);
  const text = 'color == "red" or meta["a"] == 1 or name == "x" or json_contains(meta["l"], 1)';
  compileFilter(filterOf(text, filterSchema)).evaluate(source, 0, rows.length, out);
  const decoded = new Map(source.cache);
  assert.ok(decoded.size >= 4);
  compileFilter(filterOf(`${text} or id == 99`, filterSchema)).evaluate(source, 0, rows.length, out);
  for (const [key, value] of decoded) assert.equal(source.cache.get(key), value);
});

test('bytes that are no JSON are missing values', () => {
  const broken = [
    '',
    '{',
    '{"a"',
    '{"a":',
    '{"a":}',
    '{"a":tru',
    '[',
    '[1',
    '"',
    '"\\',
    '{"a":"\\',
    'nul',
    '{"a":[1,',
    '{"a":[,,]}',
    '{"a":-}',
    '{a:1}',
    '\u0000',
  ];
  const texts = [...broken, ...broken.map((text) => `{"b":${text}`)];
  const pieces = texts.map((text) => Buffer.from(text));
  const offsets = new Uint32Array(texts.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = offsets[i]! + piece.length;
  const source: FilterSource = {
    rowCount: texts.length,
    column: () => ({ layout: 'bytes', type: 'JSON', offsets, data: new Uint8Array(Buffer.concat(pieces)) }),
    cache: new Map(),
  };
  for (const text of [
    'meta["a"] == 99',
    'meta["a"][1] == 99',
    'json_contains(meta["a"], 99)',
    'array_length(meta["a"]) == 99',
    'meta["b"]["a"] == "z"',
    'json_contains(meta["a"], [99])',
  ]) {
    const out = new Uint32Array(2);
    compileFilter(filterOf(text, filterSchema)).evaluate(source, 0, texts.length, out);
    assert.deepEqual(setRows(out, texts.length), [], text);
  }
});

test('where code may not be generated, closures answer the same', () => {
  const script = `
    const { filterOf } = await import(${JSON.stringify(new URL('./check.js', import.meta.url).href)});
    const { compileFilter } = await import(${JSON.stringify(new URL('./evaluate.js', import.meta.url).href)});
    const { filterSchema, plainRow, sourceOf, setRows } = await import(${JSON.stringify(new URL('./filter-rows.suite.js', import.meta.url).href)});
    let forbidden = false;
    try { new Function(''); } catch { forbidden = true; }
    const source = sourceOf(Array.from({ length: 600 }, (_, i) => ({ ...plainRow, id: BigInt(i), name: 'n' + (i % 3) })));
    const out = new Uint32Array(19);
    const filter = compileFilter(filterOf('id % 7 == 3 and name == "n1"', filterSchema));
    for (let run = 0; run < 2; run++) filter.evaluate(source, 0, 600, out);
    console.log(JSON.stringify({ forbidden, rows: setRows(out, 600) }));`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--disallow-code-generation-from-strings', '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  const expected = Array.from({ length: 600 }, (_, i) => i).filter((i) => i % 7 === 3 && i % 3 === 1);
  assert.equal(stdout, `${JSON.stringify({ forbidden: true, rows: expected })}\n`, stderr);
});

test('nothing a caller writes becomes code', () => {
  const evil = '"] + (globalThis.broken = true) + p0["';
  const text = `name == '${evil}' or color like '${evil}' or $meta['${evil}'] == 1 or name in ['${evil}'] or num in [1, 2]`;
  assert.deepEqual(matching(text), []);
  assert.equal('broken' in globalThis, false);
});

test('a filter of thousands of tests runs without generated code', () => {
  const text = Array.from({ length: 4000 }, (_, i) => `id == ${i * 2}`).join(' or ');
  assert.deepEqual(matching(text), [0, 2, 4, 6]);
});
