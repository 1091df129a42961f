/** The column that a BM25 function writes: how often each row has each of its terms. */
import type { BytesColumn, Column } from '../model/rows.ts';
import type { Analyzer } from './analyzer.ts';
import { PlainTerms } from './plain-terms.ts';
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

/** The same of a text. */
export function hashesOf(analyzer: Analyzer, text: string): Uint32Array {
  if (analyzer.isPlain) {
    const bytes = Buffer.from(text);
    const plain = new PlainTerms();
    if (plain.read(bytes, 0, bytes.length)) return plain.hashes;
  }
  return termHashes(analyzer.analyze(text));
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
export function bm25Column({ column, textAt, analyzerAt }: RowTexts, from: number, to: number): Column {
  const plain = new PlainTerms();
  const rows = new TermRows(to - from);
  for (let row = from; row < to; row++) {
    const analyzer = analyzerAt(row);
    const [start, end] = [column?.offsets[row] ?? 0, column?.offsets[row + 1] ?? 0];
    if (analyzer.isPlain && column !== undefined && plain.read(column.data, start, end))
      rows.add(plain.hashes);
    else {
      const text = textAt(row);
      rows.add(text === '' ? NO_TERMS : termHashes(analyzer.analyze(text)));
    }
  }
  return rows.column();
}

const NO_TERMS = new Uint32Array(0);
/** Pairs for a row, to begin with. */
const PAIRS_PER_ROW = 32;

/** Sparse vectors of term counts, row by row. */
class TermRows {
  readonly #offsets: Uint32Array;
  #rows = 0;
  /** A hash, then the bits of a float. */
  #words: Uint32Array;
  #floats: Float32Array;
  #length = 0;

  constructor(rowCount: number) {
    this.#offsets = new Uint32Array(rowCount + 1);
    this.#words = new Uint32Array(2 * PAIRS_PER_ROW * rowCount);
    this.#floats = new Float32Array(this.#words.buffer);
  }

  /** `all` is put in order. */
  add(all: Uint32Array): void {
    inOrder(all);
    if (this.#length + 2 * all.length > this.#words.length) this.#grow(this.#length + 2 * all.length);
    let at = this.#length;
    for (let i = 0; i < all.length; ) {
      const hash = all[i] as number;
      const first = i;
      while (i < all.length && all[i] === hash) i++;
      this.#words[at] = hash;
      this.#floats[at + 1] = i - first;
      at += 2;
    }
    this.#length = at;
    this.#offsets[++this.#rows] = 4 * at;
  }

  column(): BytesColumn {
    const data = new Uint8Array(this.#words.slice(0, this.#length).buffer);
    return { layout: 'bytes', type: 'SparseFloatVector', offsets: this.#offsets, data };
  }

  #grow(least: number): void {
    const larger = new Uint32Array(Math.max(least, 2 * this.#words.length));
    larger.set(this.#words);
    this.#words = larger;
    this.#floats = new Float32Array(larger.buffer);
  }
}

/** So few are put in order one by one. */
const FEW = 80;

function inOrder(all: Uint32Array): void {
  if (all.length > FEW) {
    all.sort();
    return;
  }
  for (let i = 1; i < all.length; i++) {
    const value = all[i] as number;
    let at = i;
    for (; at > 0 && (all[at - 1] as number) > value; at--) all[at] = all[at - 1] as number;
    all[at] = value;
  }
}
