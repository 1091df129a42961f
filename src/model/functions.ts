/** What the functions of a schema mean for its fields. */
import type { CollectionSchema, FieldSchema, FunctionSchema } from './schema.ts';

/** The function that writes the field. */
export const writerOf = (
  { functions = [] }: CollectionSchema,
  { fieldId }: FieldSchema,
): FunctionSchema | undefined => functions.find(({ outputFieldIds }) => outputFieldIds.includes(fieldId));

/** Its one input and its one output. */
export function functionFields(
  { fields }: Pick<CollectionSchema, 'fields'>,
  { inputFieldIds, outputFieldIds }: FunctionSchema,
): { readonly input: FieldSchema; readonly output: FieldSchema } | undefined {
  const input = fields.find(({ fieldId }) => fieldId === inputFieldIds[0]);
  const output = fields.find(({ fieldId }) => fieldId === outputFieldIds[0]);
  return input === undefined || output === undefined ? undefined : { input, output };
}

/** Written by a BM25 function: term counts, which are for its searches alone. */
export const holdsTerms = ({ dataType, isFunctionOutput }: FieldSchema): boolean =>
  isFunctionOutput === true && dataType === 'SparseFloatVector';

/** Written by a MinHash function. */
export const holdsSignatures = ({ dataType, isFunctionOutput }: FieldSchema): boolean =>
  isFunctionOutput === true && dataType === 'BinaryVector';
