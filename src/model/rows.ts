import type { FieldId } from './ids.ts';
import type { VectorType } from './schema.ts';

/**
 * Rows by column, the one form in which rows travel: from the wire to the log, from the log to files and memory, from files to
 * answers. Vectors stay typed arrays all the way; text stays UTF-8 bytes.
 */
export interface RowBatch {
  readonly rowCount: number;
  /** Every field of the schema, `$meta` included, has a column of `rowCount` rows. */
  readonly columns: ReadonlyMap<FieldId, Column>;
}

/** `valid[i]` is 1 when row `i` has a value. Absent: all rows have one. A null row holds zero or nothing in the values. */
interface Nullable {
  readonly valid?: Uint8Array | undefined;
}

/** Bool is a `Uint8Array` of 0 and 1; Int64 and Timestamptz (microseconds since 1970 UTC) are `BigInt64Array`s. */
export type FixedValues =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export type FixedType = 'Bool' | 'Int8' | 'Int16' | 'Int32' | 'Int64' | 'Float' | 'Double' | 'Timestamptz';

export interface FixedColumn extends Nullable {
  readonly layout: 'fixed';
  readonly type: FixedType;
  readonly values: FixedValues;
}

/**
 * VarChar and JSON: UTF-8. Geometry: well-known binary, little-endian. SparseFloatVector: pairs of a dimension (32 bits unsigned) and
 * its value (32-bit float), dimensions rising.
 */
export type BytesType = 'VarChar' | 'JSON' | 'Geometry' | 'SparseFloatVector';

/** Row `i` is `data.subarray(offsets[i], offsets[i + 1])`. `offsets` has one more entry than rows, starts at 0. */
export interface BytesColumn extends Nullable {
  readonly layout: 'bytes';
  readonly type: BytesType;
  readonly offsets: Uint32Array;
  readonly data: Uint8Array;
}

/** Row `i` is the items from `offsets[i]` to `offsets[i + 1]`. Items are never null. */
export interface ListColumn extends Nullable {
  readonly layout: 'list';
  readonly type: 'Array' | 'ArrayOfVector';
  readonly offsets: Uint32Array;
  /** ArrayOfVector: vectors. Array: the others. */
  readonly items: FixedColumn | BytesColumn | VectorColumn;
}

/** Float16 and BFloat16 are the bits of their numbers; BinaryVector is bits, eight to a byte. */
export type VectorValues = Float32Array | Uint16Array | Uint8Array | Int8Array;

/** Row `i` is `width` values from `i * width` on: `dim`, for BinaryVector `dim / 8` (`vectorWidth`). A null row is zeros. */
export interface VectorColumn extends Nullable {
  readonly layout: 'vector';
  readonly type: VectorType;
  readonly dim: number;
  readonly values: VectorValues;
}

/** What a search looks for, one row a query: of the type of the field, or vectors for a field of lists, each to be found by itself. */
export type QueryColumn = VectorColumn | BytesColumn | ListColumn;

export type Column = FixedColumn | BytesColumn | ListColumn | VectorColumn;

/** Primary keys: Int64 as bigints in an array of machine words, VarChar as strings. */
export type PrimaryKeys =
  | { readonly type: 'Int64'; readonly values: BigInt64Array }
  | { readonly type: 'VarChar'; readonly values: readonly string[] };

export type PrimaryKey = bigint | string;
