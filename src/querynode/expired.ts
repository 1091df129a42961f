/** Rows that have expired are taken from what a reader sees. Nothing of it happens while no time to live is set. */
import { type Expiry, expiredRanges, type TimeRange } from '../model/expiry.ts';
import { countRows } from './bitmap.ts';
import type { Pacer } from './pacer.ts';
import type { Unit, UnitView } from './unit.ts';

const COST_PER_TIMESTAMP = 1;
const ROWS_PER_SLICE = 65_536;

interface Masked {
  readonly key: string;
  readonly live: Uint32Array;
  readonly liveCount: number;
}

/** By the live rows they were made of: those never change while somebody has them. */
const masks = new WeakMap<Uint32Array, Masked>();

/** The views, without expired rows and without those that have no others. Who took them releases the ones given, not these. */
export async function unexpired(
  views: readonly UnitView[],
  expiry: Expiry | undefined,
  nowMs: number,
  pacer: Pacer,
): Promise<readonly UnitView[]> {
  const ranges = expiry === undefined ? [] : expiredRanges(expiry, nowMs);
  if (ranges.length === 0) return views;
  const masked: UnitView[] = [];
  for (const view of views) {
    const is = await withoutRanges(view, ranges, pacer);
    if (is.liveCount > 0) masked.push(is);
  }
  return masked;
}

async function withoutRanges(view: UnitView, ranges: readonly TimeRange[], pacer: Pacer): Promise<UnitView> {
  const { unit, rowCount, live } = view;
  const isSorted = await unit.isInTimeOrder(rowCount, (rows) => pacer.spend(rows * COST_PER_TIMESTAMP));
  if (!isSorted) return filtered(view, ranges, pacer);
  const spans = ranges
    .map(({ after, upTo }) => [firstAfter(unit, rowCount, after), firstAfter(unit, rowCount, upTo)] as const)
    .filter(([from, to]) => from < to);
  if (spans.length === 0) return view;
  const key = spans.join();
  const known = masks.get(live);
  if (known?.key === key) return { ...view, live: known.live, liveCount: known.liveCount };
  const words = live.slice();
  for (const [from, to] of spans) clearRange(words, from, to);
  const made = { key, live: words, liveCount: countRows(words) };
  masks.set(live, made);
  return { ...view, live: made.live, liveCount: made.liveCount };
}

/** First of the rows, which are in the order of time, that is later than `ts`. */
function firstAfter(unit: Unit, rowCount: number, ts: bigint): number {
  let from = 0;
  let to = rowCount;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (unit.timestampAt(middle) <= ts) from = middle + 1;
    else to = middle;
  }
  return from;
}

async function filtered(view: UnitView, ranges: readonly TimeRange[], pacer: Pacer): Promise<UnitView> {
  const { unit, rowCount } = view;
  const live = view.live.slice();
  for (let from = 0; from < rowCount; from += ROWS_PER_SLICE) {
    const to = Math.min(rowCount, from + ROWS_PER_SLICE);
    for (let row = from; row < to; row++) {
      const ts = unit.timestampAt(row);
      if (ranges.some(({ after, upTo }) => after < ts && ts <= upTo)) clearRange(live, row, row + 1);
    }
    await pacer.spend((to - from) * COST_PER_TIMESTAMP);
  }
  return { ...view, live, liveCount: countRows(live) };
}

function clearRange(words: Uint32Array, from: number, to: number): void {
  for (let row = from; row < to; ) {
    const isWord = (row & 31) === 0 && to - row >= 32;
    if (isWord) words[row >>> 5] = 0;
    else words[row >>> 5] = (words[row >>> 5] ?? 0) & ~(1 << (row & 31));
    row += isWord ? 32 : 1;
  }
}
