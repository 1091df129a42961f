/** The columns that functions write, of rows that are written and of rows that are older than the function. */
import { DbError } from '../errors/db-error.ts';
import { functionFields } from '../model/functions.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column, RowBatch } from '../model/rows.ts';
import type { CollectionSchema, FunctionSchema } from '../model/schema.ts';
import { present } from '../support/assert.ts';
import { bm25Column } from './bm25-rows.ts';
import { minHashRules } from './minhash.ts';
import { signatureColumn } from './minhash-rows.ts';
import { rowTexts } from './row-texts.ts';

interface RowSchema extends Pick<CollectionSchema, 'fields'> {
  readonly functions?: CollectionSchema['functions'] | undefined;
}

/** Bytes of signatures made for one request: as many as a client that makes them itself could send in the largest one. */
const MAX_SIGNATURE_BYTES = 256 * 2 ** 20;

/** The rows with the columns of the schema's functions. Throws `parameter-too-large` when these were too large for one request. */
export function withFunctionOutputs(schema: CollectionSchema, batch: RowBatch): RowBatch {
  const { functions = [] } = schema;
  if (functions.length === 0) return batch;
  const bytes = batch.rowCount * functions.reduce((sum, each) => sum + signatureBytes(schema, each), 0);
  if (bytes > MAX_SIGNATURE_BYTES)
    throw new DbError(
      'parameter-too-large',
      `the signatures of ${batch.rowCount} texts take ${bytes} bytes, a request may make ${MAX_SIGNATURE_BYTES}: send fewer rows at a time`,
    );
  const columns = new Map(batch.columns);
  for (const each of functions) {
    const { output } = fieldsOf(schema, each);
    columns.set(output.fieldId, outputColumn(schema, each, batch, 0, batch.rowCount));
  }
  return { rowCount: batch.rowCount, columns };
}

/** Whether rows may be there that are older than a function, and lack what it writes. */
export const lacksOutput = (
  { functions = [] }: Pick<RowSchema, 'functions'>,
  has: (fieldId: FieldId) => boolean,
): boolean => functions.some(({ outputFieldIds }) => outputFieldIds.some((fieldId) => !has(fieldId)));

/** Bytes of the signatures that a row lacks. */
export const absentBytes = (schema: RowSchema, has: (fieldId: FieldId) => boolean): number =>
  (schema.functions ?? [])
    .filter(({ outputFieldIds }) => outputFieldIds.some((fieldId) => !has(fieldId)))
    .reduce((sum, each) => sum + signatureBytes(schema, each), 0);

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
  has: (fieldId: FieldId) => boolean = (fieldId) => batch.columns.has(fieldId),
): ReadonlyMap<FieldId, Column> {
  const made = new Map<FieldId, Column>();
  for (const each of schema.functions ?? []) {
    const { output } = fieldsOf(schema, each);
    if (!has(output.fieldId)) made.set(output.fieldId, outputColumn(schema, each, batch, from, to));
  }
  return made;
}

const fieldsOf = (schema: RowSchema, each: FunctionSchema) =>
  present(functionFields(schema, each), 'the fields of a function');

const signatureBytes = (schema: RowSchema, each: FunctionSchema): number =>
  each.type === 'MinHash' ? (fieldsOf(schema, each).output.dim ?? 0) / 8 : 0;

function outputColumn(
  schema: RowSchema,
  each: FunctionSchema,
  batch: RowBatch,
  from: number,
  to: number,
): Column {
  const { input, output } = fieldsOf(schema, each);
  const texts = rowTexts(schema, input, batch);
  if (each.type === 'MinHash') return signatureColumn(texts, minHashRules(each, output), from, to);
  return bm25Column(texts, from, to);
}
