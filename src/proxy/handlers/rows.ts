/** Insert and Upsert: check everything, number the rows, hash them over the channels, and write them as one record. */

import { isDeepStrictEqual } from 'node:util';
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId } from '../../model/ids.ts';
import type { PrimaryKey, PrimaryKeys } from '../../model/rows.ts';
import type { WritePart } from '../../streamingnode/api.ts';
import { present } from '../../support/assert.ts';
import type { Workers } from '../../support/workers.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { encodeMutationResult, type Mutation } from '../wire/results.ts';
import { decodeWriteRequest, decodeWriteTarget, type WriteTarget } from '../wire/write-request.ts';
import { functionOutputs, offloadTextFrom } from './analysis.ts';
import { inTurn, mergedRows } from './partial-upsert.ts';
import { keyedPartitions, partitionKeyOf, refuseNamed } from './partition-keys.ts';
import { requirePartition } from './partitions.ts';
import {
  dividedWrite,
  keysByShard,
  PREPARE_WRITE,
  type PreparedWrite,
  type PrepareWriteInput,
  prepareWrite,
  primaryKeyOf,
  type WriteRules,
} from './prepared-write.ts';
import { zoneNameOf } from './time-zones.ts';

/** Lets clients give the keys of an auto-id collection; a collection property of Milvus. */
const GIVEN_IDS_PROPERTY = 'allow_insert_auto_id';
/** Requests from this size on are prepared by a worker thread: checking JSON takes about ten milliseconds a megabyte. */
const OFFLOAD_FROM_BYTES = 1 << 20;
/** The same where there are geometries or moments: to read their text takes ten times as long. */
const OFFLOAD_TOLD_FROM_BYTES = 64 << 10;

const offloadFrom = ({ info }: Target): number =>
  Math.min(
    offloadTextFrom(info.collection.schema),
    info.collection.schema.fields.some(
      ({ dataType }) => dataType === 'Geometry' || dataType === 'Timestamptz',
    )
      ? OFFLOAD_TOLD_FROM_BYTES
      : OFFLOAD_FROM_BYTES,
  );

interface Target {
  readonly info: CollectionInfo;
  /** Where rows go: one, or by the hash of the partition key. */
  readonly partitionIds: readonly PartitionId[];
}

function targetOf(call: CallContext, request: WriteTarget): Target {
  if (request.hasNamespace) throw new DbError('unimplemented', 'namespaces are not implemented');
  const info = call.coordinator.requireReady(collectionAt(call, request));
  refuseNamed(info, request.partition_name === '' ? [] : [request.partition_name]);
  const isKeyed = partitionKeyOf(info.collection.schema) !== undefined;
  const partitionIds = isKeyed
    ? keyedPartitions(info)
    : [requirePartition(info, request.partition_name).partitionId];
  return { info, partitionIds };
}

function rulesOf(kind: WriteRules['kind'], { info, partitionIds }: Target, call: CallContext): WriteRules {
  const { schema, channels, properties } = info.collection;
  return {
    kind,
    schema,
    shardsNum: channels.length,
    partitionsNum: partitionIds.length,
    mayGiveIds: properties[GIVEN_IDS_PROPERTY] === 'true',
    timeZone: zoneNameOf(call, info),
  };
}

interface Prepared extends Target {
  readonly head: WriteTarget;
  readonly write: PreparedWrite;
}

/** Truncations that may come between the look at the partitions and the write. */
const MAX_MOVES = 3;

/** Writes the parts; again into the new partitions when a truncation has come between. A write that is refused has not happened. */
async function written(
  call: CallContext,
  ready: Prepared,
  partsOf: (target: Target) => WritePart[],
): Promise<HybridTime> {
  const { collectionId } = ready.info.collection;
  let target: Target = ready;
  for (let moves = 0; ; moves++)
    try {
      return await call.streamingNode.write(collectionId, partsOf(target));
    } catch (error) {
      const isGone = isDbError(error, 'collection-not-found') || isDbError(error, 'partition-not-found');
      if (moves >= MAX_MOVES || !isGone) throw error;
      const now = targetOf(call, ready.head);
      const isSame = now.info.collection.collectionId === collectionId;
      if (!isSame || isDeepStrictEqual(now.partitionIds, target.partitionIds)) throw error;
      target = now;
    }
}

async function prepared(kind: WriteRules['kind'], body: Uint8Array, call: CallContext): Promise<Prepared> {
  const { workers, coordinator } = call;
  if (workers !== undefined) {
    const head = decodeWriteTarget(kind, body);
    const isLarge = body.length >= offloadFrom(targetOf(call, head));
    // More rows than bytes: nothing but filled-in defaults, or wrong.
    if (head.numRows <= body.length && !head.isPartial && isLarge)
      return preparedByWorker(kind, body, head, call, workers);
  }
  const request = decodeWriteRequest(kind, body);
  const target = targetOf(call, request);
  const write = await prepareWrite(rulesOf(kind, target, call), request, (count) =>
    coordinator.allocateIds(count),
  );
  return { ...target, head: request, write };
}

async function preparedByWorker(
  kind: WriteRules['kind'],
  body: Uint8Array,
  head: WriteTarget,
  call: CallContext,
  workers: Workers,
): Promise<Prepared> {
  const target = targetOf(call, head);
  const rules = rulesOf(kind, target, call);
  const needsIds = primaryKeyOf(rules.schema).autoId && head.numRows > 0;
  const firstId = needsIds ? await call.coordinator.allocateIds(head.numRows) : 0n;
  const { buffer } = body;
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === body.byteLength;
  const input: PrepareWriteInput = { rules, body, firstId };
  const write: PreparedWrite = await workers.run(PREPARE_WRITE, input, isWhole ? [buffer] : []);
  return { ...target, head, write };
}

const insertParts = ({ info, partitionIds }: Target, write: PreparedWrite): WritePart[] =>
  write.inserts.map(({ shard, partition, rows }) => ({
    kind: 'insert',
    channel: present(info.collection.channels[shard], 'channel'),
    partitionId: present(partitionIds[partition], 'partition'),
    rows,
  }));

const deletePartsOf = (
  channels: readonly string[],
  deletes: PreparedWrite['deletes'],
  partitionId: PartitionId,
): WritePart[] =>
  deletes.map(({ shard, rows }) => ({
    kind: 'delete',
    channel: present(channels[shard], 'channel'),
    partitionId,
    keys: rows,
  }));

/** The parts of a delete by keys: each key on the channel its rows are on. */
export const deleteParts = (
  channels: readonly string[],
  keys: PrimaryKeys,
  partitionId: PartitionId = ALL_PARTITIONS,
): WritePart[] => deletePartsOf(channels, keysByShard(keys, channels.length), partitionId);

export const insert = async (body: Uint8Array, call: CallContext): Promise<Uint8Array> =>
  encodeMutationResult(await inserted(body, call));

export const upsert = async (body: Uint8Array, call: CallContext): Promise<Uint8Array> =>
  encodeMutationResult(await upserted(body, call));

export async function inserted(body: Uint8Array, call: CallContext): Promise<Mutation> {
  const ready = await prepared('insert', body, call);
  const { keys, rowCount } = ready.write;
  const ts = await written(call, ready, (target) => insertParts(target, ready.write));
  return { keys, inserted: rowCount, deleted: 0, upserted: 0, ts };
}

/**
 * The delete and the insert are one write: nobody sees the row missing or twice. On an auto-id collection the keys given name
 * the rows to replace, and the new rows get new keys.
 */
export async function upserted(body: Uint8Array, call: CallContext): Promise<Mutation> {
  if (decodeWriteTarget('upsert', body).isPartial) return partialUpsert(body, call);
  const ready = await prepared('upsert', body, call);
  const { channels } = ready.info.collection;
  const { keys, rowCount, deletes } = ready.write;
  const ts = await written(call, ready, (target) => [
    ...deletePartsOf(channels, deletes, ALL_PARTITIONS),
    ...insertParts(target, ready.write),
  ]);
  return { keys, inserted: rowCount, deleted: rowCount, upserted: rowCount, ts };
}

async function partialUpsert(body: Uint8Array, call: CallContext): Promise<Mutation> {
  const request = decodeWriteRequest('upsert', body);
  const { collectionId } = targetOf(call, request).info.collection;
  return inTurn(call, collectionId, async () => {
    // As it is now that it is our turn.
    const target = targetOf(call, request);
    const { channels } = target.info.collection;
    const rules = rulesOf('upsert', target, call);
    const takeIds = (count: number) => call.coordinator.allocateIds(count);
    const merged = await mergedRows(call, target.info, request);
    const writes: (PreparedWrite & { readonly rows: readonly number[] })[] = [];
    for (const { batch, rows } of [merged.replaced, merged.fresh])
      if (rows.length > 0) {
        const whole = await functionOutputs(call, rules.schema, batch);
        writes.push({ ...(await dividedWrite(rules, whole, takeIds)), rows });
      }
    const parts = [
      ...writes.flatMap(({ deletes }) => deletePartsOf(channels, deletes, ALL_PARTITIONS)),
      ...writes.flatMap((write) => insertParts(target, write)),
    ];
    const ts = await call.streamingNode.write(collectionId, parts);
    const keys = inOrder(writes);
    const rowCount = keys.values.length;
    return { keys, inserted: rowCount, deleted: rowCount, upserted: rowCount, ts };
  });
}

/** The keys in the order of the request's rows. */
function inOrder(
  writes: readonly (Pick<PreparedWrite, 'keys'> & { readonly rows: readonly number[] })[],
): PrimaryKeys {
  const keys: PrimaryKey[] = [];
  for (const write of writes)
    for (const [i, row] of write.rows.entries()) keys[row] = present(write.keys.values[i], 'key');
  return writes[0]?.keys.type === 'VarChar'
    ? { type: 'VarChar', values: keys as string[] }
    : { type: 'Int64', values: BigInt64Array.from(keys as bigint[]) };
}
