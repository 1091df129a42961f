/** Pure: schemas of live collections with more or fewer fields, struct arrays and functions. */
import { DbError } from '../../errors/db-error.ts';
import { writerOf } from '../../model/functions.ts';
import type { FieldId } from '../../model/ids.ts';
import {
  type CollectionSchema,
  type FieldSchema,
  type FunctionSchema,
  isVectorType,
  type StructFieldSchema,
} from '../../model/schema.ts';
import { fieldsOfStruct, structFieldParts } from '../../model/structs.ts';
import { present } from '../../support/assert.ts';
import { multiAnalyzer } from '../../text/field-analyzers.ts';
import { withFunction } from './functions.ts';
import { highestFieldId, withFields } from './schema.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** A function that is added, by the names of the fields it reads. */
export interface AddedFunction extends Pick<FunctionSchema, 'name' | 'description' | 'type' | 'params'> {
  readonly inputFields: readonly string[];
  readonly outputFields: readonly string[];
}

/** A struct array that is added, and the fields it has. */
export interface AddedStruct {
  readonly struct: StructFieldSchema;
  readonly fields: readonly FieldSchema[];
}

/** What is to be dropped: a field or struct array, or a function with the fields it writes. */
export type DroppedPart =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'field-id'; readonly fieldId: bigint }
  | { readonly kind: 'function'; readonly name: string };

/**
 * The schema with a function and the one field that it writes. Rows that are there read in it what the function makes of their texts.
 * Throws `parameter-invalid`, and `unimplemented` for functions that are not served.
 */
export function withFunctionField(
  schema: CollectionSchema,
  field: FieldSchema,
  { inputFields, outputFields, ...given }: AddedFunction,
): CollectionSchema {
  const { name } = given;
  if (outputFields.length !== 1 || outputFields[0] !== field.name)
    throw invalid(`function ${name} must write the field that is added with it, ${field.name}, and no other`);
  if (field.defaultValue !== undefined)
    throw invalid(`a function output field cannot have a default value: ${field.name}`);
  const grown = withFields(schema, [{ ...field, isFunctionOutput: true }]);
  const inputFieldIds = inputFields.map((input) => {
    const found = schema.fields.find((each) => each.name === input && !each.isDynamic);
    if (found === undefined) throw invalid(`function input field not found: ${input}, function ${name}`);
    return found.fieldId;
  });
  const outputFieldIds = [requireNamed(grown, field.name).fieldId];
  return withFunction(grown, { ...given, functionId: 0, inputFieldIds, outputFieldIds });
}

/** The schema with a struct array, which is null in rows that are there. Throws `parameter-invalid`. */
export function withStruct(
  schema: CollectionSchema,
  { struct: given, fields }: AddedStruct,
): CollectionSchema {
  const { name } = given;
  if (!given.nullable) throw invalid(`added field must be nullable, please check it, field name = ${name}`);
  const { structs = [] } = schema;
  if ([...schema.fields, ...structs].some((field) => field.name === name))
    throw invalid(`duplicate field name: ${name}`);
  if (fields.length === 0) throw invalid(`struct array field ${name} has no fields`);
  const fieldId = (1 + highestFieldId(schema)) as FieldId;
  const is = { ...schema, structs: [...structs, { ...given, fieldId }] };
  return withFields(
    is,
    fields.map((field) => ({ ...field, nullable: true, structFieldId: fieldId })),
  );
}

/** The schema without the part, and the fields that go with it. Throws `parameter-invalid`, `field-not-found`. */
export function withoutPart(
  schema: CollectionSchema,
  part: DroppedPart,
): { readonly schema: CollectionSchema; readonly gone: readonly FieldId[] } {
  const { fields, structs = [], functions = [], maxFieldId: _, ...others } = schema;
  const { goneFields, goneStruct, goneFunction } = partsOf(schema, part);
  const gone = new Set(goneFields.map(({ fieldId }) => fieldId));
  const kept = fields.filter(({ fieldId }) => !gone.has(fieldId));
  for (const field of goneFields) refuseAnalysisOf(field, kept);
  if (!kept.some(({ dataType }) => isVectorType(dataType)))
    throw invalid(`cannot drop the last vector field: ${goneFields.map(({ name }) => name).join(', ')}`);
  const keptStructs = structs.filter((struct) => struct !== goneStruct);
  const keptFunctions = functions.filter((each) => each !== goneFunction);
  const is: CollectionSchema = {
    ...others,
    fields: kept,
    ...(keptStructs.length === 0 ? {} : { structs: keptStructs }),
    ...(keptFunctions.length === 0 ? {} : { functions: keptFunctions }),
    version: schema.version + 1,
  };
  const last = highestFieldId(schema);
  return { schema: last > highestFieldId(is) ? { ...is, maxFieldId: last } : is, gone: [...gone] };
}

/** The schema without the dynamic field: what rows have in it is not read any more. */
export function withoutDynamicField(schema: CollectionSchema): CollectionSchema {
  const fields = schema.fields.filter(({ isDynamic }) => !isDynamic);
  const is = { ...schema, enableDynamicField: false, fields, version: schema.version + 1 };
  const last = highestFieldId(schema);
  return last > highestFieldId(is) ? { ...is, maxFieldId: last } : is;
}

interface Going {
  readonly goneFields: readonly FieldSchema[];
  readonly goneStruct?: StructFieldSchema;
  readonly goneFunction?: FunctionSchema;
}

function partsOf(schema: CollectionSchema, part: DroppedPart): Going {
  const { fields, structs = [], functions = [] } = schema;
  if (part.kind === 'function') {
    const goneFunction = functions.find(({ name }) => name === part.name);
    if (goneFunction === undefined) throw invalid(`function not found: ${part.name}`);
    const written = new Set(goneFunction.outputFieldIds);
    return { goneFields: fields.filter(({ fieldId }) => written.has(fieldId)), goneFunction };
  }
  const isMeant = ({ name, fieldId }: FieldSchema | StructFieldSchema): boolean =>
    part.kind === 'field' ? name === part.name : BigInt(fieldId) === part.fieldId;
  const goneStruct = structs.find(isMeant);
  if (goneStruct !== undefined) return { goneFields: fieldsOfStruct(schema, goneStruct), goneStruct };
  const field = fields.find(isMeant);
  if (field === undefined)
    throw new DbError(
      'field-not-found',
      `field not found[field=${part.kind === 'field' ? part.name : part.fieldId}]`,
    );
  refuseNeeded(schema, field);
  return { goneFields: [field] };
}

function refuseNeeded(schema: CollectionSchema, field: FieldSchema): void {
  const { name, fieldId } = field;
  if (field.isPrimaryKey) throw invalid(`cannot drop primary key field: ${name}`);
  if (field.isPartitionKey === true) throw invalid(`cannot drop partition key field: ${name}`);
  if (field.isClusteringKey === true) throw invalid(`cannot drop clustering key field: ${name}`);
  if (field.isDynamic)
    throw invalid(`cannot drop the dynamic field ${name}: set the property dynamicfield.enabled to false`);
  const struct = structFieldParts(name)?.struct;
  if (struct !== undefined)
    throw invalid(`cannot drop one field of a struct array, ${name}: drop the struct array ${struct}`);
  const writer = writerOf(schema, field);
  if (writer !== undefined)
    throw invalid(`cannot drop field ${name}: function ${writer.name} writes it, drop the function`);
  const reader = schema.functions?.find(({ inputFieldIds }) => inputFieldIds.includes(fieldId));
  if (reader !== undefined)
    throw invalid(`cannot drop field ${name}: it is referenced by function ${reader.name}`);
}

function refuseAnalysisOf({ name }: FieldSchema, kept: readonly FieldSchema[]): void {
  const reader = kept.find((field) => field.dataType === 'VarChar' && multiAnalyzer(field)?.byField === name);
  if (reader !== undefined)
    throw invalid(`cannot drop field ${name}: it names the analyzers of field ${reader.name}`);
}

const requireNamed = ({ fields }: CollectionSchema, wanted: string): FieldSchema =>
  present(
    fields.find(({ name }) => name === wanted),
    'the field that was added',
  );
