/**
 * Rows in the order of their values. The rows of a value, and of a range of values, stand one behind the other. Where each row stands once,
 * checkpoints are kept: the set of the first part of the order, for every sixteenth of it. Then a range is the difference of two
 * such sets and at most a sixteenth of the rows, however many rows it holds.
 */
import { wordsFor } from './bits.ts';
import type { Paced } from './paced.ts';

const PARTS = 16;
/** Fewer are set one by one. */
const MIN_ROWS = 4096;
const ROWS_AT_ONCE = 65_536;
const WORDS_PER_UNIT = 16;
const COST_PER_RUN = 10;

/** Plain data. */
export interface Postings {
  readonly rowCount: number;
  readonly rows: Uint32Array<ArrayBuffer>;
  /** `PARTS - 1` sets of words behind each other. Absent: rows may stand there several times. */
  readonly checkpoints?: Uint32Array<ArrayBuffer>;
}

/** Places in the order. */
export interface Run {
  readonly from: number;
  readonly to: number;
}

const placeOf = (checkpoint: number, count: number): number => Math.floor((checkpoint * count) / PARTS);

/** `areDistinct`: no row stands twice. */
export function postingsOf(rowCount: number, rows: Uint32Array<ArrayBuffer>, areDistinct: boolean): Postings {
  if (!areDistinct || rows.length < MIN_ROWS) return { rowCount, rows };
  const width = wordsFor(rowCount);
  const checkpoints = new Uint32Array((PARTS - 1) * width);
  const words = new Uint32Array(width);
  for (let part = 1; part < PARTS; part++) {
    toggle(words, rows, placeOf(part - 1, rows.length), placeOf(part, rows.length));
    checkpoints.set(words, (part - 1) * width);
  }
  return { rowCount, rows, checkpoints };
}

/** Adds the rows of a run, none of which is in `words`, to it; without checkpoints they may be. */
export function addRun(
  postings: Postings,
  run: Run,
  words: Uint32Array,
  paced: Paced,
): Promise<void> | undefined {
  const { rows, checkpoints } = postings;
  const { from, to } = run;
  const count = to - from;
  if (checkpoints === undefined && count > ROWS_AT_ONCE) return addInParts(rows, run, words, paced);
  const first = nearest(from, rows.length);
  const last = nearest(to, rows.length);
  if (checkpoints === undefined || first === last || count < MIN_ROWS) {
    add(rows, from, to, words);
    return paced(COST_PER_RUN + count);
  }
  toggleSet(words, postings, first);
  toggleSet(words, postings, last);
  toggleBetween(words, rows, placeOf(first, rows.length), from);
  toggleBetween(words, rows, placeOf(last, rows.length), to);
  return paced(COST_PER_RUN + (2 * words.length) / WORDS_PER_UNIT + rows.length / PARTS);
}

async function addInParts(rows: Uint32Array, { from, to }: Run, words: Uint32Array, paced: Paced) {
  for (let first = from; first < to; first += ROWS_AT_ONCE) {
    const end = Math.min(to, first + ROWS_AT_ONCE);
    add(rows, first, end, words);
    await paced(end - first);
  }
}

function add(rows: Uint32Array, from: number, to: number, words: Uint32Array): void {
  for (let at = from; at < to; at++) {
    const row = rows[at] as number;
    words[row >>> 5] = (words[row >>> 5] as number) | (1 << (row & 31));
  }
}

const nearest = (place: number, count: number): number => Math.round((place * PARTS) / Math.max(1, count));

/** The set before a checkpoint; before the first one stands nothing, before the last one everything that has a value. */
function toggleSet(words: Uint32Array, { rows, checkpoints }: Postings, checkpoint: number): void {
  if (checkpoint === 0 || checkpoints === undefined) return;
  const isLast = checkpoint === PARTS;
  const from = ((isLast ? PARTS - 1 : checkpoint) - 1) * words.length;
  for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) ^ (checkpoints[from + i] as number);
  if (isLast) toggle(words, rows, placeOf(PARTS - 1, rows.length), rows.length);
}

const toggleBetween = (words: Uint32Array, rows: Uint32Array, a: number, b: number): void =>
  toggle(words, rows, Math.min(a, b), Math.max(a, b));

function toggle(words: Uint32Array, rows: Uint32Array, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const row = rows[at] as number;
    words[row >>> 5] = (words[row >>> 5] as number) ^ (1 << (row & 31));
  }
}
