import { wkbOf } from '../geometry/read-wkt.ts';
import { fixedArrays, isBytesType, isFixedType, vectorArrays, vectorWidth } from '../model/columns.ts';
import type { BytesColumn, Column } from '../model/rows.ts';
import { type DataType, type FieldSchema, isDenseVector } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import { damaged } from './damage.ts';

const utf8 = new TextEncoder();

/**
 * The column of a field that did not exist when the rows were written: its default, or nulls. Throws `data-integrity` for a
 * field that has neither.
 */
export function absentColumn(field: FieldSchema, rowCount: number): Column {
  const { dataType, defaultValue, dim = 0 } = field;
  if (defaultValue !== undefined && isBytesType(dataType))
    return repeatedBytes(dataType, bytesOfDefault(dataType, String(defaultValue)), rowCount);
  if (defaultValue !== undefined && isFixedType(dataType)) {
    const values = new fixedArrays[dataType](rowCount);
    values.fill((typeof defaultValue === 'boolean' ? Number(defaultValue) : defaultValue) as never);
    return { layout: 'fixed', type: dataType, values };
  }
  if (!field.nullable) throw damaged(`field '${field.name}' is missing`);
  const valid = new Uint8Array(rowCount);
  if (dataType !== 'Array' && dataType !== 'ArrayOfVector')
    return { ...emptyColumn(dataType, dim, rowCount), valid };
  const items = emptyColumn(field.elementType ?? 'Int64', dim, 0);
  return { layout: 'list', type: dataType, offsets: new Uint32Array(rowCount + 1), items, valid };
}

const bytesOfDefault = (type: DataType, text: string): Uint8Array =>
  type === 'Geometry' ? wkbOf(text) : utf8.encode(text);

type PlainType = Exclude<DataType, 'Array' | 'ArrayOfVector'>;

/** `count` values that are zero or empty. */
function emptyColumn(type: PlainType, dim: number, count: number) {
  if (isDenseVector(type)) {
    const values = new vectorArrays[type](count * vectorWidth(type, dim));
    return { layout: 'vector', type, dim, values } as const;
  }
  if (isFixedType(type)) return { layout: 'fixed', type, values: new fixedArrays[type](count) } as const;
  assert(isBytesType(type), `a column of ${type}`);
  return { layout: 'bytes', type, offsets: new Uint32Array(count + 1), data: new Uint8Array() } as const;
}

function repeatedBytes(type: BytesColumn['type'], value: Uint8Array, count: number): BytesColumn {
  const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * value.length);
  const data = new Uint8Array(count * value.length);
  for (let i = 0; i < count; i++) data.set(value, i * value.length);
  return { layout: 'bytes', type, offsets, data };
}
