/** Posting lists over sparse vectors, in blocks of rows that follow one another. */
import { assert } from '../support/assert.ts';
import { PAIR_BYTES, type SparseRows, wordsOf } from './sparse-rows.ts';

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
  /** Of all rows together. */
  readonly totalLength: number;
  /** No row with a posting is shorter. */
  readonly shortest: number;
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
export const MAX_BLOCK_ROWS = 65_536;
export const BLOCK_PAIRS = 3 * 2 ** 20;

interface Ordered {
  readonly keys: Uint32Array;
  /** Where each key stood. */
  readonly places: Uint32Array;
}

const DIGITS = [
  [0, 2047],
  [11, 2047],
  [22, 1023],
] as const;

/** `keys` lowest first, equal ones as they stand. Takes over what it is given. */
function radixOrder(keys: Uint32Array): Ordered {
  const places = new Uint32Array(keys.length);
  let used = 0;
  for (let i = 0; i < keys.length; i++) {
    places[i] = i;
    used |= keys[i] as number;
  }
  let from: Ordered = { keys, places };
  let to: Ordered = { keys: new Uint32Array(keys.length), places: new Uint32Array(keys.length) };
  const counts = new Uint32Array(2048);
  for (const [shift, mask] of DIGITS) {
    if (((used >>> shift) & mask) === 0) continue;
    orderByDigit(from, to, shift, mask, counts);
    [from, to] = [to, from];
  }
  return from;
}

/** Keys are moved with their places: to look them up costs more. */
function orderByDigit(from: Ordered, to: Ordered, shift: number, mask: number, counts: Uint32Array): void {
  const { keys, places } = from;
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
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as number;
    const digit = (key >>> shift) & mask;
    const target = counts[digit] as number;
    counts[digit] = target + 1;
    to.keys[target] = key;
    to.places[target] = places[i] as number;
  }
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
  let shortest = Number.POSITIVE_INFINITY;
  for (let row = from; row < to; row++) {
    const end = ((offsets[row + 1] ?? 0) - firstByte) / PAIR_BYTES;
    let length = 0;
    for (let i = ((offsets[row] ?? 0) - firstByte) / PAIR_BYTES; i < end; i++) {
      keys[i] = words[2 * i] as number;
      rowOf[i] = row - from;
      length += floats[2 * i + 1] as number;
    }
    lengths[row - from] = length;
    if (offsets[row + 1] !== offsets[row]) shortest = Math.min(shortest, lengths[row - from] as number);
  }
  const { keys: ordered, places } = radixOrder(keys);
  const postings = { rows: new Uint16Array(pairs), values: new Float32Array(pairs) };
  const shape = runsOf(ordered);
  for (let i = 0; i < pairs; i++) {
    const place = places[i] as number;
    postings.rows[i] = rowOf[place] as number;
    postings.values[i] = floats[2 * place + 1] as number;
  }
  return {
    firstRow: from,
    rowCount: to - from,
    ...shape,
    ...postings,
    ...extremes(shape.starts, postings.values),
    lengths,
    totalLength: sumOf(lengths),
    shortest,
  };
}

/** Where runs of equal keys start, and the end. */
function runsOf(ordered: Uint32Array): Pick<SparseBlock, 'dims' | 'starts'> {
  let count = 0;
  for (let i = 0; i < ordered.length; i++) if (i === 0 || ordered[i] !== ordered[i - 1]) count++;
  const dims = new Uint32Array(count);
  const starts = new Uint32Array(count + 1);
  for (let i = 0, run = 0; i < ordered.length; i++)
    if (i === 0 || ordered[i] !== ordered[i - 1]) {
      dims[run] = ordered[i] as number;
      starts[run++] = i;
    }
  starts[count] = ordered.length;
  return { dims, starts };
}

function sumOf(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum;
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
  let to = Math.min(rowCount, from + MAX_BLOCK_ROWS);
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
