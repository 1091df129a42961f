/** A collection schema as JSON in snapshot metadata, and back. Field ids survive: a restored collection keeps them. */
import type { FieldId } from '../../model/ids.ts';
import type {
  CollectionSchema,
  DataType,
  ElementType,
  FieldSchema,
  ScalarValue,
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
const dataTypes = { ...elementTypes, JSON: true, Array: true, FloatVector: true } as const satisfies Record<
  DataType,
  true
>;
const names = <T extends string>(table: Readonly<Record<T, true>>) => Object.keys(table) as T[];

export const schemaToJson = (schema: CollectionSchema): object => ({
  description: schema.description,
  fields: schema.fields.map(fieldToJson),
  enable_dynamic_field: schema.enableDynamicField,
  version: schema.version,
});

export const schemaFromJson = (json: JsonReader): CollectionSchema => ({
  description: json.field('description').text(),
  fields: json.field('fields').list().map(fieldFromJson),
  enableDynamicField: json.field('enable_dynamic_field').bool(),
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
  type_params: field.typeParams,
});

const fieldFromJson = (json: JsonReader): FieldSchema => ({
  fieldId: json.field('field_id').count() as FieldId,
  name: json.field('name').text(),
  description: json.field('description').text(),
  dataType: json.field('data_type').oneOf(names<DataType>(dataTypes)),
  ...optional('elementType', json.field('element_type'), (at) => at.oneOf(names<ElementType>(elementTypes))),
  ...optional('dim', json.field('dim'), (at) => at.count()),
  ...optional('maxLength', json.field('max_length'), (at) => at.count()),
  ...optional('maxCapacity', json.field('max_capacity'), (at) => at.count()),
  isPrimaryKey: json.field('is_primary_key').bool(),
  autoId: json.field('auto_id').bool(),
  nullable: json.field('nullable').bool(),
  ...optional('defaultValue', json.field('default_value'), scalarFromJson),
  isDynamic: json.field('is_dynamic').bool(),
  typeParams: json.field('type_params').map(),
});

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
