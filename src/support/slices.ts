/**
 * Long work in short turns. What grows with the data is done some thousand items at a time, and whoever else has something to do gets a
 * turn in between. By count, not by time: the same input takes the same turns.
 */
import { setImmediate } from 'node:timers/promises';

/** Of light work, such as mapping or counting: about a millisecond. */
export const SLICE = 2048;

/** Work in steps: it yields where others may get their turn. What must be seen in one moment is read before the first step. */
export type Steps<T> = Generator<void, T>;

/** All of it now. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** With a turn for others between the steps. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await setImmediate();
  }
}

/** Calls `work` for every item in order. `size` items or fewer are one step. */
export function* eachStep<T>(
  items: ArrayLike<T>,
  work: (item: T, index: number) => void,
  size = SLICE,
): Steps<void> {
  for (let from = 0; from < items.length; from += size) {
    if (from > 0) yield;
    const to = Math.min(items.length, from + size);
    for (let i = from; i < to; i++) work(items[i] as T, i);
  }
}

/** As `Array.filter`. */
export function* filterSteps<T>(items: ArrayLike<T>, isWanted: (item: T) => boolean): Steps<T[]> {
  const wanted: T[] = [];
  yield* eachStep(items, (item) => {
    if (isWanted(item)) wanted.push(item);
  });
  return wanted;
}

/** A sorted copy; stable. In order already: one look at each. */
export function* sortSteps<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  size = SLICE,
): Steps<T[]> {
  let isSorted = true;
  yield* eachStep(
    items,
    (item, i) => {
      isSorted &&= i === 0 || compare(items[i - 1] as T, item) <= 0;
    },
    size,
  );
  if (isSorted) return [...items];
  let runs: T[][] = [];
  for (let from = 0; from < items.length; from += size) {
    if (from > 0) yield;
    runs.push(items.slice(from, from + size).sort(compare));
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(yield* merge(runs[i] ?? [], runs[i + 1] ?? [], compare, size));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
  size: number,
): Steps<T[]> {
  const merged: T[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const isLeft = r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0);
    merged.push((isLeft ? left[l++] : right[r++]) as T);
    if (merged.length % size === 0) yield;
  }
  return merged;
}

/** As `eachStep`, in turns. Throws what `work` throws. */
export const inSlices = <T>(
  items: ArrayLike<T>,
  work: (item: T, index: number) => void,
  size = SLICE,
): Promise<void> => inTurns(eachStep(items, work, size));

/** As `sortSteps`, in turns. */
export const sortedInSlices = <T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  size = SLICE,
): Promise<T[]> => inTurns(sortSteps(items, compare, size));
