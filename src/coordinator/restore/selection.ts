/** Which partitions of a snapshot a restore takes, and whether the snapshot can be restored at all. Pure. */
import { DbError } from '../../errors/db-error.ts';
import type { PartitionId } from '../../model/ids.ts';
import { DEFAULT_PARTITION } from '../collections/names.ts';
import { partitionKeyOf } from '../collections/schema.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';

type Listed = Pick<SnapshotMetadata, 'partitions' | 'snapshot'>;

/** In the order of the metadata; undefined: all. Throws `parameter-invalid` for an empty list, `partition-not-found`. */
export function selectPartitions(
  { partitions, snapshot }: Listed,
  names: readonly string[] | undefined,
): readonly PartitionId[] | undefined {
  if (names === undefined) return undefined;
  if (names.length === 0)
    throw new DbError('parameter-invalid', 'no partition is named: name one, or restore all of them');
  const listed = new Set(partitions.map(({ name }) => name));
  const unknown = names.find((name) => !listed.has(name));
  if (unknown !== undefined)
    throw new DbError(
      'partition-not-found',
      `partition not found[partition=${unknown}] in snapshot '${snapshot.name}'`,
    );
  const chosen = new Set(names);
  return partitions.filter(({ name }) => chosen.has(name)).map(({ partitionId }) => partitionId);
}

/** Rows of a partition key's collection are looked for by its hash: all of its partitions belong together. Throws `parameter-invalid`. */
export function refuseKeyed(
  { collection }: Pick<SnapshotMetadata, 'collection'>,
  names: readonly string[] | undefined,
): void {
  if (names !== undefined && partitionKeyOf(collection.schema) !== undefined)
    throw new DbError(
      'parameter-invalid',
      'partitions of a collection with a partition key cannot be restored apart',
    );
}

/** Partitions that the target gets, with their rank in the metadata: those chosen, and `_default`, which every collection has. */
export function targetPartitions(
  { partitions }: Listed,
  selection: readonly PartitionId[] | undefined,
): readonly { readonly name: string; readonly rank: number }[] {
  const chosen = new Set(selection);
  return partitions
    .map(({ partitionId, name }, rank) => ({ partitionId, name, rank }))
    .filter(
      ({ partitionId, name }) =>
        selection === undefined || chosen.has(partitionId) || name === DEFAULT_PARTITION,
    );
}

/** Every index of the snapshot is of a field its schema has. Throws `data-integrity`. */
export function checkIndexes({ snapshot, collection, indexes }: SnapshotMetadata): void {
  const fields = new Set(collection.schema.fields.map(({ fieldId }) => fieldId));
  for (const { name, fieldId } of indexes)
    if (!fields.has(fieldId))
      throw new DbError(
        'data-integrity',
        `index '${name}' of snapshot '${snapshot.name}' is of field ${fieldId}, which its schema does not have`,
      );
}
