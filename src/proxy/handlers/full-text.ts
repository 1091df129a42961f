/** Searches of the fields that functions write: by text. */
import { DbError } from '../../errors/db-error.ts';
import { functionFields, holdsSignatures, holdsTerms, writerOf } from '../../model/functions.ts';
import type { Properties } from '../../model/records.ts';
import type { BytesColumn, QueryColumn, RowBatch, VectorColumn } from '../../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { assert, present } from '../../support/assert.ts';
import { countsOf, sparseColumn } from '../../text/bm25-rows.ts';
import { multiAnalyzer } from '../../text/field-analyzers.ts';
import type { CallContext } from '../context.ts';
import { textColumn } from '../wire/dynamic.ts';
import { numberParam } from '../wire/key-values.ts';
import { type Placeholders, placeholderTexts, queriesFor } from '../wire/placeholder.ts';
import { functionOutputs, termsOfTexts } from './analysis.ts';

/** One search, as it was asked for. */
export interface Searched {
  readonly schema: CollectionSchema;
  /** The field that is searched. */
  readonly field: FieldSchema;
  readonly placeholders: Placeholders;
  readonly params: Properties;
}

const DEFAULT_K1 = 1.2;
const DEFAULT_B = 0.75;

/** The parameters of the field's index. */
export const bm25Of = (params: Properties): { readonly k1: number; readonly b: number } => ({
  k1: numberParam(params, 'bm25_k1') ?? DEFAULT_K1,
  b: numberParam(params, 'bm25_b') ?? DEFAULT_B,
});

/** The field whose text the function of `output` reads. */
export function inputOf(schema: CollectionSchema, output: FieldSchema): FieldSchema {
  const writer = present(writerOf(schema, output), 'the function of its output');
  return present(functionFields(schema, writer), 'the fields of a function').input;
}

/** Analyzer parameters of a text that is searched for or shown: of the name given, when the field has several. */
export function analyzerParamsOf(field: FieldSchema, name: string | undefined): string {
  const multi = multiAnalyzer(field);
  if (multi !== undefined) return multi.paramsOf(name ?? '');
  return field.typeParams['analyzer_params'] ?? '';
}

/** What one search of a field looks for: vectors, or what the function that writes the field makes of texts. */
export async function searchQueries(call: CallContext, searched: Searched): Promise<QueryColumn> {
  const { field, placeholders } = searched;
  if (holdsTerms(field)) return termQueries(call, searched);
  const texts = holdsSignatures(field) ? placeholderTexts(placeholders) : undefined;
  return texts === undefined ? queriesFor(field, placeholders) : signatureQueries(call, searched, texts);
}

/** Bytes of a text whose signature is searched for; those of rows have fewer. */
const MAX_SIGNED_BYTES = 1 << 20;

/** The signature of each text, as a row with this text would have it. */
async function signatureQueries(
  call: CallContext,
  { schema, field, params }: Searched,
  texts: readonly string[],
): Promise<VectorColumn> {
  if (texts.some((text) => Buffer.byteLength(text) > MAX_SIGNED_BYTES))
    throw new DbError(
      'parameter-too-large',
      `a text that is searched for by its MinHash signature has at most ${MAX_SIGNED_BYTES} bytes`,
    );
  const writer = present(writerOf(schema, field), 'the function of its output');
  const input = inputOf(schema, field);
  const analyzed = {
    ...input,
    typeParams: { analyzer_params: analyzerParamsOf(input, params['analyzer_name']) },
  };
  const rows: RowBatch = {
    rowCount: texts.length,
    columns: new Map([[input.fieldId, { ...textColumn(texts), type: 'VarChar' }]]),
  };
  const { columns } = await functionOutputs(
    call,
    { ...schema, fields: [analyzed, field], functions: [writer] },
    rows,
  );
  const made = columns.get(field.fieldId);
  assert(made?.layout === 'vector', 'signatures are vectors');
  return made;
}

/** The terms of each text that is searched for. Throws `parameter-invalid` for vectors. */
async function termQueries(
  call: CallContext,
  { schema, field, placeholders, params }: Searched,
): Promise<BytesColumn> {
  const texts = placeholderTexts(placeholders);
  if (texts === undefined)
    throw new DbError(
      'parameter-invalid',
      `please provide varchar/text for BM25 Function based search, field ${field.name} is searched by text`,
    );
  const own = analyzerParamsOf(inputOf(schema, field), params['analyzer_name']);
  const terms = await termsOfTexts(call, { params: own, texts });
  return sparseColumn(terms.map(countsOf));
}
