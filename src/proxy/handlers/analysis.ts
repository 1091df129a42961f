/** Analyzes texts for callers, where it does not hold up others: in a worker thread when there is much, or much to load first. */
import { functionFields } from '../../model/functions.ts';
import type { RowBatch } from '../../model/rows.ts';
import type { CollectionSchema, FunctionSchema } from '../../model/schema.ts';
import type { WorkerTasks } from '../../support/workers.ts';
import { analyzerOf } from '../../text/analyzer.ts';
import { hashesOf } from '../../text/bm25-rows.ts';
import { fieldAnalyzer, multiAnalyzer } from '../../text/field-analyzers.ts';
import { withFunctionOutputs } from '../../text/function-rows.ts';
import { leastSlop } from '../../text/match.ts';
import { ELEMENT_BITS } from '../../text/minhash.ts';
import { byteOffsets, type Token, termHash } from '../../text/token.ts';
import type { CallContext } from '../context.ts';

/** From so many characters on: some milliseconds of work. */
export const OFFLOAD_FROM_LENGTH = 16 << 10;

/** The same where signatures are made: of short texts there may be a thousand, each some microseconds of work. */
const OFFLOAD_SIGNED_FROM_LENGTH = 2 << 10;
/** Elements of the signatures of a row; longer ones are for workers alone. */
const MAX_ELEMENTS_HERE = 1024;

/** What a row counts for beside its text: an empty one has a signature, too. */
const BYTES_OF_A_ROW = 4;

/** Names of the worker tasks. */
const ANALYZE = 'analyze-texts';
const HASH = 'hash-terms';
const WRITE_OUTPUTS = 'function-outputs';
const PHRASE_SLOPS = 'phrase-slops';
/** Characters of a phrase and its texts that are compared at once: each may be a word that is met again and again. */
const OFFLOAD_SLOPS_FROM_LENGTH = 4 << 10;

interface SlopsInput {
  readonly params: string;
  readonly phrase: string;
  readonly texts: readonly string[];
}

export interface AnalyzedToken extends Token {
  readonly hash: number;
  /** In the UTF-8 form of the text. */
  readonly startByte: number;
  readonly endByte: number;
}

interface AnalyzeInput {
  /** Of each text. */
  readonly params: readonly string[];
  readonly texts: readonly string[];
}

interface TermsInput {
  /** Of all texts. */
  readonly params: string;
  readonly texts: readonly string[];
}

interface OutputsInput {
  readonly schema: CollectionSchema;
  readonly batch: RowBatch;
}

function analyzed({ params, texts }: AnalyzeInput): AnalyzedToken[][] {
  return texts.map((text, i) => {
    const tokens = analyzerOf(params[i] ?? '').analyze(text);
    const bytes = byteOffsets(text, tokens);
    return tokens.map((token, at) => ({
      ...token,
      hash: termHash(token.text),
      startByte: bytes[at]?.start ?? 0,
      endByte: bytes[at]?.end ?? 0,
    }));
  });
}

const hashed = ({ params, texts }: TermsInput): Uint32Array[] => {
  const analyzer = analyzerOf(params);
  return texts.map((text) => hashesOf(analyzer, text));
};

/** What a worker thread can do for the proxy. */
export const analysisTasks = (): WorkerTasks => ({
  [ANALYZE]: async (input: AnalyzeInput) => ({ output: analyzed(input), transfer: [] }),
  [HASH]: async (input: TermsInput) => ({ output: hashed(input), transfer: [] }),
  [PHRASE_SLOPS]: async (input: SlopsInput) => ({ output: slopsOf(input), transfer: [] }),
  [WRITE_OUTPUTS]: async ({ schema, batch }: OutputsInput) => ({
    output: withFunctionOutputs(schema, batch),
    transfer: [],
  }),
});

/** The tokens of each text, by the analyzer of its parameters. Throws `parameter-invalid`, `unimplemented` for wrong ones. */
export async function analyzeTexts(
  { workers }: CallContext,
  input: AnalyzeInput,
): Promise<AnalyzedToken[][]> {
  const isSlow = [...new Set(input.params)].some((params) => analyzerOf(params).isHeavy);
  const length = input.texts.reduce((sum, text) => sum + text.length, 0);
  if (workers === undefined || (!isSlow && length < OFFLOAD_FROM_LENGTH)) return analyzed(input);
  return workers.run(ANALYZE, input);
}

/** The hashes of the terms of each text, as they follow one another. Throws `parameter-invalid`, `unimplemented`. */
export async function termsOfTexts({ workers }: CallContext, input: TermsInput): Promise<Uint32Array[]> {
  const length = input.texts.reduce((sum, text) => sum + text.length, 0);
  if (workers === undefined || (!analyzerOf(input.params).isHeavy && length < OFFLOAD_FROM_LENGTH))
    return hashed(input);
  return workers.run(HASH, input);
}

function slopsOf({ params, phrase, texts }: SlopsInput): (number | undefined)[] {
  const analyzer = analyzerOf(params);
  const words = analyzer.analyze(phrase);
  return texts.map((text) => leastSlop(words, analyzer.analyze(text)));
}

/** The least slop with which the phrase is found in each text; undefined: with none. Throws as `analyzeTexts`, and `filter-invalid`. */
export async function phraseSlops(
  { workers }: CallContext,
  input: SlopsInput,
): Promise<(number | undefined)[]> {
  const length = input.texts.reduce((sum, text) => sum + text.length, input.phrase.length);
  const isQuick = !analyzerOf(input.params).isHeavy && length < OFFLOAD_SLOPS_FROM_LENGTH;
  return workers === undefined || isQuick ? slopsOf(input) : workers.run(PHRASE_SLOPS, input);
}

/** From so many bytes of a request on the columns that functions write are a worker's. */
export function offloadTextFrom(schema: CollectionSchema): number {
  const { functions } = schema;
  if (functions === undefined) return Number.POSITIVE_INFINITY;
  if (hasSlowAnalyzer(schema)) return 0;
  const elements = functions.reduce((sum, each) => sum + signatureElements(schema, each), 0);
  if (elements > MAX_ELEMENTS_HERE) return 0;
  return elements > 0 ? OFFLOAD_SIGNED_FROM_LENGTH : OFFLOAD_FROM_LENGTH;
}

const signatureElements = (schema: CollectionSchema, each: FunctionSchema): number =>
  each.type === 'MinHash' ? (functionFields(schema, each)?.output.dim ?? 0) / ELEMENT_BITS : 0;

function hasSlowAnalyzer({ fields, functions = [] }: CollectionSchema): boolean {
  const inputs = new Set(functions.flatMap(({ inputFieldIds }) => inputFieldIds));
  return fields
    .filter(({ fieldId }) => inputs.has(fieldId))
    .some((field) => {
      const multi = multiAnalyzer(field);
      if (multi === undefined) return fieldAnalyzer(field).isHeavy;
      return multi.names.some((name) => analyzerOf(multi.paramsOf(name)).isHeavy);
    });
}

/** The rows with the columns that functions write. */
export async function functionOutputs(
  { workers }: CallContext,
  schema: CollectionSchema,
  batch: RowBatch,
): Promise<RowBatch> {
  const { functions } = schema;
  if (functions === undefined) return batch;
  const inputs = inputsOf(schema);
  const own = new Map([...batch.columns].filter(([fieldId]) => inputs.has(fieldId)));
  const bytes = [...own.values()].reduce(
    (sum, column) => sum + (column.layout === 'bytes' ? column.data.length : 0),
    batch.rowCount * BYTES_OF_A_ROW,
  );
  if (workers === undefined || bytes < offloadTextFrom(schema)) return withFunctionOutputs(schema, batch);
  const input: OutputsInput = { schema, batch: { rowCount: batch.rowCount, columns: own } };
  const { columns }: RowBatch = await workers.run(WRITE_OUTPUTS, input);
  return { rowCount: batch.rowCount, columns: new Map([...batch.columns, ...columns]) };
}

/** Fields that a function reads, those that name its analyzer included. */
function inputsOf({ fields, functions = [] }: CollectionSchema): ReadonlySet<number> {
  const read = new Set<number>(functions.flatMap(({ inputFieldIds }) => inputFieldIds));
  for (const field of fields.filter(({ fieldId }) => read.has(fieldId))) {
    const by = multiAnalyzer(field)?.byField;
    for (const { fieldId, name } of fields) if (name === by) read.add(fieldId);
  }
  return read;
}
