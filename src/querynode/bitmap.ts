/** Row sets: bit `i` of a set is bit `i & 31` of word `i >>> 5`. Bits beyond the last row are 0. */
export const wordCount = (rows: number): number => (rows + 31) >>> 5;

/** Rows in a word. Source: Warren, Hacker's Delight, 5-2. */
export function popcount(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

export function countRows(words: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < words.length; i++) count += popcount(words[i] ?? 0);
  return count;
}

export const hasBit = (words: Uint32Array, row: number): boolean =>
  (((words[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 1;

export function setBit(words: Uint32Array, row: number): void {
  words[row >>> 5] = (words[row >>> 5] ?? 0) | (1 << (row & 31));
}

/** Keeps in `words` what is also in `other`. */
export function intersect(words: Uint32Array, other: Uint32Array): void {
  for (let i = 0; i < words.length; i++) words[i] = (words[i] ?? 0) & (other[i] ?? 0);
}

/** Calls `visit` with every row of words `fromWord` to `toWord`, in ascending order. */
export function forEachRow(
  words: Uint32Array,
  fromWord: number,
  toWord: number,
  visit: (row: number) => void,
): void {
  for (let at = fromWord; at < toWord; at++) {
    let word = words[at] ?? 0;
    while (word !== 0) {
      const bit = word & -word;
      visit((at << 5) + 31 - Math.clz32(bit));
      word ^= bit;
    }
  }
}

/**
 * The rows of a unit that live. What a reader has taken with `share` never changes: the first write after it goes to a copy.
 */
export class LiveRows {
  #words: Uint32Array;
  #shared = false;
  #count = 0;

  constructor(capacity: number) {
    this.#words = new Uint32Array(wordCount(capacity));
  }

  /** Live rows. */
  get count(): number {
    return this.#count;
  }

  share(): Uint32Array {
    this.#shared = true;
    return this.#words;
  }

  has(row: number): boolean {
    return (((this.#words[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 1;
  }

  /** Rows `from` to `to` come to life. None of them lived before. */
  setRange(from: number, to: number): void {
    const words = this.#own();
    for (let row = from; row < to; ) {
      if ((row & 31) === 0 && to - row >= 32) {
        words[row >>> 5] = 0xffffffff;
        row += 32;
      } else {
        words[row >>> 5] = (words[row >>> 5] ?? 0) | (1 << (row & 31));
        row++;
      }
    }
    this.#count += to - from;
  }

  clear(row: number): void {
    if (!this.has(row)) return;
    const words = this.#own();
    words[row >>> 5] = (words[row >>> 5] ?? 0) & ~(1 << (row & 31));
    this.#count--;
  }

  #own(): Uint32Array {
    if (this.#shared) {
      this.#words = this.#words.slice();
      this.#shared = false;
    }
    return this.#words;
  }
}
