/** Pure: puts nulls, defaults and missing columns in. */
import { wkbOf } from '../../geometry/read-wkt.ts';
import { fixedArrays, isFixedType, vectorArrays, vectorBytes, vectorWidth } from '../../model/columns.ts';
import type {
  BytesColumn,
  BytesType,
  Column,
  FixedColumn,
  FixedType,
  FixedValues,
  ListColumn,
  VectorValues,
} from '../../model/rows.ts';
import { type FieldSchema, isDenseVector, type ScalarValue, type VectorType } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';

/** Bytes that one row of a filled-in column takes: to refuse a short request that would grow without bound. */
export function filledRowBytes(field: FieldSchema): number {
  if (isDenseVector(field.dataType)) return vectorBytes(field.dataType, field.dim ?? 0);
  if (field.dataType === 'VarChar' && typeof field.defaultValue === 'string')
    return Buffer.byteLength(field.defaultValue) + 4;
  if (field.dataType === 'Geometry' && typeof field.defaultValue === 'string')
    return wkbOf(field.defaultValue).length + 4;
  return 8;
}

/** A column of `rowCount` rows that all hold the default, or are null when there is none. */
export function constantColumn(field: FieldSchema, rowCount: number): Column {
  const valid = new Uint8Array(rowCount);
  return withDefault(field, spread(field, emptyColumn(field), valid), valid);
}

/** `column` holds a value for each 1 in `valid`; the result has a row for each entry, defaults filled in. */
export const spreadColumn = (field: FieldSchema, column: Column, valid: Uint8Array): Column =>
  withDefault(field, spread(field, column, valid), valid);

/** As `spreadColumn`, for a column that has a row, of whatever value, for nulls too. */
export const maskColumn = (field: FieldSchema, column: Column, valid: Uint8Array): Column =>
  spreadColumn(field, compact(column, valid), valid);

function emptyColumn({ dataType, elementType, dim = 0 }: FieldSchema): Column {
  if (dataType !== 'Array' && dataType !== 'ArrayOfVector') return emptyItems(dataType, dim);
  const items = emptyItems(elementType ?? 'Int64', dim);
  return { layout: 'list', type: dataType, offsets: new Uint32Array(1), items };
}

function emptyItems(type: FixedType | BytesType | VectorType, dim: number): ListColumn['items'] {
  if (isDenseVector(type)) return { layout: 'vector', type, dim, values: new vectorArrays[type](0) };
  if (isFixedType(type)) return { layout: 'fixed', type, values: new fixedArrays[type](0) };
  return { layout: 'bytes', type, offsets: new Uint32Array(1), data: new Uint8Array(0) };
}

function spread(field: FieldSchema, column: Column, valid: Uint8Array): Column {
  const rowCount = valid.length;
  if (column.layout === 'vector') {
    const width = vectorWidth(column.type, column.dim);
    const values = new vectorArrays[column.type](rowCount * width);
    let from = 0;
    for (let row = 0; row < rowCount; row++)
      if (valid[row] === 1) {
        copyVector(column.values, from, values, row, width);
        from++;
      }
    return { ...column, values, valid };
  }
  if (column.layout === 'fixed') {
    const values = new fixedArrays[column.type](rowCount);
    let from = 0;
    for (let row = 0; row < rowCount; row++)
      if (valid[row] === 1) values[row] = present(column.values[from++], field.name);
    return { ...column, values, valid };
  }
  return { ...column, offsets: spreadOffsets(column.offsets, valid), valid };
}

function copyVector(from: VectorValues, row: number, to: VectorValues, at: number, width: number): void {
  (to as Uint8Array).set(from.subarray(row * width, (row + 1) * width) as Uint8Array, at * width);
}

/** Null rows are empty: they end where they begin. */
function spreadOffsets(offsets: Uint32Array, valid: Uint8Array): Uint32Array {
  const wide = new Uint32Array(valid.length + 1);
  let from = 0;
  for (let row = 0; row < valid.length; row++) {
    if (valid[row] === 1) from++;
    wide[row + 1] = present(offsets[from], 'offset');
  }
  return wide;
}

/** Drops the rows that are not valid. */
function compact(column: Column, valid: Uint8Array): Column {
  const rows: number[] = [];
  for (let row = 0; row < valid.length; row++) if (valid[row] === 1) rows.push(row);
  return takeRows(column, rows);
}

/** The default in place of null: a field with a default never holds null from a row that was left out. */
function withDefault(field: FieldSchema, column: Column, valid: Uint8Array): Column {
  const { defaultValue } = field;
  if (defaultValue === undefined) return valid.includes(0) ? column : { ...column, valid: undefined };
  if (column.layout === 'bytes') return textDefault(column, valid, defaultValue);
  if (column.layout === 'fixed') {
    const value = typeof defaultValue === 'boolean' ? Number(defaultValue) : defaultValue;
    for (let row = 0; row < valid.length; row++) if (valid[row] === 0) column.values[row] = value as never;
  }
  return { ...column, valid: undefined };
}

function textDefault(column: BytesColumn, valid: Uint8Array, value: ScalarValue): BytesColumn {
  const text = column.type === 'Geometry' ? wkbOf(String(value)) : Buffer.from(String(value));
  const { offsets } = column;
  const missing = valid.reduce((count, bit) => count + 1 - bit, 0);
  const data = new Uint8Array(column.data.length + missing * text.length);
  const wide = new Uint32Array(offsets.length);
  for (let row = 0; row < valid.length; row++) {
    const at = present(wide[row], 'offset');
    const bytes = valid[row] === 1 ? column.data.subarray(offsets[row], offsets[row + 1]) : text;
    data.set(bytes, at);
    wide[row + 1] = at + bytes.length;
  }
  return { layout: 'bytes', type: column.type, offsets: wide, data };
}

/** These rows of a column, in this order. */
export function takeRows(column: Column, rows: readonly number[]): Column {
  const valid = column.valid && Uint8Array.from(rows, (row) => column.valid?.[row] ?? 0);
  if (column.layout === 'vector') {
    const width = vectorWidth(column.type, column.dim);
    const values = new vectorArrays[column.type](rows.length * width);
    rows.forEach((row, i) => {
      copyVector(column.values, row, values, i, width);
    });
    return { ...column, values, valid };
  }
  if (column.layout === 'fixed') return { ...column, values: takeFixed(column, rows), valid };
  const offsets = new Uint32Array(rows.length + 1);
  rows.forEach((row, i) => {
    const length = present(column.offsets[row + 1], 'offset') - present(column.offsets[row], 'offset');
    offsets[i + 1] = present(offsets[i], 'offset') + length;
  });
  if (column.layout === 'bytes') return { ...column, offsets, data: takeBytes(column, rows, offsets), valid };
  return { ...column, offsets, items: takeItems(column, rows), valid };
}

function takeFixed(column: FixedColumn, rows: readonly number[]): FixedValues {
  const values = new fixedArrays[column.type](rows.length);
  for (let i = 0; i < rows.length; i++) values[i] = present(column.values[present(rows[i], 'row')], 'value');
  return values;
}

function takeBytes(column: BytesColumn, rows: readonly number[], offsets: Uint32Array): Uint8Array {
  const data = new Uint8Array(offsets[rows.length] ?? 0);
  rows.forEach((row, i) => {
    data.set(column.data.subarray(column.offsets[row], column.offsets[row + 1]), offsets[i]);
  });
  return data;
}

function takeItems(column: ListColumn, rows: readonly number[]): ListColumn['items'] {
  const items: number[] = [];
  for (const row of rows)
    for (let item = column.offsets[row] ?? 0; item < (column.offsets[row + 1] ?? 0); item++) items.push(item);
  return takeRows(column.items, items) as ListColumn['items'];
}
