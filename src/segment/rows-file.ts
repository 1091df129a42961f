/** The rows of a segment as one Parquet file. Layout in docs/formats.md, "Segment files". */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column, RowBatch, VectorValues } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import { absentColumn } from './absent-column.ts';
import { hasDim, isListType } from './column-schema.ts';
import { damaged } from './damage.ts';
import { type ColumnPlan, planColumn, planVectors, readPlan } from './decode-column.ts';
import { encodeColumn } from './encode-column.ts';
import { type RangedReader, readFooter, type StoredColumn } from './parquet-reader.ts';
import { type ColumnToWrite, encodeFile, TIMESTAMP_NAME } from './parquet-writer.ts';
import { lengthOf } from './pick-rows.ts';
import type { Runs } from './runs.ts';

/** Rows of one write. */
export interface WrittenRows {
  readonly ts: HybridTime;
  readonly rows: RowBatch;
}

/** The timestamps of writes of `counts` rows or keys, as the column every file begins with. */
export function timestampsOf(
  writes: readonly { readonly ts: HybridTime; readonly count: number }[],
): ColumnToWrite {
  const values = new BigInt64Array(writes.reduce((sum, { count }) => sum + count, 0));
  let at = 0;
  for (const { ts, count } of writes) {
    values.fill(ts, at, at + count);
    at += count;
  }
  return timestampColumn([values]);
}

/** The column every file begins with; `runs` as of `encodeColumn`. */
export function timestampColumn(timestamps: readonly BigInt64Array[], runs?: Runs): ColumnToWrite {
  const columns = timestamps.map((values) => ({ layout: 'fixed', type: 'Int64', values }) as const);
  return {
    name: TIMESTAMP_NAME,
    dataType: 'Int64',
    isOptional: false,
    body: encodeColumn(columns, false, runs),
  };
}

/**
 * The bytes of a rows file: the rows of `writes` in order. Fields that rows lack get their default or null; columns of other
 * fields are left out. Throws `data-integrity` when a column is not of its field's type.
 */
export function encodeRows(
  fields: readonly FieldSchema[],
  writes: readonly WrittenRows[],
): Uint8Array<ArrayBuffer> {
  const rowCount = writes.reduce((sum, { rows }) => sum + rows.rowCount, 0);
  assert(rowCount > 0, 'a rows file has rows');
  const timestamps = timestampsOf(writes.map(({ ts, rows }) => ({ ts, count: rows.rowCount })));
  const columns = fields.map((field) =>
    fieldColumn(
      field,
      writes.map(({ rows: { rowCount: count, columns } }) =>
        checkedColumn(field, count, columns.get(field.fieldId)),
      ),
    ),
  );
  return encodeFile('rows', rowCount, [timestamps, ...columns]);
}

/** Rows from which some are picked. */
export interface RowSource extends RowBatch {
  readonly timestamps: BigInt64Array;
}

/** As `encodeRows`, of the picked rows. */
export function encodePickedRows(
  fields: readonly FieldSchema[],
  sources: readonly RowSource[],
  runs: Runs,
): Uint8Array<ArrayBuffer> {
  assert(runs.rowCount > 0, 'a rows file has rows');
  const timestamps = timestampColumn(
    sources.map((source) => source.timestamps),
    runs,
  );
  const columns = fields.map((field) => {
    const held = sources.map((source) =>
      checkedColumn(field, source.rowCount, source.columns.get(field.fieldId)),
    );
    return fieldColumn(field, held, runs);
  });
  return encodeFile('rows', runs.rowCount, [timestamps, ...columns]);
}

function checkedColumn(field: FieldSchema, rowCount: number, given: Column | undefined): Column {
  const column = given ?? absentColumn(field, rowCount);
  if (!isOf(column, field) || lengthOf(column) !== rowCount)
    throw damaged(`rows with a wrong column for field '${field.name}'`);
  return column;
}

function fieldColumn(field: FieldSchema, columns: readonly Column[], runs?: Runs): ColumnToWrite {
  const { fieldId, name, dataType, elementType, dim } = field;
  const isOptional = field.nullable || columns.some(({ valid }) => valid?.includes(0) === true);
  const body = encodeColumn(columns, isOptional, runs);
  return {
    name,
    fieldId,
    dataType,
    isOptional,
    body,
    ...(isListType(dataType) ? { elementType } : {}),
    ...(hasDim(field) ? { dim } : {}),
  };
}

function isOf(column: Column, { dataType, elementType, dim }: FieldSchema): boolean {
  const items = column.layout === 'list' ? column.items : column;
  return (
    column.type === dataType &&
    (column.layout !== 'list' || items.type === elementType) &&
    (items.layout !== 'vector' || items.dim === dim)
  );
}

/** What a rows file says about itself. */
export interface RowsMeta {
  readonly rowCount: number;
  readonly timestamps: StoredColumn;
  readonly fields: ReadonlyMap<FieldId, StoredColumn>;
}

/** Reads the footer. Throws `data-integrity`. */
export async function readRowsMeta(reader: RangedReader): Promise<RowsMeta> {
  const { rowCount, columns } = await readFooter(reader, 'rows');
  const [timestamps, ...others] = columns;
  if (timestamps === undefined) throw damaged('no timestamps');
  const fields = new Map<FieldId, StoredColumn>();
  for (const column of others) {
    if (column.fieldId === undefined || fields.has(column.fieldId as FieldId))
      throw damaged(`column '${column.name}' has no field of its own`);
    fields.set(column.fieldId as FieldId, column);
  }
  return { rowCount, timestamps, fields };
}

/**
 * The column of a field; of its default or nulls where the file does not have it. Throws `data-integrity`, also when the
 * file's column is not of the field's type.
 */
export function planField(meta: RowsMeta, field: FieldSchema): ColumnPlan<Column> {
  const stored = meta.fields.get(field.fieldId);
  if (stored === undefined) return { fetches: [], decode: () => absentColumn(field, meta.rowCount) };
  checkStored(stored, field);
  return planColumn(stored);
}

/** The vectors of a field straight into `target`; see `planVectors`. */
export function planVectorField(
  meta: RowsMeta,
  field: FieldSchema,
  target: VectorValues,
): ColumnPlan<Uint8Array | undefined> {
  const stored = meta.fields.get(field.fieldId);
  if (stored !== undefined) {
    checkStored(stored, field);
    return planVectors(stored, target);
  }
  if (!field.nullable) throw damaged(`field '${field.name}' is missing`);
  target.fill(0);
  return { fetches: [], decode: () => new Uint8Array(meta.rowCount) };
}

function checkStored(stored: StoredColumn, field: FieldSchema): void {
  const { name, dataType, elementType, dim } = field;
  const isRight =
    stored.dataType === dataType &&
    (!isListType(dataType) || stored.elementType === elementType) &&
    (!hasDim(field) || stored.dim === dim);
  if (!isRight) throw damaged(`the column of field '${name}' is of type ${stored.dataType}`);
}

export function planTimestamps({ timestamps }: Pick<RowsMeta, 'timestamps'>): ColumnPlan<BigInt64Array> {
  const { fetches, decode } = planColumn(timestamps);
  return {
    fetches,
    decode() {
      const column = decode();
      assert(column.layout === 'fixed' && column.values instanceof BigInt64Array, 'timestamps are Int64');
      return column.values;
    },
  };
}

/** Columns of these fields. */
export async function readColumns(
  reader: RangedReader,
  meta: RowsMeta,
  fields: readonly FieldSchema[],
): Promise<Map<FieldId, Column>> {
  const columns = new Map<FieldId, Column>();
  for (const field of fields) columns.set(field.fieldId, await readPlan(reader, planField(meta, field)));
  return columns;
}

/** The timestamp of every row. */
export const readTimestamps = (reader: RangedReader, meta: RowsMeta): Promise<BigInt64Array> =>
  readPlan(reader, planTimestamps(meta));

/** Vectors straight from the file into `target`; answers which rows have one (undefined: all). Null rows are zeros. */
export const readVectors = (
  reader: RangedReader,
  meta: RowsMeta,
  field: FieldSchema,
  target: VectorValues,
): Promise<Uint8Array | undefined> => readPlan(reader, planVectorField(meta, field, target));
