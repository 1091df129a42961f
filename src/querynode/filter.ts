/** Filters over units: which of the live rows match. */
import { DbError } from '../errors/db-error.ts';
import type { CheckedFilter } from '../expr/check.ts';
import type { TestCost } from '../expr/cost.ts';
import type { Predicate } from '../expr/predicate.ts';
import { vectorWidth } from '../model/columns.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column, PrimaryKeys } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { type KeyList, keyList } from '../segment/key-column.ts';
import type { Random } from '../support/random.ts';
import type { Workers } from '../support/workers.ts';
import { countRows, intersect, popcount } from './bitmap.ts';
import { nullColumn } from './column-writer.ts';
import { IndexedFilter, isEmpty, type OpenTest } from './indexed-filter.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import { prepareMatches } from './text-matches.ts';
import { keyFieldOf, requireField, type UnitView } from './unit.ts';

export interface FilterSource {
  readonly rowCount: number;
  column(fieldId: FieldId): Column;
  /** One for every block of rows that does not change. */
  readonly cache: Map<string, unknown>;
}

export interface CompiledFilter {
  /**
   * Writes bits `from` to `to` of `out`; `from` is a multiple of 32. Rows that are not `within` need not be tested, whatever their bits
   * are then. Whether something was decoded for the first time.
   */
  evaluate(
    source: FilterSource,
    from: number,
    to: number,
    out: Uint32Array,
    within?: Uint32Array,
  ): { readonly isDecoded: boolean };
  /** Undefined: the bits are final. Otherwise to be awaited, and then evaluated again: see the expression room. */
  settle?(
    source: FilterSource,
    from: number,
    to: number,
    out: Uint32Array,
    signal: AbortSignal,
  ): Promise<void> | undefined;
  /** Steps a byte of the fields may cost, and a row besides. Absent: 1. */
  readonly weight?: number;
  readonly rowWeight?: number;
}

/** What the query node needs of the expression room. */
export interface Filters {
  compile(filter: CheckedFilter): CompiledFilter;
  /** The keys when the filter asks for rows by primary key and nothing else. */
  primaryKeys(filter: CheckedFilter, keyField: FieldId): PrimaryKeys | undefined;
  /** Bytes and items of the fields in the rows before one. Absent: rows are all there is to count. */
  sizeBefore?(source: FilterSource, fields: readonly FieldId[]): (row: number) => number;
  /** What a test costs. Absent: nobody knows, and every row is tested before a search. */
  testCost?(root: Predicate, sizeOf: (fieldId: FieldId) => number): TestCost;
  /** Says what a filter means here. Absent: what it says. */
  meaning?(filter: CheckedFilter): CheckedFilter;
  /** Draws samples. Absent: filters with a sample are refused. */
  readonly random?: Random;
}

/** A filter made ready for all units of a read. */
export type ReadyFilter = { readonly kind: 'keys'; readonly keys: KeyList } | RowFilter;

export interface RowFilter {
  readonly kind: 'rows';
  readonly filters: Filters;
  readonly filter: CheckedFilter;
  readonly compiled: CompiledFilter;
  /** With answers of indexes. */
  readonly indexed: IndexedFilter;
  readonly schema: CollectionSchema;
  /** For matches of texts. */
  readonly workers: Workers | undefined;
}

export function readyFilter(
  filters: Filters,
  asked: CheckedFilter,
  schema: CollectionSchema,
  workers: Workers | undefined,
): ReadyFilter {
  const filter = filters.meaning?.(asked) ?? asked;
  const keys = filters.primaryKeys(filter, keyFieldOf(schema).fieldId);
  if (keys !== undefined) return { kind: 'keys', keys: keyList(keys) };
  const compiled = filters.compile(filter);
  const indexed = new IndexedFilter(filter, compiled, filters);
  return { kind: 'rows', filters, filter, compiled, indexed, schema, workers };
}

const ROWS_PER_SLICE = 8192;
const COST_PER_ROW = 8;
/** Steps, of some nanoseconds each, and how many of them are one unit. */
const STEPS_PER_SLICE = 2 ** 20;
const STEPS_PER_UNIT = 8;
const KEYS_PER_SLICE = 1024;
const COST_PER_KEY = 15;

/** Rows that may match, of which some tests have still to be made. */
export interface OpenSelection extends Selection {
  readonly ready: RowFilter;
  readonly rest: readonly OpenTest[];
}

export const isOpen = (selection: Selection): selection is OpenSelection => 'rest' in selection;

/** Without a filter the live rows themselves. */
export async function select(
  view: UnitView,
  filter: ReadyFilter | undefined,
  pacer: Pacer,
): Promise<Selection> {
  const selection = await selectOpen(view, filter, pacer);
  return isOpen(selection) ? finished(selection, pacer) : selection;
}

/** The rows as far as they are known without testing them one by one. */
export function selectOpen(
  view: UnitView,
  filter: ReadyFilter | undefined,
  pacer: Pacer,
): Promise<Selection | OpenSelection> {
  if (filter === undefined) return Promise.resolve({ view, rows: view.live, count: view.liveCount });
  return filter.kind === 'keys' ? selectKeys(view, filter.keys, pacer) : openRows(view, filter, pacer);
}

async function openRows(view: UnitView, ready: RowFilter, pacer: Pacer): Promise<Selection> {
  const { rows, rest } = await ready.indexed.open(view, scanOf(view, ready, pacer), pacer);
  const count = rows === view.live ? view.liveCount : countRows(rows);
  const open = { view, rows, count, ready, rest };
  return rest.length > 0 && count > 0 ? open : sampled(open, pacer);
}

/** With every test made. */
export async function finished(open: OpenSelection, pacer: Pacer): Promise<Selection> {
  const { view, ready, rest } = open;
  const scan = scanOf(view, ready, pacer);
  let { rows } = open;
  for (const { compiled } of rest) if (!isEmpty(rows)) rows = await scan(compiled, rows);
  return sampled({ ...open, rows }, pacer);
}

async function sampled({ view, rows, ready }: OpenSelection, pacer: Pacer): Promise<Selection> {
  const { filter, filters } = ready;
  if (filter.sample === undefined) return { view, rows, count: countRows(rows) };
  const drawn = rows.slice();
  await takeSample(drawn, filter.sample, filters.random, pacer);
  return { view, rows: drawn, count: countRows(drawn) };
}

/** Tests rows of a view. */
const scanOf =
  (view: UnitView, { filter, filters, schema, workers }: RowFilter, pacer: Pacer) =>
  async (compiled: CompiledFilter, within: Uint32Array): Promise<Uint32Array> => {
    const source = rowSource(view, schema);
    await prepareMatches(filter.matches ?? [], view.unit, source, { pacer, workers });
    return scanned(filters, filter, { compiled, source, within, pacer });
  };

/** The rows within that match. */
export async function scanned(
  { sizeBefore }: Filters,
  { fields }: CheckedFilter,
  { compiled, source, within, pacer }: Omit<SliceParts, 'rows'>,
): Promise<Uint32Array> {
  const { weight = 1, rowWeight = 1 } = compiled;
  const size = sizeBefore?.(source, fields) ?? (() => 0);
  const steps = (from: number, to: number): number =>
    (size(to) - size(from)) * weight + (to - from) * rowWeight;
  const rows = new Uint32Array(within.length);
  for (let from = 0; from < source.rowCount; ) {
    const to = sliceEnd(from, source.rowCount, steps);
    const cost = (to - from) * COST_PER_ROW + steps(from, to) / STEPS_PER_UNIT;
    await settledSlice({ compiled, source, within, rows, pacer }, from, to, cost);
    from = to;
  }
  intersect(rows, within);
  return rows;
}

export interface SliceParts {
  readonly compiled: RowFilter['compiled'];
  readonly source: FilterSource;
  /** Other rows are not asked about. */
  readonly within: Uint32Array;
  readonly rows: Uint32Array;
  readonly pacer: Pacer;
}

/** Sets the bits of the matching rows of a slice; what is slow to decide is decided by workers. `from` is a multiple of 32. */
export async function settledSlice(
  { compiled, source, within, rows, pacer }: SliceParts,
  from: number,
  to: number,
  cost: number,
): Promise<void> {
  for (;;) {
    const { isDecoded } = compiled.evaluate(source, from, to, rows, within);
    intersectWords(rows, within, from, to);
    await pacer.spend(isDecoded ? cost : cost * shareOf(within, from, to));
    const open = compiled.settle?.(source, from, to, rows, pacer.signal);
    if (open === undefined) return;
    await open;
  }
}

/** Of the rows those within: others cost next to nothing. */
function shareOf(within: Uint32Array, from: number, to: number): number {
  let count = 0;
  for (let word = from / WORD; word < Math.ceil(to / WORD); word++) count += popcount(within[word] as number);
  return (count + (to - from) / WORD) / Math.max(1, to - from);
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

/** Slices begin at multiples of 32 rows, the first word of bits that is theirs alone. */
const WORD = 32;

/** Half as far until the steps fit; a word of rows at least. */
export function sliceEnd(
  from: number,
  rowCount: number,
  steps: (from: number, to: number) => number,
): number {
  let length = ROWS_PER_SLICE;
  while (length > WORD && steps(from, Math.min(rowCount, from + length)) > STEPS_PER_SLICE) length /= 2;
  return Math.min(rowCount, from + length);
}

function intersectWords(rows: Uint32Array, live: Uint32Array, from: number, to: number): void {
  for (let word = from / WORD; word < Math.ceil(to / WORD); word++)
    rows[word] = (rows[word] as number) & (live[word] as number);
}

/**
 * Keeps a part of the set bits: each of the sets of that many is as likely as any other (Knuth, "Seminumerical algorithms", 3.4.2, S).
 * The part of a row that is left over decides by chance, so that many small units do not add up to too many or too few.
 */
export async function takeSample(
  rows: Uint32Array,
  part: number,
  random: Random | undefined,
  pacer: Pacer,
): Promise<void> {
  if (random === undefined) throw new DbError('unimplemented', 'random_sample is not implemented');
  let left = countRows(rows);
  let wanted = Math.floor(left * part + random.next());
  for (let word = 0; word < rows.length; word++) {
    let kept = 0;
    for (let bits = rows[word] as number; bits !== 0; bits &= bits - 1) {
      if (random.next() * left-- >= wanted) continue;
      wanted--;
      kept |= bits & -bits;
    }
    rows[word] = kept;
    if (word % WORDS_PER_PAUSE === 0) await pacer.spend(WORDS_PER_PAUSE * COST_PER_DRAWN_WORD);
  }
}

const WORDS_PER_PAUSE = 32;
const COST_PER_DRAWN_WORD = 32 * 20;

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
