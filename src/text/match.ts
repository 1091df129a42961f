/** TEXT_MATCH and PHRASE_MATCH over blocks of texts. */
import { DbError } from '../errors/db-error.ts';
import { placeOfTerm, type TextBlock } from './text-block.ts';
import { type Token, termHash } from './token.ts';

/** What a row must have. Plain data. */
export type MatchMode =
  /** So many of the terms, each counted once. */
  | { readonly kind: 'terms'; readonly least: number }
  /** All of them in their order, moved against one another by no more than so many positions. */
  | { readonly kind: 'phrase'; readonly slop: number };

/** Words of a phrase: what a long text may cost grows with them. */
const MAX_PHRASE = 128;
/** Comparisons for one text whose slop is asked for: a second. */
const MAX_STEPS = 2 ** 28;

interface Term {
  readonly hash: number;
  readonly text: Uint8Array;
  /** Where it stands in the phrase. */
  readonly offset: number;
}

const termOf = ({ text, position }: Token): Term => ({
  hash: termHash(text),
  text: Buffer.from(text),
  offset: position,
});

/** The words of a match, ready to be looked for. */
export class MatchQuery {
  readonly #mode: MatchMode;
  readonly #terms: readonly Term[];
  /** How often the phrase has each of its terms. */
  readonly #counts: readonly number[];

  /** Throws `filter-invalid` for a phrase of too many words. */
  constructor(mode: MatchMode, tokens: readonly Token[]) {
    this.#mode = mode;
    const all =
      mode.kind === 'phrase' ? tokens : [...new Map(tokens.map((token) => [token.text, token])).values()];
    if (mode.kind === 'phrase' && all.length > MAX_PHRASE)
      throw new DbError('filter-invalid', `a phrase has at most ${MAX_PHRASE} words, found ${all.length}`);
    this.#terms = all.map(termOf);
    const counts = new Map<string, number>();
    for (const { text } of tokens) counts.set(text, (counts.get(text) ?? 0) + 1);
    this.#counts = all.map(({ text }) => counts.get(text) ?? 1);
  }

  /** Marks the rows of the block in `hits`, which has an entry for every row of the segment. */
  mark(block: TextBlock, hits: Uint8Array): void {
    if (this.#mode.kind === 'terms') this.#markTerms(block, hits, this.#mode.least);
    else this.#markPhrase(block, hits, this.#mode.slop);
  }

  #markTerms(block: TextBlock, hits: Uint8Array, least: number): void {
    if (least > this.#terms.length) return;
    const found = new Uint16Array(block.rowCount);
    for (const term of this.#terms)
      eachRow(block, placeOfTerm(block, term), (row) => {
        found[row] = (found[row] as number) + 1;
        if (found[row] === least) hits[block.firstRow + row] = 1;
      });
  }

  #markPhrase(block: TextBlock, hits: Uint8Array, slop: number): void {
    const places = this.#terms.map((term) => placeOfTerm(block, term));
    if (places.length === 0 || places.some((place) => place < 0)) return;
    const { starts } = block;
    const lengthOf = (place: number): number => (starts[place + 1] as number) - (starts[place] as number);
    const rarest = places.reduce((a, b) => (lengthOf(b) < lengthOf(a) ? b : a));
    const cursors = places.map((place) => new Cursor(block, place));
    eachRow(block, rarest, (row) => {
      const lists = cursors.map((cursor) => cursor.positionsIn(row));
      if (lists.every((list, i) => list.length >= (this.#counts[i] ?? 1)) && this.#isNear(lists, slop))
        hits[block.firstRow + row] = 1;
    });
  }

  #isNear(lists: readonly Uint32Array[], slop: number): boolean {
    const offsets = this.#terms.map(({ offset }) => offset);
    return spreadOf(lists, offsets, slop) <= slop;
  }
}

/**
 * How near to one another one place of each term can be chosen, each moved back by where the term stands in the phrase. Places rise,
 * and there are some of each term. What is within `enough` will do.
 */
function spreadOf(lists: readonly ArrayLike<number>[], offsets: readonly number[], enough: number): number {
  const at = new Uint32Array(lists.length);
  let best = Number.POSITIVE_INFINITY;
  for (;;) {
    let low = 0;
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const [i, list] of lists.entries()) {
      const place = (list[at[i] as number] as number) - (offsets[i] as number);
      if (place < least) [least, low] = [place, i];
      if (place > most) most = place;
    }
    best = Math.min(best, most - least);
    if (best <= enough) return best;
    const next = (at[low] as number) + 1;
    if (next >= (lists[low] as ArrayLike<number>).length) return best;
    at[low] = next;
  }
}

/** The least slop with which the phrase is found in the text; undefined: with none. Throws `filter-invalid` for a phrase of too many words. */
export function leastSlop(phrase: readonly Token[], text: readonly Token[]): number | undefined {
  if (phrase.length > MAX_PHRASE)
    throw new DbError('filter-invalid', `a phrase has at most ${MAX_PHRASE} words, found ${phrase.length}`);
  const places = new Map<string, number[]>(phrase.map((token) => [token.text, []]));
  for (const token of text) places.get(token.text)?.push(token.position);
  const wanted = new Map<string, number>();
  for (const token of phrase) wanted.set(token.text, (wanted.get(token.text) ?? 0) + 1);
  const isThere = [...wanted].every(([term, count]) => (places.get(term)?.length ?? 0) >= count);
  if (phrase.length === 0 || !isThere) return undefined;
  const lists = phrase.map((token) => places.get(token.text) ?? []);
  const steps = lists.reduce((sum, { length }) => sum + length, 0) * phrase.length;
  if (steps > MAX_STEPS)
    throw new DbError('filter-invalid', 'the words of the phrase are too many and too often in one text');
  return spreadOf(
    lists,
    phrase.map(({ position }) => position),
    0,
  );
}

/** Each row that has the term, once, rising. */
function eachRow({ starts, rows }: TextBlock, place: number, visit: (row: number) => void): void {
  if (place < 0) return;
  const end = starts[place + 1] as number;
  for (let i = starts[place] as number, last = -1; i < end; i++) {
    const row = rows[i] as number;
    if (row !== last) visit(row);
    last = row;
  }
}

/** The positions of one term, row by row; rows are asked for rising. */
class Cursor {
  readonly #block: TextBlock;
  readonly #end: number;
  #at: number;

  constructor(block: TextBlock, place: number) {
    this.#block = block;
    this.#at = block.starts[place] as number;
    this.#end = block.starts[place + 1] as number;
  }

  positionsIn(row: number): Uint32Array {
    const { rows, positions } = this.#block;
    while (this.#at < this.#end && (rows[this.#at] as number) < row) this.#at++;
    const from = this.#at;
    while (this.#at < this.#end && rows[this.#at] === row) this.#at++;
    return positions.subarray(from, this.#at);
  }
}
