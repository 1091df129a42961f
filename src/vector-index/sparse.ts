/**
 * Posting lists over sparse vectors, in blocks of rows that follow one another. Scores of a block are summed term by term, dimensions
 * rising, in 32-bit floats: the same row has the same score whatever block it is in, and also when it is in none yet.
 *
 * A scorer says what a term adds to a row. IP multiplies; BM25 takes the stored value for the term's frequency and the row's sum of
 * values for its length, the query's value for everything that is the same for all rows (idf and the term's weight in the query).
 */
import type { BytesColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';

/** Row `i` is pairs of dimension and value from byte `offsets[i]` to `offsets[i + 1]`, dimensions rising. */
export type SparseRows = Pick<BytesColumn, 'offsets' | 'data'>;

export interface SparseBlock {
  readonly firstRow: number;
  readonly rowCount: number;
  /** Rising. */
  readonly dims: Uint32Array;
  /** Postings of dimension `dims[i]` stand from `starts[i]` to `starts[i + 1]`. */
  readonly starts: Uint32Array;
  /** Behind `firstRow`; rising within a dimension. */
  readonly rows: Uint16Array;
  readonly values: Float32Array;
  /** The highest and the lowest value of each dimension. */
  readonly highest: Float32Array;
  readonly lowest: Float32Array;
  /** The sum of the values of each row. */
  readonly lengths: Float32Array;
}

/** For moving a block between threads. */
export const buffersOfBlock = (block: SparseBlock): ArrayBuffer[] =>
  [block.dims, block.starts, block.rows, block.values, block.highest, block.lowest, block.lengths].map(
    ({ buffer }) => {
      assert(buffer instanceof ArrayBuffer, 'posting lists are not in shared memory');
      return buffer;
    },
  );

export interface Bm25 {
  readonly k1: number;
  readonly b: number;
  /** Over all rows of the collection, not of one segment. */
  readonly averageLength: number;
}

/** Absent: inner product. */
export type SparseScorer = Bm25 | undefined;

/** The pairs of one query, dimensions rising. */
export interface SparseTerms {
  readonly dims: Uint32Array;
  readonly weights: Float32Array;
}

/** Rows of a block of a flushed segment, unless its pairs are too many. */
const BLOCK_ROWS = 32_768;
const BLOCK_PAIRS = 2 ** 21;
export const MAX_BLOCK_ROWS = 65_536;
const PAIR_BYTES = 8;

/** Words of the pairs between two bytes of the rows. */
function wordsOf({ data }: SparseRows, from: number, to: number): Uint32Array {
  const at = data.byteOffset + from;
  const count = (to - from) / 4;
  if (at % 4 === 0) return new Uint32Array(data.buffer, at, count);
  return new Uint32Array(data.slice(from, to).buffer, 0, count);
}

/** Orders `keys`, equal ones as they stand: the places of the keys, lowest first. */
function radixOrder(keys: Uint32Array): Uint32Array {
  let order = Uint32Array.from(keys, (_, i) => i);
  let other = new Uint32Array(keys.length);
  let used = 0;
  for (let i = 0; i < keys.length; i++) used |= keys[i] as number;
  const counts = new Uint32Array(2048);
  for (const [shift, mask] of [
    [0, 2047],
    [11, 2047],
    [22, 1023],
  ] as const) {
    if (((used >>> shift) & mask) === 0) continue;
    counts.fill(0);
    for (let i = 0; i < keys.length; i++) {
      const digit = ((keys[i] as number) >>> shift) & mask;
      counts[digit] = (counts[digit] as number) + 1;
    }
    let at = 0;
    for (let digit = 0; digit <= mask; digit++) {
      const count = counts[digit] as number;
      counts[digit] = at;
      at += count;
    }
    for (let i = 0; i < order.length; i++) {
      const place = order[i] as number;
      const digit = ((keys[place] as number) >>> shift) & mask;
      const to = counts[digit] as number;
      counts[digit] = to + 1;
      other[to] = place;
    }
    [order, other] = [other, order];
  }
  return order;
}

/** The postings of rows `from` to `to`. */
export function buildBlock(rows: SparseRows, from: number, to: number): SparseBlock {
  assert(to - from <= MAX_BLOCK_ROWS, 'rows of a block fit 16 bits');
  const { offsets } = rows;
  const firstByte = offsets[from] ?? 0;
  const words = wordsOf(rows, firstByte, offsets[to] ?? 0);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const pairs = words.length / 2;
  const keys = new Uint32Array(pairs);
  const rowOf = new Uint16Array(pairs);
  const lengths = new Float32Array(to - from);
  for (let row = from; row < to; row++) {
    const end = ((offsets[row + 1] ?? 0) - firstByte) / PAIR_BYTES;
    let length = 0;
    for (let i = ((offsets[row] ?? 0) - firstByte) / PAIR_BYTES; i < end; i++) {
      keys[i] = words[2 * i] as number;
      rowOf[i] = row - from;
      length += floats[2 * i + 1] as number;
    }
    lengths[row - from] = length;
  }
  const order = radixOrder(keys);
  const postings = { rows: new Uint16Array(pairs), values: new Float32Array(pairs) };
  const dims: number[] = [];
  const starts: number[] = [];
  for (let i = 0; i < pairs; i++) {
    const place = order[i] as number;
    const dim = keys[place] as number;
    if (dims.length === 0 || dims[dims.length - 1] !== dim) {
      dims.push(dim);
      starts.push(i);
    }
    postings.rows[i] = rowOf[place] as number;
    postings.values[i] = floats[2 * place + 1] as number;
  }
  starts.push(pairs);
  const shape = { dims: Uint32Array.from(dims), starts: Uint32Array.from(starts) };
  return {
    firstRow: from,
    rowCount: to - from,
    ...shape,
    ...postings,
    ...extremes(shape.starts, postings.values),
    lengths,
  };
}

function extremes(starts: Uint32Array, values: Float32Array): Pick<SparseBlock, 'highest' | 'lowest'> {
  const highest = new Float32Array(starts.length - 1);
  const lowest = new Float32Array(starts.length - 1);
  for (let i = 0; i < highest.length; i++) {
    let high = Number.NEGATIVE_INFINITY;
    let low = Number.POSITIVE_INFINITY;
    for (let p = starts[i] as number; p < (starts[i + 1] as number); p++) {
      const value = values[p] as number;
      if (value > high) high = value;
      if (value < low) low = value;
    }
    highest[i] = high;
    lowest[i] = low;
  }
  return { highest, lowest };
}

/** Where the block of a flushed segment that begins at `from` ends. */
export function blockEnd({ offsets }: SparseRows, from: number, rowCount: number): number {
  const most = (offsets[from] ?? 0) + BLOCK_PAIRS * PAIR_BYTES;
  let to = Math.min(rowCount, from + BLOCK_ROWS);
  while (to > from + 1 && (offsets[to] ?? 0) > most) to = from + ((to - from) >> 1);
  return to;
}

/** All blocks of a flushed segment. Takes the thread for as long as it lasts. */
export function buildBlocks(rows: SparseRows, rowCount: number): SparseBlock[] {
  const blocks: SparseBlock[] = [];
  for (let from = 0; from < rowCount; ) {
    const to = blockEnd(rows, from, rowCount);
    blocks.push(buildBlock(rows, from, to));
    from = to;
  }
  return blocks;
}

/** Pairs of a growing segment that make a block: one or two milliseconds of work. */
const GROWING_PAIRS = 65_536;

/** The blocks of one unit, and how many of its rows they hold; rows behind them are scored one by one. */
export class SparseIndex {
  readonly #blocks: SparseBlock[];

  constructor(blocks: readonly SparseBlock[] = []) {
    this.#blocks = [...blocks];
  }

  get blocks(): readonly SparseBlock[] {
    return this.#blocks;
  }

  get rowCount(): number {
    const last = this.#blocks.at(-1);
    return last === undefined ? 0 : last.firstRow + last.rowCount;
  }

  /** Takes rows up to `rowCount` into blocks, as soon as they are worth one. They are never changed afterwards. */
  extend(rows: SparseRows, rowCount: number): void {
    const { offsets } = rows;
    for (let from = this.rowCount; from < rowCount; from = this.rowCount) {
      if ((offsets[rowCount] ?? 0) - (offsets[from] ?? 0) < GROWING_PAIRS * PAIR_BYTES) return;
      const most = (offsets[from] ?? 0) + GROWING_PAIRS * PAIR_BYTES;
      let to = Math.min(rowCount, from + MAX_BLOCK_ROWS);
      while (to > from + 1 && (offsets[to - 1] ?? 0) >= most) to--;
      this.#blocks.push(buildBlock(rows, from, to));
    }
  }

  /** How many of the first `rowCount` rows have each of the dimensions, which rise. For BM25's idf. */
  frequencies(dims: Uint32Array, rows: SparseRows, rowCount: number): Uint32Array {
    const counts = new Uint32Array(dims.length);
    for (const { dims: known, starts } of this.#blocks)
      for (let i = 0; i < dims.length; i++) {
        const at = find(known, dims[i] as number);
        if (at >= 0) counts[i] = (counts[i] as number) + (starts[at + 1] as number) - (starts[at] as number);
      }
    const terms = { dims, weights: new Float32Array(dims.length) };
    for (let row = this.rowCount; row < rowCount; row++)
      eachMatch(rows, row, terms, (i) => {
        counts[i] = (counts[i] as number) + 1;
      });
    return counts;
  }
}

/** The place of `value` in rising numbers, or a negative number. */
function find(numbers: Uint32Array, value: number): number {
  let low = 0;
  for (let high = numbers.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return numbers[low] === value ? low : -1;
}

/** Row `query` of the queries. */
export function termsOf(queries: SparseRows, query: number): SparseTerms {
  const words = wordsOf(queries, queries.offsets[query] ?? 0, queries.offsets[query + 1] ?? 0);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const count = words.length / 2;
  const dims = new Uint32Array(count);
  const weights = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    dims[i] = words[2 * i] as number;
    weights[i] = floats[2 * i + 1] as number;
  }
  return { dims, weights };
}

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

/** Calls `visit` with the place of each term that the row has, and the row's value. */
function eachMatch(
  rows: SparseRows,
  row: number,
  { dims }: SparseTerms,
  visit: (term: number, value: number) => void,
): void {
  const words = wordsOf(rows, rows.offsets[row] ?? 0, rows.offsets[row + 1] ?? 0);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  for (let i = 0, term = 0; i < words.length && term < dims.length; ) {
    const here = words[i] as number;
    const wanted = dims[term] as number;
    if (here === wanted) visit(term, floats[i + 1] as number);
    if (here <= wanted) i += 2;
    if (wanted <= here) term++;
  }
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

function lengthOf(rows: SparseRows, row: number): number {
  const words = wordsOf(rows, rows.offsets[row] ?? 0, rows.offsets[row + 1] ?? 0);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  let length = 0;
  for (let i = 1; i < floats.length; i += 2) length += floats[i] as number;
  return Math.fround(length);
}
