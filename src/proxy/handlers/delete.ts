import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CheckedFilter } from '../../expr/check.ts';
import type { PartitionId } from '../../model/ids.ts';
import type { PrimaryKeys } from '../../model/rows.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { Handler } from '../rpc.ts';
import { success } from '../wire/status.ts';
import { checkedFilter } from './filters.ts';
import { refuseNamed } from './partition-keys.ts';
import { requirePartition } from './partitions.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { deleteParts } from './rows.ts';
import { keysOf } from './shards.ts';
import { timesOf } from './time-zones.ts';

/**
 * Delete by filter. Keys named by the filter itself are deleted without looking; for any other filter the query node finds
 * the keys first, so a row that is written between the look-up and the delete and matches too may stay.
 */
export const deleteRows: Handler<'Delete'> = async (request, call) => {
  if ((request.namespace ?? '') !== '') throw new DbError('unimplemented', 'namespaces are not implemented');
  const info = call.coordinator.requireReady(collectionAt(call, request));
  const { collection } = info;
  const { zone } = timesOf(call, info, {});
  const filter = checkedFilter(call, request.expr, collection.schema, request.expr_template_values, zone);
  if (filter === undefined)
    throw new DbError('parameter-invalid', 'the filter of a delete should be not empty');
  refuseNamed(info, request.partition_name === '' ? [] : [request.partition_name]);
  const partition =
    request.partition_name === '' ? undefined : requirePartition(info, request.partition_name).partitionId;
  const keys =
    call.filters.primaryKeysOf(filter, primaryKeyOf(collection.schema).fieldId) ??
    (await matchingKeys(call, info, filter, partition));
  const ts = await call.streamingNode.write(
    collection.collectionId,
    deleteParts(collection.channels, keys, partition),
  );
  // Without the keys, as Milvus since 2.3.2: with them pymilvus answers a list of keys in place of the count.
  return { status: success, delete_cnt: BigInt(keys.values.length), timestamp: ts };
};

async function matchingKeys(
  call: CallContext,
  { collection }: CollectionInfo,
  filter: CheckedFilter,
  partition: PartitionId | undefined,
): Promise<PrimaryKeys> {
  const keyField = primaryKeyOf(collection.schema);
  const limit = call.limits.maxDeleteRows;
  const rows = await call.queryNode.query({
    collectionId: collection.collectionId,
    filter,
    outputFields: [keyField.fieldId],
    limit: limit + 1,
    needsAll: true,
    ...(partition === undefined ? {} : { partitionIds: [partition] }),
  });
  if (rows.rowCount > limit)
    throw new DbError('parameter-too-large', `the filter matches more than ${limit} rows: delete in steps`);
  return keysOf(rows, keyField);
}
