/**
 * The highest of what a term adds to a row, for each run of its postings in a block. It is found when the term is first asked for, and kept
 * for the next time: runs that hold nothing good enough are passed over then. Of BM25 it is known for one average length; for another it
 * is right when it is multiplied by how many times as long that is, or as it stands where it is shorter.
 */
import type { SparseBlock } from './sparse-block.ts';
import type { SparseScorer } from './sparse-bounds.ts';

/** Postings of a run. */
export const RUN = 128;
/** Fewer postings are gone through sooner than their maxima are looked up. */
export const MIN_POSTINGS = 4 * RUN;
/** An average length that differs by more makes them too loose. */
const MAX_DRIFT = 1.1;

export interface Maxima {
  readonly scorer: SparseScorer;
  /** By place of the term; of run `i` at `i`. A posting of each is in 512. */
  readonly runs: Map<number, Float32Array>;
}

const known = new WeakMap<SparseBlock, Maxima>();

/** Where those of the block stand, for a scorer like this. */
export function maximaOf(block: SparseBlock, scorer: SparseScorer): Maxima {
  const maxima = known.get(block);
  if (maxima !== undefined && isAlike(maxima.scorer, scorer)) return maxima;
  const fresh: Maxima = { scorer, runs: new Map() };
  known.set(block, fresh);
  return fresh;
}

/** What the maxima are to be multiplied by. */
export const looseness = ({ scorer: then }: Maxima, now: SparseScorer): number =>
  then === undefined || now === undefined ? 1 : Math.max(1, now.averageLength / then.averageLength);

function isAlike(then: SparseScorer, now: SparseScorer): boolean {
  if (then === undefined || now === undefined) return then === now;
  const ratio = now.averageLength / then.averageLength;
  return then.k1 === now.k1 && then.b === now.b && ratio < MAX_DRIFT && ratio > 1 / MAX_DRIFT;
}
