/** Searches of the fields that BM25 functions write: by text. */
import { DbError } from '../../errors/db-error.ts';
import { bm25Fields, writerOf } from '../../model/functions.ts';
import type { Properties } from '../../model/records.ts';
import type { BytesColumn, QueryColumn } from '../../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import { countsOf, sparseColumn } from '../../text/bm25-rows.ts';
import { multiAnalyzer } from '../../text/field-analyzers.ts';
import type { CallContext } from '../context.ts';
import { numberParam } from '../wire/key-values.ts';
import { type Placeholders, placeholderTexts, queriesFor } from '../wire/placeholder.ts';
import { analyzeTexts } from './analysis.ts';

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
  return present(bm25Fields(schema, writer), 'the fields of a function').input;
}

/** Analyzer parameters of a text that is searched for or shown: of the name given, when the field has several. */
export function analyzerParamsOf(field: FieldSchema, name: string | undefined): string {
  const multi = multiAnalyzer(field);
  if (multi !== undefined) return multi.paramsOf(name ?? '');
  return field.typeParams['analyzer_params'] ?? '';
}

/** What one search of a field looks for: vectors, or the terms of texts where a function writes the field. */
export const searchQueries = async (
  call: CallContext,
  { schema, field, placeholders, params }: Searched,
): Promise<QueryColumn> =>
  field.isFunctionOutput === true
    ? textQueries(call, schema, field, placeholders, params)
    : queriesFor(field, placeholders);

/** The terms of each text that is searched for. Throws `parameter-invalid` for vectors. */
async function textQueries(
  call: CallContext,
  schema: CollectionSchema,
  field: FieldSchema,
  placeholders: Placeholders,
  params: Properties,
): Promise<BytesColumn> {
  const texts = placeholderTexts(placeholders);
  if (texts === undefined)
    throw new DbError(
      'parameter-invalid',
      `please provide varchar/text for BM25 Function based search, field ${field.name} is searched by text`,
    );
  const own = analyzerParamsOf(inputOf(schema, field), params['analyzer_name']);
  const tokens = await analyzeTexts(call, { params: texts.map(() => own), texts });
  return sparseColumn(tokens.map((each) => countsOf(Uint32Array.from(each, ({ hash }) => hash))));
}
