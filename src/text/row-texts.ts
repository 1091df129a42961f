/** The texts that a function reads, and the analyzer of each. */
import type { BytesColumn, Column, RowBatch } from '../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { assert, present } from '../support/assert.ts';
import { type Analyzer, analyzerOf } from './analyzer.ts';
import { fieldAnalyzer, multiAnalyzer } from './field-analyzers.ts';

export interface RowTexts {
  /** Where the texts stand; undefined when the rows are older than the field. */
  readonly column: BytesColumn | undefined;
  /** Null is the empty text. */
  textAt(row: number): string;
  analyzerAt(row: number): Analyzer;
}

/** Rows that are older than the field read its default. */
export function rowTexts(
  schema: Pick<CollectionSchema, 'fields'>,
  input: FieldSchema,
  { columns }: RowBatch,
): RowTexts {
  const column = columns.get(input.fieldId);
  return {
    column: column?.layout === 'bytes' ? column : undefined,
    textAt: textsOf(input, columns),
    analyzerAt: analyzersOf(schema, input, columns),
  };
}

/** The analyzer of each row. */
function analyzersOf(
  { fields }: Pick<CollectionSchema, 'fields'>,
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
