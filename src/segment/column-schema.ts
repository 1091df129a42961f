import type { SchemaElement } from 'hyparquet';
import { vectorBytes } from '../model/columns.ts';
import {
  type DataType,
  type ElementType,
  type FieldSchema,
  isDenseVector,
  type VectorType,
} from '../model/schema.ts';

/** What a column of a file holds. */
export interface ColumnType {
  readonly dataType: DataType;
  readonly elementType?: FieldSchema['elementType'] | undefined;
  readonly dim?: number | undefined;
}

type Leaf = Pick<SchemaElement, 'type' | 'type_length' | 'converted_type' | 'logical_type'>;

/** Without the logical type: hyparquet-writer 0.17 writes its width as 32 bits where Parquet wants 8, and DuckDB refuses the file. */
const integer = (bitWidth: 8 | 16): Leaf => ({ type: 'INT32', converted_type: `INT_${bitWidth}` });

const scalarLeaves: Readonly<Record<Exclude<DataType, 'Array' | 'ArrayOfVector' | VectorType>, Leaf>> = {
  Bool: { type: 'BOOLEAN' },
  Int8: integer(8),
  Int16: integer(16),
  Int32: { type: 'INT32' },
  Int64: { type: 'INT64' },
  Float: { type: 'FLOAT' },
  Double: { type: 'DOUBLE' },
  VarChar: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  JSON: { type: 'BYTE_ARRAY', converted_type: 'JSON', logical_type: { type: 'JSON' } },
  Timestamptz: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
  Geometry: { type: 'BYTE_ARRAY' },
  SparseFloatVector: { type: 'BYTE_ARRAY' },
};

const vectorTypes = {
  FloatVector: true,
  BinaryVector: true,
  Float16Vector: true,
  BFloat16Vector: true,
  Int8Vector: true,
} as const satisfies Record<VectorType, true>;
const typesOf = <T extends string>(table: Readonly<Record<T, unknown>>): ReadonlySet<T> =>
  new Set(Object.keys(table) as T[]);

/** Every type of a column. */
export const dataTypes = typesOf<DataType>({
  ...scalarLeaves,
  ...vectorTypes,
  Array: true,
  ArrayOfVector: true,
});
/** What the lists of a type hold. */
export const elementTypes = {
  Array: typesOf<ElementType>({
    Bool: true,
    Int8: true,
    Int16: true,
    Int32: true,
    Int64: true,
    Float: true,
    Double: true,
    VarChar: true,
  }),
  ArrayOfVector: typesOf<VectorType>(vectorTypes),
} as const;

export const isListType = (type: DataType): type is 'Array' | 'ArrayOfVector' =>
  type === 'Array' || type === 'ArrayOfVector';

/** What a page of the column holds: the elements of a list. */
export const itemTypeOf = ({
  dataType,
  elementType,
}: ColumnType): Exclude<DataType, 'Array' | 'ArrayOfVector'> =>
  isListType(dataType) ? (elementType ?? 'Int64') : dataType;

/** The Parquet leaf of a type: of the elements for a list. */
export function leafOf(column: ColumnType): Leaf {
  const type = itemTypeOf(column);
  return isDenseVector(type)
    ? { type: 'FIXED_LEN_BYTE_ARRAY', type_length: vectorBytes(type, column.dim ?? 0) }
    : scalarLeaves[type];
}

/** A dimension: of dense vectors, alone or in lists, and of nothing else. */
export const hasDim = (column: ColumnType): boolean => isDenseVector(itemTypeOf(column));

interface NamedColumn extends ColumnType {
  readonly name: string;
  readonly fieldId?: number | undefined;
  readonly isOptional: boolean;
}

/** Schema elements of a column: one, or the three of a list. */
export function elementsOf(column: NamedColumn): SchemaElement[] {
  const own = {
    name: column.name,
    repetition_type: column.isOptional ? ('OPTIONAL' as const) : ('REQUIRED' as const),
    ...(column.fieldId === undefined ? {} : { field_id: column.fieldId }),
  };
  if (!isListType(column.dataType)) return [{ ...own, ...leafOf(column) }];
  return [
    { ...own, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'REQUIRED', ...leafOf(column) },
  ];
}

export const pathOf = ({
  name,
  dataType,
}: {
  readonly name: string;
  readonly dataType: DataType;
}): string[] => (isListType(dataType) ? [name, 'list', 'element'] : [name]);
