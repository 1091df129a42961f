import { fixedArrays } from '../model/columns.ts';
import type { BytesColumn, Column, FixedColumn } from '../model/rows.ts';
import type { ElementType, FieldSchema } from '../model/schema.ts';
import { damaged } from './damage.ts';

const utf8 = new TextEncoder();

/**
 * The column of a field that did not exist when the rows were written: its default, or nulls. Throws `data-integrity` for a
 * field that has neither.
 */
export function absentColumn(field: FieldSchema, rowCount: number): Column {
  const { dataType, defaultValue } = field;
  const isScalar = dataType !== 'Array' && dataType !== 'FloatVector';
  if (defaultValue !== undefined && isScalar) {
    if (dataType === 'VarChar' || dataType === 'JSON')
      return repeatedBytes(dataType, utf8.encode(String(defaultValue)), rowCount);
    const values = new fixedArrays[dataType](rowCount);
    values.fill((typeof defaultValue === 'boolean' ? Number(defaultValue) : defaultValue) as never);
    return { layout: 'fixed', type: dataType, values };
  }
  if (!field.nullable) throw damaged(`field '${field.name}' is missing`);
  const valid = new Uint8Array(rowCount);
  if (dataType === 'FloatVector') {
    const dim = field.dim ?? 0;
    return { layout: 'vector', type: dataType, dim, values: new Float32Array(rowCount * dim), valid };
  }
  if (dataType !== 'Array') return { ...noScalars(dataType, rowCount), valid };
  const items = noScalars(field.elementType ?? 'Int64', 0);
  return { layout: 'list', type: dataType, offsets: new Uint32Array(rowCount + 1), items, valid };
}

function noScalars(type: ElementType | 'JSON', count: number): FixedColumn | BytesColumn {
  return type === 'VarChar' || type === 'JSON'
    ? { layout: 'bytes', type, offsets: new Uint32Array(count + 1), data: new Uint8Array() }
    : { layout: 'fixed', type, values: new fixedArrays[type](count) };
}

function repeatedBytes(type: BytesColumn['type'], value: Uint8Array, count: number): BytesColumn {
  const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * value.length);
  const data = new Uint8Array(count * value.length);
  for (let i = 0; i < count; i++) data.set(value, i * value.length);
  return { layout: 'bytes', type, offsets, data };
}
