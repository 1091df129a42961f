import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keysOf } from '../../tests/query-world.ts';
import { keyList } from '../segment/key-column.ts';
import { reduceHits } from './reduce.ts';

interface Scored {
  readonly key: number;
  readonly score: number;
}

const lists = fc.array(fc.array(fc.record({ key: fc.nat(30), score: fc.nat(8) }), { maxLength: 20 }), {
  maxLength: 5,
});

for (const type of ['Int64', 'VarChar'] as const)
  for (const isLargerBetter of [false, true])
    test(`hits of several units are merged by score, then ${type} key, each key once (${isLargerBetter ? 'similarity' : 'distance'})`, () => {
      const order = (a: Scored, b: Scored) => (isLargerBetter ? b.score - a.score : a.score - b.score);
      fc.assert(
        fc.property(lists, fc.nat(5), fc.nat(20), (units, offset, limit) => {
          const parts = units.map((list, unit) => {
            const rows = list
              .map((_, row) => row)
              .sort((a, b) => order(list[a] as Scored, list[b] as Scored) || a - b);
            return {
              unit,
              rows: Uint32Array.from(rows),
              scores: Float32Array.from(rows, (row) => list[row]?.score ?? 0),
              keys: keyList(
                keysOf(
                  type,
                  list.map(({ key }) => key),
                ),
              ).column,
            };
          });
          const seen = new Set<number>();
          const expected = units
            .flat()
            .sort((a, b) => order(a, b) || a.key - b.key)
            .filter(({ key }) => !seen.has(key) && seen.add(key))
            .slice(offset, offset + limit);
          const found = reduceHits(parts, { offset, limit, isLargerBetter });
          assert.deepEqual(
            found.map(({ unit, row, score }) => ({ key: units[unit]?.[row]?.key, score })),
            expected.map(({ key, score }) => ({ key, score })),
          );
        }),
        { seed: 20260731, numRuns: 200 },
      );
    });
