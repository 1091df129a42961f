/** The rows as they were at an earlier moment, for readers that come back page after page. */
import { countRows } from './bitmap.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

const ROWS_PER_SLICE = 65_536;
const COST_PER_TIMESTAMP = 1;

/**
 * The views without what was written after `ts`, and with what was deleted after it as far as the units know. A row that was deleted
 * and whose unit was replaced since (flushed, compacted) is gone. Who took the views releases the ones given, not these.
 */
export async function asOf(
  views: readonly UnitView[],
  ts: bigint,
  pacer: Pacer,
): Promise<readonly UnitView[]> {
  const then: UnitView[] = [];
  for (const view of views) {
    const was = await viewAt(view, ts, pacer);
    if (was.liveCount > 0) then.push(was);
  }
  return then;
}

async function viewAt(view: UnitView, ts: bigint, pacer: Pacer): Promise<UnitView> {
  const died = view.unit.diedAfter(ts);
  if (view.newestTs <= ts && died.length === 0) return view;
  const live = view.live.slice();
  for (const row of died)
    if (row < view.rowCount) live[row >>> 5] = (live[row >>> 5] ?? 0) | (1 << (row & 31));
  if (view.newestTs > ts) await clearAfter(view, ts, live, pacer);
  return { ...view, live, liveCount: countRows(live) };
}

async function clearAfter(
  { unit, rowCount }: UnitView,
  ts: bigint,
  live: Uint32Array,
  pacer: Pacer,
): Promise<void> {
  for (let from = 0; from < rowCount; from += ROWS_PER_SLICE) {
    const to = Math.min(rowCount, from + ROWS_PER_SLICE);
    for (let row = from; row < to; row++)
      if (unit.timestampAt(row) > ts) live[row >>> 5] = (live[row >>> 5] ?? 0) & ~(1 << (row & 31));
    await pacer.spend((to - from) * COST_PER_TIMESTAMP);
  }
}
