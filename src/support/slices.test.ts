import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './random.ts';
import { inSlices, sortedInSlices } from './slices.ts';

/** Turns that others got while `work` ran. */
async function turnsDuring<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly turns: number }> {
  let turns = 0;
  let isOver = false;
  const others = (async () => {
    while (!isOver) {
      await new Promise<void>((done) => setImmediate(done));
      turns++;
    }
  })();
  const value = await work();
  isOver = true;
  const counted = turns;
  await others;
  return { value, turns: counted };
}

test('every item is worked on once and in order, and others get a turn after each slice', async () => {
  const seen: number[] = [];
  const items = Array.from({ length: 1000 }, (_, i) => i);
  const { turns } = await turnsDuring(() => inSlices(items, (item) => seen.push(item), 100));
  assert.deepEqual(seen, items);
  assert.ok(turns >= 8, `${turns} turns`);
  assert.equal((await turnsDuring(() => inSlices(items, () => undefined, 1000))).turns, 0);
});

test('sorting in slices gives what sorting gives, is stable, and lets others run', async () => {
  const random = seededRandom(3);
  for (const length of [0, 1, 7, 64, 65, 1000]) {
    const items = Array.from({ length }, (_, i) => ({ key: random.below(50), i }));
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
    const { value, turns } = await turnsDuring(() => sortedInSlices(items, compare, 64));
    assert.deepEqual(value, items.toSorted(compare));
    assert.ok(length < 1000 || turns > 20, `${turns} turns`);
  }
});
