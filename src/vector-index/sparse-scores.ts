/**
 * Scores of sparse vectors. Those of a block are summed term by term, dimensions rising, in 32-bit floats: the same row has the same
 * score whatever block it is in, and also when it is in none yet.
 *
 * A scorer says what a term adds to a row. IP multiplies; BM25 takes the stored value for the term's frequency and the row's sum of
 * values for its length, the query's value for everything that is the same for all rows (idf and the term's weight in the query).
 */
import { MAX_BLOCK_ROWS, type SparseBlock } from './sparse-block.ts';
import { eachMatch, find, lengthOf, type SparseRows, type SparseTerms } from './sparse-rows.ts';
import type { SparseTail } from './sparse-tail.ts';

export interface Bm25 {
  readonly k1: number;
  readonly b: number;
  /** Over all rows of the collection, not of one segment. */
  readonly averageLength: number;
}

/** Absent: inner product. */
export type SparseScorer = Bm25 | undefined;

/** The dimensions that a block and a query share: their places in the block, their weights, dimensions rising. Filled again for each block. */
export class BlockTerms {
  readonly places: Uint32Array;
  readonly weights: Float32Array;
  count = 0;
  /** Of all of them. */
  postings = 0;

  /** For queries of so many dimensions. */
  constructor(capacity: number) {
    this.places = new Uint32Array(capacity);
    this.weights = new Float32Array(capacity);
  }

  fill({ dims, starts }: SparseBlock, terms: SparseTerms): void {
    this.count = 0;
    this.postings = 0;
    const isShort = terms.dims.length <= dims.length;
    const [few, many] = isShort ? [terms.dims, dims] : [dims, terms.dims];
    for (let i = 0; i < few.length; i++) {
      const at = find(many, few[i] as number);
      if (at < 0) continue;
      const [place, term] = isShort ? [at, i] : [i, at];
      this.places[this.count] = place;
      this.weights[this.count++] = terms.weights[term] as number;
      this.postings += (starts[place + 1] as number) - (starts[place] as number);
    }
  }
}

/** Postings of the i-th of the terms. */
export const postingsAt = ({ starts }: SparseBlock, { places }: BlockTerms, i: number): number => {
  const place = places[i] as number;
  return (starts[place + 1] as number) - (starts[place] as number);
};

/** No row of the block has a higher score. */
export function highestScore(
  { highest, lowest }: SparseBlock,
  { places, weights, count }: BlockTerms,
  scorer: SparseScorer,
): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const place = places[i] as number;
    const weight = weights[i] as number;
    sum += Math.max(
      0,
      bound(weight, highest[place] as number, scorer),
      bound(weight, lowest[place] as number, scorer),
    );
  }
  // Sums of rounded floats may lie above the sum of their bounds.
  return sum * (1 + 1e-5 * (1 + count / 100));
}

const bound = (weight: number, value: number, scorer: SparseScorer): number => {
  if (scorer === undefined) return weight * value;
  const saturation = value + scorer.k1 * (1 - scorer.b);
  return saturation > 0 ? (weight * value * (scorer.k1 + 1)) / saturation : 0;
};

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

/** Who is looking for the best rows. */
export interface Offers {
  /** Nothing below is wanted. Rises with what is offered. */
  readonly least: number;
  offer(score: number, row: number): void;
}

/** Sums of rows, zeros between any two calls of what follows here: none of it waits. */
const scratch = new Float32Array(MAX_BLOCK_ROWS);

/** Offers the rows of a block that have a term. */
export function offerScores(
  block: SparseBlock,
  found: BlockTerms,
  scorer: SparseScorer,
  offers: Offers,
): void {
  if (found.count === 1) {
    offerTerm(block, found, scorer, offers);
    return;
  }
  addScores(block, found, scratch, scorer);
  const { firstRow, rowCount, starts, rows } = block;
  if (found.postings > rowCount) {
    offerSums(scratch, firstRow, rowCount, offers);
    scratch.fill(0, 0, rowCount);
    return;
  }
  for (let i = 0; i < found.count; i++) {
    const place = found.places[i] as number;
    const end = starts[place + 1] as number;
    for (let p = starts[place] as number; p < end; p++) {
      const row = rows[p] as number;
      const score = scratch[row] as number;
      scratch[row] = 0;
      if (score >= offers.least && score !== 0) offers.offer(score, firstRow + row);
    }
  }
}

/** One term needs no sums. */
function offerTerm(
  { firstRow, starts, rows, values, lengths }: SparseBlock,
  { places, weights }: BlockTerms,
  scorer: SparseScorer,
  offers: Offers,
): void {
  const { k1, constant, slope } = bm25Factors(scorer);
  const place = places[0] as number;
  const weight = weights[0] as number;
  const end = starts[place + 1] as number;
  for (let p = starts[place] as number; p < end; p++) {
    const row = rows[p] as number;
    const value = values[p] as number;
    const length = lengths[row] as number;
    const share = scorer === undefined ? value : (value * (k1 + 1)) / (value + constant + slope * length);
    const score = Math.fround(weight * share);
    if (score >= offers.least) offers.offer(score, firstRow + row);
  }
}

/** Offers the sums of so many rows. */
export function offerSums(sums: Float32Array, firstRow: number, rowCount: number, offers: Offers): void {
  for (let i = 0; i < rowCount; i++) {
    const score = sums[i] as number;
    if (score >= offers.least && score !== 0) offers.offer(score, firstRow + i);
  }
}

/** Offers the rows of the tail that have a term. Returns how many postings there are. */
export function offerTail(
  tail: SparseTail,
  terms: SparseTerms,
  scorer: SparseScorer,
  offers: Offers,
): number {
  const { dims } = terms;
  const count = addTailScores(tail, terms, scratch, scorer, 0, dims.length);
  const { before, rows } = tail.postings;
  for (let i = 0; i < dims.length; i++)
    for (let p = tail.last(dims[i] as number); p >= 0; p = before[p] as number) {
      const row = rows[p] as number;
      const score = scratch[row] as number;
      scratch[row] = 0;
      if (score >= offers.least && score !== 0) offers.offer(score, tail.firstRow + row);
    }
  return count;
}

function bm25Factors(scorer: SparseScorer): {
  readonly k1: number;
  readonly constant: number;
  readonly slope: number;
} {
  if (scorer === undefined) return { k1: 0, constant: 0, slope: 0 };
  const { k1, b, averageLength } = scorer;
  return { k1, constant: k1 * (1 - b), slope: averageLength > 0 ? (k1 * b) / averageLength : 0 };
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
