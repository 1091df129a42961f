/**
 * What rows are grouped and ordered by: fields of single values, and paths in JSON fields. What stands at a path is a Bool, a number, a text or
 * a container, in this order; numbers compare by value, texts and containers by their bytes. Missing and null are null.
 */
import { Columns } from '../expr/columns.ts';
import { ABSENT, ARRAY, FALSE, JsonValues, OBJECT, pushJson, TEXT, TRUE, WIDE } from '../expr/json-column.ts';
import { stepsOf } from '../expr/json-scan.ts';
import type { BytesColumn, Column } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { assert, present } from '../support/assert.ts';
import type { ValuePlace } from './api.ts';
import { rowSource } from './filter.ts';
import { type GatherOptions, gatherRows, type RowRefs } from './gather.ts';
import type { Direction } from './ordering.ts';
import type { Pacer } from './pacer.ts';
import { requireField, type UnitView } from './unit.ts';
import { type Scalar, type ValueKey, valueKey, valueReader } from './values.ts';

export interface PlaceContext {
  readonly schema: CollectionSchema;
  readonly views: readonly UnitView[];
  readonly pacer: Pacer;
}

type Path = NonNullable<ValuePlace['path']>;

const ROWS_PER_SLICE = 256;
const COST_PER_ROW = 40;
/** Bytes of documents that are searched in the time of one unit of the pacer. */
const BYTES_PER_UNIT = 4;
const BYTES_AT_ONCE = 2 ** 20;

const encoder = new TextEncoder();

/** Which kind of value stands there, and the value. */
type JsonValue = readonly [rank: number, value: Scalar];

function jsonValue(values: JsonValues, at: number): JsonValue | undefined {
  const kind = values.kinds[at] ?? ABSENT;
  switch (kind) {
    case ABSENT:
      return undefined;
    case FALSE:
    case TRUE:
      return [0, kind === TRUE ? 1 : 0];
    case TEXT:
      return [2, textAt(values, at)];
    case ARRAY:
    case OBJECT:
      return [3, textAt(values, at)];
    case WIDE:
      return [1, values.wide.get(at) ?? 0n];
    default:
      return [1, values.numbers[at] ?? 0];
  }
}

function textAt({ codes, texts }: JsonValues, at: number): Uint8Array {
  const code = codes[at] ?? 0;
  return texts.data.subarray(texts.offsets[code], texts.offsets[code + 1]);
}

function jsonKey(value: JsonValue | undefined): ValueKey {
  return value === undefined ? undefined : `${value[0]}/${String(valueKey(value[1]))}`;
}

/** As it is shown: a text as it is, anything else as JSON has it. */
function jsonText(value: JsonValue | undefined): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  const [rank, of] = value;
  if (of instanceof Uint8Array) return of;
  return encoder.encode(rank === 0 ? String(of === 1) : String(of));
}

/** One of every view: what tells the groups of its rows apart. Documents are decoded once for a unit. */
export async function groupKeys(
  { schema, views, pacer }: PlaceContext,
  places: readonly ValuePlace[],
): Promise<readonly ((row: number) => ValueKey)[]> {
  const readers: ((row: number) => ValueKey)[] = [];
  for (const view of views) {
    const ofPlaces: ((row: number) => ValueKey)[] = [];
    for (const place of places) ofPlaces.push(await placeKey(schema, view, place, pacer));
    const [only] = ofPlaces;
    if (ofPlaces.length === 1 && only !== undefined) readers.push(only);
    else readers.push((row) => JSON.stringify(ofPlaces.map((read) => keyText(read(row)))));
  }
  return readers;
}

const keyText = (key: ValueKey): string | null => (key === undefined ? null : String(key));

async function placeKey(
  schema: CollectionSchema,
  view: UnitView,
  { fieldId, path }: ValuePlace,
  pacer: Pacer,
): Promise<(row: number) => ValueKey> {
  if (path === undefined) {
    const read = valueReader(view.unit, requireField(schema, fieldId));
    return (row) => valueKey(read(row));
  }
  const source = rowSource(view, schema);
  const { offsets } = bytesOf(source.column(fieldId));
  const column = new Columns(source).json({ kind: 'json', type: 'json', fieldId, keys: path });
  for (let from = column.values.length; from < view.rowCount; ) {
    const to = sliceEnd(offsets, from, view.rowCount);
    column.prepare(to);
    await pacer.spend(spanCost(offsets, from, to));
    from = to;
  }
  return (row) => jsonKey(jsonValue(column.values, row));
}

/** Of rows one after another. */
function sliceEnd(offsets: Uint32Array, from: number, end: number): number {
  let to = from + 1;
  const most = (offsets[from] ?? 0) + BYTES_AT_ONCE;
  while (to < end && to - from < ROWS_PER_SLICE * 16 && (offsets[to + 1] ?? 0) < most) to++;
  return to;
}

const spanCost = (offsets: Uint32Array, from: number, to: number): number =>
  ((offsets[to] ?? 0) - (offsets[from] ?? 0)) / BYTES_PER_UNIT + (to - from) * COST_PER_ROW;

/** What stands at a path in the documents of some rows. */
async function jsonValuesOf(
  { schema, views, pacer }: PlaceContext,
  { units, rows }: RowRefs,
  fieldId: ValuePlace['fieldId'],
  path: Path,
): Promise<JsonValues> {
  const steps = stepsOf(path);
  const columns = views.map((view) => bytesOf(rowSource(view, schema).column(fieldId)));
  const values = new JsonValues(rows.length);
  let cost = 0;
  for (const [at, row] of rows.entries()) {
    const column = present(columns[units[at] ?? 0], 'view');
    pushJson(values, column, row, steps);
    cost += spanCost(column.offsets, row, row + 1);
    if (cost < BYTES_AT_ONCE / BYTES_PER_UNIT) continue;
    await pacer.spend(cost);
    cost = 0;
  }
  await pacer.spend(cost);
  return values;
}

/** The values that rows are ordered by, row by row: as many as `directionsOf` says. */
export async function sortValues(
  context: PlaceContext,
  refs: RowRefs,
  places: readonly ValuePlace[],
): Promise<(Scalar | undefined)[][]> {
  const values: (Scalar | undefined)[][] = Array.from(refs.rows, () => []);
  for (const { fieldId, path } of places) {
    if (path !== undefined) {
      const found = await jsonValuesOf(context, refs, fieldId, path);
      for (const [at, of] of values.entries()) of.push(...(jsonValue(found, at) ?? [undefined, undefined]));
      continue;
    }
    const field = requireField(context.schema, fieldId);
    const readers = context.views.map(({ unit }) => valueReader(unit, field));
    for (const [at, of] of values.entries()) of.push(readers[refs.units[at] ?? 0]?.(refs.rows[at] ?? 0));
  }
  await context.pacer.spend(values.length * places.length * COST_PER_ROW);
  return values;
}

/** A path is ordered by the kind of its value, then by the value. */
export const directionsOf = (places: readonly (Direction & ValuePlace)[]): readonly Direction[] =>
  places.flatMap((place) => (place.path === undefined ? [place] : [place, place]));

/** The values of the groups of some rows, a column for each place: of a path as text. */
export async function groupColumns(
  context: PlaceContext & GatherOptions,
  refs: RowRefs,
  places: readonly ValuePlace[],
): Promise<readonly Column[]> {
  const columns: Column[] = [];
  for (const { fieldId, path } of places) {
    if (path === undefined) {
      const { columns: gathered } = await gatherRows(
        context.views,
        refs,
        [requireField(context.schema, fieldId)],
        context,
      );
      columns.push(present(gathered.get(fieldId), 'the group field'));
    } else columns.push(textColumn(await jsonValuesOf(context, refs, fieldId, path), refs.rows.length));
  }
  return columns;
}

function textColumn(values: JsonValues, count: number): BytesColumn {
  const all = Array.from({ length: count }, (_, at) => jsonValue(values, at));
  const texts = all.map(jsonText);
  const offsets = new Uint32Array(count + 1);
  for (const [at, text] of texts.entries()) offsets[at + 1] = (offsets[at] ?? 0) + text.length;
  const valid = all.includes(undefined)
    ? { valid: Uint8Array.from(all, (value) => (value === undefined ? 0 : 1)) }
    : {};
  return { layout: 'bytes', type: 'VarChar', offsets, data: new Uint8Array(Buffer.concat(texts)), ...valid };
}

function bytesOf(column: Column): BytesColumn {
  assert(column.layout === 'bytes', 'a JSON field has bytes');
  return column;
}
