/**
 * In which steps a graph is built. The rows of a step choose their links by the graph as it was before it and by each other, then
 * they are linked in: what a step makes does not depend on who does its work, so that the bytes of an index do not
 * depend on the number of threads.
 */

import { NO_ROW } from './hnsw-file.ts';

/** Rows [from, to). */
export interface BuildStep {
  readonly from: number;
  readonly to: number;
  /** Where searches begin when the step does, and on which level. */
  readonly entryRow: number;
  readonly maxLevel: number;
}

/**
 * More rows let threads wait for each other less often, which is dear when other work has the cores; but each is compared with all
 * that come before it in its step, which it cannot find by links: nothing may be lost when neighbours come one after the other.
 */
export const MAX_STEP_ROWS = 512;
/** And at most an eighth of those that are there, but so many in any case. */
const MIN_STEP_ROWS = 256;
const OUTSIDE = 255;

const levelIn = (levels: Uint8Array, row: number): number => {
  const level = levels[row] ?? OUTSIDE;
  return level === OUTSIDE ? -1 : level;
};

/** The first row, and each that rises above all before it, is a step of its own. */
export function* buildSteps(levels: Uint8Array): Generator<BuildStep> {
  let entryRow = NO_ROW;
  let maxLevel = -1;
  for (let from = 0; from < levels.length; ) {
    let to = from;
    const end = Math.min(levels.length, from + Math.min(MAX_STEP_ROWS, Math.max(MIN_STEP_ROWS, from >> 3)));
    while (to < end && levelIn(levels, to) <= maxLevel) to++;
    const rises = to === from;
    if (rises) to++;
    yield { from, to, entryRow, maxLevel: Math.max(0, maxLevel) };
    if (rises) {
      entryRow = from;
      maxLevel = levelIn(levels, from);
    }
    from = to;
  }
}

/** Where searches begin when all rows are in. */
export function entryOf(levels: Uint8Array): {
  readonly entryRow: number | undefined;
  readonly maxLevel: number;
} {
  let entryRow: number | undefined;
  let maxLevel = -1;
  levels.forEach((_, row) => {
    const level = levelIn(levels, row);
    if (level <= maxLevel) return;
    entryRow = row;
    maxLevel = level;
  });
  return { entryRow, maxLevel: Math.max(0, maxLevel) };
}

/** For the rows of a step, where the proposals of each begin, in lists of links; written to `slots`. Returns the lists in all. */
export function slotsOf(levels: Uint8Array, { from, to }: BuildStep, slots: Uint32Array): number {
  let lists = 0;
  for (let row = from; row < to; row++) {
    slots[row - from] = lists;
    lists += levelIn(levels, row) + 1;
  }
  return lists;
}

/** As many lists as any step of these rows can propose, in whatever order they come. */
export function mostLists(levels: Uint8Array): number {
  const highest = levels.map((_, row) => levelIn(levels, row) + 1).sort();
  return highest.subarray(-MAX_STEP_ROWS).reduce((sum, lists) => sum + lists, 0);
}
