import type { FieldId } from './ids.ts';

/**
 * Rows by column, the one form in which rows travel: from the wire to the log, from the log to files and memory, from files to
 * answers. Vectors stay `Float32Array`s all the way; text stays UTF-8 bytes.
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

/** Bool is a `Uint8Array` of 0 and 1; Int64 a `BigInt64Array`. */
export type FixedValues =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export type FixedType = 'Bool' | 'Int8' | 'Int16' | 'Int32' | 'Int64' | 'Float' | 'Double';

export interface FixedColumn extends Nullable {
  readonly layout: 'fixed';
  readonly type: FixedType;
  readonly values: FixedValues;
}

/** VarChar and JSON: row `i` is `data.subarray(offsets[i], offsets[i + 1])`. `offsets` has one more entry than rows, starts at 0. */
export interface BytesColumn extends Nullable {
  readonly layout: 'bytes';
  readonly type: 'VarChar' | 'JSON';
  readonly offsets: Uint32Array;
  readonly data: Uint8Array;
}

/** Array: row `i` is the items from `offsets[i]` to `offsets[i + 1]`. Items are never null. */
export interface ListColumn extends Nullable {
  readonly layout: 'list';
  readonly type: 'Array';
  readonly offsets: Uint32Array;
  readonly items: FixedColumn | BytesColumn;
}

/** FloatVector: row `i` is `values.subarray(i * dim, (i + 1) * dim)`; a null row is `dim` zeros. */
export interface VectorColumn extends Nullable {
  readonly layout: 'vector';
  readonly type: 'FloatVector';
  readonly dim: number;
  readonly values: Float32Array;
}

export type Column = FixedColumn | BytesColumn | ListColumn | VectorColumn;

/** Primary keys: Int64 as bigints in an array of machine words, VarChar as strings. */
export type PrimaryKeys =
  | { readonly type: 'Int64'; readonly values: BigInt64Array }
  | { readonly type: 'VarChar'; readonly values: readonly string[] };

export type PrimaryKey = bigint | string;
