import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { find } from './sparse-rows.ts';

/** Spread evenly, or crowded at one end. */
const numbers = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 300 }),
    fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 300 }),
    fc.nat({ max: 2 }),
  )
  .map(([even, crowded, which]) => {
    const low = which === 0 ? [] : which === 1 ? crowded : crowded.map((value) => 2 ** 32 - 1 - value);
    return Uint32Array.from(new Set([...even, ...low])).sort();
  });

test('a number is found among rising ones, however they are spread, and what is not there is not', () => {
  assert.equal(find(new Uint32Array(0), 5), -1);
  assert.equal(find(Uint32Array.of(7), 7), 0);
  fc.assert(
    fc.property(numbers, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (rising, other) => {
      for (const [place, value] of rising.entries()) {
        assert.equal(find(rising, value), place);
        for (const near of [value - 1, value + 1]) assert.equal(find(rising, near), rising.indexOf(near));
      }
      assert.equal(find(rising, other), rising.indexOf(other));
    }),
    { numRuns: 200, includeErrorInReport: true },
  );
});
