/** What holds for columns wherever they are kept: array classes, sizes, slices of bytes. */
import type { Column, FixedType, FixedValues, PrimaryKeys, RowBatch } from './rows.ts';

interface FixedArrays {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): FixedValues;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): FixedValues;
}

/** The array class of each fixed type. Numbers are little-endian in memory and in every format, as on all supported machines. */
export const fixedArrays: Readonly<Record<FixedType, FixedArrays>> = {
  Bool: Uint8Array,
  Int8: Int8Array,
  Int16: Int16Array,
  Int32: Int32Array,
  Int64: BigInt64Array,
  Float: Float32Array,
  Double: Float64Array,
};

/** The bytes of a typed array, without a copy. */
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Every array a column is made of: for moving them between threads and for counting their bytes. */
export function arraysOf(column: Column): ArrayBufferView[] {
  const valid = column.valid === undefined ? [] : [column.valid];
  switch (column.layout) {
    case 'fixed':
    case 'vector':
      return [...valid, column.values];
    case 'bytes':
      return [...valid, column.offsets, column.data];
    case 'list':
      return [...valid, column.offsets, ...arraysOf(column.items)];
  }
}

/** Bytes a column holds in memory. */
export const columnSizeBytes = (column: Column): number =>
  arraysOf(column).reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Bytes the columns hold in memory. */
export function batchSizeBytes({ columns }: RowBatch): number {
  let sum = 0;
  for (const column of columns.values()) sum += columnSizeBytes(column);
  return sum;
}

/** Bytes the keys hold in memory; strings are counted as two bytes per unit. */
export function keysSizeBytes(keys: PrimaryKeys): number {
  if (keys.type === 'Int64') return keys.values.byteLength;
  let sum = 0;
  for (const key of keys.values) sum += 2 * key.length + 8;
  return sum;
}
