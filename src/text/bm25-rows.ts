/** The column that a BM25 function writes: how often each row has each of its terms. */
import type { BytesColumn, Column } from '../model/rows.ts';
import type { RowTexts } from './row-texts.ts';
import { type Token, termHash } from './token.ts';

const PAIR_BYTES = 8;

/** Terms of one text: hashes rising, and how often each is there. */
export interface TermCounts {
  readonly hashes: Uint32Array;
  readonly counts: Uint32Array;
}

/** Of each token, as they follow one another. */
export function termHashes(tokens: readonly Token[]): Uint32Array {
  const all = new Uint32Array(tokens.length);
  for (let i = 0; i < all.length; i++) all[i] = termHash((tokens[i] as Token).text);
  return all;
}

export const termCounts = (tokens: readonly Token[]): TermCounts => countsOf(termHashes(tokens));

/** `all` is put in order. */
export function countsOf(all: Uint32Array): TermCounts {
  all.sort();
  const counts = new Uint32Array(all.length);
  let size = 0;
  for (let i = 0; i < all.length; i++) {
    if (i === 0 || all[i] !== all[size - 1]) all[size++] = all[i] as number;
    counts[size - 1] = (counts[size - 1] as number) + 1;
  }
  return { hashes: all.subarray(0, size), counts: counts.subarray(0, size) };
}

/** Rows of term counts as sparse vectors. */
export function sparseColumn(rows: readonly TermCounts[]): BytesColumn {
  const offsets = new Uint32Array(rows.length + 1);
  rows.forEach(({ hashes }, row) => {
    offsets[row + 1] = (offsets[row] as number) + hashes.length * PAIR_BYTES;
  });
  const data = new Uint8Array(offsets[rows.length] as number);
  const words = new Uint32Array(data.buffer);
  const floats = new Float32Array(data.buffer);
  let at = 0;
  for (const { hashes, counts } of rows)
    for (let i = 0; i < hashes.length; i++, at += 2) {
      words[at] = hashes[i] as number;
      floats[at + 1] = counts[i] as number;
    }
  return { layout: 'bytes', type: 'SparseFloatVector', offsets, data };
}

/** Of rows `from` to `to`. */
export function bm25Column({ textAt, analyzerAt }: RowTexts, from: number, to: number): Column {
  const rows: TermCounts[] = [];
  for (let row = from; row < to; row++) {
    const text = textAt(row);
    rows.push(termCounts(text === '' ? [] : analyzerAt(row).analyze(text)));
  }
  return sparseColumn(rows);
}
