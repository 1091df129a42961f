/** What a snapshot at T holds: one synchronous read of the catalog, so that nothing changes under it. */
import type { Catalog } from '../../catalog/catalog.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import { assert } from '../../support/assert.ts';
import type { RestoreGate } from '../rooms.ts';
import { indexes, partitions, segments } from '../tables.ts';
import type { SnapshotMetadata } from './metadata.ts';
import type { SnapshotSegment } from './segment.ts';

export interface Captured {
  readonly collection: SnapshotMetadata['collection'];
  readonly partitions: SnapshotMetadata['partitions'];
  readonly indexes: SnapshotMetadata['indexes'];
  readonly segments: readonly SnapshotSegment[];
}

const byId =
  <T>(idOf: (item: T) => bigint) =>
  (a: T, b: T): number =>
    idOf(a) < idOf(b) ? -1 : 1;

/** Segments that hold a write up to `createTs`, in the order of their ids. A flush at T left none that holds later ones too. */
export function capture(
  catalog: Catalog,
  collection: CollectionRecord,
  createTs: HybridTime,
  gate: RestoreGate,
): Captured {
  const { collectionId, name, schema, shardsNum, channels, consistencyLevel, properties } = collection;
  const ownIndexes = catalog.find(indexes, 'collection', collectionId).toSorted(byId((i) => i.indexId));
  const indexIds = new Set(ownIndexes.map(({ indexId }) => indexId));
  return {
    collection: { name, schema, shardsNum, channels, consistencyLevel, properties },
    partitions: catalog
      .find(partitions, 'collection', collectionId)
      .toSorted(byId((p) => p.partitionId))
      .map((partition) => ({ partitionId: partition.partitionId, name: partition.name })),
    indexes: ownIndexes.map((index) => ({
      indexId: index.indexId,
      fieldId: index.fieldId,
      name: index.name,
      params: index.params,
    })),
    segments: catalog
      .find(segments, 'collection', collectionId)
      .filter((segment) => holdsData(segment, createTs, gate))
      .toSorted(byId((s) => s.segmentId))
      .map((segment) => toSnapshot(segment, createTs, indexIds)),
  };
}

const holdsData = (segment: SegmentRecord, createTs: HybridTime, gate: RestoreGate): boolean =>
  segment.state === 'flushed' &&
  (segment.restoreJobId === undefined || gate.isCompleted(segment.restoreJobId)) &&
  segment.rowCount > 0 &&
  segment.files.length > 0 &&
  segment.minTs <= createTs;

function toSnapshot(
  segment: SegmentRecord,
  createTs: HybridTime,
  indexIds: ReadonlySet<bigint>,
): SnapshotSegment {
  const { segmentId, partitionId, channel, level, rowCount, minTs, maxTs, files } = segment;
  assert(maxTs <= createTs, `segment ${segmentId} lies on both sides of ${createTs}`);
  return {
    segmentId,
    partitionId,
    channel,
    level,
    rowCount,
    minTs,
    maxTs,
    files,
    // A dropped index is not restored, so its files are not kept either.
    indexes: segment.indexes.filter(({ indexId }) => indexIds.has(indexId)),
  };
}
