/** RunAnalyzer: what an analyzer makes of texts. */
import { isUtf8 } from 'node:buffer';
import { DbError } from '../../errors/db-error.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { isAnalyzed, multiAnalyzer } from '../../text/field-analyzers.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { Handler } from '../rpc.ts';
import type { MilvusRunAnalyzerRequest } from '../wire/descriptor.generated.ts';
import { success } from '../wire/status.ts';
import { analyzeTexts, phraseSlops } from './analysis.ts';

/** UTF-8 bytes of the texts of one call: each may become an answer many times its size. */
const MAX_TEXT_BYTES = 1 << 20;
const MAX_TEXTS = 16_384;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export const runAnalyzer: Handler<'RunAnalyzer'> = async (request, call) => {
  const texts = textsOf(request.placeholder);
  const params = paramsOf(request, call);
  const results = await analyzeTexts(call, { texts, params });
  const { with_detail: withDetail, with_hash: withHash } = request;
  return {
    status: success,
    results: results.map((tokens) => ({
      tokens: tokens.map((token) => ({
        token: token.text,
        ...(withDetail
          ? {
              start_offset: BigInt(token.startByte),
              end_offset: BigInt(token.endByte),
              position: BigInt(token.position),
              position_length: BigInt(token.positionLength),
            }
          : {}),
        ...(withHash ? { hash: token.hash } : {}),
      })),
    })),
  };
};

/** How far the words of a text may move for the phrase to be found in it. */
export const computePhraseMatchSlop: Handler<'ComputePhraseMatchSlop'> = async (request, call) => {
  const { query_text: phrase, data_texts: texts, analyzer_params: params } = request;
  if (phrase === '') throw invalid('query_text is empty');
  const all = [phrase, ...texts];
  checkSize(
    all.length,
    all.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
  );
  const slops = await phraseSlops(call, { params, phrase, texts });
  return {
    status: success,
    is_match: slops.map((slop) => slop !== undefined),
    slops: slops.map((slop) => BigInt(slop ?? 0)),
  };
};

function checkSize(count: number, bytes: number): void {
  if (count > MAX_TEXTS || bytes > MAX_TEXT_BYTES)
    throw new DbError(
      'parameter-too-large',
      `at most ${MAX_TEXTS} texts of ${MAX_TEXT_BYTES} bytes together are analyzed at once`,
    );
}

function textsOf(placeholder: readonly Uint8Array[]): readonly string[] {
  const bytes = placeholder.reduce((sum, { length }) => sum + length, 0);
  checkSize(placeholder.length, bytes);
  return placeholder.map((text) => {
    if (!isUtf8(text)) throw invalid('the text to analyze is not UTF-8');
    return Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8');
  });
}

/** Analyzer parameters for each text: those given, or the field's. */
function paramsOf(request: MilvusRunAnalyzerRequest, call: CallContext): readonly string[] {
  const { placeholder, analyzer_params, analyzer_names: names, field_name } = request;
  if (request.collection_name === '') return placeholder.map(() => analyzer_params);
  if (field_name === '') throw invalid('must specify field name when collection name is specified');
  if (analyzer_params !== '') throw invalid('can not set analyzer params when collection is set');
  const { schema } = call.coordinator.describeCollection(collectionAt(call, request)).collection;
  const field = schema.fields.find(({ name }) => name === field_name);
  if (field === undefined) throw new DbError('field-not-found', `field not found[field=${field_name}]`);
  if (field.dataType !== 'VarChar' || !isAnalyzed(field))
    throw invalid(`field ${field_name} has no analyzer: enable_analyzer is not set`);
  return placeholder.map((_, i) => fieldParams(field, names, i, placeholder.length));
}

/** One name for all texts, or one for each. */
function fieldParams(field: FieldSchema, names: readonly string[], at: number, texts: number): string {
  const multi = multiAnalyzer(field);
  if (multi === undefined) {
    if (names.length > 0) throw invalid(`field ${field.name} has one analyzer, which has no name`);
    return field.typeParams['analyzer_params'] ?? '';
  }
  if (names.length > 1 && names.length !== texts)
    throw invalid('analyzer_names is one name, or one for each text');
  return multi.paramsOf((names.length > 1 ? names[at] : names[0]) ?? '');
}
