/** Every object key is built here, from ids only: no key holds a name that came from outside. */
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId, SnapshotId } from '../model/ids.ts';

interface Place {
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly segmentId: SegmentId;
}

/** Everything of a collection's segments lies below this. */
export const collectionSegmentsPrefix = (collectionId: CollectionId): string => `segments/${collectionId}/`;
/** Everything of a segment lies below this. Partition -1 stands for all partitions. */
export const segmentPrefix = ({ collectionId, partitionId, segmentId }: Place): string =>
  `segments/${collectionId}/${partitionId}/${segmentId}/`;

export const rowsKey = (place: Place): string => `${segmentPrefix(place)}rows.parquet`;
export const statsKey = (place: Place): string => `${segmentPrefix(place)}stats.bin`;
export const deletesKey = (place: Place): string => `${segmentPrefix(place)}deletes.parquet`;
export const indexKey = (place: Place, fieldId: FieldId, buildId: BuildId): string =>
  `${segmentPrefix(place)}index/${fieldId}/${buildId}.index`;

const INDEX_KEY = /^segments\/(\d+)\/-?\d+\/(\d+)\/index\/\d+\/(\d+)\.index$/;

/** What an index file belongs to; undefined for any other key. */
export function parseIndexKey(
  key: string,
):
  | { readonly collectionId: CollectionId; readonly segmentId: SegmentId; readonly buildId: BuildId }
  | undefined {
  const [, collectionId, segmentId, buildId] = INDEX_KEY.exec(key) ?? [];
  if (collectionId === undefined || segmentId === undefined || buildId === undefined) return undefined;
  return {
    collectionId: BigInt(collectionId) as CollectionId,
    segmentId: BigInt(segmentId) as SegmentId,
    buildId: BigInt(buildId) as BuildId,
  };
}

/** Every segment's objects lie below this. */
export const ALL_SEGMENTS_PREFIX = 'segments/';

export const snapshotMetadataKey = (collectionId: CollectionId, snapshotId: SnapshotId): string =>
  `snapshots/${collectionId}/metadata/${snapshotId}.json`;
export const snapshotManifestsPrefix = (collectionId: CollectionId, snapshotId: SnapshotId): string =>
  `snapshots/${collectionId}/manifests/${snapshotId}/`;
export const snapshotManifestKey = (collectionId: CollectionId, snapshotId: SnapshotId, n: number): string =>
  `${snapshotManifestsPrefix(collectionId, snapshotId)}${n}.avro`;
