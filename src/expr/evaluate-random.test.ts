import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { filterOf } from './check.ts';
import type { FilterSource } from './columns.ts';
import { compileFilter } from './evaluate.ts';
import { filterSchema, type Json, type Row, setRows, sourceOf } from './filter-rows.suite.ts';
import { conditionArb, jsonArb } from './naive.suite.ts';
import { places } from './naive-more.suite.ts';
import { filterOut } from './run.suite.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const object = (keys: readonly string[], value: fc.Arbitrary<Json>): fc.Arbitrary<Json> =>
  fc
    .array(fc.tuple(fc.constantFrom(...keys), value), { maxLength: 3 })
    .map((entries) => Object.fromEntries(entries));

/** `nulls` and `wide` decide which forms of code a block needs. */
const rowArb = (nulls: boolean, wide: boolean): fc.Arbitrary<Row> => {
  const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
    nulls ? fc.oneof({ weight: 4, arbitrary: values }, fc.constant(null)) : values;
  const words = oneOf('', 'x', 'red', 'Red', 'é多', 'a"b\\', '\u{ffff}', '\u{10000}', 'xx', 'xred');
  return fc.record<Row>({
    id: oneOf(0n, 1n, 7n, -3n, 1000n),
    small: oneOf(0n, 1n, 7n, -3n, 127n, -128n),
    num: orNull(oneOf(0n, 1n, 7n, -3n, 100n, 2147483647n, -2147483648n)),
    big: wide
      ? oneOf(0n, 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 62n)
      : oneOf(0n, 1n, 7n, -3n, 2n ** 40n, -(2n ** 50n)),
    score: orNull(oneOf(0, 0.5, 1, -2.5, 0.1, Number.NaN)),
    price: oneOf(0, -0, 0.5, 1, -2.5, 0.1, 1000, 2 ** 53, 1e19, Number.NaN, Number.POSITIVE_INFINITY),
    flag: orNull(fc.boolean()),
    name: orNull(words),
    tags: fc.array(words, { maxLength: 3 }),
    counts: orNull(fc.array(oneOf(0n, 1n, 7n, wide ? 2n ** 53n + 1n : -3n), { maxLength: 4 })),
    meta: orNull(object(['a', 's', 'list', 'a"b\\', 'z'], jsonArb)),
    $meta: object(['color', 'deep'], fc.oneof(jsonArb, object(['x', 'y'], jsonArb))),
    born: orNull(
      oneOf(
        0n,
        -1n,
        1709208000000001n,
        1711843200000000n,
        1706659200000000n,
        -62122377600000000n,
        DAYS_IN_2023,
      ),
    ),
    place: orNull(fc.constantFrom(...places)),
    parts: orNull(
      fc.array(
        fc.record({ n: oneOf(0n, 1n, 7n, wide ? 2n ** 62n : -3n), word: oneOf('', 'x', 'red', 'é') }),
        {
          maxLength: 4,
        },
      ),
    ),
  });
};

/** The last of January, where a month more is a matter of calendars. */
const DAYS_IN_2023 = 1675166399999999n;

const ROWS = 640;
/** Distinct rows, repeated until generated code is used. */
const POOL = 80;

interface Block {
  readonly rows: readonly Row[];
  readonly source: FilterSource;
}

const blocks: readonly Block[] = [
  [false, false],
  [true, false],
  [true, true],
].map(([nulls = false, wide = false], seed) => {
  const pool = fc.sample(rowArb(nulls, wide), { numRuns: POOL, seed });
  const rows = Array.from({ length: ROWS }, (_, i) => pool[i % POOL]!);
  return { rows, source: sourceOf(rows) };
});

test('generated code, closures and a plain reading of the rules agree on random filters', async () => {
  await fc.assert(
    fc.asyncProperty(conditionArb, fc.nat(blocks.length - 1), async ({ text, holds }, block) => {
      const { rows, source } = blocks[block]!;
      const filter = filterOf(text, filterSchema);
      const expected = rows.flatMap((row, i) => (i < POOL && holds(row) === true ? [i] : []));
      const answerOf = async (codeGeneration: boolean, to: number): Promise<number[]> =>
        setRows(await filterOut(compileFilter(filter, { codeGeneration }), source, to), ROWS);
      assert.deepEqual(await answerOf(false, POOL), expected, `closures: ${text}`);
      const repeated = Array.from({ length: ROWS / POOL }, (_, k) =>
        expected.map((row) => row + k * POOL),
      ).flat();
      assert.deepEqual(await answerOf(true, ROWS), repeated, `generated code: ${text}`);
      assert.deepEqual(structuredClone(filter), filter);
    }),
    { numRuns: 2000, seed: 23 },
  );
});
