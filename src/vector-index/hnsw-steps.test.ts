import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildSteps, entryOf, MAX_STEP_ROWS, mostLists, slotsOf } from './hnsw-steps.ts';

const OUTSIDE = 255;
const levelsOf = fc
  .array(fc.oneof({ weight: 8, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constant(OUTSIDE) }), {
    maxLength: 2 * MAX_STEP_ROWS,
    size: 'max',
  })
  .map((list) => Uint8Array.from(list));

test('the steps of a build hold every row once, in order, and no step is larger than it may be', () => {
  fc.assert(
    fc.property(levelsOf, (levels) => {
      let at = 0;
      for (const { from, to } of buildSteps(levels)) {
        assert.equal(from, at);
        assert.ok(to > from && to - from <= MAX_STEP_ROWS);
        at = to;
      }
      assert.equal(at, levels.length);
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('a row above all before it is a step of its own, and searches of the next step begin there', () => {
  const levels = Uint8Array.from([OUTSIDE, 0, 0, 2, 1, 2, 3]);
  const steps = [...buildSteps(levels)].map(({ from, to, entryRow, maxLevel }) => [
    from,
    to,
    entryRow,
    maxLevel,
  ]);
  assert.deepEqual(steps, [
    [0, 1, 0xffff_ffff, 0],
    [1, 2, 0xffff_ffff, 0],
    [2, 3, 1, 0],
    [3, 4, 1, 0],
    [4, 6, 3, 2],
    [6, 7, 3, 2],
  ]);
  assert.deepEqual(entryOf(levels), { entryRow: 6, maxLevel: 3 });
  assert.deepEqual(entryOf(Uint8Array.of()), { entryRow: undefined, maxLevel: 0 });
});

test('the proposals of a step lie behind each other, and there is room for those of every step', () => {
  fc.assert(
    fc.property(levelsOf, (levels) => {
      const slots = new Uint32Array(MAX_STEP_ROWS);
      const most = mostLists(levels);
      for (const step of buildSteps(levels)) {
        const lists = slotsOf(levels, step, slots);
        assert.ok(lists <= most);
        const ends = [...slots.subarray(1, step.to - step.from), lists];
        ends.forEach((end, i) => {
          const level = levels[step.from + i] ?? 0;
          assert.equal(end - (slots[i] ?? 0), level === OUTSIDE ? 0 : level + 1);
        });
      }
    }),
    { seed: 2, numRuns: 100 },
  );
});
