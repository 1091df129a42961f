import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wordsFor } from './bits.ts';
import { addRun, postingsOf } from './postings.ts';

const ROWS = 10_007;
const HELD = 9000;
const rows = Uint32Array.from({ length: HELD }, (_, i) => (i * 7919) % ROWS);
const setOf = (found: Iterable<number>): Uint32Array => {
  const words = new Uint32Array(wordsFor(ROWS));
  for (const row of found) words[row >>> 5]! |= 1 << (row & 31);
  return words;
};

test('any runs are exactly their rows, with checkpoints and without, however long they are', async () => {
  const kinds = [true, false].map((areDistinct) => postingsOf(ROWS, rows, areDistinct));
  assert.deepEqual(
    kinds.map(({ checkpoints }) => checkpoints !== undefined),
    [true, false],
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(HELD), { minLength: 2, maxLength: 6 }),
      fc.constantFrom(...kinds),
      async (places, postings) => {
        const ends = [...places].sort((a, b) => a - b);
        const words = new Uint32Array(wordsFor(ROWS));
        const expected: number[] = [];
        for (let i = 0; i + 1 < ends.length; i += 2) {
          const [from = 0, to = 0] = [ends[i], ends[i + 1]];
          await addRun(postings, { from, to }, words, () => undefined);
          expected.push(...rows.subarray(from, to));
        }
        assert.deepEqual(words, setOf(expected));
      },
    ),
    { seed: 1, numRuns: 300 },
  );
});
