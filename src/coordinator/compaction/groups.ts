/** Pure: which neighbours of a list to merge into one. */
import { eachStep, type Steps } from '../../support/slices.ts';

export interface GroupLimits {
  /** Of all members together. */
  readonly maxSizeBytes: number;
  readonly maxSegments: number;
  /** Fewer are merged only when the group is full. */
  readonly minSegments: number;
  /**
   * No member is larger than the others together, unless the group is full: so a large segment is not written again for
   * every few small ones, and a row is rewritten as often as its segment doubles.
   */
  readonly isBalanced: boolean;
}

/** Groups of at least two neighbours, in the order of the list. */
export function* groupsOf<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  limits: GroupLimits,
): Steps<readonly (readonly T[])[]> {
  const groups: (readonly T[])[] = [];
  let group: T[] = [];
  let sizeBytes = 0;
  const close = (isFull: boolean): void => {
    const kept = isFull || !limits.isBalanced ? group : balanced(group, sizeOf);
    if (kept.length >= (isFull ? 2 : Math.max(2, limits.minSegments))) groups.push(kept);
    group = [];
    sizeBytes = 0;
  };
  yield* eachStep(items, (item) => {
    if (group.length > 0 && sizeBytes + sizeOf(item) > limits.maxSizeBytes) close(true);
    group.push(item);
    sizeBytes += sizeOf(item);
    if (group.length === limits.maxSegments) close(true);
  });
  close(false);
  return groups;
}

function balanced<T>(group: readonly T[], sizeOf: (item: T) => number): readonly T[] {
  const bySize = group.toSorted((a, b) => sizeOf(b) - sizeOf(a));
  let sum = group.reduce((total, item) => total + sizeOf(item), 0);
  let removed = 0;
  for (const item of bySize) {
    if (2 * sizeOf(item) <= sum) break;
    sum -= sizeOf(item);
    removed++;
  }
  const gone = new Set(bySize.slice(0, removed));
  return group.filter((item) => !gone.has(item));
}
