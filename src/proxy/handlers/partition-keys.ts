/**
 * Collections whose rows are divided over the partitions by a hash of one field, the partition key. Their partitions have names of their
 * own, and no caller names them. The hash is that of the shards, of the key's value; with the order of the partitions it is part of what
 * is stored: it must never change.
 */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CheckedFilter } from '../../expr/check.ts';
import type { PartitionId } from '../../model/ids.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import type { CallContext } from '../context.ts';
import { partitionIdsOf } from './partitions.ts';
import { shardsOf } from './shards.ts';

export const partitionKeyOf = ({ fields }: CollectionSchema): FieldSchema | undefined =>
  fields.find(({ isPartitionKey }) => isPartitionKey === true);

const NAMED = 'not support manually specifying the partition names if partition key mode is used';

/** Throws `parameter-invalid` when somebody names partitions that are not theirs to name. */
export function refuseNamed({ collection }: CollectionInfo, names: readonly string[]): void {
  if (names.length > 0 && partitionKeyOf(collection.schema) !== undefined)
    throw new DbError('parameter-invalid', NAMED);
}

/** Throws `partition-key-mode`. */
export function refuseKeyed({ collection }: CollectionInfo, what: 'load' | 'release'): void {
  if (partitionKeyOf(collection.schema) !== undefined)
    throw new DbError('partition-key-mode', `disable ${what} partitions if partition key mode is used`);
}

/** The partitions, `_default_0` first. */
export const keyedPartitions = ({ partitions }: CollectionInfo): readonly PartitionId[] =>
  partitions
    .map(({ name, partitionId }) => ({ rank: Number(name.slice(name.lastIndexOf('_') + 1)), partitionId }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ partitionId }) => partitionId);

/** Where the rows of a read can stand; undefined: in any partition. `refusal`: what naming a partition is answered with. */
export function partitionsToRead(
  call: CallContext,
  info: CollectionInfo,
  { names, filter }: { readonly names: readonly string[]; readonly filter: CheckedFilter | undefined },
  refusal: 'parameter-invalid' | 'partition-key-mode',
): readonly PartitionId[] | undefined {
  const field = partitionKeyOf(info.collection.schema);
  if (field === undefined) return partitionIdsOf(info, names);
  if (names.length > 0) throw new DbError(refusal, NAMED);
  const values = filter && call.filters.valuesOf(filter, field.fieldId);
  if (values === undefined) return undefined;
  const ids = keyedPartitions(info);
  const ranks = new Set(shardsOf(values, ids.length));
  return [...ranks].map((rank) => present(ids[rank], 'a partition'));
}
