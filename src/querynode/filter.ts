/** Filters over units: which of the live rows match. */
import type { CheckedFilter } from '../expr/check.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import { countRows, intersect } from './bitmap.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

export interface FilterSource {
  readonly rowCount: number;
  column(fieldId: FieldId): Column | undefined;
}

export interface CompiledFilter {
  /** Writes bits `from` to `to` of `out`; `from` is a multiple of 32. */
  evaluate(source: FilterSource, from: number, to: number, out: Uint32Array): void;
}

export type CompileFilter = (filter: CheckedFilter) => CompiledFilter;

const ROWS_PER_SLICE = 8192;
const COST_PER_ROW = 5;

/** Without a filter the live rows themselves. */
export async function select(
  view: UnitView,
  filter: CompiledFilter | undefined,
  pacer: Pacer,
): Promise<Selection> {
  if (filter === undefined) return { view, rows: view.live, count: view.liveCount };
  const { unit, rowCount } = view;
  const source: FilterSource = { rowCount, column: (fieldId) => unit.column(fieldId) };
  const rows = new Uint32Array(view.live.length);
  for (let from = 0; from < rowCount; from += ROWS_PER_SLICE) {
    const to = Math.min(rowCount, from + ROWS_PER_SLICE);
    filter.evaluate(source, from, to, rows);
    await pacer.spend((to - from) * COST_PER_ROW);
  }
  intersect(rows, view.live);
  return { view, rows, count: countRows(rows) };
}
