/** The wire's collection schema to ours and back. What is not served is refused by name, never dropped silently. */
import { DbError } from '../../errors/db-error.ts';
import type { FieldId } from '../../model/ids.ts';
import type { Properties } from '../../model/records.ts';
import {
  type CollectionSchema,
  type DataType,
  DYNAMIC_FIELD_NAME,
  dynamicField,
  type ElementType,
  type FieldSchema,
  isDenseVector,
  isVectorType,
  type ScalarValue,
  type VectorType,
} from '../../model/schema.ts';
import { type TimeZone, utc } from '../../timestamptz/zones.ts';
import { type DefaultRules, decodeDefault, encodeDefault } from './default-value.ts';
import type { SchemaCollectionSchema, SchemaFieldSchema } from './descriptor.generated.ts';
import { decodeMessage, type Outgoing } from './descriptor.ts';
import { dataTypeFromWire, dataTypeName, dataTypeToWire } from './enums.ts';
import { decodeFunctions, encodeFunctions, markedOutputs } from './function-schema.ts';
import { fromProperties, integerParam, toProperties } from './key-values.ts';
import { requireName } from './names.ts';
import { decodeStructs, encodeStructs } from './struct-schema.ts';

const MAX_FIELDS = 64;
const MAX_VECTOR_FIELDS = 10;
export const MAX_DIM = 32_768;
const MAX_BINARY_DIM = 8 * MAX_DIM;
const elementTypes: ReadonlySet<DataType> = new Set<ElementType>([
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'VarChar',
]);
const MAX_VARCHAR_BYTES = 65_535;
const MAX_ARRAY_CAPACITY = 4096;
const MAX_DESCRIPTION_BYTES = 65_535;
/** Columns that Milvus keeps for itself. */
const reservedNames = new Set([DYNAMIC_FIELD_NAME, 'RowID', 'Timestamp']);
/** The coordinator assigns ids. */
const NO_ID = 0 as FieldId;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);
const unserved = (what: string): DbError => new DbError('unimplemented', `${what} is not implemented`);

/**
 * Reads a `schema.CollectionSchema`. `zone`: of default moments that are told without an offset. Throws `parameter-invalid` for a wrong
 * schema and `unimplemented` for what is not served.
 */
export function decodeSchema(bytes: Uint8Array, zone: TimeZone = utc): CollectionSchema {
  const wire = decodeMessage<SchemaCollectionSchema>('milvus.proto.schema.CollectionSchema', bytes);
  refuseUnserved(wire);
  if (Buffer.byteLength(wire.description) > MAX_DESCRIPTION_BYTES)
    throw invalid('the description is too long');
  const count = wire.struct_array_fields.reduce(
    (sum, { fields: own }) => sum + own.length,
    wire.fields.length,
  );
  if (count > MAX_FIELDS)
    throw invalid(`maximum field's number should be limited to ${MAX_FIELDS}, got ${count}`);
  const { structs, fields: structFields } = decodeStructs(wire.struct_array_fields, (field) =>
    decodeField(field, zone),
  );
  const plain = wire.fields.map((field) => decodeField(field, zone));
  for (const { name, dataType } of plain)
    if (dataType === 'ArrayOfVector')
      throw invalid(`data type ArrayOfVector is for fields of struct arrays, field ${name}`);
  const functions = decodeFunctions(wire.functions, plain);
  const fields = [...markedOutputs(plain, functions), ...structFields];
  requireUniqueNames([...fields, ...structs]);
  requireSoundFields(fields);
  return {
    description: wire.description,
    fields: wire.enable_dynamic_field ? [...fields, dynamicField] : fields,
    enableDynamicField: wire.enable_dynamic_field,
    ...(structs.length === 0 ? {} : { structs }),
    ...(functions.length === 0 ? {} : { functions }),
    version: 0,
  };
}

/** Reads the `schema.FieldSchema` of a field that is to be added. Throws as `decodeSchema`. */
export const decodeAddedField = (bytes: Uint8Array, zone: TimeZone): FieldSchema =>
  decodeField(decodeMessage<SchemaFieldSchema>('milvus.proto.schema.FieldSchema', bytes), zone);

/** Throws as `decodeSchema`. */
export function decodeField(wire: SchemaFieldSchema, zone: TimeZone): FieldSchema {
  const { name } = wire;
  if (reservedNames.has(name)) throw invalid(`field name ${name} is reserved`);
  requireName('field', name);
  if (wire.is_dynamic) throw invalid(`cannot explicitly set a field as a dynamic field: ${name}`);
  if (wire.external_field !== '') throw unserved(`an external field (field ${name})`);
  if (wire.autoID && !wire.is_primary_key)
    throw invalid(`only the primary field can set auto id, field ${name} is none`);
  const dataType = servedType(wire.data_type, name);
  const typeParams = toProperties(wire.type_params);
  const sizes = decodeSizes(name, dataType, wire, typeParams);
  return {
    fieldId: NO_ID,
    name,
    description: wire.description,
    dataType,
    ...sizes,
    isPrimaryKey: wire.is_primary_key,
    autoId: wire.autoID,
    nullable: wire.nullable,
    ...decodedDefault(wire, { dataType, maxLength: sizes.maxLength, zone }),
    isDynamic: false,
    ...(wire.is_partition_key ? { isPartitionKey: true } : {}),
    ...(wire.is_clustering_key ? { isClusteringKey: true } : {}),
    typeParams,
  };
}

function refuseUnserved(wire: SchemaCollectionSchema): void {
  if (wire.external_source !== '' || wire.external_spec !== '') throw unserved('an external collection');
  if (wire.enable_namespace) throw unserved('a namespace');
}

function requireUniqueNames(named: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name)) throw invalid(`duplicated field name: ${name}`);
    seen.add(name);
  }
}

function requireSoundFields(fields: readonly FieldSchema[]): void {
  const [key, second] = fields.filter(({ isPrimaryKey }) => isPrimaryKey);
  if (key === undefined)
    throw invalid('primary key is not specified: the schema needs one primary key field');
  if (second !== undefined) throw invalid(`there are more than one primary key: ${key.name}, ${second.name}`);
  if (key.dataType !== 'Int64' && key.dataType !== 'VarChar')
    throw invalid(
      `the data type of primary key should be Int64 or VarChar, field ${key.name} is ${key.dataType}`,
    );
  if (key.nullable) throw invalid(`primary field not support null: ${key.name}`);
  if (key.defaultValue !== undefined) throw invalid(`primary field not support default_value: ${key.name}`);
  const vectors = fields.filter(({ dataType }) => isVectorType(dataType)).length;
  if (vectors === 0) throw invalid('schema does not contain vector field');
  if (vectors > MAX_VECTOR_FIELDS)
    throw invalid(`maximum vector field's number should be limited to ${MAX_VECTOR_FIELDS}, got ${vectors}`);
}

function decodedDefault(
  wire: SchemaFieldSchema,
  rules: DefaultRules,
): { readonly defaultValue?: ScalarValue } {
  if (wire.default_value === undefined || wire.default_value === null) return {};
  return { defaultValue: decodeDefault(wire.name, rules, wire.default_value) };
}

function servedType(wire: number, field: string): DataType {
  const dataType = dataTypeFromWire.get(wire);
  if (dataType !== undefined) return dataType;
  if (wire === 0) throw invalid(`data type None is not valid, field ${field}`);
  throw unserved(`data type ${dataTypeName(wire)} (field ${field})`);
}

interface Sizes {
  readonly elementType?: ElementType | VectorType;
  readonly dim?: number;
  readonly maxLength?: number;
  readonly maxCapacity?: number;
}

function decodeSizes(name: string, dataType: DataType, wire: SchemaFieldSchema, params: Properties): Sizes {
  if (isDenseVector(dataType)) return { dim: decodeDim(name, dataType, params) };
  if (dataType === 'VarChar') return { maxLength: decodeMaxLength(name, params) };
  if (dataType !== 'Array' && dataType !== 'ArrayOfVector') return {};
  const maxCapacity = integerParam(params, 'max_capacity');
  if (maxCapacity === undefined)
    throw invalid(`type param(max_capacity) should be specified for array field ${name}`);
  if (maxCapacity < 1 || maxCapacity > MAX_ARRAY_CAPACITY)
    throw invalid(
      `the maximum capacity specified for array should be in (0, ${MAX_ARRAY_CAPACITY}], field ${name}`,
    );
  if (dataType === 'ArrayOfVector') return { ...decodeVectors(name, wire.element_type, params), maxCapacity };
  const elementType = decodeElementType(wire.element_type, name);
  return elementType === 'VarChar'
    ? { elementType, maxCapacity, maxLength: decodeMaxLength(name, params) }
    : { elementType, maxCapacity };
}

function decodeElementType(wire: number, name: string): ElementType {
  const dataType = wire === 0 ? undefined : servedType(wire, name);
  if (dataType === undefined || !elementTypes.has(dataType))
    throw invalid(`element type ${dataTypeName(wire)} is not supported for array field ${name}`);
  return dataType as ElementType;
}

function decodeVectors(name: string, wire: number, params: Properties): Sizes {
  const elementType = dataTypeFromWire.get(wire);
  if (elementType === undefined || !isDenseVector(elementType))
    throw invalid(`element type ${dataTypeName(wire)} is not supported for vector array field ${name}`);
  return { elementType, dim: decodeDim(name, elementType, params) };
}

function decodeDim(name: string, type: VectorType, params: Properties): number {
  const text = params['dim'];
  if (text === undefined)
    throw invalid(`invalid dimension: dimension is not defined in field type params of ${name}`);
  const dim = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  const most = type === 'BinaryVector' ? MAX_BINARY_DIM : MAX_DIM;
  if (!(dim >= 1 && dim <= most))
    throw invalid(
      `invalid dimension: ${text.slice(0, 30)} of field ${name}. ${type} dimension should be in range 1 ~ ${most}`,
    );
  if (type === 'BinaryVector' && dim % 8 !== 0)
    throw invalid(
      `invalid dimension: ${dim} of field ${name}. binary vector dimension should be multiple of 8.`,
    );
  return dim;
}

function decodeMaxLength(name: string, params: Properties): number {
  const maxLength = integerParam(params, 'max_length');
  if (maxLength === undefined)
    throw invalid(`type param(max_length) should be specified for the field(${name})`);
  if (maxLength < 1 || maxLength > MAX_VARCHAR_BYTES)
    throw invalid(
      `the maximum length specified for the field(${name}) should be in (0, ${MAX_VARCHAR_BYTES}]`,
    );
  return maxLength;
}

/** The schema as DescribeCollection shows it: the hidden dynamic field is only a flag. */
export const encodeSchema = (
  name: string,
  schema: CollectionSchema,
  databaseName: string,
  zone: TimeZone = utc,
): Outgoing<SchemaCollectionSchema> => ({
  name,
  description: schema.description,
  fields: schema.fields
    .filter(({ isDynamic, structFieldId }) => !isDynamic && structFieldId === undefined)
    .map((field) => encodeField(field, zone)),
  struct_array_fields: encodeStructs(schema, (field) => encodeField(field, zone)),
  functions: encodeFunctions(schema),
  enable_dynamic_field: schema.enableDynamicField,
  dbName: databaseName,
  version: schema.version,
});

const encodeField = (field: FieldSchema, zone: TimeZone): Outgoing<SchemaFieldSchema> => ({
  fieldID: BigInt(field.fieldId),
  name: field.name,
  is_primary_key: field.isPrimaryKey,
  description: field.description,
  data_type: dataTypeToWire[field.dataType],
  type_params: fromProperties(field.typeParams),
  autoID: field.autoId,
  is_partition_key: field.isPartitionKey ?? false,
  is_clustering_key: field.isClusteringKey ?? false,
  element_type: field.elementType === undefined ? 0 : dataTypeToWire[field.elementType],
  nullable: field.nullable,
  is_function_output: field.isFunctionOutput ?? false,
  ...(field.defaultValue === undefined
    ? {}
    : { default_value: encodeDefault(field.dataType, field.defaultValue, zone) }),
});
