/** Pure: best hits of many units to best hits of the collection. */
import { compareKeys, type KeyColumn } from '../segment/key-column.ts';

/** Hits of one query in one unit, best first. */
export interface UnitHits {
  readonly unit: number;
  readonly rows: Uint32Array;
  readonly scores: Float32Array;
  /** Single vectors of lists: which item of its row each hit is. */
  readonly elements?: Uint32Array | undefined;
  /** Key of row `r` at `r`. */
  readonly keys: KeyColumn;
}

export interface Hit {
  readonly unit: number;
  readonly row: number;
  readonly score: number;
  readonly element?: number;
}

export interface ReduceOptions {
  readonly offset: number;
  /** Hits wanted behind the offset. */
  readonly limit: number;
  /** True for similarities. */
  readonly isLargerBetter: boolean;
}

interface Cursor {
  readonly hits: UnitHits;
  at: number;
}

const rowAt = ({ hits, at }: Cursor): number => hits.rows[at] ?? 0;
const elementAt = ({ hits, at }: Cursor): number | undefined => hits.elements?.[at];
const scoreAt = ({ hits, at }: Cursor): number => hits.scores[at] ?? 0;

/**
 * Merges by score, equal scores by key ascending, a key at most once (its best hit), or each of its items once. Sorting each list by
 * (score, key, item) first makes the answer independent of how rows are spread over units.
 */
export function reduceHits(lists: readonly UnitHits[], options: ReduceOptions): Hit[] {
  const [only] = lists;
  if (only !== undefined && lists.length === 1 && isPage(only)) return pageOf(only, options);
  return mergedHits(lists, options);
}

function mergedHits(lists: readonly UnitHits[], options: ReduceOptions): Hit[] {
  const sign = options.isLargerBetter ? -1 : 1;
  const heap = new MergeHeap(sign);
  for (const list of lists) if (list.rows.length > 0) heap.push({ hits: orderTies(list), at: 0 });
  const wanted = options.offset + options.limit;
  const hits: Hit[] = [];
  const seen = new Set<string | bigint>();
  while (hits.length < wanted) {
    const best = heap.top();
    if (best === undefined) break;
    const row = rowAt(best);
    const element = elementAt(best);
    const key = seenKey(best.hits.keys, row);
    const once = element === undefined ? key : `${key}/${element}`;
    if (!seen.has(once)) {
      seen.add(once);
      const hit = { unit: best.hits.unit, row, score: scoreAt(best) };
      hits.push(element === undefined ? hit : { ...hit, element });
    }
    heap.advance();
  }
  return hits.slice(options.offset);
}

/** Nothing is to be merged, and nothing left out. */
const isPage = (list: UnitHits): boolean => list.elements === undefined && !hasTwins(list);

function pageOf(list: UnitHits, { offset, limit }: ReduceOptions): Hit[] {
  const { unit, rows, scores } = orderTies(list);
  const hits: Hit[] = [];
  for (let i = offset; i < rows.length && i < offset + limit; i++)
    hits.push({ unit, row: rows[i] as number, score: scores[i] as number });
  return hits;
}

/** So few rows are compared in pairs. */
const FEW = 24;

/** Whether two of the rows have one key. */
export function hasTwins({ rows, keys }: Pick<UnitHits, 'rows' | 'keys'>): boolean {
  if (rows.length > FEW) return new Set(Array.from(rows, (row) => seenKey(keys, row))).size < rows.length;
  for (let i = 1; i < rows.length; i++)
    for (let j = 0; j < i; j++)
      if (compareKeys(keys, rows[i] as number, keys, rows[j] as number) === 0) return true;
  return false;
}

/** What tells primary keys apart in a set. */
export function seenKey(keys: KeyColumn, row: number): string | bigint {
  if (keys.type === 'VarChar')
    return Buffer.from(
      keys.data.buffer,
      keys.data.byteOffset + (keys.offsets[row] ?? 0),
      (keys.offsets[row + 1] ?? 0) - (keys.offsets[row] ?? 0),
    ).toString('latin1');
  return (BigInt(keys.halves[2 * row + 1] ?? 0) << 32n) | BigInt((keys.halves[2 * row] ?? 0) >>> 0);
}

/** The list with runs of one score in key order. */
function orderTies(list: UnitHits): UnitHits {
  const { rows, scores, keys, elements } = list;
  if (elements !== undefined) return orderItems(list, elements);
  let ordered: Uint32Array | undefined;
  for (let from = 0; from < rows.length; ) {
    let to = from + 1;
    while (to < rows.length && scores[to] === scores[from]) to++;
    if (to - from > 1) {
      ordered ??= rows.slice();
      ordered.subarray(from, to).sort((a, b) => compareKeys(keys, a, keys, b));
    }
    from = to;
  }
  return ordered === undefined ? list : { ...list, rows: ordered };
}

/** Hits of items: few, and rarely of one score. */
function orderItems(list: UnitHits, elements: Uint32Array): UnitHits {
  const { rows, scores, keys } = list;
  const order = Uint32Array.from(rows, (_, i) => i);
  const rank = (a: number, b: number): number =>
    compareKeys(keys, rows[a] ?? 0, keys, rows[b] ?? 0) || (elements[a] ?? 0) - (elements[b] ?? 0);
  for (let from = 0; from < rows.length; ) {
    let to = from + 1;
    while (to < rows.length && scores[to] === scores[from]) to++;
    order.subarray(from, to).sort(rank);
    from = to;
  }
  return {
    ...list,
    rows: order.map((i) => rows[i] ?? 0),
    elements: order.map((i) => elements[i] ?? 0),
  };
}

/** A binary heap of cursors, the best hit on top. */
class MergeHeap {
  readonly #cursors: Cursor[] = [];
  readonly #sign: number;

  constructor(sign: number) {
    this.#sign = sign;
  }

  top(): Cursor | undefined {
    return this.#cursors[0];
  }

  push(cursor: Cursor): void {
    const cursors = this.#cursors;
    let at = cursors.length;
    cursors.push(cursor);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  advance(): void {
    const top = this.#cursors[0];
    if (top === undefined) return;
    top.at++;
    if (top.at >= top.hits.rows.length) {
      const last = this.#cursors.pop();
      if (last === undefined || this.#cursors.length === 0) return;
      this.#cursors[0] = last;
    }
    this.#sink();
  }

  #sink(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.#cursors.length) return;
      const right = left + 1;
      const child = right < this.#cursors.length && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(child, at)) return;
      this.#swap(child, at);
      at = child;
    }
  }

  #isBefore(i: number, j: number): boolean {
    const a = this.#cursors[i];
    const b = this.#cursors[j];
    if (a === undefined || b === undefined) return false;
    const byScore = this.#sign * (scoreAt(a) - scoreAt(b));
    if (byScore !== 0) return byScore < 0;
    const byKey = compareKeys(a.hits.keys, rowAt(a), b.hits.keys, rowAt(b));
    return byKey !== 0 ? byKey < 0 : (elementAt(a) ?? 0) < (elementAt(b) ?? 0);
  }

  #swap(i: number, j: number): void {
    const held = this.#cursors[i] as Cursor;
    this.#cursors[i] = this.#cursors[j] as Cursor;
    this.#cursors[j] = held;
  }
}
