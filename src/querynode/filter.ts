/** Filters over units: which of the live rows match. */
import type { CheckedFilter } from '../expr/check.ts';
import { vectorWidth } from '../model/columns.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column, PrimaryKeys } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { type KeyList, keyList } from '../segment/key-column.ts';
import { countRows, intersect } from './bitmap.ts';
import { nullColumn } from './column-writer.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import { keyFieldOf, requireField, type UnitView } from './unit.ts';

export interface FilterSource {
  readonly rowCount: number;
  column(fieldId: FieldId): Column;
  /** One for every block of rows that does not change. */
  readonly cache: Map<string, unknown>;
}

export interface CompiledFilter {
  /** Writes bits `from` to `to` of `out`; `from` is a multiple of 32. */
  evaluate(source: FilterSource, from: number, to: number, out: Uint32Array): void;
}

/** What the query node needs of the expression room. */
export interface Filters {
  compile(filter: CheckedFilter): CompiledFilter;
  /** The keys when the filter asks for rows by primary key and nothing else. */
  primaryKeys(filter: CheckedFilter, keyField: FieldId): PrimaryKeys | undefined;
}

/** A filter made ready for all units of a read. */
export type ReadyFilter =
  | { readonly kind: 'keys'; readonly keys: KeyList }
  | { readonly kind: 'rows'; readonly compiled: CompiledFilter; readonly schema: CollectionSchema };

export function readyFilter(filters: Filters, filter: CheckedFilter, schema: CollectionSchema): ReadyFilter {
  const keys = filters.primaryKeys(filter, keyFieldOf(schema).fieldId);
  return keys === undefined
    ? { kind: 'rows', compiled: filters.compile(filter), schema }
    : { kind: 'keys', keys: keyList(keys) };
}

const ROWS_PER_SLICE = 8192;
const COST_PER_ROW = 8;
const KEYS_PER_SLICE = 1024;
const COST_PER_KEY = 15;

/** Without a filter the live rows themselves. */
export function select(view: UnitView, filter: ReadyFilter | undefined, pacer: Pacer): Promise<Selection> {
  if (filter === undefined) return Promise.resolve({ view, rows: view.live, count: view.liveCount });
  return filter.kind === 'keys' ? selectKeys(view, filter.keys, pacer) : selectRows(view, filter, pacer);
}

/** The rows of a view as filters read them. */
export function rowSource({ unit, rowCount }: UnitView, schema: CollectionSchema): FilterSource {
  return {
    rowCount,
    column(fieldId) {
      const present = unit.column(fieldId);
      if (present !== undefined) return firstRows(present, rowCount);
      const field = requireField(schema, fieldId);
      return firstRows(unit.defaultOf(field) ?? nullColumn(field, rowCount), rowCount);
    },
    cache: unit.cacheFor(rowCount),
  };
}

async function selectRows(
  view: UnitView,
  { compiled, schema }: Extract<ReadyFilter, { kind: 'rows' }>,
  pacer: Pacer,
): Promise<Selection> {
  const { rowCount } = view;
  const source = rowSource(view, schema);
  const rows = new Uint32Array(view.live.length);
  for (let from = 0; from < rowCount; from += ROWS_PER_SLICE) {
    const to = Math.min(rowCount, from + ROWS_PER_SLICE);
    compiled.evaluate(source, from, to, rows);
    await pacer.spend((to - from) * COST_PER_ROW);
  }
  intersect(rows, view.live);
  return { view, rows, count: countRows(rows) };
}

async function selectKeys(view: UnitView, keys: KeyList, pacer: Pacer): Promise<Selection> {
  const { unit, live } = view;
  const found: number[] = [];
  for (let from = 0; from < keys.count; from += KEYS_PER_SLICE) {
    const to = Math.min(keys.count, from + KEYS_PER_SLICE);
    for (let at = from; at < to; at++) for (const row of unit.rowsOf(keys.column, at)) found.push(row);
    await pacer.spend((to - from) * COST_PER_KEY);
  }
  if (found.length === 0) return { view, rows: new Uint32Array(0), count: 0 };
  const rows = new Uint32Array(live.length);
  for (const row of found) rows[row >>> 5] = (rows[row >>> 5] ?? 0) | (1 << (row & 31));
  // Also takes away rows that were added after the view was taken.
  intersect(rows, live);
  return { view, rows, count: countRows(rows) };
}

/** The column without what lies behind its first rows. */
function firstRows(column: Column, rows: number): Column {
  const valid = column.valid === undefined ? {} : { valid: column.valid.subarray(0, rows) };
  if (column.layout === 'bytes' || column.layout === 'list')
    return { ...column, ...valid, offsets: column.offsets.subarray(0, rows + 1) };
  if (column.layout === 'vector')
    return {
      ...column,
      ...valid,
      values: column.values.subarray(0, rows * vectorWidth(column.type, column.dim)),
    };
  return { ...column, ...valid, values: column.values.subarray(0, rows) };
}
