/**
 * Scores of sparse vectors. Those of a block are summed term by term, dimensions rising, in 32-bit floats: the same row has the same
 * score whatever block it is in, and also when it is in none yet.
 *
 * A scorer says what a term adds to a row. IP multiplies; BM25 takes the stored value for the term's frequency and the row's sum of
 * values for its length, the query's value for everything that is the same for all rows (idf and the term's weight in the query).
 */
import type { SparseBlock } from './sparse.ts';
import { eachMatch, find, lengthOf, type SparseRows, type SparseTerms } from './sparse-rows.ts';

export interface Bm25 {
  readonly k1: number;
  readonly b: number;
  /** Over all rows of the collection, not of one segment. */
  readonly averageLength: number;
}

/** Absent: inner product. */
export type SparseScorer = Bm25 | undefined;

/** The dimensions that a block and a query share: their places in the block, their weights, dimensions rising. */
export interface BlockTerms {
  readonly places: Uint32Array;
  readonly weights: Float32Array;
  /** Postings of all of them. */
  readonly postings: number;
}

export function blockTerms({ dims, starts }: SparseBlock, terms: SparseTerms): BlockTerms {
  const isShort = terms.dims.length <= dims.length;
  const [few, many] = isShort ? [terms.dims, dims] : [dims, terms.dims];
  const places = new Uint32Array(few.length);
  const weights = new Float32Array(few.length);
  let count = 0;
  let postings = 0;
  for (let i = 0; i < few.length; i++) {
    const at = find(many, few[i] as number);
    if (at < 0) continue;
    const [place, term] = isShort ? [at, i] : [i, at];
    places[count] = place;
    weights[count++] = terms.weights[term] as number;
    postings += (starts[place + 1] as number) - (starts[place] as number);
  }
  return { places: places.subarray(0, count), weights: weights.subarray(0, count), postings };
}

/** No row of the block has a higher score. */
export function highestScore(
  { highest, lowest }: SparseBlock,
  { places, weights }: BlockTerms,
  scorer: SparseScorer,
): number {
  let sum = 0;
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number;
    const weight = weights[i] as number;
    sum += Math.max(
      0,
      bound(weight, highest[place] as number, scorer),
      bound(weight, lowest[place] as number, scorer),
    );
  }
  // Sums of rounded floats may lie above the sum of their bounds.
  return sum * (1 + 1e-5 * (1 + places.length / 100));
}

const bound = (weight: number, value: number, scorer: SparseScorer): number => {
  if (scorer === undefined) return weight * value;
  const saturation = value + scorer.k1 * (1 - scorer.b);
  return saturation > 0 ? (weight * value * (scorer.k1 + 1)) / saturation : 0;
};

/** Adds the terms from `from` to `to` to the sums of the block's rows. */
export function addScores(
  block: SparseBlock,
  { places, weights }: BlockTerms,
  sums: Float32Array,
  scorer: SparseScorer,
  from = 0,
  to: number = places.length,
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
