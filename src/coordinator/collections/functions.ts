/** Pure: which functions a schema may have, and their ids. */
import { DbError } from '../../errors/db-error.ts';
import type { CollectionSchema, FieldSchema, FunctionSchema } from '../../model/schema.ts';
import { checkFieldAnalysis, isAnalyzed } from '../../text/field-analyzers.ts';
import { minHashRules } from '../../text/minhash.ts';

export const MAX_FUNCTIONS = 64;
const FIRST_FUNCTION_ID = 100;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** The schema, its fields numbered, with its functions numbered. Throws `parameter-invalid`, `unimplemented`. */
export function withFunctions(schema: CollectionSchema): CollectionSchema {
  for (const field of schema.fields) checkFieldAnalysis(field, schema);
  const { functions = [], ...others } = schema;
  checkFunctions(schema);
  if (functions.length === 0) return others;
  const numbered = functions.map((each, i) => ({ ...each, functionId: FIRST_FUNCTION_ID + i }));
  return { ...others, functions: numbered };
}

/** The schema with one more function, over fields it has; ids of others stay. Throws as `withFunctions`. */
export function withFunction(schema: CollectionSchema, given: FunctionSchema): CollectionSchema {
  const { functions = [] } = schema;
  const functionId = 1 + Math.max(FIRST_FUNCTION_ID - 1, ...functions.map((each) => each.functionId));
  const is = { ...schema, functions: [...functions, { ...given, functionId }] };
  checkFunctions(is);
  return is;
}

function checkFunctions(schema: CollectionSchema): void {
  const { functions = [] } = schema;
  if (functions.length > MAX_FUNCTIONS) throw invalid(`at most ${MAX_FUNCTIONS} functions are allowed`);
  const names = new Set<string>();
  const written = new Set<number>();
  for (const each of functions) {
    if (names.has(each.name)) throw invalid(`duplicate function name: ${each.name}`);
    names.add(each.name);
    const output = checkFunction(schema, each);
    if (written.has(output.fieldId))
      throw invalid(`function output field ${output.name} is the output of more than one function`);
    written.add(output.fieldId);
  }
  const lonely = schema.fields.find(
    ({ fieldId, isFunctionOutput }) => isFunctionOutput === true && !written.has(fieldId),
  );
  if (lonely !== undefined) throw invalid(`field ${lonely.name} is the output of no function`);
}

/** Answers the output. */
function checkFunction({ fields }: CollectionSchema, each: FunctionSchema): FieldSchema {
  const { name, type, inputFieldIds, outputFieldIds } = each;
  if (type !== 'BM25' && type !== 'MinHash')
    throw new DbError('unimplemented', `a ${type} function (${name}) is not implemented`);
  const at = (ids: readonly number[]): FieldSchema | undefined =>
    ids.length === 1 ? fields.find(({ fieldId }) => fieldId === ids[0]) : undefined;
  const input = at(inputFieldIds);
  const output = at(outputFieldIds);
  const checked = type === 'BM25' ? checkBm25(name, input, output) : checkMinHash(each, input, output);
  if (checked.nullable) throw invalid(`function output field cannot be nullable: ${checked.name}`);
  return checked;
}

function checkBm25(
  name: string,
  input: FieldSchema | undefined,
  output: FieldSchema | undefined,
): FieldSchema {
  if (input === undefined || input.dataType !== 'VarChar' || !isAnalyzed(input))
    throw invalid(
      `BM25 function input field must be one VARCHAR field with enable_analyzer set to true, function ${name}`,
    );
  if (output === undefined || output.dataType !== 'SparseFloatVector')
    throw invalid(`BM25 function output field must be one SparseFloatVector field, function ${name}`);
  return output;
}

function checkMinHash(
  each: FunctionSchema,
  input: FieldSchema | undefined,
  output: FieldSchema | undefined,
): FieldSchema {
  const { name } = each;
  if (input === undefined || input.dataType !== 'VarChar')
    throw invalid(`MinHash function input field must be one VARCHAR field, function ${name}`);
  if (output === undefined || output.dataType !== 'BinaryVector')
    throw invalid(`MinHash function output field must be one BinaryVector field, function ${name}`);
  if (minHashRules(each, output).tokenLevel === 'word' && !isAnalyzed(input))
    throw invalid(
      `MinHash function input field must have enable_analyzer set to true when token_level is word, function ${name}`,
    );
  return output;
}
