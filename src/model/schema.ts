import type { FieldId } from './ids.ts';

/** Dense vectors: `dim` numbers or bits in every row. */
export type VectorType = 'FloatVector' | 'BinaryVector' | 'Float16Vector' | 'BFloat16Vector' | 'Int8Vector';

/** Every data type a field can have. */
export type DataType =
  | 'Bool'
  | 'Int8'
  | 'Int16'
  | 'Int32'
  | 'Int64'
  | 'Float'
  | 'Double'
  | 'Timestamptz'
  | 'VarChar'
  | 'JSON'
  | 'Geometry'
  | 'Array'
  | VectorType
  | 'SparseFloatVector'
  /** A field of a struct array: several vectors in every row. */
  | 'ArrayOfVector';

/** What an Array field holds. */
export type ElementType = 'Bool' | 'Int8' | 'Int16' | 'Int32' | 'Int64' | 'Float' | 'Double' | 'VarChar';

/**
 * A default of a scalar field: bigint for Int64 and Timestamptz (microseconds since 1970 UTC), number for the other numbers, string for
 * VarChar, JSON text and Geometry (well-known text).
 */
export type ScalarValue = boolean | number | bigint | string;

/** Dense vectors, sparse ones, or several in a row: what can be searched for its nearest. */
export const isVectorType = (type: DataType): boolean =>
  isDenseVector(type) || type === 'SparseFloatVector' || type === 'ArrayOfVector';

const dense = new Set<DataType>([
  'FloatVector',
  'BinaryVector',
  'Float16Vector',
  'BFloat16Vector',
  'Int8Vector',
] satisfies VectorType[]);
export const isDenseVector = (type: DataType): type is VectorType => dense.has(type);

export interface FieldSchema {
  readonly fieldId: FieldId;
  readonly name: string;
  readonly description: string;
  readonly dataType: DataType;
  /** Array: of its elements. ArrayOfVector: of its vectors. */
  readonly elementType?: ElementType | VectorType;
  /** Dense vectors and ArrayOfVector: 1 to 32768, BinaryVector to 262144 and a multiple of 8. */
  readonly dim?: number;
  /** VarChar, and Array of VarChar: bytes of UTF-8, 1 to 65535. */
  readonly maxLength?: number;
  /** Array and ArrayOfVector: elements, 1 to 4096. */
  readonly maxCapacity?: number;
  readonly isPrimaryKey: boolean;
  readonly autoId: boolean;
  readonly nullable: boolean;
  readonly defaultValue?: ScalarValue;
  /** The hidden JSON field `$meta` that holds what a row has beyond the schema. */
  readonly isDynamic: boolean;
  /** Rows are divided over the partitions by a hash of this field; its partitions have no names of their own. */
  readonly isPartitionKey?: boolean;
  /** Kept and described; rows are not ordered by it. */
  readonly isClusteringKey?: boolean;
  /** Written by a function from other fields, never by a client. */
  readonly isFunctionOutput?: boolean;
  /** The struct array it is a field of; its own name is then `struct[name]`. Arrays and ArrayOfVectors only. */
  readonly structFieldId?: FieldId;
  /** Type parameters as given (`dim`, `max_length`, `mmap.enabled`, …), returned by describe. */
  readonly typeParams: Readonly<Record<string, string>>;
}

/** A struct array: rows hold lists of structs, kept as one list column per field of the struct, all of one length in a row. */
export interface StructFieldSchema {
  readonly fieldId: FieldId;
  readonly name: string;
  readonly description: string;
  /** Structs in a row. */
  readonly maxCapacity: number;
  readonly nullable: boolean;
  readonly typeParams: Readonly<Record<string, string>>;
}

export type FunctionType = 'BM25' | 'MinHash' | 'TextEmbedding' | 'Rerank';

/** Computes fields of a row from others when it is written. */
export interface FunctionSchema {
  readonly functionId: number;
  readonly name: string;
  readonly description: string;
  readonly type: FunctionType;
  readonly inputFieldIds: readonly FieldId[];
  readonly outputFieldIds: readonly FieldId[];
  readonly params: Readonly<Record<string, string>>;
}

export interface CollectionSchema {
  readonly description: string;
  /** User fields in the order given, then `$meta` when the dynamic field is on. */
  readonly fields: readonly FieldSchema[];
  readonly enableDynamicField: boolean;
  /** Absent: none. Their fields stand in `fields`. */
  readonly structs?: readonly StructFieldSchema[];
  /** Absent: none. */
  readonly functions?: readonly FunctionSchema[];
  /** The highest id a field or struct array ever had, where those that are left do not tell it: ids are never used twice. */
  readonly maxFieldId?: FieldId;
  /** Grows with every change of the schema; a restored collection starts with its source's. */
  readonly version: number;
}

export const DYNAMIC_FIELD_NAME = '$meta';
/** `$meta` before it has an id. */
export const dynamicField: FieldSchema = {
  fieldId: 0 as FieldId,
  name: DYNAMIC_FIELD_NAME,
  description: 'dynamic schema',
  dataType: 'JSON',
  isPrimaryKey: false,
  autoId: false,
  nullable: false,
  isDynamic: true,
  typeParams: {},
};
export const FIRST_USER_FIELD_ID = 100;
