/**
 * Pure: the columns of an Insert or Upsert against the collection's schema. Either every rule holds and the result is what
 * will be written, or it throws and nothing has happened.
 */
import { DbError } from '../../errors/db-error.ts';
import type { FieldId } from '../../model/ids.ts';
import type { Column, RowBatch } from '../../model/rows.ts';
import { type CollectionSchema, DYNAMIC_FIELD_NAME, type FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import { type TimeZone, utc } from '../../timestamptz/zones.ts';
import { invalid } from './checks.ts';
import { checkedColumn, lengthOf } from './columns.ts';
import { dynamicColumn, withExtraColumns } from './dynamic.ts';
import type { WireField } from './field-data-decode.ts';
import { constantColumn, filledRowBytes, maskColumn, spreadColumn } from './fill.ts';
import { withoutNullRows } from './null-rows.ts';
import { requireWholeStructs, withoutStructs } from './structs.ts';

/** What nulls, defaults and left-out columns of one request may grow to. */
const MAX_FILLED_BYTES = 256 * 1024 * 1024;

export interface SentRows {
  readonly numRows: number;
  readonly fields: readonly WireField[];
}

export interface RowRules {
  /** Ids for an auto-id primary key are still to come: the batch has no column for it, and the client may not send one. */
  readonly autoIds: boolean;
  /** Of moments that are told without an offset. Absent: UTC. */
  readonly zone?: TimeZone;
}

/** All columns of the batch but those that functions write; without the primary key's when `autoIds` is on. Throws `parameter-invalid`. */
export function checkedRows(
  schema: CollectionSchema,
  sent: SentRows,
  { autoIds, zone = utc }: RowRules,
): RowBatch {
  const { numRows } = sent;
  if (numRows === 0) throw invalid('num_rows should be greater than 0');
  const { known, extra } = sortFields(schema, withoutStructs(schema, sent.fields));
  boundFilling(schema, known, numRows);
  const columns = new Map<FieldId, Column>();
  for (const field of schema.fields) {
    const given = known.get(field.name);
    if (isMadeHere(field, given, autoIds)) continue;
    if (field.isDynamic) columns.set(field.fieldId, dynamicColumn(schema, field, given, numRows));
    else columns.set(field.fieldId, columnOf(field, given, { numRows, zone }));
  }
  const meta = schema.fields.find(({ isDynamic }) => isDynamic);
  if (extra.length > 0 && meta !== undefined) {
    const column = present(columns.get(meta.fieldId), DYNAMIC_FIELD_NAME);
    columns.set(meta.fieldId, withExtraColumns(meta, column, extra, numRows));
  }
  requireWholeStructs(schema, columns);
  return { rowCount: numRows, columns };
}

/** The keys of an auto-id collection and what functions write. Throws `parameter-invalid` when the client gives them. */
function isMadeHere(field: FieldSchema, given: WireField | undefined, autoIds: boolean): boolean {
  const { name, isPrimaryKey, isFunctionOutput = false } = field;
  const isNumbered = isPrimaryKey && autoIds;
  if (given !== undefined && isNumbered)
    throw invalid(`primary key field ${name} is auto id: it should not be given`);
  if (given !== undefined && isFunctionOutput)
    throw invalid(`field ${name} is the output of a function: it should not be given`);
  return isNumbered || isFunctionOutput;
}

interface Sorted {
  readonly known: ReadonlyMap<string, WireField>;
  /** Columns outside the schema: keys of the dynamic field. */
  readonly extra: readonly WireField[];
}

function sortFields(schema: CollectionSchema, fields: readonly WireField[]): Sorted {
  const names = new Set(schema.fields.map(({ name }) => name));
  const known = new Map<string, WireField>();
  const extra = new Map<string, WireField>();
  for (const field of fields) {
    const name = field.isDynamic ? DYNAMIC_FIELD_NAME : field.name;
    if (name === DYNAMIC_FIELD_NAME && !schema.enableDynamicField)
      throw invalid('without dynamic schema enabled, the field name cannot be set to $meta');
    if (!names.has(name) && !schema.enableDynamicField)
      throw invalid(`field ${name} is not in the schema, and the collection has no dynamic field`);
    const target = names.has(name) ? known : extra;
    if (target.has(name)) throw invalid(`duplicated field ${name} in the data`);
    target.set(name, field);
  }
  return { known, extra: [...extra.values()] };
}

/** A request of a few bytes may ask for a great many rows: what we fill in is bounded before it is made. */
function boundFilling(
  schema: CollectionSchema,
  known: ReadonlyMap<string, WireField>,
  numRows: number,
): void {
  let bytes = 0;
  for (const field of schema.fields) {
    const given = known.get(field.name);
    if (field.isFunctionOutput === true) continue;
    if (given === undefined || given.valid.length > 0) bytes += filledRowBytes(field) * numRows;
  }
  if (bytes > MAX_FILLED_BYTES)
    throw new DbError('parameter-too-large', `${numRows} rows are too many for one request`);
}

interface ColumnRules {
  readonly numRows: number;
  readonly zone: TimeZone;
}

function columnOf(field: FieldSchema, given: WireField | undefined, { numRows, zone }: ColumnRules): Column {
  if (given === undefined) {
    if (field.nullable || field.defaultValue !== undefined) return constantColumn(field, numRows);
    throw invalid(`field ${field.name} has no corresponding data: it is not nullable and has no default`);
  }
  const { valid } = given;
  const column = checkedColumn(field, valid.length === numRows ? withoutNullRows(given) : given, zone);
  if (valid.length === 0) return requireLength(field, column, numRows);
  if (valid.length !== numRows)
    throw invalid(
      `the length of valid_data of field ${field.name} is ${valid.length}, but num_rows is ${numRows}`,
    );
  const validCount = valid.reduce((count, bit) => count + bit, 0);
  if (validCount < numRows && !field.nullable && field.defaultValue === undefined)
    throw invalid(`field ${field.name} is not nullable, but row ${valid.indexOf(0)} holds null`);
  if (lengthOf(column) === validCount && validCount < numRows) return spreadColumn(field, column, valid);
  const whole = requireLength(field, column, numRows);
  return validCount === numRows ? whole : maskColumn(field, whole, valid);
}

export function requireLength(field: FieldSchema, column: Column, numRows: number): Column {
  const length = lengthOf(column);
  if (length !== numRows)
    throw invalid(
      `the num_rows (${length}) of field ${field.name} is not equal to passed num_rows (${numRows})`,
    );
  return column;
}
