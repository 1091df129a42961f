/**
 * Posting lists over sparse vectors, in blocks of rows that follow one another.
 */
import { assert } from '../support/assert.ts';
import { eachMatch, find, lengthOf, PAIR_BYTES, type SparseRows, wordsOf } from './sparse-rows.ts';

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

/** Rows of a block of a flushed segment, unless its pairs are too many. */
const BLOCK_ROWS = 32_768;
const BLOCK_PAIRS = 2 ** 21;
export const MAX_BLOCK_ROWS = 65_536;

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

/** Of whole blocks, which never change. */
const blockLengths = new WeakMap<SparseBlock, number>();

/** The sum of all values of the block's first rows. */
function lengthOfBlock(block: SparseBlock, rows: number): number {
  const { lengths } = block;
  const isWhole = rows >= lengths.length;
  const known = isWhole ? blockLengths.get(block) : undefined;
  if (known !== undefined) return known;
  let total = 0;
  for (let i = 0; i < lengths.length && i < rows; i++) total += lengths[i] as number;
  if (isWhole) blockLengths.set(block, total);
  return total;
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

  /** The sum of all values of the first `rowCount` rows. For BM25's average length. */
  totalLength(rows: SparseRows, rowCount: number): number {
    let total = 0;
    for (const block of this.#blocks) total += lengthOfBlock(block, rowCount - block.firstRow);
    for (let row = this.rowCount; row < rowCount; row++) total += lengthOf(rows, row);
    return total;
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
