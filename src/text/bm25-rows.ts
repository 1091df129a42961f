/** The column that a BM25 function writes: how often each row has each of its terms. */
import { bm25Fields } from '../model/functions.ts';
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn, Column, RowBatch } from '../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { assert, present } from '../support/assert.ts';
import { type Analyzer, analyzerOf } from './analyzer.ts';
import { fieldAnalyzer, multiAnalyzer } from './field-analyzers.ts';
import { type Token, termHash } from './token.ts';

const PAIR_BYTES = 8;

interface RowSchema extends Pick<CollectionSchema, 'fields'> {
  readonly functions?: CollectionSchema['functions'] | undefined;
}

/** Terms of one text: hashes rising, and how often each is there. */
export interface TermCounts {
  readonly hashes: Uint32Array;
  readonly counts: Uint32Array;
}

export function termCounts(tokens: readonly Token[]): TermCounts {
  const all = new Uint32Array(tokens.length);
  for (let i = 0; i < all.length; i++) all[i] = termHash((tokens[i] as Token).text);
  return countsOf(all);
}

/** `all` is put in order. */
export function countsOf(all: Uint32Array): TermCounts {
  all.sort();
  const counts = new Uint32Array(all.length);
  let size = 0;
  for (let i = 0; i < all.length; i++) {
    if (i === 0 || all[i] !== all[size - 1]) all[size++] = all[i] as number;
    counts[size - 1] = (counts[size - 1] as number) + 1;
  }
  return { hashes: all.subarray(0, size), counts: counts.subarray(0, size) };
}

/** Rows of term counts as sparse vectors. */
export function sparseColumn(rows: readonly TermCounts[]): BytesColumn {
  const offsets = new Uint32Array(rows.length + 1);
  rows.forEach(({ hashes }, row) => {
    offsets[row + 1] = (offsets[row] as number) + hashes.length * PAIR_BYTES;
  });
  const data = new Uint8Array(offsets[rows.length] as number);
  const words = new Uint32Array(data.buffer);
  const floats = new Float32Array(data.buffer);
  let at = 0;
  for (const { hashes, counts } of rows)
    for (let i = 0; i < hashes.length; i++, at += 2) {
      words[at] = hashes[i] as number;
      floats[at + 1] = counts[i] as number;
    }
  return { layout: 'bytes', type: 'SparseFloatVector', offsets, data };
}

/** The rows with the columns of the schema's functions. A null text has no terms. */
export function withFunctionOutputs(schema: CollectionSchema, batch: RowBatch): RowBatch {
  const { functions = [] } = schema;
  if (functions.length === 0) return batch;
  const columns = new Map(batch.columns);
  for (const each of functions) {
    const fields = present(bm25Fields(schema, each), 'the fields of a function');
    columns.set(fields.output.fieldId, bm25Column(schema, fields.input, batch));
  }
  return { rowCount: batch.rowCount, columns };
}

/** Whether rows may be there that are older than a function, and lack what it writes. */
export const lacksOutput = (
  { functions = [] }: Pick<RowSchema, 'functions'>,
  has: (fieldId: FieldId) => boolean,
): boolean => functions.some(({ outputFieldIds }) => outputFieldIds.some((fieldId) => !has(fieldId)));

/** The rows, those that are older than a function with what it makes of them. */
export function withAbsentOutputs(schema: RowSchema, batch: RowBatch): RowBatch {
  if (!lacksOutput(schema, (fieldId) => batch.columns.has(fieldId))) return batch;
  const made = absentOutputs(schema, batch, 0, batch.rowCount);
  return { rowCount: batch.rowCount, columns: new Map([...batch.columns, ...made]) };
}

/** What functions make of rows `from` to `to`, of those fields alone that the rows lack. */
export function absentOutputs(
  schema: RowSchema,
  batch: RowBatch,
  from: number,
  to: number,
): ReadonlyMap<FieldId, Column> {
  const made = new Map<FieldId, Column>();
  for (const each of schema.functions ?? []) {
    const { input, output } = present(bm25Fields(schema, each), 'the fields of a function');
    if (!batch.columns.has(output.fieldId))
      made.set(output.fieldId, bm25Column(schema, input, batch, { from, to }));
  }
  return made;
}

function bm25Column(
  schema: RowSchema,
  input: FieldSchema,
  { rowCount, columns }: RowBatch,
  { from, to } = { from: 0, to: rowCount },
): Column {
  const texts = textsOf(input, columns);
  const analyzerAt = analyzersOf(schema, input, columns);
  const rows: TermCounts[] = [];
  for (let row = from; row < to; row++) {
    const text = texts(row);
    rows.push(termCounts(text === '' ? [] : analyzerAt(row).analyze(text)));
  }
  return sparseColumn(rows);
}

/** The analyzer of each row. */
function analyzersOf(
  { fields }: RowSchema,
  input: FieldSchema,
  columns: RowBatch['columns'],
): (row: number) => Analyzer {
  const multi = multiAnalyzer(input);
  if (multi === undefined) {
    const analyzer = fieldAnalyzer(input);
    return () => analyzer;
  }
  const by = present(
    fields.find(({ name }) => name === multi.byField),
    'the field that names the analyzer',
  );
  const names = textsOf(by, columns);
  return (row) => analyzerOf(multi.paramsOf(names(row)));
}

/** Rows that are older than the field read its default. */
function textsOf(
  { fieldId, defaultValue = '' }: FieldSchema,
  columns: RowBatch['columns'],
): (row: number) => string {
  const column = columns.get(fieldId);
  return column === undefined ? () => String(defaultValue) : textReader(column);
}

/** Null is the empty text. */
export function textReader(column: Column | undefined): (row: number) => string {
  assert(column?.layout === 'bytes', 'a text column has bytes');
  const { offsets, data } = column;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  return (row) => bytes.toString('utf8', offsets[row], offsets[row + 1]);
}
