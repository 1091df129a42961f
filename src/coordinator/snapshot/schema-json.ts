/** A collection schema as JSON in snapshot metadata, and back. Field ids survive: a restored collection keeps them. */
import type { FieldId } from '../../model/ids.ts';
import type {
  CollectionSchema,
  DataType,
  ElementType,
  FieldSchema,
  FunctionSchema,
  FunctionType,
  ScalarValue,
  StructFieldSchema,
  VectorType,
} from '../../model/schema.ts';
import type { JsonReader } from './json-reader.ts';

const elementTypes = {
  Bool: true,
  Int8: true,
  Int16: true,
  Int32: true,
  Int64: true,
  Float: true,
  Double: true,
  VarChar: true,
} as const satisfies Record<ElementType, true>;
const vectorTypes = {
  FloatVector: true,
  BinaryVector: true,
  Float16Vector: true,
  BFloat16Vector: true,
  Int8Vector: true,
} as const satisfies Record<VectorType, true>;
const dataTypes = {
  ...elementTypes,
  ...vectorTypes,
  Timestamptz: true,
  JSON: true,
  Geometry: true,
  Array: true,
  SparseFloatVector: true,
  ArrayOfVector: true,
} as const satisfies Record<DataType, true>;
const functionTypes = {
  BM25: true,
  MinHash: true,
  TextEmbedding: true,
  Rerank: true,
} as const satisfies Record<FunctionType, true>;
const names = <T extends string>(table: Readonly<Record<T, true>>) => Object.keys(table) as T[];

export const schemaToJson = (schema: CollectionSchema): object => ({
  description: schema.description,
  fields: schema.fields.map(fieldToJson),
  enable_dynamic_field: schema.enableDynamicField,
  structs: schema.structs?.map(structToJson),
  functions: schema.functions?.map(functionToJson),
  max_field_id: schema.maxFieldId,
  version: schema.version,
});

export const schemaFromJson = (json: JsonReader): CollectionSchema => ({
  description: json.field('description').text(),
  fields: json.field('fields').list().map(fieldFromJson),
  enableDynamicField: json.field('enable_dynamic_field').bool(),
  ...optional('structs', json.field('structs'), (at) => at.list().map(structFromJson)),
  ...optional('functions', json.field('functions'), (at) => at.list().map(functionFromJson)),
  ...optional('maxFieldId', json.field('max_field_id'), (at) => at.count() as FieldId),
  version: json.field('version').count(),
});

const fieldToJson = (field: FieldSchema): object => ({
  field_id: field.fieldId,
  name: field.name,
  description: field.description,
  data_type: field.dataType,
  element_type: field.elementType,
  dim: field.dim,
  max_length: field.maxLength,
  max_capacity: field.maxCapacity,
  is_primary_key: field.isPrimaryKey,
  auto_id: field.autoId,
  nullable: field.nullable,
  default_value: field.defaultValue === undefined ? undefined : scalarToJson(field.defaultValue),
  is_dynamic: field.isDynamic,
  is_partition_key: field.isPartitionKey,
  is_clustering_key: field.isClusteringKey,
  is_function_output: field.isFunctionOutput,
  struct_field_id: field.structFieldId,
  type_params: field.typeParams,
});

const fieldFromJson = (json: JsonReader): FieldSchema => ({
  fieldId: json.field('field_id').count() as FieldId,
  name: json.field('name').text(),
  description: json.field('description').text(),
  dataType: json.field('data_type').oneOf(names<DataType>(dataTypes)),
  ...optional('elementType', json.field('element_type'), (at) =>
    at.oneOf(names<ElementType | VectorType>({ ...elementTypes, ...vectorTypes })),
  ),
  ...optional('dim', json.field('dim'), (at) => at.count()),
  ...optional('maxLength', json.field('max_length'), (at) => at.count()),
  ...optional('maxCapacity', json.field('max_capacity'), (at) => at.count()),
  isPrimaryKey: json.field('is_primary_key').bool(),
  autoId: json.field('auto_id').bool(),
  nullable: json.field('nullable').bool(),
  ...optional('defaultValue', json.field('default_value'), scalarFromJson),
  isDynamic: json.field('is_dynamic').bool(),
  ...optional('isPartitionKey', json.field('is_partition_key'), (at) => at.bool()),
  ...optional('isClusteringKey', json.field('is_clustering_key'), (at) => at.bool()),
  ...optional('isFunctionOutput', json.field('is_function_output'), (at) => at.bool()),
  ...optional('structFieldId', json.field('struct_field_id'), (at) => at.count() as FieldId),
  typeParams: json.field('type_params').map(),
});

const structToJson = (struct: StructFieldSchema): object => ({
  field_id: struct.fieldId,
  name: struct.name,
  description: struct.description,
  max_capacity: struct.maxCapacity,
  nullable: struct.nullable,
  type_params: struct.typeParams,
});

const structFromJson = (json: JsonReader): StructFieldSchema => ({
  fieldId: json.field('field_id').count() as FieldId,
  name: json.field('name').text(),
  description: json.field('description').text(),
  maxCapacity: json.field('max_capacity').count(),
  nullable: json.field('nullable').bool(),
  typeParams: json.field('type_params').map(),
});

const functionToJson = (each: FunctionSchema): object => ({
  function_id: each.functionId,
  name: each.name,
  description: each.description,
  type: each.type,
  input_field_ids: each.inputFieldIds,
  output_field_ids: each.outputFieldIds,
  params: each.params,
});

const functionFromJson = (json: JsonReader): FunctionSchema => ({
  functionId: json.field('function_id').count(),
  name: json.field('name').text(),
  description: json.field('description').text(),
  type: json.field('type').oneOf(names<FunctionType>(functionTypes)),
  inputFieldIds: fieldIds(json.field('input_field_ids')),
  outputFieldIds: fieldIds(json.field('output_field_ids')),
  params: json.field('params').map(),
});

const fieldIds = (json: JsonReader): FieldId[] => json.list().map((at) => at.count() as FieldId);

const optional = <Key extends string, T>(
  key: Key,
  at: JsonReader,
  read: (at: JsonReader) => T,
): Partial<Record<Key, T>> => (at.isAbsent ? {} : ({ [key]: read(at) } as Record<Key, T>));

/** Numbers travel as text, so that NaN, infinities and -0 survive JSON. */
const scalarToJson = (value: ScalarValue): object => ({
  type: typeof value,
  value: Object.is(value, -0) ? '-0' : String(value),
});

function scalarFromJson(json: JsonReader): ScalarValue {
  const type = json.field('type').oneOf(['boolean', 'number', 'bigint', 'string']);
  const value = json.field('value');
  switch (type) {
    case 'boolean':
      return value.oneOf(['true', 'false']) === 'true';
    case 'number':
      return Number(value.text());
    case 'bigint':
      return value.int64();
    case 'string':
      return value.text();
    default:
      return type satisfies never;
  }
}
