/** What `db.collection(name)` takes and answers. */

/**
 * The values of one field, one row after another. Vectors: one typed array of all (`Float32Array`; binary vectors `Uint8Array`, eight bits
 * a byte; the bits of 16-bit floats `Uint16Array`; `Int8Array`), or an array of them. Int64: `BigInt64Array`, or bigints and safe integers.
 * Other numbers: a typed array or numbers. VarChar: strings. JSON: values. In an array `null` is a row without a value.
 */
export type ColumnValues =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint16Array
  | readonly unknown[];

/** Values by the name of their field. */
export type Columns = Readonly<Record<string, ColumnValues>>;

/** A query: a vector of the type of the field, or a text where a function makes the vectors. */
export type Query = Float32Array | Int8Array | Uint8Array | string;

export interface WriteOptions {
  /** The partition that takes the rows. Absent: the default one, or by the partition key. */
  readonly partition?: string;
}

export interface Written {
  /** Primary keys of the rows, in their order. */
  readonly ids: BigInt64Array | readonly string[];
}

export interface SearchOptions {
  /** What is looked for: one query, or several at once. */
  readonly data: Query | readonly Query[];
  /** Hits of each query, 1 to 16,384 with `offset`. */
  readonly limit: number;
  /** The vector field; may be left out when there is one. */
  readonly field?: string;
  /** In the filter language of Milvus. */
  readonly filter?: string;
  /** Fields whose columns come with the hits. Absent: none, keys and scores only. */
  readonly outputFields?: readonly string[];
  readonly offset?: number;
  readonly partitions?: readonly string[];
  /** Milvus's search parameters: `ef`, `radius`, `range_filter`, `metric_type`, `group_by_field` ... */
  readonly params?: Readonly<Record<string, string | number | boolean>>;
}

/** The hits of all queries, one query after another, best first. */
export interface Hits {
  /** Hits of each query. */
  readonly counts: Uint32Array;
  /** Primary keys. */
  readonly ids: BigInt64Array | readonly string[];
  /** Distances or similarities, as the metric has it. */
  readonly scores: Float32Array;
  /** One for each output field. */
  readonly columns: Columns;
}

/** One collection of an open database, by name: made anew or renamed, the name means what it means at the time of each call. */
export interface Collection {
  /**
   * Adds rows: a column for each field that has no default and is not made by the server. Resolves when they are durable. Throws
   * `TidemarkError`; nothing is written then.
   */
  insert(columns: Columns, options?: WriteOptions): Promise<Written>;
  /** As `insert`, in the place of rows with the same primary keys. */
  upsert(columns: Columns, options?: WriteOptions): Promise<Written>;
  /** The nearest rows of each query. Throws `TidemarkError`. */
  search(options: SearchOptions): Promise<Hits>;
}
