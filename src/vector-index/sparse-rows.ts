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

/** The place of `value` in rising numbers, or a negative number. */
export function find(numbers: Uint32Array, value: number): number {
  let low = 0;
  for (let high = numbers.length; low < high; ) {
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
