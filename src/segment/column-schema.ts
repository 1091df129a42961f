import type { SchemaElement } from 'hyparquet';
import type { DataType, ElementType } from '../model/schema.ts';

/** What a column of a file holds. */
export interface ColumnType {
  readonly dataType: DataType;
  readonly elementType?: ElementType | undefined;
  readonly dim?: number | undefined;
}

type Leaf = Pick<SchemaElement, 'type' | 'type_length' | 'converted_type' | 'logical_type'>;

/** Without the logical type: hyparquet-writer 0.17 writes its width as 32 bits where Parquet wants 8, and DuckDB refuses the file. */
const integer = (bitWidth: 8 | 16): Leaf => ({ type: 'INT32', converted_type: `INT_${bitWidth}` });

const scalarLeaves: Readonly<Record<Exclude<DataType, 'Array' | 'FloatVector'>, Leaf>> = {
  Bool: { type: 'BOOLEAN' },
  Int8: integer(8),
  Int16: integer(16),
  Int32: { type: 'INT32' },
  Int64: { type: 'INT64' },
  Float: { type: 'FLOAT' },
  Double: { type: 'DOUBLE' },
  VarChar: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  JSON: { type: 'BYTE_ARRAY', converted_type: 'JSON', logical_type: { type: 'JSON' } },
};

/** The Parquet leaf of a type: of the elements for an Array. */
export function leafOf({ dataType, elementType, dim }: ColumnType): Leaf {
  if (dataType === 'FloatVector') return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: (dim ?? 0) * 4 };
  return scalarLeaves[dataType === 'Array' ? (elementType ?? 'Int64') : dataType];
}

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
  if (column.dataType !== 'Array') return [{ ...own, ...leafOf(column) }];
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
}): string[] => (dataType === 'Array' ? [name, 'list', 'element'] : [name]);
