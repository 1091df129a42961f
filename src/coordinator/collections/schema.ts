/** Pure: the schema a collection gets from the one its creator asked for. */
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, FieldId } from '../../model/ids.ts';
import {
  type CollectionSchema,
  DYNAMIC_FIELD_NAME,
  dynamicField,
  FIRST_USER_FIELD_ID,
  type FieldSchema,
  isDenseVector,
  isVectorType,
} from '../../model/schema.ts';
import { structFieldParts } from '../../model/structs.ts';

import { checkFieldAnalysis } from '../../text/field-analyzers.ts';
import { withFunctions } from './functions.ts';
import { DEFAULT_PARTITION } from './names.ts';

export const MAX_FIELDS = 64;
export const MAX_VECTOR_FIELDS = 10;
export const MAX_SHARDS = 16;
const MAX_DIM = 32_768;
export const MAX_VARCHAR_BYTES = 65_535;
export const MAX_ARRAY_CAPACITY = 4096;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/**
 * Field ids count from 100: fields in the order given, each struct array followed by its fields, and the dynamic field, when it is on,
 * last. Throws `parameter-invalid`.
 */
export function assignFields(asked: CollectionSchema): CollectionSchema {
  const given = asked.fields.filter((field) => !field.isDynamic);
  checkFields(given);
  let last = FIRST_USER_FIELD_ID - 1;
  const numbered = <T extends object>(each: T): T & { readonly fieldId: FieldId } => ({
    ...each,
    fieldId: ++last as FieldId,
  });
  const fields = given.filter(({ name }) => structFieldParts(name) === undefined).map(numbered);
  const structs = (asked.structs ?? []).map((each) => {
    const struct = numbered(each);
    const own = given.filter(({ name }) => structFieldParts(name)?.struct === struct.name);
    if (own.length === 0) throw invalid(`struct array field ${struct.name} has no fields`);
    fields.push(...own.map((field) => numbered({ ...field, structFieldId: struct.fieldId })));
    return struct;
  });
  if (fields.length < given.length) throw invalid('a field belongs to a struct array that is not there');
  if (asked.enableDynamicField) fields.push(numbered(dynamicField));
  return withFunctions({ ...asked, fields, ...(structs.length === 0 ? {} : { structs }) });
}

/** The highest id that a field or struct array has or had. */
export const highestFieldId = ({
  fields,
  structs = [],
  maxFieldId = 0 as FieldId,
}: CollectionSchema): FieldId =>
  Math.max(
    FIRST_USER_FIELD_ID - 1,
    maxFieldId,
    ...[...fields, ...structs].map(({ fieldId }) => fieldId),
  ) as FieldId;

/** Ids are never used twice: what was written under one would be read as the other's. */
const nextFieldId = (schema: CollectionSchema): FieldId => (1 + highestFieldId(schema)) as FieldId;

/** Bytes of a text default of an added field: every row that is there takes them. */
const MAX_ADDED_DEFAULT_BYTES = 256;

/** The schema with one more field, which rows that are there read as its default or as null. Throws `parameter-invalid`. */
export const withField = (schema: CollectionSchema, given: FieldSchema): CollectionSchema =>
  withFields(schema, [given]);

/** The schema with more fields: as `withField`, or of a struct array, or the output of a function. Throws `parameter-invalid`. */
export function withFields(schema: CollectionSchema, given: readonly FieldSchema[]): CollectionSchema {
  let is = schema;
  for (const each of given) is = { ...withOne(is, each), version: schema.version + 1 };
  return is;
}

function withOne(schema: CollectionSchema, given: FieldSchema): CollectionSchema {
  refuseKeys(schema, given);
  refuseUnreadable(given);
  refuseTooMany(schema, given);
  checkType(given);
  checkFieldAnalysis(given, schema);
  const field = { ...given, fieldId: nextFieldId(schema) };
  const own = schema.fields.filter(({ isDynamic }) => !isDynamic);
  const dynamic = schema.fields.filter(({ isDynamic }) => isDynamic);
  return { ...schema, fields: [...own, field, ...dynamic] };
}

function refuseKeys(schema: CollectionSchema, given: FieldSchema): void {
  const { name } = given;
  if (given.isPrimaryKey) throw invalid(`not support to add pk field, field name = ${name}`);
  if (given.autoId) throw invalid(`only primary field can specify AutoID with true, field name = ${name}`);
  if (given.isPartitionKey === true)
    throw invalid(`not support to add partition key field, field name = ${name}`);
  if (given.isDynamic) throw invalid(`not support to add dynamic field, field name = ${name}`);
  if (given.isClusteringKey === true && schema.fields.some((field) => field.isClusteringKey === true))
    throw invalid(`already has another clustering key field, field name = ${name}`);
}

/** Rows that are there must be able to read something. */
function refuseUnreadable({
  name,
  defaultValue,
  nullable,
  dataType,
  structFieldId,
  isFunctionOutput,
}: FieldSchema): void {
  if (!nullable && defaultValue === undefined && isFunctionOutput !== true)
    throw invalid(`added field must be nullable, please check it, field name = ${name}`);
  if (typeof defaultValue === 'string' && Buffer.byteLength(defaultValue) > MAX_ADDED_DEFAULT_BYTES)
    throw invalid(
      `the default of an added field can have ${MAX_ADDED_DEFAULT_BYTES} bytes, field name = ${name}`,
    );
  if (dataType === 'ArrayOfVector' && structFieldId === undefined)
    throw invalid(`data type ArrayOfVector is for fields of struct arrays, field ${name}`);
}

function refuseTooMany({ fields, structs = [] }: CollectionSchema, { name, dataType }: FieldSchema): void {
  if ([...fields, ...structs].some((field) => field.name === name))
    throw invalid(`duplicate field name: ${name}`);
  if (fields.length >= MAX_FIELDS)
    throw invalid(`The number of fields has reached the maximum value ${MAX_FIELDS}`);
  const vectors = fields.filter((field) => isVectorType(field.dataType)).length;
  if (isVectorType(dataType) && vectors >= MAX_VECTOR_FIELDS)
    throw invalid(`maximum vector field's number should be limited to ${MAX_VECTOR_FIELDS}, field ${name}`);
}

/** Rows that are there read an empty object. */
export const withDynamicField = (schema: CollectionSchema): CollectionSchema => ({
  ...schema,
  enableDynamicField: true,
  fields: [...schema.fields, { ...dynamicField, defaultValue: '{}', fieldId: nextFieldId(schema) }],
  version: schema.version + 1,
});

function checkFields(fields: readonly FieldSchema[]): void {
  if (fields.length > MAX_FIELDS)
    throw invalid(`maximum field's number should be limited to ${MAX_FIELDS}, got ${fields.length}`);
  const names = new Set<string>();
  for (const field of fields) {
    if (names.has(field.name)) throw invalid(`duplicated field name: ${field.name}`);
    if (field.name === DYNAMIC_FIELD_NAME) throw invalid(`field name '${DYNAMIC_FIELD_NAME}' is reserved`);
    names.add(field.name);
    checkType(field);
  }
  checkKey(fields.filter((field) => field.isPrimaryKey));
  checkPartitionKey(fields.filter((field) => field.isPartitionKey === true));
  checkClusteringKey(fields.filter((field) => field.isClusteringKey === true));
  if (fields.some((field) => field.autoId && !field.isPrimaryKey))
    throw invalid('only the primary key field can be auto id');
  if (!fields.some((field) => isVectorType(field.dataType)))
    throw invalid('schema does not contain vector field');
}

function checkKey([key, second]: readonly FieldSchema[]): void {
  if (key === undefined) throw invalid('primary key is not specified');
  if (second !== undefined) throw invalid(`there are more than one primary key: ${key.name}, ${second.name}`);
  if (key.dataType !== 'Int64' && key.dataType !== 'VarChar')
    throw invalid(`the data type of primary key should be Int64 or VarChar, field '${key.name}'`);
  if (key.nullable) throw invalid(`primary field not support null, field '${key.name}'`);
}

export const partitionKeyOf = ({ fields }: CollectionSchema): FieldSchema | undefined =>
  fields.find(({ isPartitionKey }) => isPartitionKey === true);

function checkPartitionKey([key, second]: readonly FieldSchema[]): void {
  if (key === undefined) return;
  if (second !== undefined)
    throw invalid(`there are more than one partition key, field name = ${key.name}, ${second.name}`);
  if (key.dataType !== 'Int64' && key.dataType !== 'VarChar')
    throw invalid(`the data type of partition key should be Int64 or VarChar, field '${key.name}'`);
  if (key.isPrimaryKey) throw invalid(`the partition key field must not be primary field, '${key.name}'`);
  if (key.nullable) throw invalid(`partition key field not support nullable, field '${key.name}'`);
}

const unclusterable = new Set<FieldSchema['dataType']>(['Bool', 'JSON', 'Geometry', 'Array']);

function checkClusteringKey([key, second]: readonly FieldSchema[]): void {
  if (key === undefined) return;
  if (second !== undefined)
    throw invalid(`there are more than one clustering key, field name = ${key.name}, ${second.name}`);
  const { name, dataType } = key;
  if (unclusterable.has(dataType) || (isVectorType(dataType) && dataType !== 'FloatVector'))
    throw invalid(`CreateCollection fail: clustering key field ${name} can not be of type ${dataType}`);
}

export const DEFAULT_KEYED_PARTITIONS = 16;

/** Names of the partitions a new collection gets. `asked`: 0 for the default. Throws `parameter-invalid`. */
export function firstPartitions(schema: CollectionSchema, asked: number, most: number): readonly string[] {
  const isKeyed = partitionKeyOf(schema) !== undefined;
  if (!isKeyed && asked > 0)
    throw invalid('num_partitions should only be specified with partition key field enabled');
  if (!isKeyed) return [DEFAULT_PARTITION];
  const count = asked === 0 ? DEFAULT_KEYED_PARTITIONS : asked;
  if (!isWithin(count, most))
    throw invalid(`partition number (${count}) exceeds max configuration (${most})`);
  return Array.from({ length: count }, (_, rank) => `${DEFAULT_PARTITION}_${rank}`);
}

const isWithin = (value: number | undefined, max: number): boolean =>
  value !== undefined && Number.isInteger(value) && value >= 1 && value <= max;

function checkType(field: FieldSchema): void {
  const { name, dataType, elementType, dim, maxLength } = field;
  const maxDim = dataType === 'BinaryVector' ? 8 * MAX_DIM : MAX_DIM;
  if (isDenseVector(dataType) && !isWithin(dim, maxDim))
    throw invalid(`invalid dimension: ${dim} of field ${name}. it should be in range 1 ~ ${maxDim}`);
  if (dataType === 'BinaryVector' && (dim ?? 0) % 8 !== 0)
    throw invalid(
      `invalid dimension: ${dim} of field ${name}. binary vector dimension should be multiple of 8.`,
    );
  if ((dataType === 'VarChar' || elementType === 'VarChar') && !isWithin(maxLength, MAX_VARCHAR_BYTES))
    throw invalid(
      `the maximum length specified for the field(${name}) should be in (0, ${MAX_VARCHAR_BYTES}]`,
    );
  checkList(field);
}

function checkList({ name, dataType, elementType, dim, maxCapacity }: FieldSchema): void {
  if (dataType !== 'Array' && dataType !== 'ArrayOfVector') return;
  if (elementType === undefined) throw invalid(`element type of array field '${name}' is not set`);
  if (dataType === 'ArrayOfVector' && !isWithin(dim, elementType === 'BinaryVector' ? 8 * MAX_DIM : MAX_DIM))
    throw invalid(`invalid dimension: ${dim} of field ${name}`);
  if (!isWithin(maxCapacity, MAX_ARRAY_CAPACITY))
    throw invalid(
      `the maximum capacity specified for the field(${name}) should be in (0, ${MAX_ARRAY_CAPACITY}]`,
    );
}

export function checkShards(shardsNum: number): void {
  if (!Number.isInteger(shardsNum) || shardsNum < 1 || shardsNum > MAX_SHARDS)
    throw invalid(`maximum shards's number should be limited to ${MAX_SHARDS}, got ${shardsNum}`);
}

/** Virtual channels of a collection, sorted by shard. */
export const channelsOf = (collectionId: CollectionId, shardsNum: number): readonly string[] =>
  Array.from({ length: shardsNum }, (_, n) => `tidemark-dml_${n}_${collectionId}v${n}`);
