import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KeyColumn } from '../segment/key-column.ts';
import { Floors } from './floors.ts';
import { reduceHits, type UnitHits } from './reduce.ts';

const keysOf = (keys: readonly number[]): KeyColumn => ({
  type: 'Int64',
  halves: Int32Array.from(keys.flatMap((key) => [key, 0])),
});

/** The best of a unit, as its search gives them: of one score the first rows. */
function bestOf(
  unit: number,
  rows: readonly (readonly [number, number])[],
  k: number,
  floor: number,
): UnitHits {
  const best = rows
    .map(([key, score], row) => ({ key, score, row }))
    .filter(({ score }) => score >= floor)
    .sort((a, b) => b.score - a.score || a.row - b.row)
    .slice(0, k);
  return {
    unit,
    rows: Uint32Array.from(best, ({ row }) => row),
    scores: Float32Array.from(best, ({ score }) => score),
    keys: keysOf(rows.map(([key]) => key)),
  };
}

test('what units learn from those before them changes no answer, though keys stand in several rows and scores are equal', () => {
  let learned = 0;
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.tuple(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 12 })), { maxLength: 40 }), {
        maxLength: 5,
      }),
      fc.integer({ min: 1, max: 30 }),
      (units, k) => {
        const options = { offset: 0, limit: k, isLargerBetter: true };
        const plain = units.map((rows, unit) => bestOf(unit, rows, k, Number.NEGATIVE_INFINITY));
        const floors = new Floors(1, k);
        const floored = units.map((rows, unit) => {
          const best = bestOf(unit, rows, k, floors.of(0));
          floors.learn(0, best, best.keys);
          return best;
        });
        if (floors.of(0) > 0) learned++;
        // Of rows with one key and one score any may be told.
        const told = (lists: readonly UnitHits[]) =>
          reduceHits(lists, options).map(({ unit, row, score }) => [units[unit]?.[row]?.[0], score]);
        assert.deepEqual(told(floored), told(plain));
      },
    ),
    {
      numRuns: 500,
      includeErrorInReport: true,
      examples: [
        [
          [
            [
              [36, 12],
              [0, 2],
            ],
            [[0, 1]],
            [[0, 12]],
            [[36, 12]],
            [[0, 2]],
          ],
          2,
        ],
      ],
    },
  );
  assert.ok(learned > 50, `${learned} of 500`);
});

test('rows of one key teach nothing: those they crowd out are still looked for elsewhere', () => {
  const floors = new Floors(2, 2);
  const scores = Float32Array.of(9, 8);
  floors.learn(0, { rows: Uint32Array.of(0, 1), scores }, keysOf([7, 7]));
  assert.equal(floors.of(0), Number.NEGATIVE_INFINITY);
  floors.learn(0, { rows: Uint32Array.of(0), scores }, keysOf([7]));
  assert.equal(floors.of(0), Number.NEGATIVE_INFINITY);
  floors.learn(0, { rows: Uint32Array.of(0, 1), scores }, keysOf([7, 8]));
  assert.deepEqual([floors.of(0), floors.of(1)], [8, Number.NEGATIVE_INFINITY]);
});
