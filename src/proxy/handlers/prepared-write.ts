/**
 * From the bytes of an Insert or Upsert to what is written: decoded, checked, numbered and divided over the channels. Knows no
 * service, so that a large request can be prepared by a worker thread.
 */

import { DbError } from '../../errors/db-error.ts';
import { arraysOf } from '../../model/columns.ts';
import type { Column, PrimaryKeys, RowBatch } from '../../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import type { WorkerTasks } from '../../support/workers.ts';
import { withFunctionOutputs } from '../../text/function-rows.ts';
import { TimeZone } from '../../timestamptz/zones.ts';
import { textColumn } from '../wire/dynamic.ts';
import { checkedRows } from '../wire/rows.ts';
import { decodeWriteRequest, type WriteRequest } from '../wire/write-request.ts';
import { analysisTasks } from './analysis.ts';
import { keysOf, rowsByShard, shardsOf, takeBatch, takeKeys } from './shards.ts';

export const primaryKeyOf = (schema: CollectionSchema): FieldSchema =>
  present(
    schema.fields.find(({ isPrimaryKey }) => isPrimaryKey),
    'primary key',
  );

export interface WriteRules {
  readonly kind: 'insert' | 'upsert';
  readonly schema: CollectionSchema;
  readonly shardsNum: number;
  /** More than 1: rows are divided over them by their partition key. */
  readonly partitionsNum: number;
  /** An insert may give the keys of an auto-id collection. */
  readonly mayGiveIds: boolean;
  /** Zone of moments that are told without an offset. */
  readonly timeZone: string;
}

export interface ShardOf<T> {
  readonly shard: number;
  readonly rows: T;
}

export interface PreparedWrite {
  readonly rowCount: number;
  readonly keys: PrimaryKeys;
  readonly inserts: readonly (ShardOf<RowBatch> & { readonly partition: number })[];
  /** Keys of the rows an upsert replaces. */
  readonly deletes: readonly ShardOf<PrimaryKeys>[];
}

/** Answers the first of so many fresh ids. */
export type TakeIds = (count: number) => Promise<bigint>;

export async function prepareWrite(
  rules: WriteRules,
  request: WriteRequest,
  takeIds: TakeIds,
): Promise<PreparedWrite> {
  const { kind, schema, mayGiveIds } = rules;
  const keyField = primaryKeyOf(schema);
  const isGiven = mayGiveIds && request.fields.some(({ name }) => name === keyField.name);
  // An upsert names the rows to replace by their keys; new ones take their place.
  const autoIds = kind === 'insert' && keyField.autoId && !isGiven;
  const checked = checkedRows(schema, request, { autoIds, zone: new TimeZone(rules.timeZone) });
  if (kind === 'upsert') {
    const { values } = keysOf(checked, keyField);
    if (new Set<bigint | string>(values).size < values.length)
      throw new DbError('parameter-invalid', 'duplicate primary keys are not allowed in the same batch');
  }
  return dividedWrite(rules, withFunctionOutputs(schema, checked), takeIds, autoIds);
}

/** Whole rows, what functions write included, divided over channels and partitions; an upsert's on an auto-id collection get new keys, and the given ones are deleted. */
export async function dividedWrite(
  { kind, schema, shardsNum, partitionsNum }: WriteRules,
  checked: RowBatch,
  takeIds: TakeIds,
  autoIds = false,
): Promise<PreparedWrite> {
  const keyField = primaryKeyOf(schema);
  const replaced = kind === 'upsert' ? keysOf(checked, keyField) : undefined;
  const isNumbered = autoIds || (kind === 'upsert' && keyField.autoId);
  const batch = isNumbered ? numbered(checked, keyField, await takeIds(checked.rowCount)) : checked;
  const keys = keysOf(batch, keyField);
  const places = {
    shards: shardsOf(keys, shardsNum),
    partitions: partitionsOf(schema, batch, partitionsNum),
  };
  const inserts = dividedRows(batch, places, partitionsNum);
  const deletes = replaced === undefined ? [] : keysByShard(replaced, shardsNum);
  return { rowCount: batch.rowCount, keys, inserts, deletes };
}

/** Each key on the channel its rows are on. */
export const keysByShard = (keys: PrimaryKeys, shardsNum: number): ShardOf<PrimaryKeys>[] =>
  divide(keys, shardsNum, (rows) => takeKeys(keys, rows));

/** Partition of each row. */
function partitionsOf(schema: CollectionSchema, batch: RowBatch, partitionsNum: number): Uint32Array {
  const field = schema.fields.find(({ isPartitionKey }) => isPartitionKey === true);
  return field === undefined
    ? new Uint32Array(batch.rowCount)
    : shardsOf(keysOf(batch, field), partitionsNum);
}

function dividedRows(
  batch: RowBatch,
  { shards, partitions }: { readonly shards: Uint32Array; readonly partitions: Uint32Array },
  partitionsNum: number,
): PreparedWrite['inserts'] {
  const rowsOf = new Map<number, number[]>();
  for (let row = 0; row < batch.rowCount; row++) {
    const place = (shards[row] ?? 0) * partitionsNum + (partitions[row] ?? 0);
    const rows = rowsOf.get(place);
    if (rows === undefined) rowsOf.set(place, [row]);
    else rows.push(row);
  }
  return [...rowsOf]
    .sort(([a], [b]) => a - b)
    .map(([place, rows]) => ({
      shard: Math.floor(place / partitionsNum),
      partition: place % partitionsNum,
      rows: takeBatch(batch, rows),
    }));
}

const divide = <T>(
  keys: PrimaryKeys,
  shardsNum: number,
  take: (rows: readonly number[]) => T,
): ShardOf<T>[] =>
  [...rowsByShard(shardsOf(keys, shardsNum), shardsNum)].map(([shard, rows]) => ({
    shard,
    rows: take(rows),
  }));

/** Ids from `first` on as the column of an auto-id primary key. */
function numbered(batch: RowBatch, keyField: FieldSchema, first: bigint): RowBatch {
  const ids = new BigInt64Array(batch.rowCount);
  for (let row = 0; row < ids.length; row++) ids[row] = first + BigInt(row);
  const column: Column =
    keyField.dataType === 'Int64'
      ? { layout: 'fixed', type: 'Int64', values: ids }
      : { ...textColumn(Array.from(ids, String)), type: 'VarChar' };
  return { rowCount: batch.rowCount, columns: new Map([...batch.columns, [keyField.fieldId, column]]) };
}

/** Name of the worker task. */
export const PREPARE_WRITE = 'prepare-write';

export interface PrepareWriteInput {
  readonly rules: WriteRules;
  readonly body: Uint8Array;
  /** Fresh ids for every row of the request, in case they are needed. */
  readonly firstId: bigint;
}

/** What a worker thread can do for the proxy. */
export const writeTasks = (): WorkerTasks => ({
  ...analysisTasks(),
  [PREPARE_WRITE]: async ({ rules, body, firstId }: PrepareWriteInput) => {
    const output = await prepareWrite(rules, decodeWriteRequest(rules.kind, body), async () => firstId);
    return { output, transfer: largeBuffers(output) };
  },
});

/** From this size on moving a buffer beats copying it; smaller ones may lie in the common pool, which cannot be moved. */
const MOVE_FROM_BYTES = 65_536;

function largeBuffers({ inserts, keys, deletes }: PreparedWrite): ArrayBuffer[] {
  const columns = inserts.flatMap(({ rows }) => [...rows.columns.values()].flatMap(arraysOf));
  const keyLists = [keys, ...deletes.map(({ rows }) => rows)];
  const arrays = [
    ...columns,
    ...keyLists.flatMap(({ values }) => (values instanceof BigInt64Array ? [values] : [])),
  ];
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer } of arrays)
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= MOVE_FROM_BYTES) buffers.add(buffer);
  return [...buffers];
}
