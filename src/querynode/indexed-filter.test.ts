import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { filterOf } from '../expr/check.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { filterSchema, type Json, plainRow, type Row, setRows, sourceOf } from '../expr/filter-rows.suite.ts';
import { jsonPathOf } from '../expr/json-path.ts';
import { conditionArb, jsonArb } from '../expr/naive.suite.ts';
import { places } from '../expr/naive-more.suite.ts';
import { sizeBefore } from '../expr/weight.ts';
import type { IndexId } from '../model/ids.ts';
import { type CastType, castTypes } from '../model/scalar-index-types.ts';
import { allRows } from '../scalar-index/bits.ts';
import { buildScalarIndex } from '../scalar-index/build.ts';
import type { ScalarIndexDefinition } from '../scalar-index/definition.ts';
import { ScalarIndex } from '../scalar-index/scalar-index.ts';
import { type Filters, readyFilter, select } from './filter.ts';
import { Pacer, Turns } from './pacer.ts';
import { Shared, type UnitView } from './unit.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 4, arbitrary: values }, fc.constant(null));
const object = (keys: readonly string[], value: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc
    .array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 3 })
    .map((entries) => Object.fromEntries(entries));
const words = oneOf('', 'x', 'red', 'Red', 'é多', 'a"b\\', '\u{ffff}', '\u{10000}', 'xx', 'xred');

const rowArb = (isWide: boolean): fc.Arbitrary<Row> =>
  fc.record<Row>({
    id: oneOf(0n, 1n, 7n, -3n, 1000n),
    small: oneOf(0n, 1n, 7n, -3n, 127n, -128n),
    num: orNull(oneOf(0n, 1n, 7n, -3n, 100n, 2147483647n, -2147483648n)),
    big: isWide
      ? oneOf(0n, 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 62n)
      : oneOf(0n, 1n, 7n, -3n, 2n ** 40n, -(2n ** 50n)),
    score: orNull(oneOf(0, 0.5, 1, -2.5, 0.1, Number.NaN)),
    price: oneOf(0, -0, 0.5, 1, -2.5, 0.1, 1000, 2 ** 53, 1e19, Number.NaN, Number.POSITIVE_INFINITY),
    flag: orNull(fc.boolean()),
    name: orNull(words),
    tags: fc.array(words, { maxLength: 3 }),
    counts: orNull(fc.array(oneOf(0n, 1n, 7n, isWide ? 2n ** 53n + 1n : -3n), { maxLength: 4 })),
    meta: orNull(object(['a', 's', 'list', 'a"b\\', 'z'], jsonArb)),
    $meta: object(['color', 'deep'], fc.oneof(jsonArb, object(['x', 'y'], jsonArb))),
    born: orNull(oneOf(0n, -1n, 1709208000000001n, 1711843200000000n, -62122377600000000n)),
    place: orNull(fc.constantFrom(...places)),
    parts: orNull(
      fc.array(fc.record({ n: oneOf(0n, 1n, 7n), word: oneOf('', 'x', 'red') }), { maxLength: 4 }),
    ),
  });

/** Of the scalar fields, and of the paths that random filters read. */
const definitions: readonly ScalarIndexDefinition[] = filterSchema.fields.flatMap((field) => {
  if (field.dataType === 'FloatVector' || field.dataType === 'ArrayOfVector') return [];
  if (field.dataType !== 'JSON') return [{ field }];
  const paths =
    field.name === 'meta'
      ? ['meta["a"]', 'meta["s"]', 'meta["list"]', 'meta["z"]', 'meta']
      : ['color', '$meta["deep"]["x"]'];
  return paths.flatMap((text) => {
    const path = jsonPathOf(text, filterSchema);
    assert.equal(path?.fieldId, field.fieldId, text);
    return castTypes.map((cast: CastType) => ({ field, path: path!, cast }));
  });
});

const filters: Filters = { compile: compileFilter, primaryKeys: () => undefined, sizeBefore };
const turns = new Turns();
const pacer = new Pacer(turns, new AbortController().signal);

interface Block {
  readonly bare: UnitView;
  readonly indexes: readonly ScalarIndex[];
}

function blockOf(rows: readonly Row[], only = definitions): Block {
  const source = sourceOf(rows);
  const unit = { column: source.column, defaultOf: () => undefined, cacheFor: () => source.cache };
  const bare = {
    unit,
    rowCount: rows.length,
    live: allRows(rows.length),
    liveCount: rows.length,
    indexes: new Map(),
    scalarIndexes: new Map(),
  } as unknown as UnitView;
  const indexes = only.map(
    (definition) =>
      new ScalarIndex(
        buildScalarIndex({
          definition,
          column: source.column(definition.field.fieldId),
          rowCount: rows.length,
        }),
      ),
  );
  return { bare, indexes };
}

const withIndexes = (
  { bare, indexes }: Block,
  keep: (at: number) => boolean,
  live = bare.live,
): UnitView => ({
  ...bare,
  live,
  scalarIndexes: new Map(
    indexes
      .map((index, at) => ({ indexId: BigInt(at) as IndexId, index, memory: new Shared([]) }))
      .filter((_, at) => keep(at))
      .map((each) => [each.indexId, each]),
  ),
});

async function matching(view: UnitView, text: string, using = filters): Promise<number[]> {
  const filter = filterOf(text, filterSchema);
  const { rows } = await select(view, readyFilter(using, filter, filterSchema, undefined), pacer);
  return setRows(rows, view.rowCount);
}

const ROWS = 200;
const blocks = [false, true].map((isWide, seed) =>
  blockOf(fc.sample(rowArb(isWide), { numRuns: ROWS, seed })),
);

test('random filters answer with indexes exactly as without, whatever fields have one and whatever is null', async () => {
  await fc.assert(
    fc.asyncProperty(
      conditionArb,
      fc.nat(blocks.length - 1),
      fc.nat(2 ** 30),
      fc.boolean(),
      async ({ text }, at, some, hasDeleted) => {
        const block = blocks[at]!;
        const live = hasDeleted ? block.bare.live.map((word, i) => word & (some * (i + 1))) : block.bare.live;
        const expected = await matching({ ...block.bare, live }, text);
        assert.deepEqual(
          await matching(
            withIndexes(block, () => true, live),
            text,
          ),
          expected,
          text,
        );
        const isKept = (index: number): boolean => ((some >>> (index % 30)) & 1) === 1;
        assert.deepEqual(await matching(withIndexes(block, isKept, live), text), expected, `some: ${text}`);
      },
    ),
    { numRuns: 1500, seed: 7 },
  );
});

const many = 20_000;
const large = blockOf(
  Array.from({ length: many }, (_, i) => ({
    ...plainRow,
    id: BigInt(i),
    num: i % 10 === 3 ? null : BigInt((i * 7919) % 1000),
    score: ((i * 31) % 4001) / 8,
    name: i % 50 === 0 ? null : `user-${(i * 13) % 5003}`,
    flag: i % 3 === 0,
    tags: [`t${i % 7}`, `u${i % 100}`],
    meta: { a: i % 100, s: `word ${i % 11}`, list: [i % 5, i % 17] },
    place: `POINT (${(i % 200) - 100} ${Math.floor(i / 200) - 50})`,
  })),
);
const questions: readonly string[] = [
  'num == 500',
  'num != 500',
  'not (num == 500)',
  'num < 500',
  'num >= 10 and num < 11',
  '100 <= num <= 900',
  'num in [1, 2, 3, 999, 5000]',
  'num not in [1, 2, 3]',
  'num is null',
  'num is not null',
  'score > 250.0625',
  'name == "user-13"',
  'name like "user-13%"',
  'name like "user-1_3%"',
  'name > "user-3" and name <= "user-4"',
  'flag == true',
  'flag != true',
  'array_contains(tags, "t3")',
  'array_contains_any(tags, ["t3", "u50"])',
  'array_contains_all(tags, ["t1", "u1"])',
  'not array_contains_all(tags, ["t1", "u1"])',
  'meta["a"] > 50',
  'meta["a"] == 7 and meta["s"] like "word%"',
  'json_contains(meta["list"], 4)',
  'meta["s"] in ["word 1", "word 2"]',
  'exists meta["a"]',
  'st_within(place, "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))")',
  'st_dwithin(place, "POINT (3 3)", 200000)',
  'not st_within(place, "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))")',
  '(num < 100 or name like "%77%") and flag == true',
  'num == 7 or (num == 8 and name like "%1") or id % 1000 == 0',
  'st_isvalid(place) and num < 3',
];

test('large segments too: ranges, lists, prefixes, negations, arrays, JSON paths, geometries', async () => {
  for (const text of questions) {
    const expected = await matching(large.bare, text);
    assert.ok(expected.length > 0, text);
    assert.deepEqual(
      await matching(
        withIndexes(large, () => true),
        text,
      ),
      expected,
      text,
    );
  }
});

/** Counts the rows that tests look at. */
function watched(): { readonly filters: Filters; tested(): number } {
  let tested = 0;
  const bits = (words: Uint32Array, from: number, to: number): number => {
    let count = 0;
    for (let row = from; row < to; row++) count += ((words[row >>> 5] ?? 0) >>> (row & 31)) & 1;
    return count;
  };
  return {
    tested: () => tested,
    filters: {
      ...filters,
      compile(filter) {
        const compiled = compileFilter(filter);
        return {
          ...compiled,
          evaluate(source, from, to, out, within) {
            tested += within === undefined ? to - from : bits(within, from, to);
            return compiled.evaluate(source, from, to, out, within);
          },
        };
      },
    },
  };
}

test('what an index answers is not tested row by row; the rest is, of the rows still undecided', async () => {
  const view = withIndexes(large, () => true);
  const testedBy = async (text: string): Promise<number> => {
    const { filters: counting, tested } = watched();
    await matching(view, text, counting);
    return tested();
  };
  for (const text of questions.slice(0, 26)) assert.equal(await testedBy(text), 0, text);
  const candidates = (await matching(view, 'num == 500')).length;
  assert.ok(candidates > 0 && candidates < 100);
  assert.equal(await testedBy('num == 500 and id % 3 == 0'), candidates);
  assert.equal(await testedBy('num == 500 and name like "%7%"'), candidates);
  assert.equal(await testedBy('num == 500 or id % 3 == 0'), many - candidates);
  assert.equal(await testedBy('num == 500 and num == 501 and id % 3 == 0'), 0);
  assert.equal(await testedBy('id % 3 == 0'), many);
  // Boxes leave candidates.
  assert.ok((await testedBy('st_within(place, "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))")')) <= 100);
  assert.ok((await testedBy('st_dwithin(place, "POINT (3 3)", 200000)')) <= 25);
});

test('an index counts the bytes of its arrays', () => {
  const [index] = blockOf([{ ...plainRow }], [{ field: filterSchema.fields[0]! }]).indexes;
  // A value, two starts, a row, and two sets of one word.
  assert.equal(index?.bytes, 8 + 2 * 4 + 4 + 4 + 4);
});
