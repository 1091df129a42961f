/** Insert and Upsert: check everything, number the rows, hash them over the channels, and write them as one record. */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import { ALL_PARTITIONS } from '../../model/ids.ts';
import type { Column, PrimaryKeys, RowBatch } from '../../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import type { WritePart } from '../../streamingnode/api.ts';
import { present } from '../../support/assert.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { textColumn } from '../wire/dynamic.ts';
import { encodeMutationResult } from '../wire/results.ts';
import { checkedRows } from '../wire/rows.ts';
import { decodeWriteRequest, type WriteRequest } from '../wire/write-request.ts';
import { requirePartition } from './partitions.ts';
import { keysOf, rowsByShard, shardsOf, takeBatch, takeKeys } from './shards.ts';

/** Lets clients give the keys of an auto-id collection; a collection property of Milvus. */
const GIVEN_IDS_PROPERTY = 'allow_insert_auto_id';

export const primaryKeyOf = (schema: CollectionSchema): FieldSchema =>
  present(
    schema.fields.find(({ isPrimaryKey }) => isPrimaryKey),
    'primary key',
  );

interface Target {
  readonly info: CollectionInfo;
  readonly keyField: FieldSchema;
  readonly partition: ReturnType<typeof requirePartition>;
}

function targetOf(call: CallContext, request: WriteRequest): Target {
  if (request.hasNamespace) throw new DbError('unimplemented', 'namespaces are not implemented');
  const info = call.coordinator.requireReady(collectionAt(call, request));
  const partition = requirePartition(info, request.partition_name);
  return { info, partition, keyField: primaryKeyOf(info.collection.schema) };
}

/** Fresh ids as the column of an auto-id primary key. */
async function numbered(call: CallContext, batch: RowBatch, keyField: FieldSchema): Promise<RowBatch> {
  const first = await call.coordinator.allocateIds(batch.rowCount);
  const ids = BigInt64Array.from({ length: batch.rowCount }, (_, row) => first + BigInt(row));
  const column: Column =
    keyField.dataType === 'Int64'
      ? { layout: 'fixed', type: 'Int64', values: ids }
      : { ...textColumn(Array.from(ids, String)), type: 'VarChar' };
  return { rowCount: batch.rowCount, columns: new Map([...batch.columns, [keyField.fieldId, column]]) };
}

function insertParts({ info, partition }: Target, batch: RowBatch, keys: PrimaryKeys): WritePart[] {
  const { channels } = info.collection;
  return [...rowsByShard(shardsOf(keys, channels.length), channels.length)].map(([shard, rows]) => ({
    kind: 'insert',
    channel: present(channels[shard], 'channel'),
    partitionId: partition.partitionId,
    rows: takeBatch(batch, rows),
  }));
}

/** The parts of a delete by keys: each key on the channel its rows are on. */
export function deleteParts(
  channels: readonly string[],
  keys: PrimaryKeys,
  partitionId = ALL_PARTITIONS,
): WritePart[] {
  return [...rowsByShard(shardsOf(keys, channels.length), channels.length)].map(([shard, rows]) => ({
    kind: 'delete',
    channel: present(channels[shard], 'channel'),
    partitionId,
    keys: takeKeys(keys, rows),
  }));
}

export async function insert(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeWriteRequest('insert', body);
  const target = targetOf(call, request);
  const { collection } = target.info;
  const { keyField } = target;
  const isGiven = request.fields.some(({ name }) => name === keyField.name);
  const autoIds = keyField.autoId && !(isGiven && collection.properties[GIVEN_IDS_PROPERTY] === 'true');
  const checked = checkedRows(collection.schema, request, { autoIds });
  const batch = autoIds ? await numbered(call, checked, keyField) : checked;
  const keys = keysOf(batch, keyField);
  const ts = await call.streamingNode.write(collection.collectionId, insertParts(target, batch, keys));
  return encodeMutationResult({ keys, inserted: batch.rowCount, deleted: 0, upserted: 0, ts });
}

/**
 * The delete and the insert are one write: nobody sees the row missing or twice. On an auto-id collection the keys given name
 * the rows to replace, and the new rows get new keys.
 */
export async function upsert(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeWriteRequest('upsert', body);
  if (request.isPartial) throw new DbError('unimplemented', 'partial update is not implemented');
  const target = targetOf(call, request);
  const { collection } = target.info;
  const { keyField } = target;
  const checked = checkedRows(collection.schema, request, { autoIds: false });
  const replaced = keysOf(checked, keyField);
  if (new Set<bigint | string>(replaced.values).size < replaced.values.length)
    throw new DbError('parameter-invalid', 'duplicate primary keys are not allowed in the same batch');
  const batch = keyField.autoId ? await numbered(call, checked, keyField) : checked;
  const keys = keysOf(batch, keyField);
  const parts = [...deleteParts(collection.channels, replaced), ...insertParts(target, batch, keys)];
  const ts = await call.streamingNode.write(collection.collectionId, parts);
  const rows = batch.rowCount;
  return encodeMutationResult({ keys, inserted: rows, deleted: rows, upserted: rows, ts });
}
