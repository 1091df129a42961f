/** Pure: values that clients tell as text and that are kept as something else: geometries and moments. */

import { DbError, isDbError } from '../../errors/db-error.ts';
import { wkbOf } from '../../geometry/read-wkt.ts';
import { normalizedWkb } from '../../geometry/wkb.ts';
import type { BytesColumn, FixedColumn } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { parseTimestamp, requireTimestamp } from '../../timestamptz/text.ts';
import type { TimeZone } from '../../timestamptz/zones.ts';
import { describe, mismatch } from './checks.ts';
import type { WireData } from './field-data-decode.ts';

/** Well-known text or binary. Throws `parameter-invalid` with the row for what is no geometry. */
export function geometryColumn(field: FieldSchema, sent: WireData): BytesColumn {
  const type = 'Geometry';
  if (sent.kind === 'none')
    return { layout: 'bytes', type, offsets: new Uint32Array(1), data: new Uint8Array(0) };
  if (sent.kind !== 'wkt' && sent.kind !== 'wkb') throw mismatch(field, describe(sent));
  const isText = sent.kind === 'wkt';
  const offsets = new Uint32Array(sent.offsets.length);
  const rows = eachRow(field, sent, (bytes) => (isText ? wkbOf(textOf(bytes)) : normalizedWkb(bytes)));
  rows.forEach((bytes, row) => {
    offsets[row + 1] = (offsets[row] as number) + bytes.length;
  });
  const data = new Uint8Array(offsets[rows.length] as number);
  rows.forEach((bytes, row) => {
    data.set(bytes, offsets[row]);
  });
  return { layout: 'bytes', type, offsets, data };
}

/** ISO 8601 text or microseconds. Throws `parameter-invalid` with the row for what is no moment. */
export function timestampColumn(field: FieldSchema, sent: WireData, zone: TimeZone): FixedColumn {
  const column = (values: BigInt64Array): FixedColumn => ({ layout: 'fixed', type: 'Timestamptz', values });
  if (sent.kind === 'none') return column(new BigInt64Array(0));
  if (sent.kind === 'string')
    return column(BigInt64Array.from(eachRow(field, sent, (bytes) => parseTimestamp(textOf(bytes), zone))));
  if (sent.kind !== 'timestamptz' || !('values' in sent)) throw mismatch(field, describe(sent));
  const values = sent.values as BigInt64Array;
  values.forEach(requireTimestamp);
  return column(values);
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');

function eachRow<T>(
  field: FieldSchema,
  { offsets, data }: { readonly offsets: Uint32Array; readonly data: Uint8Array },
  read: (bytes: Uint8Array) => T,
): T[] {
  return Array.from({ length: offsets.length - 1 }, (_, row) => {
    try {
      return read(data.subarray(offsets[row], offsets[row + 1]));
    } catch (error) {
      if (!isDbError(error)) throw error;
      const where = `field ${field.name}, row number: ${row}`;
      throw new DbError(error.code, `${error.message}, ${where}`, { cause: error });
    }
  });
}
