/**
 * Scores of sparse vectors. Those of a block are summed term by term, dimensions rising, in 32-bit floats: the same row has the same
 * score whatever block it is in, and also when it is in none yet.
 *
 * A scorer says what a term adds to a row. IP multiplies; BM25 takes the stored value for the term's frequency and the row's sum of
 * values for its length, the query's value for everything that is the same for all rows (idf and the term's weight in the query).
 */
import type { SparseBlock } from './sparse-block.ts';
import { type BlockTerms, bm25Factors, type SparseScorer } from './sparse-bounds.ts';
import { eachMatch, lengthOf, type SparseRows, type SparseTerms } from './sparse-rows.ts';
import type { SparseTail } from './sparse-tail.ts';

/** Adds the terms from `from` to `to` to the sums of the block's rows. */
export function addScores(
  block: SparseBlock,
  { places, weights, count }: BlockTerms,
  sums: Float32Array,
  scorer: SparseScorer,
  from = 0,
  to: number = count,
): void {
  const { starts, rows, values, lengths } = block;
  const { k1, constant, slope } = bm25Factors(scorer);
  for (let i = from; i < to; i++) {
    const place = places[i] as number;
    const weight = weights[i] as number;
    const end = starts[place + 1] as number;
    if (scorer === undefined)
      for (let p = starts[place] as number; p < end; p++) {
        const row = rows[p] as number;
        sums[row] = (sums[row] as number) + weight * (values[p] as number);
      }
    else
      for (let p = starts[place] as number; p < end; p++) {
        const row = rows[p] as number;
        const frequency = values[p] as number;
        const share = (frequency * (k1 + 1)) / (frequency + constant + slope * (lengths[row] as number));
        sums[row] = (sums[row] as number) + weight * share;
      }
  }
}

/** The same for the tail: of rows that came later, too. Returns how many postings were summed. */
export function addTailScores(
  tail: SparseTail,
  { dims, weights }: SparseTerms,
  sums: Float32Array,
  scorer: SparseScorer,
  from: number,
  to: number,
): number {
  const { before, rows, values, lengths } = tail.postings;
  const { k1, constant, slope } = bm25Factors(scorer);
  let count = 0;
  for (let i = from; i < to; i++) {
    const weight = weights[i] as number;
    for (let p = tail.last(dims[i] as number); p >= 0; p = before[p] as number) {
      const row = rows[p] as number;
      const value = values[p] as number;
      const length = lengths[row] as number;
      const share = scorer === undefined ? value : (value * (k1 + 1)) / (value + constant + slope * length);
      sums[row] = (sums[row] as number) + weight * share;
      count++;
    }
  }
  return count;
}

/** The score that `addScores` would give a row of the block. Of no row before one that was asked for since the cursors were rewound. */
export function scoreInBlock(
  { starts, rows, values, lengths }: SparseBlock,
  { places, weights, cursors, count }: BlockTerms,
  row: number,
  scorer: SparseScorer,
): number {
  const { k1, constant, slope } = bm25Factors(scorer);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const end = starts[(places[i] as number) + 1] as number;
    const p = seek(rows, row, cursors[i] as number, end);
    cursors[i] = p;
    if (p === end || rows[p] !== row) continue;
    const value = values[p] as number;
    const length = lengths[row] as number;
    const share = scorer === undefined ? value : (value * (k1 + 1)) / (value + constant + slope * length);
    sum = Math.fround(sum + (weights[i] as number) * share);
  }
  return sum;
}

/** The first place from `from` on that has no lower row, in steps that double: it is mostly near. */
function seek(rows: Uint16Array, row: number, from: number, end: number): number {
  let low = from;
  let step = 1;
  while (low + step <= end && (rows[low + step - 1] as number) < row) {
    low += step;
    step *= 2;
  }
  for (let high = Math.min(low + step - 1, end); low < high; ) {
    const middle = (low + high) >>> 1;
    if ((rows[middle] as number) < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

const one = new Float32Array(1);

/** The score that `addScores` would give the row. */
export function scoreRow(rows: SparseRows, row: number, terms: SparseTerms, scorer: SparseScorer): number {
  const { k1, constant, slope } = bm25Factors(scorer);
  const length = scorer === undefined ? 0 : lengthOf(rows, row);
  one[0] = 0;
  eachMatch(rows, row, terms, (term, value) => {
    const share = scorer === undefined ? value : (value * (k1 + 1)) / (value + constant + slope * length);
    one[0] = (one[0] as number) + (terms.weights[term] as number) * share;
  });
  return one[0] as number;
}
