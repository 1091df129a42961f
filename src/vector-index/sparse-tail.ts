/**
 * Posting lists over the last rows of a growing segment, which take each row as it comes: postings of a dimension are a chain, the newest
 * first. A reader of the first rows passes over those that came later, and so may go on with a tail that has been given up for a block.
 */
import { PAIR_BYTES, type SparseRows, wordsOf } from './sparse-rows.ts';

/** Dimensions that somebody chose so that they meet in one place of the table are searched for no further. */
const MAX_PROBES = 96;

export class SparseTail {
  readonly firstRow: number;
  #rowCount = 0;
  #pairCount = 0;
  #dimCount = 0;
  /** A power of two of places: 0, or one more than the place of a dimension. At most half of them are taken. */
  #table = new Uint32Array(64);
  /** By place. */
  #dims = new Uint32Array(32);
  #lasts = new Int32Array(32);
  #counts = new Uint32Array(32);
  /** By posting; before the first of a dimension stands -1. */
  #before = new Int32Array(64);
  #rows = new Uint16Array(64);
  #values = new Float32Array(64);
  /** By row: the sum of its values, and of those of all rows before it. */
  #lengths = new Float32Array(16);
  #totals = new Float64Array(16);

  constructor(firstRow: number) {
    this.firstRow = firstRow;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Postings by number, newest ones last. Valid until rows are added. */
  get postings(): {
    readonly before: Int32Array;
    readonly rows: Uint16Array;
    readonly values: Float32Array;
    readonly lengths: Float32Array;
  } {
    return { before: this.#before, rows: this.#rows, values: this.#values, lengths: this.#lengths };
  }

  /** Takes rows up to `rowCount`, counted from the first of the segment. The first that cannot be taken ends it. */
  extend(rows: SparseRows, rowCount: number): void {
    const { offsets } = rows;
    const from = this.firstRow + this.#rowCount;
    const firstByte = offsets[from] ?? 0;
    const words = wordsOf(rows, firstByte, offsets[rowCount] ?? 0);
    const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
    this.#reserve(rowCount - this.firstRow, this.#pairCount + words.length / 2);
    for (let row = from; row < rowCount; row++) {
      const start = ((offsets[row] ?? 0) - firstByte) / PAIR_BYTES;
      const end = ((offsets[row + 1] ?? 0) - firstByte) / PAIR_BYTES;
      if (!this.#add(words, floats, start, end)) return;
    }
  }

  /** The newest posting of a dimension, or -1. */
  last(dim: number): number {
    const place = this.#find(dim);
    return place < 0 ? -1 : (this.#lasts[place] as number);
  }

  /** How many of the first rows have the dimension. */
  frequency(dim: number, rowCount: number): number {
    const place = this.#find(dim);
    if (place < 0) return 0;
    let count = this.#counts[place] as number;
    for (let p = this.#lasts[place] as number; p >= 0; p = this.#before[p] as number) {
      if ((this.#rows[p] as number) < rowCount) break;
      count--;
    }
    return count;
  }

  /** The sum of all values of the first rows. */
  totalLength(rowCount: number): number {
    const rows = Math.min(rowCount, this.#rowCount);
    return rows <= 0 ? 0 : (this.#totals[rows - 1] as number) + (this.#lengths[rows - 1] as number);
  }

  /** False: the row is not in the tail, whatever of it is. */
  #add(words: Uint32Array, floats: Float32Array, start: number, end: number): boolean {
    const row = this.#rowCount;
    let length = 0;
    for (let i = start; i < end; i++) {
      const place = this.#placeFor(words[2 * i] as number);
      if (place < 0) return false;
      const value = floats[2 * i + 1] as number;
      const posting = this.#pairCount++;
      this.#before[posting] = this.#lasts[place] as number;
      this.#rows[posting] = row;
      this.#values[posting] = value;
      this.#lasts[place] = posting;
      this.#counts[place] = (this.#counts[place] as number) + 1;
      length += value;
    }
    this.#lengths[row] = length;
    this.#totals[row] = this.totalLength(row);
    this.#rowCount++;
    return true;
  }

  #find(dim: number): number {
    const mask = this.#table.length - 1;
    let slot = slotOf(dim) & mask;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = this.#table[slot] as number;
      if (entry === 0) return -1;
      if (this.#dims[entry - 1] === dim) return entry - 1;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** -1: there is no place for it. */
  #placeFor(dim: number): number {
    const mask = this.#table.length - 1;
    let slot = slotOf(dim) & mask;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const entry = this.#table[slot] as number;
      if (entry === 0) return this.#open(dim, slot);
      if (this.#dims[entry - 1] === dim) return entry - 1;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  #open(dim: number, slot: number): number {
    const place = this.#dimCount;
    if (place === this.#dims.length) {
      if (!this.#widen()) return -1;
      return this.#placeFor(dim);
    }
    this.#dimCount++;
    this.#dims[place] = dim;
    this.#lasts[place] = -1;
    this.#table[slot] = place + 1;
    return place;
  }

  /** False when the table cannot be made larger; it is as it was then. */
  #widen(): boolean {
    const table = new Uint32Array(4 * this.#dims.length);
    const mask = table.length - 1;
    for (let place = 0; place < this.#dimCount; place++) {
      let slot = slotOf(this.#dims[place] as number) & mask;
      for (let probe = 0; table[slot] !== 0; probe++) {
        if (probe === MAX_PROBES) return false;
        slot = (slot + 1) & mask;
      }
      table[slot] = place + 1;
    }
    this.#table = table;
    this.#dims = grown(this.#dims, 2 * this.#dims.length);
    this.#lasts = grown(this.#lasts, this.#dims.length);
    this.#counts = grown(this.#counts, this.#dims.length);
    return true;
  }

  #reserve(rows: number, pairs: number): void {
    if (pairs > this.#rows.length) {
      const length = Math.max(pairs, 2 * this.#rows.length);
      this.#before = grown(this.#before, length);
      this.#rows = grown(this.#rows, length);
      this.#values = grown(this.#values, length);
    }
    if (rows > this.#lengths.length) {
      const length = Math.max(rows, 2 * this.#lengths.length);
      this.#lengths = grown(this.#lengths, length);
      this.#totals = grown(this.#totals, length);
    }
  }
}

/** Mixed so that dimensions that follow one another, and such that end alike, stand apart. */
const slotOf = (dim: number): number => {
  const mixed = Math.imul(dim ^ (dim >>> 15), 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
};

function grown<T extends Uint32Array | Int32Array | Uint16Array | Float32Array | Float64Array>(
  values: T,
  length: number,
): T {
  const larger = new (values.constructor as new (length: number) => T)(length);
  larger.set(values);
  return larger;
}
