/** Rows of sparse vectors as they are stored, and how they are read. */
import type { BytesColumn } from '../model/rows.ts';

/** Row `i` is pairs of dimension and value from byte `offsets[i]` to `offsets[i + 1]`, dimensions rising. */
export type SparseRows = Pick<BytesColumn, 'offsets' | 'data'>;

/** The pairs of one query, dimensions rising. */
export interface SparseTerms {
  readonly dims: Uint32Array;
  readonly weights: Float32Array;
}

export const PAIR_BYTES = 8;

/** Words of the pairs between two bytes of the rows. */
export function wordsOf({ data }: SparseRows, from: number, to: number): Uint32Array {
  const at = data.byteOffset + from;
  const count = (to - from) / 4;
  if (at % 4 === 0) return new Uint32Array(data.buffer, at, count);
  return new Uint32Array(data.slice(from, to).buffer, 0, count);
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

/** How far from where a number should stand is looked first; then four times as far, and so on. */
const FIRST_STEP = 8;

/**
 * The place of `value` in rising numbers, or a negative number. Looks first where it stands when the numbers are spread evenly, as hashes
 * are, which is near; of other numbers it takes as many steps as halving does, twice at most.
 */
export function find(numbers: Uint32Array, value: number): number {
  const last = numbers.length - 1;
  const least = numbers[0] as number;
  const most = numbers[last] as number;
  if (last < 0 || value < least || value > most) return -1;
  const guess = most === least ? 0 : Math.floor(((value - least) / (most - least)) * last);
  let low = 0;
  let high = last;
  if ((numbers[guess] as number) < value) {
    low = guess + 1;
    for (let step = FIRST_STEP; low + step < last; step *= 4) {
      if ((numbers[low + step] as number) >= value) {
        high = low + step;
        break;
      }
      low += step + 1;
    }
  } else {
    high = guess;
    for (let step = FIRST_STEP; high - step > 0; step *= 4) {
      if ((numbers[high - step] as number) < value) {
        low = high - step + 1;
        break;
      }
      high -= step;
    }
  }
  return halved(numbers, value, low, high);
}

function halved(numbers: Uint32Array, value: number, from: number, to: number): number {
  let low = from;
  for (let high = to; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return numbers[low] === value ? low : -1;
}

/** Calls `visit` with the place of each term that the row has, and the row's value. */
export function eachMatch(
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

/** The sum of a row's values, as a float of 32 bits. */
export function lengthOf(rows: SparseRows, row: number): number {
  const words = wordsOf(rows, rows.offsets[row] ?? 0, rows.offsets[row + 1] ?? 0);
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  let length = 0;
  for (let i = 1; i < floats.length; i += 2) length += floats[i] as number;
  return Math.fround(length);
}
