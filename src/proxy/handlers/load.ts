import type { CollectionInfo, CollectionName } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, PartitionId } from '../../model/ids.ts';
import { isPartitionLoaded } from '../../model/load-scope.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { loadStateToWire } from '../wire/enums.ts';
import { success } from '../wire/status.ts';
import { refuseKeyed } from './partition-keys.ts';
import { partitionIdsOf } from './partitions.ts';
import { untilPatienceEnds } from './patience.ts';

/** A load that fails after the answer shows as a collection that is not loaded. */
const startLoad = (
  call: CallContext,
  at: CollectionName,
  partitionIds?: readonly PartitionId[],
): Promise<void> => untilPatienceEnds(call, 'load-failed', at, () => call.coordinator.load(at, partitionIds));

export const loadCollection: Handler<'LoadCollection'> = async (request, call) => {
  const at = collectionAt(call, request);
  call.coordinator.requireReady(at);
  await startLoad(call, at);
  return done;
};

export const releaseCollection: Handler<'ReleaseCollection'> = async (request, call) => {
  await call.coordinator.release(collectionAt(call, request));
  return done;
};

export const loadPartitions: Handler<'LoadPartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.requireReady(at);
  refuseKeyed(info, 'load');
  await startLoad(call, at, namedPartitions(info, request.partition_names));
  return done;
};

export const releasePartitions: Handler<'ReleasePartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.describeCollection(at);
  refuseKeyed(info, 'release');
  await call.coordinator.release(at, namedPartitions(info, request.partition_names));
  return done;
};

function namedPartitions(info: CollectionInfo, names: readonly string[]): readonly PartitionId[] {
  const ids = partitionIdsOf(info, names);
  if (ids === undefined) throw new DbError('parameter-invalid', 'partition_names is empty');
  return ids;
}

const loadOf = (
  call: CallContext,
  at: CollectionName,
  names: readonly string[],
): ReturnType<CallContext['coordinator']['loadState']> => {
  if (names.length === 0 || call.coordinator.loadState(at).state === 'not-exist')
    return call.coordinator.loadState(at);
  return call.coordinator.loadState(at, partitionIdsOf(call.coordinator.describeCollection(at), names));
};

export const getLoadState: Handler<'GetLoadState'> = (request, call) => {
  const { state } = loadOf(call, collectionAt(call, request), request.partition_names);
  return { status: success, state: loadStateToWire[state] };
};

export const getLoadingProgress: Handler<'GetLoadingProgress'> = (request, call) => {
  const at = collectionAt(call, request);
  call.coordinator.describeCollection(at);
  const { state, progress } = loadOf(call, at, request.partition_names);
  const percent = BigInt(state === 'loaded' ? 100 : Math.floor(progress));
  return { status: success, progress: percent, refresh_progress: percent };
};

/** The node that holds every replica: there is one. */
const NODE_ID = 1n;

export const getReplicas: Handler<'GetReplicas'> = (request, call) => {
  const info =
    request.collection_name === '' && request.collectionID > 0n
      ? call.coordinator.describeCollectionById(request.collectionID as CollectionId)
      : call.coordinator.describeCollection(collectionAt(call, request));
  const { collection, databaseName: database, partitions } = info;
  if (call.coordinator.loadState({ database, name: collection.name }).state !== 'loaded')
    throw new DbError('collection-not-loaded', `collection not loaded[collection=${collection.name}]`);
  const shards = collection.channels.map((channel) => ({
    leaderID: NODE_ID,
    dm_channel_name: channel,
    node_ids: request.with_shard_nodes ? [NODE_ID] : [],
  }));
  const replica = {
    replicaID: collection.collectionId,
    collectionID: collection.collectionId,
    partition_ids: partitions
      .map(({ partitionId }) => partitionId)
      .filter((partitionId) => isPartitionLoaded(collection, partitionId)),
    shard_replicas: shards,
    node_ids: [NODE_ID],
    resource_group_name: '__default_resource_group',
  };
  return { status: success, replicas: [replica] };
};
