/** Pure: one column as sent to one column of the model, every value checked against its field. */
import { isUtf8 } from 'node:buffer';
import { DbError } from '../../errors/db-error.ts';
import { vectorWidth } from '../../model/columns.ts';
import type { BytesColumn, Column, FixedColumn, FixedType, FixedValues } from '../../model/rows.ts';
import { type ElementType, type FieldSchema, isVectorType } from '../../model/schema.ts';
import { parseJson } from '../../support/json.ts';
import { type TimeZone, utc } from '../../timestamptz/zones.ts';
import { describe, invalid, mismatch, requireCapacity, requireFinite } from './checks.ts';
import { integerRange } from './default-value.ts';
import { dataTypeName, dataTypeToWire } from './enums.ts';
import type { WireData, WireField } from './field-data-decode.ts';
import type { FixedKind } from './lists.ts';
import { geometryColumn, timestampColumn } from './told-columns.ts';
import { checkedVectors } from './vector-columns.ts';

/** Bytes of one JSON value, as in Milvus. */
const MAX_JSON_BYTES = 65_536;

const kindOf: Readonly<Record<FixedType, FixedKind>> = {
  Bool: 'bool',
  Int8: 'int',
  Int16: 'int',
  Int32: 'int',
  Int64: 'long',
  Float: 'float',
  Double: 'double',
  Timestamptz: 'timestamptz',
};

/**
 * The values sent for one field, nulls not yet put in; `zone`: of moments that are told without an offset. Throws `parameter-invalid`
 * for a wrong type, dimension, length, range, for text that is no UTF-8, JSON that is none, and numbers that are not finite.
 */
export function checkedColumn(field: FieldSchema, sent: WireField, zone: TimeZone = utc): Column {
  if (sent.type !== 0 && sent.type !== dataTypeToWire[field.dataType])
    throw mismatch(field, dataTypeName(sent.type));
  const { data } = sent;
  const { dataType } = field;
  if (isVectorType(dataType)) return checkedVectors(field, data);
  if (dataType === 'Array') return arrayColumn(field, data);
  if (dataType === 'Geometry') return geometryColumn(field, data);
  if (dataType === 'Timestamptz') return timestampColumn(field, data, zone);
  if (dataType === 'JSON') {
    const column = bytesColumn(field, 'JSON', data);
    if (!field.isDynamic) eachJson(field, column);
    return column;
  }
  return scalarColumn(field, dataType as ElementType, data);
}

/** An absent list is an empty one: clients leave it out when every row is null. */
function nothingOf(type: ElementType): WireData {
  if (type === 'VarChar') return { kind: 'string', offsets: new Uint32Array(1), data: new Uint8Array(0) };
  return { kind: kindOf[type], values: emptyValues[type]() };
}

const emptyValues: Readonly<Record<FixedType, () => FixedValues>> = {
  Bool: () => new Uint8Array(0),
  Int8: () => new Int32Array(0),
  Int16: () => new Int32Array(0),
  Int32: () => new Int32Array(0),
  Int64: () => new BigInt64Array(0),
  Float: () => new Float32Array(0),
  Double: () => new Float64Array(0),
  Timestamptz: () => new BigInt64Array(0),
};

function scalarColumn(field: FieldSchema, type: ElementType, sent: WireData): FixedColumn | BytesColumn {
  const data = sent.kind === 'none' ? nothingOf(type) : sent;
  if (type !== 'VarChar') return fixedColumn(field, type, data);
  const column = bytesColumn(field, 'VarChar', data);
  const { offsets } = column;
  const limit = field.maxLength ?? 0;
  for (let row = 0; row + 1 < offsets.length; row++) {
    const length = (offsets[row + 1] as number) - (offsets[row] as number);
    if (length > limit)
      throw invalid(
        `length of varchar field ${field.name} exceeds max length, row number: ${row}, length: ${length}, max length: ${limit}`,
      );
  }
  return column;
}

function fixedColumn(field: FieldSchema, type: FixedType, data: WireData): FixedColumn {
  if (data.kind !== kindOf[type] || !('values' in data)) throw mismatch(field, describe(data));
  if (type === 'Int8' || type === 'Int16')
    return { layout: 'fixed', type, values: narrowed(field, type, data.values as Int32Array) };
  if (type === 'Float' || type === 'Double') requireFinite(field, data.values as Float32Array | Float64Array);
  return { layout: 'fixed', type, values: data.values };
}

function narrowed(field: FieldSchema, type: 'Int8' | 'Int16', values: Int32Array): Int8Array | Int16Array {
  const [least, most] = integerRange[type];
  const narrow = type === 'Int8' ? new Int8Array(values.length) : new Int16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < least || value > most)
      throw invalid(
        `the value ${value} of field ${field.name} is out of range [${least}, ${most}] of ${type}`,
      );
    narrow[i] = value;
  }
  return narrow;
}

function bytesColumn(field: FieldSchema, type: 'VarChar' | 'JSON', data: WireData): BytesColumn {
  if (data.kind === 'none')
    return { layout: 'bytes', type, offsets: new Uint32Array(1), data: new Uint8Array(0) };
  if (data.kind !== (type === 'JSON' ? 'json' : 'string') || !('offsets' in data) || !('data' in data))
    throw mismatch(field, describe(data));
  const { offsets, data: text } = data;
  if (!isUtf8(text)) throw invalid(`field ${field.name} holds text that is not UTF-8`);
  for (let row = 1; row + 1 < offsets.length; row++) {
    const start = offsets[row] as number;
    // The whole is UTF-8; so is every row, unless a row starts in the middle of a character.
    if (start < text.length && ((text[start] as number) & 0xc0) === 0x80)
      throw invalid(`field ${field.name} holds text that is not UTF-8`);
  }
  return { layout: 'bytes', type, offsets, data: text };
}

/** Calls `visit` with the text and the parsed value of each row. Throws `parameter-invalid` for what is not JSON. */
export function eachJson(
  field: FieldSchema,
  { offsets, data }: BytesColumn,
  visit?: (value: unknown, row: number) => void,
): void {
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    const start = offsets[row] as number;
    const end = offsets[row + 1] as number;
    if (end - start > MAX_JSON_BYTES)
      throw invalid(
        `length of json field ${field.name} exceeds max length ${MAX_JSON_BYTES}, row number: ${row}`,
      );
    let value: unknown;
    try {
      value = parseJson(text.toString('utf8', start, end));
    } catch (cause) {
      throw new DbError('parameter-invalid', `field ${field.name} holds invalid JSON, row number: ${row}`, {
        cause,
      });
    }
    visit?.(value, row);
  }
}

function arrayColumn(field: FieldSchema, data: WireData): Column {
  const isAbsent = data.kind === 'none';
  if (!isAbsent && data.kind !== 'array') throw mismatch(field, describe(data));
  const offsets = isAbsent ? new Uint32Array(1) : data.offsets;
  const type = (field.elementType ?? 'Int64') as ElementType;
  requireCapacity(field, offsets);
  const items = scalarColumn(field, type, isAbsent ? data : data.items);
  return { layout: 'list', type: 'Array', offsets, items };
}

/** Values in a column. */
export function lengthOf(column: Column): number {
  if (column.layout === 'fixed') return column.values.length;
  if (column.layout !== 'vector') return column.offsets.length - 1;
  return column.values.length / vectorWidth(column.type, column.dim);
}
