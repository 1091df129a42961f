/** What holds for columns wherever they are kept: array classes, sizes, slices of bytes. */
import type {
  BytesType,
  Column,
  FixedType,
  FixedValues,
  PrimaryKeys,
  QueryColumn,
  RowBatch,
  VectorValues,
} from './rows.ts';
import type { VectorType } from './schema.ts';

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
  Timestamptz: BigInt64Array,
};
export const isFixedType = (type: string): type is FixedType => Object.hasOwn(fixedArrays, type);

const bytesTypes = {
  VarChar: true,
  JSON: true,
  Geometry: true,
  SparseFloatVector: true,
} as const satisfies Record<BytesType, true>;
export const isBytesType = (type: string): type is BytesType => Object.hasOwn(bytesTypes, type);

interface VectorArrays {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): VectorValues;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): VectorValues;
}

/** The array class of each type of dense vectors. */
export const vectorArrays: Readonly<Record<VectorType, VectorArrays>> = {
  FloatVector: Float32Array,
  BinaryVector: Uint8Array,
  Float16Vector: Uint16Array,
  BFloat16Vector: Uint16Array,
  Int8Vector: Int8Array,
};

/** Values of one vector in its array. */
export const vectorWidth = (type: VectorType, dim: number): number =>
  type === 'BinaryVector' ? dim / 8 : dim;

/** Bytes of one vector. */
export const vectorBytes = (type: VectorType, dim: number): number =>
  vectorWidth(type, dim) * vectorArrays[type].BYTES_PER_ELEMENT;

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

/** Rows of a query column. */
export const queryCountOf = (queries: QueryColumn): number =>
  queries.layout === 'vector'
    ? queries.values.length / vectorWidth(queries.type, queries.dim)
    : queries.offsets.length - 1;
