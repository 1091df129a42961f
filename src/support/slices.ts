/**
 * Long work in short turns. What grows with the data is done some thousand items at a time, and whoever else has something to do gets a
 * turn in between. By count, not by time: the same input takes the same turns.
 */
import { setImmediate } from 'node:timers/promises';

/** Of light work, such as mapping or counting: about a millisecond. */
export const SLICE = 2048;

/** Calls `work` for every item in order. Throws what it throws. `size` items or fewer are done without a turn for others. */
export async function inSlices<T>(
  items: ArrayLike<T>,
  work: (item: T, index: number) => void,
  size = SLICE,
): Promise<void> {
  for (let from = 0; from < items.length; from += size) {
    if (from > 0) await setImmediate();
    const to = Math.min(items.length, from + size);
    for (let i = from; i < to; i++) work(items[i] as T, i);
  }
}

/** A sorted copy; stable. In order already: one look at each. */
export async function sortedInSlices<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  size = SLICE,
): Promise<T[]> {
  let isSorted = true;
  await inSlices(
    items,
    (item, i) => {
      isSorted &&= i === 0 || compare(items[i - 1] as T, item) <= 0;
    },
    size,
  );
  if (isSorted) return [...items];
  let runs: T[][] = [];
  for (let from = 0; from < items.length; from += size) {
    if (from > 0) await setImmediate();
    runs.push(items.slice(from, from + size).sort(compare));
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(await merge(runs[i] ?? [], runs[i + 1] ?? [], compare, size));
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
  size: number,
): Promise<T[]> {
  const merged: T[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const isLeft = r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0);
    merged.push((isLeft ? left[l++] : right[r++]) as T);
    if (merged.length % size === 0) await setImmediate();
  }
  return merged;
}
