import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { filterOf } from './check.ts';
import { compileFilter } from './evaluate.ts';
import { filterSchema, plainRow, type Row, setRows, sourceOf } from './filter-rows.suite.ts';
import { run } from './like-steps.suite.ts';
import { filterOut } from './run.suite.ts';
import { sizeBefore } from './weight.ts';

const check = (text: string) => filterOf(text, filterSchema);
const matches = async (text: string, rows: readonly Partial<Row>[]): Promise<number[]> => {
  const source = sourceOf(rows.map((row) => ({ ...plainRow, ...row })));
  return setRows(await filterOut(compileFilter(check(text)), source), rows.length);
};

describe('filters made to hurt are refused', () => {
  const many = 10_000;
  const texts: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
    'a long chain of sums': [`${Array(many).fill('id').join(' + ')} == 1`, /nested deeper than 400 levels/],
    'a long chain of bits': [`${Array(many).fill('id').join(' | ')} == 1`, /nested deeper than 400 levels/],
    'a deep JSON path': [`meta${'["a"]'.repeat(many)} == 1`, /nested deeper than 400 levels/],
    'conditions on items inside of one another': [
      `${'MATCH_ANY(parts, '.repeat(many)}$[n] > 1${')'.repeat(many)}`,
      /nested deeper than 400 levels/,
    ],
    'too many conditions': [
      Array(many * 2)
        .fill('id == 1')
        .join(' or '),
      /more than 16384 operators/,
    ],
    'a geometry of two megabytes': [
      `ST_INTERSECTS(place, 'MULTIPOINT (${Array(100_000).fill('1 1').join(', ')})')`,
      /more than 1048576 bytes/,
    ],
    'a geometry in a geometry in a geometry': [
      `ST_INTERSECTS(place, '${'GEOMETRYCOLLECTION ('.repeat(many)}')`,
      /nested too deeply/,
    ],
    'a regular expression that unfolds': ['name =~ "((((a{30}){30}){30}){30})"', /no RE2 expression/],
    'a long regular expression': [`name =~ "${'(a|b)*'.repeat(many)}"`, /at most 4096 characters/],
    'an interval of many digits': [
      `born + INTERVAL 'P${'9'.repeat(many)}D' > '2025-01-01T00:00:00Z'`,
      /invalid interval/,
    ],
    'a like pattern whose wild pieces are long': [
      `name like "%${'_'.repeat(many)}%"`,
      /at most 256 characters/,
    ],
  };
  for (const [name, [text, message]] of Object.entries(texts))
    test(name, () =>
      assert.throws(
        () => check(text),
        (error) =>
          isDbError(error, 'filter-invalid') && message.test(error.message) && error.message.length < 400,
      ),
    );
});

describe('filters that are only large are answered', () => {
  test('a list of two hundred thousand numbers, and one of as many strings', async () => {
    const numbers = Array.from({ length: 200_000 }, (_, i) => i * 2);
    assert.deepEqual(
      await matches(`id in [${numbers.join(', ')}]`, [{ id: 4n }, { id: 5n }, { id: 399_998n }]),
      [0, 2],
    );
    const words = numbers.map((n) => `"w${n}"`);
    assert.deepEqual(
      await matches(`name not in [${words.join(',')}]`, [{ name: 'w4' }, { name: 'w5' }]),
      [1],
    );
  });

  test('a string of four megabytes', async () => {
    const word = 'x'.repeat(4 * 2 ** 20);
    assert.deepEqual(await matches(`name == "${word}"`, [{ name: 'x' }, { name: word }]), [1]);
  });

  test('a JSON path four hundred keys deep', async () => {
    let json: Row['meta'] = 7n;
    for (let i = 0; i < 400; i++) json = { a: json };
    assert.deepEqual(await matches(`meta${'["a"]'.repeat(400)} == 7`, [{ meta: json }, { meta: {} }]), [0]);
  });

  test('expressions that make other engines backtrack for years', async () => {
    const rows = [{ name: 'a'.repeat(5000) }, { name: `${'a'.repeat(4999)}b` }];
    for (const pattern of ['^(a*)*b$', '^(a|aa)+b$', '^(a+a+)+b', '(.*)(.*)(.*)(.*)b$'])
      assert.deepEqual(await matches(`name =~ "${pattern}"`, rows), [1], pattern);
  });

  test('a like pattern of many pieces looks at each place of the text a bounded number of times', () => {
    const text = 'ab'.repeat(5000);
    // As many steps as the text is long for plain pieces, times the length of a piece for those with `_`.
    assert.ok(run(`%${'a%'.repeat(2000)}c`, text) <= 4 * text.length);
    assert.ok(run(`%${'ab_ab_b%'.repeat(100)}`, text) <= 40 * text.length);
  });
});

test('the size of what a filter reads is known before it is read', () => {
  const { fields } = check('name == "x" and array_contains(tags, "y") and id > 3 and meta["a"] > 1');
  const source = sourceOf([
    { ...plainRow, name: 'abc', tags: ['yy', 'zz'], meta: {} },
    { ...plainRow, name: 'd', tags: [], meta: {} },
  ]);
  const size = sizeBefore(source, fields);
  // Three bytes, two items of two bytes each, and two bytes of JSON; then one byte and two.
  assert.deepEqual([size(0), size(1), size(2)], [0, 3 + 2 + 4 + 2, 3 + 2 + 4 + 2 + 1 + 2]);
});
