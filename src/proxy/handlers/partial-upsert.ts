/**
 * Upserts that give some columns only. The rows are read, the given columns put in, and the whole rows written again as one write: a reader
 * sees each row as it was or as it will be. Partial upserts of one collection follow one another here, so that two which change
 * different columns of a row both stand; a whole upsert or a delete that comes between the read and the write of one is lost to it, as in Milvus.
 */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, FieldId } from '../../model/ids.ts';
import type { BytesColumn, Column, PrimaryKey, PrimaryKeys, RowBatch } from '../../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { assert, present } from '../../support/assert.ts';
import type { CallContext } from '../context.ts';
import { textColumn, textsOf } from '../wire/dynamic.ts';
import { constantColumn, takeRows } from '../wire/fill.ts';
import { jsonEntries, jsonObjectText } from '../wire/json-object.ts';
import { mergedLists } from '../wire/merge-lists.ts';
import { checkedRows } from '../wire/rows.ts';
import type { FieldOp, WriteRequest } from '../wire/write-request.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { keysOf } from './shards.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Whole rows, but for what functions write: those that replace others, and those whose keys nobody has. */
export interface MergedRows {
  readonly replaced: Merged;
  readonly fresh: Merged;
}

export interface Merged {
  readonly batch: RowBatch;
  /** Which rows of the request these are. */
  readonly rows: readonly number[];
}

/** Ends of the last partial upserts, by the log they are written to. */
const turns = new WeakMap<object, Map<CollectionId, Promise<unknown>>>();

/** One after another for a collection. */
export async function inTurn<T>(
  call: CallContext,
  collectionId: CollectionId,
  work: () => Promise<T>,
): Promise<T> {
  const ofLog = turns.get(call.streamingNode) ?? new Map<CollectionId, Promise<unknown>>();
  turns.set(call.streamingNode, ofLog);
  const turn = (ofLog.get(collectionId) ?? Promise.resolve()).then(work, work);
  ofLog.set(collectionId, turn);
  try {
    return await turn;
  } finally {
    if (ofLog.get(collectionId) === turn) ofLog.delete(collectionId);
  }
}

/** Reads what the rows hold that are given in part, and fills the rest of the others. Throws `parameter-invalid`, `collection-not-loaded`. */
export async function mergedRows(
  call: CallContext,
  { collection }: CollectionInfo,
  request: WriteRequest,
): Promise<MergedRows> {
  const { schema, collectionId } = collection;
  const keyField = primaryKeyOf(schema);
  const part = givenPart(schema, request);
  const given = checkedRows(part, request, { autoIds: false });
  const ops = listOps(part, request.fieldOps);
  const keys = keysOf(given, keyField);
  if (new Set<PrimaryKey>(keys.values).size < keys.values.length)
    throw invalid('duplicate primary keys are not allowed in the same batch');
  const old = await call.queryNode.query({
    collectionId,
    filter: call.filters.ofKeys(keys, keyField.fieldId),
    needsAll: true,
    outputFields: storedFields(schema).map(({ fieldId }) => fieldId),
  });
  const rows = pairs(keys, keysOf(old, keyField));
  return {
    replaced: { batch: replacedRows(schema, { given, ops, old, rows }), rows: rows.given },
    fresh: { batch: freshRows(schema, given, ops, rows.fresh), rows: rows.fresh },
  };
}

/** What functions write is written anew. */
const storedFields = ({ fields }: CollectionSchema): readonly FieldSchema[] =>
  fields.filter(({ isFunctionOutput }) => isFunctionOutput !== true);

/** The schema of what is given: the key, the fields that are there, and the dynamic field when something is for it. */
function givenPart(schema: CollectionSchema, { fields }: WriteRequest): CollectionSchema {
  const keyField = primaryKeyOf(schema);
  const sent = new Set(fields.map(({ name }) => name));
  if (!sent.has(keyField.name))
    throw invalid(`a partial update needs the primary key field ${keyField.name}`);
  const own = new Set(schema.fields.filter(({ isDynamic }) => !isDynamic).map(({ name }) => name));
  const isDynamic = fields.some((field) => field.isDynamic || !own.has(field.name));
  return {
    ...schema,
    fields: schema.fields.filter((field) => (field.isDynamic ? isDynamic : sent.has(field.name))),
  };
}

function listOps(part: CollectionSchema, ops: readonly FieldOp[]): ReadonlyMap<FieldId, FieldOp['op']> {
  const byField = new Map<FieldId, FieldOp['op']>();
  for (const { field: name, op } of ops) {
    const field = part.fields.find((each) => each.name === name);
    if (field === undefined) throw invalid(`an operation on field ${name}, which the data does not have`);
    if (byField.has(field.fieldId)) throw invalid(`more than one operation on field ${name}`);
    if (op !== 'replace' && field.dataType !== 'Array')
      throw invalid(`array operations are for array fields, field ${name} is of type ${field.dataType}`);
    byField.set(field.fieldId, op);
  }
  return byField;
}

interface Pairs {
  /** Rows given whose key is there, and the row it has. */
  readonly given: readonly number[];
  readonly old: readonly number[];
  readonly fresh: readonly number[];
}

function pairs(keys: PrimaryKeys, oldKeys: PrimaryKeys): Pairs {
  const oldRow = new Map<PrimaryKey, number>();
  for (const [row, key] of oldKeys.values.entries()) oldRow.set(key, row);
  const found: { given: number[]; old: number[]; fresh: number[] } = { given: [], old: [], fresh: [] };
  for (const [row, key] of keys.values.entries()) {
    const at = oldRow.get(key);
    if (at === undefined) found.fresh.push(row);
    else {
      found.given.push(row);
      found.old.push(at);
    }
  }
  return found;
}

interface Merge {
  readonly given: RowBatch;
  readonly ops: ReadonlyMap<FieldId, FieldOp['op']>;
  readonly old: RowBatch;
  readonly rows: Pairs;
}

function replacedRows(schema: CollectionSchema, { given, ops, old, rows }: Merge): RowBatch {
  const columns = new Map<FieldId, Column>();
  for (const field of storedFields(schema)) {
    const { fieldId } = field;
    const was = takeRows(present(old.columns.get(fieldId), 'a column that was asked for'), rows.old);
    const sent = given.columns.get(fieldId);
    if (sent === undefined) columns.set(fieldId, was);
    else columns.set(fieldId, mergedColumn(field, ops.get(fieldId), was, takeRows(sent, rows.given)));
  }
  return { rowCount: rows.given.length, columns };
}

function mergedColumn(field: FieldSchema, op: FieldOp['op'] | undefined, was: Column, sent: Column): Column {
  if (field.isDynamic) return mergedObjects(was as BytesColumn, sent as BytesColumn);
  if (op === undefined || op === 'replace') return sent;
  assert(was.layout === 'list' && sent.layout === 'list', 'an array field has lists');
  return mergedLists(field, op, was, sent);
}

/** Keys that are given take the place of those that are there; the others stay. */
function mergedObjects(was: BytesColumn, sent: BytesColumn): BytesColumn {
  const texts = textsOf(sent);
  return textColumn(
    textsOf(was).map((text, row) => {
      const entries = jsonEntries(present(texts[row], 'a row'));
      const keys = new Set(entries.map(({ key }) => key));
      return jsonObjectText([...jsonEntries(text).filter(({ key }) => !keys.has(key)), ...entries]);
    }),
  );
}

function freshRows(
  schema: CollectionSchema,
  given: RowBatch,
  ops: Merge['ops'],
  rows: readonly number[],
): RowBatch {
  const columns = new Map<FieldId, Column>();
  for (const field of rows.length === 0 ? [] : storedFields(schema)) {
    const sent = given.columns.get(field.fieldId);
    if (sent !== undefined)
      columns.set(field.fieldId, freshColumn(field, ops.get(field.fieldId), takeRows(sent, rows)));
    else if (field.isDynamic) columns.set(field.fieldId, textColumn(rows.map(() => '{}')));
    else if (field.nullable || field.defaultValue !== undefined)
      columns.set(field.fieldId, constantColumn(field, rows.length));
    else
      throw invalid(
        `field ${field.name} has no corresponding data: a row whose key is not there yet needs it, for it is not nullable and has no default`,
      );
  }
  return { rowCount: rows.length, columns };
}

/** Nothing is taken from a list that is not there. */
function freshColumn(field: FieldSchema, op: FieldOp['op'] | undefined, sent: Column): Column {
  if (op !== 'remove') return sent;
  assert(sent.layout === 'list', 'an array field has lists');
  const empty = { ...sent, offsets: new Uint32Array(sent.offsets.length), valid: undefined };
  return mergedLists(field, 'remove', empty, sent);
}
