/** Rows as plain values, for the in-memory planes behind the proxy's tests. */

import { fixedArrays, isFixedType, vectorArrays, vectorWidth } from '../../src/model/columns.ts';
import type { FieldId } from '../../src/model/ids.ts';
import type { Column, ListColumn, PrimaryKey, RowBatch, VectorValues } from '../../src/model/rows.ts';
import { type CollectionSchema, type FieldSchema, isDenseVector } from '../../src/model/schema.ts';

/** A dense vector is its values, text and a sparse vector bytes, an array a list, null null. */
export type Value = number | bigint | VectorValues | readonly Value[] | null;
export type Row = ReadonlyMap<FieldId, Value>;

export function rowsOf(batch: RowBatch): Row[] {
  return Array.from(
    { length: batch.rowCount },
    (_, row) => new Map([...batch.columns].map(([id, column]) => [id, valueAt(column, row)])),
  );
}

function valueAt(column: Column, row: number): Value {
  if (column.valid?.[row] === 0) return null;
  if (column.layout === 'fixed') return column.values[row]!;
  if (column.layout === 'vector') {
    const width = vectorWidth(column.type, column.dim);
    return column.values.slice(row * width, (row + 1) * width);
  }
  const [start, end] = [column.offsets[row]!, column.offsets[row + 1]!];
  if (column.layout === 'bytes') return column.data.slice(start, end);
  return Array.from({ length: end - start }, (_, i) => valueAt(column.items, start + i));
}

export const batchOf = (fields: readonly FieldSchema[], rows: readonly Row[]): RowBatch => ({
  rowCount: rows.length,
  columns: new Map(
    fields.map((field) => [
      field.fieldId,
      columnOf(
        field,
        rows.map((row) => row.get(field.fieldId) ?? null),
      ),
    ]),
  ),
});

function columnOf(field: FieldSchema, values: readonly Value[]): Column {
  const valid = values.includes(null)
    ? Uint8Array.from(values, (value) => Number(value !== null))
    : undefined;
  const { dataType, elementType, dim = 0 } = field;
  if (dataType !== 'Array' && dataType !== 'ArrayOfVector') return { ...flat(dataType, dim, values), valid };
  const lists = values.map((value) => (value as readonly Value[] | null) ?? []);
  const offsets = Uint32Array.from([0, ...lists.map((_, i) => lists.slice(0, i + 1).flat().length)]);
  return { layout: 'list', type: dataType, offsets, items: flat(elementType!, dim, lists.flat()), valid };
}

function flat(
  type: Exclude<FieldSchema['dataType'], 'Array' | 'ArrayOfVector'>,
  dim: number,
  values: readonly Value[],
): ListColumn['items'] {
  if (isDenseVector(type)) {
    const width = vectorWidth(type, dim);
    const all = new vectorArrays[type](values.length * width);
    values.forEach((value, row) => {
      (all as Uint8Array).set((value as Uint8Array | null) ?? [], row * width);
    });
    return { layout: 'vector', type, dim, values: all };
  }
  if (!isFixedType(type)) {
    const parts = values.map((value) => (value as Uint8Array | null) ?? new Uint8Array(0));
    let end = 0;
    const offsets = Uint32Array.from([0, ...parts.map((part) => (end += part.length))]);
    return { layout: 'bytes', type, offsets, data: Buffer.concat(parts) };
  }
  const all = new fixedArrays[type](values.length);
  values.forEach((value, row) => {
    if (value !== null) all[row] = value as never;
  });
  return { layout: 'fixed', type, values: all };
}

export const keyField = (schema: CollectionSchema): FieldSchema =>
  schema.fields.find((field) => field.isPrimaryKey)!;

export function keyOf(schema: CollectionSchema, row: Row): PrimaryKey {
  const value = row.get(keyField(schema).fieldId)!;
  return typeof value === 'bigint' ? value : Buffer.from(value as Uint8Array).toString();
}
