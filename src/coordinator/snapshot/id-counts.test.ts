import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionFailed } from '../../support/assert.ts';
import { IdCounts } from './id-counts.ts';

const listOf = (ids: readonly bigint[]): BigInt64Array => BigInt64Array.from(ids);

test('after any counting up and down every id has the count that a map would tell', async () => {
  const id = fc.oneof(
    fc.bigInt({ min: 1n, max: 40n }),
    fc.bigInt({ min: 2n ** 40n, max: 2n ** 40n + 40n }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.array(id, { maxLength: 60 }), fc.boolean()), { maxLength: 12 }),
      async (steps) => {
        const counts = new IdCounts();
        const expected = new Map<bigint, number>();
        const held: bigint[][] = [];
        const change = async (ids: readonly bigint[], by: 1 | -1) => {
          await counts.change(listOf(ids), by);
          for (const one of ids) expected.set(one, (expected.get(one) ?? 0) + by);
        };
        for (const [ids, isTakenBack] of steps) {
          const back = isTakenBack ? held.shift() : undefined;
          if (back !== undefined) await change(back, -1);
          await change(ids, 1);
          held.push(ids);
        }
        for (const [one, count] of expected) assert.equal(counts.of(one), count);
      },
    ),
    { seed: 4, numRuns: 150 },
  );
});

test('a table of ids grows and shrinks, and what is left is found', async () => {
  const counts = new IdCounts();
  const all = Array.from({ length: 600_000 }, (_, i) => BigInt(i) * 3n + 2n ** 33n);
  await counts.change(listOf(all), 1);
  await counts.change(listOf(all.filter((_, i) => i % 1000 === 7)), 1);
  await counts.change(listOf(all), -1);
  for (const [i, id] of all.entries()) if (i % 97 === 7) assert.equal(counts.of(id), i % 1000 === 7 ? 1 : 0);
  assert.equal(counts.of(2n ** 33n + 1n), 0);
});

test('taking an id back that was not counted is a fault of ours', async () => {
  const counts = new IdCounts();
  await counts.change(listOf([5n]), 1);
  await assert.rejects(counts.change(listOf([6n]), -1), AssertionFailed);
});
