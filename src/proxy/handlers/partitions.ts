import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import { physicalMs } from '../../model/hybrid-time.ts';
import type { PartitionId } from '../../model/ids.ts';
import type { PartitionRecord } from '../../model/records.ts';
import { collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { requireName } from '../wire/names.ts';
import { success } from '../wire/status.ts';

export const DEFAULT_PARTITION = '_default';
/** A client asks for the loaded ones. */
const IN_MEMORY = 1;

/** The partition of that name; the default one for an empty name. Throws `partition-not-found`. */
export function requirePartition(info: CollectionInfo, name: string): PartitionRecord {
  const wanted = name === '' ? DEFAULT_PARTITION : requireName('partition', name);
  const partition = info.partitions.find((candidate) => candidate.name === wanted);
  if (partition === undefined)
    throw new DbError(
      'partition-not-found',
      `partition not found[partition=${wanted}][collection=${info.collection.name}]`,
    );
  return partition;
}

/** The ids of these partitions, each once; undefined for none named, which means all. */
export const partitionIdsOf = (
  info: CollectionInfo,
  names: readonly string[],
): readonly PartitionId[] | undefined =>
  names.length === 0
    ? undefined
    : [...new Set(names.map((name) => requirePartition(info, name).partitionId))];

export const createPartition: Handler<'CreatePartition'> = async (request, call) => {
  const at = collectionAt(call, request);
  await call.coordinator.createPartition(at, requireName('partition', request.partition_name));
  return done;
};

export const dropPartition: Handler<'DropPartition'> = async (request, call) => {
  const at = collectionAt(call, request);
  await call.coordinator.dropPartition(at, requireName('partition', request.partition_name));
  return done;
};

export const hasPartition: Handler<'HasPartition'> = (request, call) => {
  const { partitions } = call.coordinator.describeCollection(collectionAt(call, request));
  const wanted = requireName('partition', request.partition_name);
  return { status: success, value: partitions.some(({ name }) => name === wanted) };
};

export const showPartitions: Handler<'ShowPartitions'> = (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.describeCollection(at);
  const names = request.partition_names;
  const named = names.length === 0 ? info.partitions : names.map((name) => requirePartition(info, name));
  const loadOf = ({ partitionId }: PartitionRecord) => call.coordinator.loadState(at, [partitionId]);
  const partitions =
    request.type === IN_MEMORY ? named.filter((each) => loadOf(each).state !== 'not-load') : named;
  return {
    status: success,
    partition_names: partitions.map(({ name }) => name),
    partitionIDs: partitions.map(({ partitionId }) => partitionId),
    created_timestamps: partitions.map(({ createdTs }) => createdTs),
    created_utc_timestamps: partitions.map(({ createdTs }) => BigInt(physicalMs(createdTs))),
    inMemory_percentages: partitions.map((each) => BigInt(Math.floor(loadOf(each).progress))),
  };
};

export const getPartitionStatistics: Handler<'GetPartitionStatistics'> = (request, call) => {
  const info = call.coordinator.describeCollection(collectionAt(call, request));
  const { partitionId } = requirePartition(info, request.partition_name);
  const rows = call.coordinator.rowCount(info.collection.collectionId, partitionId);
  return { status: success, stats: [{ key: 'row_count', value: String(rows) }] };
};
