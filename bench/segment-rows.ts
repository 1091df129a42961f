/** Schemas and columns of the benches that work on segments. */

import type { FieldId } from '../src/model/ids.ts';
import type { BytesColumn, Column } from '../src/model/rows.ts';
import type { FieldSchema } from '../src/model/schema.ts';
import { fieldSchema } from '../tests/field-schema.ts';

/** Field 100 is the primary key. */
export const field = (
  fieldId: number,
  name: string,
  dataType: FieldSchema['dataType'],
  more = {},
): FieldSchema =>
  fieldSchema(name, { fieldId: fieldId as FieldId, dataType, isPrimaryKey: fieldId === 100, ...more });

/** Keys from `from` on. */
export const keyColumn = (from: number, count: number): Column => ({
  layout: 'fixed',
  type: 'Int64',
  values: BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i)),
});

export function textColumn(
  type: BytesColumn['type'],
  from: number,
  count: number,
  make: (i: number) => string,
): BytesColumn {
  const parts = Array.from({ length: count }, (_, i) => Buffer.from(make(from + i)));
  const offsets = new Uint32Array(count + 1);
  parts.forEach((part, i) => {
    offsets[i + 1] = (offsets[i] as number) + part.length;
  });
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(parts)) };
}

export const vectorColumn = (dim: number, count: number, seed: number): Column => ({
  layout: 'vector',
  type: 'FloatVector',
  dim,
  values: Float32Array.from({ length: count * dim }, (_, i) => Math.sin(i + seed)),
});
