/** Rows as plain values, for the in-memory planes behind the proxy's tests. */
import type { FieldId } from '../../src/model/ids.ts';
import type { BytesColumn, Column, FixedColumn, PrimaryKey, RowBatch } from '../../src/model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';

/** A vector is a `Float32Array`, text bytes, an array a list, null null. */
export type Value = number | bigint | Uint8Array | Float32Array | readonly Value[] | null;
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
  if (column.layout === 'vector') return column.values.slice(row * column.dim, (row + 1) * column.dim);
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
  if (field.dataType === 'FloatVector') {
    const dim = field.dim!;
    const all = new Float32Array(values.length * dim);
    values.forEach((value, row) => {
      all.set((value as Float32Array | null) ?? [], row * dim);
    });
    return { layout: 'vector', type: 'FloatVector', dim, values: all, valid };
  }
  if (field.dataType !== 'Array') return { ...flat(field.dataType, values), valid };
  const lists = values.map((value) => (value as readonly Value[] | null) ?? []);
  const offsets = Uint32Array.from([0, ...lists.map((_, i) => lists.slice(0, i + 1).flat().length)]);
  return { layout: 'list', type: 'Array', offsets, items: flat(field.elementType!, lists.flat()), valid };
}

function flat(
  type: Exclude<FieldSchema['dataType'], 'Array' | 'FloatVector'>,
  values: readonly Value[],
): FixedColumn | BytesColumn {
  if (type === 'VarChar' || type === 'JSON') {
    const parts = values.map((value) => (value as Uint8Array | null) ?? new Uint8Array(0));
    let end = 0;
    const offsets = Uint32Array.from([0, ...parts.map((part) => (end += part.length))]);
    return { layout: 'bytes', type, offsets, data: Buffer.concat(parts) };
  }
  if (type === 'Int64')
    return {
      layout: 'fixed',
      type,
      values: BigInt64Array.from(values, (value) => (value as bigint | null) ?? 0n),
    };
  const make = {
    Bool: Uint8Array,
    Int8: Int8Array,
    Int16: Int16Array,
    Int32: Int32Array,
    Float: Float32Array,
    Double: Float64Array,
  }[type];
  return { layout: 'fixed', type, values: new make(values.map((value) => (value as number | null) ?? 0)) };
}

export const keyField = (schema: CollectionSchema): FieldSchema =>
  schema.fields.find((field) => field.isPrimaryKey)!;

export function keyOf(schema: CollectionSchema, row: Row): PrimaryKey {
  const value = row.get(keyField(schema).fieldId)!;
  return typeof value === 'bigint' ? value : Buffer.from(value as Uint8Array).toString();
}
