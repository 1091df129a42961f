/** The functions of a wire schema to ours and back. */
import type { AddedFunction } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { FieldId } from '../../model/ids.ts';
import {
  type CollectionSchema,
  FIRST_USER_FIELD_ID,
  type FieldSchema,
  type FunctionSchema,
  type FunctionType,
} from '../../model/schema.ts';
import type { SchemaFunctionSchema } from './descriptor.generated.ts';
import type { Outgoing } from './descriptor.ts';
import { fromProperties, toProperties } from './key-values.ts';
import { requireName } from './names.ts';

const BM25 = 1;
const functionTypes: Readonly<Record<FunctionType, number>> = {
  BM25,
  TextEmbedding: 2,
  Rerank: 3,
  MinHash: 4,
};
const typeNames = ['Unknown', 'BM25', 'TextEmbedding', 'Rerank', 'MinHash', 'MolFingerprint'];

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** A function that is added to a live collection. Throws as `decodeFunctions`. */
export function decodeAddedFunction(wire: SchemaFunctionSchema): AddedFunction {
  return {
    name: requireName('function', wire.name),
    description: wire.description,
    type: servedType(wire),
    inputFields: wire.input_field_names,
    outputFields: wire.output_field_names,
    params: toProperties(wire.params),
  };
}

function servedType({ name, type: wire }: SchemaFunctionSchema): FunctionType {
  const type = typeNames[wire];
  if (type === undefined || type === 'Unknown')
    throw invalid(`check function params with unknown function type, function ${name}`);
  if (type !== 'BM25' && type !== 'MinHash')
    throw new DbError('unimplemented', `a ${type} function (${name}) is not implemented`);
  return type;
}

/**
 * The functions over `fields`, plain ones in the order given, with the ids that the fields will get. Throws `parameter-invalid`, and
 * `unimplemented` for types that are not served.
 */
export const decodeFunctions = (
  functions: readonly SchemaFunctionSchema[],
  fields: readonly FieldSchema[],
): readonly FunctionSchema[] =>
  functions.map((each) => {
    requireName('function', each.name);
    const type = servedType(each);
    const idsOf = (what: string, names: readonly string[]): readonly FieldId[] =>
      names.map((name) => {
        const index = fields.findIndex((field) => field.name === name);
        if (index < 0) throw invalid(`function ${what} field not found: ${name}, function ${each.name}`);
        return (FIRST_USER_FIELD_ID + index) as FieldId;
      });
    return {
      functionId: 0,
      name: each.name,
      description: each.description,
      type,
      inputFieldIds: idsOf('input', each.input_field_names),
      outputFieldIds: idsOf('output', each.output_field_names),
      params: toProperties(each.params),
    };
  });

/** The fields, those that a function writes marked. */
export const markedOutputs = (
  fields: readonly FieldSchema[],
  functions: readonly FunctionSchema[],
): readonly FieldSchema[] => {
  const written = new Set<number>(functions.flatMap(({ outputFieldIds }) => outputFieldIds));
  return fields.map((field, index) =>
    written.has(FIRST_USER_FIELD_ID + index) ? { ...field, isFunctionOutput: true } : field,
  );
};

export const encodeFunctions = ({
  fields,
  functions = [],
}: CollectionSchema): Outgoing<SchemaFunctionSchema>[] => {
  const names = new Map(fields.map(({ fieldId, name }) => [fieldId, name]));
  const namesOf = (ids: readonly FieldId[]): string[] => ids.map((id) => names.get(id) ?? '');
  return functions.map((each) => ({
    name: each.name,
    id: BigInt(each.functionId),
    description: each.description,
    type: functionTypes[each.type],
    input_field_names: namesOf(each.inputFieldIds),
    input_field_ids: each.inputFieldIds.map(BigInt),
    output_field_names: namesOf(each.outputFieldIds),
    output_field_ids: each.outputFieldIds.map(BigInt),
    params: fromProperties(each.params),
  }));
};
