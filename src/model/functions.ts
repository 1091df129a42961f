/** What the functions of a schema mean for its fields. */
import type { CollectionSchema, FieldSchema, FunctionSchema } from './schema.ts';

/** The function that writes the field. */
export const writerOf = (
  { functions = [] }: CollectionSchema,
  { fieldId }: FieldSchema,
): FunctionSchema | undefined => functions.find(({ outputFieldIds }) => outputFieldIds.includes(fieldId));

/** Its one input and its one output. */
export function bm25Fields(
  { fields }: Pick<CollectionSchema, 'fields'>,
  { inputFieldIds, outputFieldIds }: FunctionSchema,
): { readonly input: FieldSchema; readonly output: FieldSchema } | undefined {
  const input = fields.find(({ fieldId }) => fieldId === inputFieldIds[0]);
  const output = fields.find(({ fieldId }) => fieldId === outputFieldIds[0]);
  return input === undefined || output === undefined ? undefined : { input, output };
}
