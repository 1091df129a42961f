/** Which terms the texts of some rows have, and where: an inverted list over rows that follow one another. Never changed. */
import type { BytesColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { type Analyzer, analyzerOf } from './analyzer.ts';
import { termHash } from './token.ts';

export interface TextBlock {
  readonly firstRow: number;
  readonly rowCount: number;
  /** Of the terms, rising. */
  readonly hashes: Uint32Array;
  /** Term `i` is the UTF-8 from `termStarts[i]` to `termStarts[i + 1]`. */
  readonly termStarts: Uint32Array;
  readonly terms: Uint8Array;
  /** Term `i` stands at the places from `starts[i]` to `starts[i + 1]`: rows behind `firstRow`, rising, and positions rising in a row. */
  readonly starts: Uint32Array;
  readonly rows: Uint32Array;
  readonly positions: Uint32Array;
}

/** For moving a block between threads. */
export const buffersOfBlock = ({
  hashes,
  termStarts,
  terms,
  starts,
  rows,
  positions,
}: TextBlock): ArrayBuffer[] =>
  [hashes, termStarts, terms, starts, rows, positions].map(({ buffer }) => {
    assert(buffer instanceof ArrayBuffer, 'a block of texts is not in shared memory');
    return buffer;
  });

/** Texts of rows: nulls have none. */
export type TextRows = Pick<BytesColumn, 'offsets' | 'data' | 'valid'>;

/** The block of rows `from` to `to`. Takes the thread for as long as it lasts. */
export function buildTextBlock(params: string, rows: TextRows, from: number, to: number): TextBlock {
  const places = new Places();
  const analyzer = analyzerOf(params);
  const { offsets, data, valid } = rows;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  for (let row = from; row < to; row++) {
    const [start, end] = [offsets[row] as number, offsets[row + 1] as number];
    if (start === end || valid?.[row] === 0) continue;
    places.add(analyzer, bytes.toString('utf8', start, end), row - from);
  }
  return { firstRow: from, rowCount: to - from, ...places.sorted() };
}

/** The terms in the order of their coming, and where they are. */
class Places {
  readonly #ids = new Map<string, number>();
  #terms = new Uint32Array(1024);
  #rows = new Uint32Array(1024);
  #positions = new Uint32Array(1024);
  #size = 0;

  add(analyzer: Analyzer, text: string, row: number): void {
    for (const { text: term, position } of analyzer.analyze(text)) {
      let id = this.#ids.get(term);
      if (id === undefined) {
        id = this.#ids.size;
        this.#ids.set(term, id);
      }
      if (this.#size === this.#terms.length) this.#grow();
      this.#terms[this.#size] = id;
      this.#rows[this.#size] = row;
      this.#positions[this.#size++] = position;
    }
  }

  #grow(): void {
    const larger = (array: Uint32Array): Uint32Array<ArrayBuffer> => {
      const copy = new Uint32Array(array.length * 2);
      copy.set(array);
      return copy;
    };
    this.#terms = larger(this.#terms);
    this.#rows = larger(this.#rows);
    this.#positions = larger(this.#positions);
  }

  sorted(): Omit<TextBlock, 'firstRow' | 'rowCount'> {
    const terms = Array.from(this.#ids.keys(), (term, id) => ({ term, id, hash: termHash(term) }));
    terms.sort((a, b) => a.hash - b.hash);
    const placeOf = new Uint32Array(terms.length);
    for (const [place, { id }] of terms.entries()) placeOf[id] = place;
    const starts = new Uint32Array(terms.length + 1);
    for (let i = 0; i < this.#size; i++) {
      const next = (placeOf[this.#terms[i] as number] as number) + 1;
      starts[next] = (starts[next] as number) + 1;
    }
    for (let i = 0; i < terms.length; i++) starts[i + 1] = (starts[i + 1] as number) + (starts[i] as number);
    const at = starts.slice();
    const rows = new Uint32Array(this.#size);
    const positions = new Uint32Array(this.#size);
    for (let i = 0; i < this.#size; i++) {
      const place = placeOf[this.#terms[i] as number] as number;
      const to = at[place] as number;
      rows[to] = this.#rows[i] as number;
      positions[to] = this.#positions[i] as number;
      at[place] = to + 1;
    }
    const texts = terms.map(({ term }) => Buffer.from(term));
    const termStarts = new Uint32Array(terms.length + 1);
    for (const [i, { length }] of texts.entries()) termStarts[i + 1] = (termStarts[i] as number) + length;
    const joined = new Uint8Array(termStarts[terms.length] as number);
    for (const [i, text] of texts.entries()) joined.set(text, termStarts[i]);
    const hashes = Uint32Array.from(terms, ({ hash }) => hash);
    return { hashes, termStarts, terms: joined, starts, rows, positions };
  }
}

/** The place of a term in the block, or -1. `text`: its UTF-8 form. */
export function placeOfTerm(
  { hashes, termStarts, terms }: TextBlock,
  { hash, text }: { readonly hash: number; readonly text: Uint8Array },
): number {
  let low = 0;
  for (let high = hashes.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] as number) < hash) low = middle + 1;
    else high = middle;
  }
  for (; hashes[low] === hash; low++) {
    const [start, end] = [termStarts[low] as number, termStarts[low + 1] as number];
    if (Buffer.compare(terms.subarray(start, end), text) === 0) return low;
  }
  return -1;
}
