/** The rows as they were at an earlier moment, for readers that come back page after page. */
import { countRows, hasBit, setBit } from './bitmap.ts';
import type { DeadRows } from './ghosts.ts';
import type { Pacer } from './pacer.ts';
import type { Unit, UnitView } from './unit.ts';

const ROWS_PER_SLICE = 65_536;
const COST_PER_TIMESTAMP = 1;
const GHOSTS_PER_SLICE = 256;
const COST_PER_GHOST = 15;

/**
 * The views without what was written after `ts`, and with what was deleted after it as far as the units know, those that have gone included
 * while somebody may come back for their rows. Views of such come last. Who took the views releases the ones given, not these.
 */
export async function asOf(
  views: readonly UnitView[],
  ts: bigint,
  pacer: Pacer,
): Promise<readonly UnitView[]> {
  const then: UnitView[] = [];
  for (const view of views) {
    const was =
      view.dead === undefined
        ? await viewAt(view, ts, pacer)
        : await ghostAt(view, view.dead, ts, { then, pacer });
    if (was.liveCount > 0) then.push(was);
  }
  return then;
}

/** Of a unit that has gone the rows that have died since, but for those that one of the others has as well. */
async function ghostAt(
  view: UnitView,
  { rows, times }: DeadRows,
  ts: bigint,
  { then, pacer }: { readonly then: readonly UnitView[]; readonly pacer: Pacer },
): Promise<UnitView> {
  const { unit } = view;
  const live = new Uint32Array(view.live.length);
  const others = then.filter((other) => other.unit.place.channel === unit.place.channel);
  for (const [at, row] of rows.entries()) {
    const isThen = (times[at] ?? 0n) > ts && unit.timestampAt(row) <= ts;
    if (isThen && !others.some((other) => hasRow(other, unit, row))) setBit(live, row);
    if (at % GHOSTS_PER_SLICE === 0)
      await pacer.spend(GHOSTS_PER_SLICE * COST_PER_GHOST * (1 + others.length));
  }
  return { ...view, live, liveCount: countRows(live) };
}

/** Whether the view has the same row of the same write, alive. */
function hasRow({ unit, live, rowCount }: UnitView, of: Unit, row: number): boolean {
  for (const each of unit.rowsOf(of.keys, row))
    if (each < rowCount && unit.timestampAt(each) === of.timestampAt(row) && hasBit(live, each)) return true;
  return false;
}

async function viewAt(view: UnitView, ts: bigint, pacer: Pacer): Promise<UnitView> {
  const died = view.unit.diedAfter(ts);
  if (view.newestTs <= ts && died.length === 0) return view;
  const live = view.live.slice();
  for (const row of died) if (row < view.rowCount) setBit(live, row);
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
