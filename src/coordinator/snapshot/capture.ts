/**
 * What a snapshot holds. The taking is one synchronous read of the catalog, so that nothing changes under it: records are values, an
 * array of them stays what it was. What is done with them afterwards may take its time.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type BuildId, type SegmentId } from '../../model/ids.ts';
import type {
  CollectionRecord,
  IndexRecord,
  PartitionRecord,
  SegmentIndex,
  SegmentRecord,
} from '../../model/records.ts';
import { assert } from '../../support/assert.ts';
import { inSlices, sortedInSlices } from '../../support/slices.ts';
import type { RestoreGate } from '../rooms.ts';
import { indexes, partitions, segments } from '../tables.ts';
import type { CaptureMode } from './limits.ts';
import type { SnapshotMetadata } from './metadata.ts';
import { type SnapshotSegment, sizeOf } from './segment.ts';

/** The collection's records in one moment, as they are. */
export interface Taken {
  readonly createTs: HybridTime;
  readonly collection: CollectionRecord;
  readonly partitions: readonly PartitionRecord[];
  readonly indexes: readonly IndexRecord[];
  readonly segments: readonly SegmentRecord[];
}

export interface Captured {
  readonly createTs: HybridTime;
  readonly collection: SnapshotMetadata['collection'];
  readonly partitions: SnapshotMetadata['partitions'];
  readonly indexes: SnapshotMetadata['indexes'];
  /** In the order of their ids. */
  readonly segments: readonly SnapshotSegment[];
  readonly segmentIds: readonly SegmentId[];
  readonly buildIds: readonly BuildId[];
  /** Of the segments that hold rows. */
  readonly rowCount: number;
  readonly sizeBytes: number;
}

/** One step: nothing awaits. */
export const take = (catalog: Catalog, collection: CollectionRecord, createTs: HybridTime): Taken => ({
  createTs,
  collection,
  partitions: catalog.find(partitions, 'collection', collection.collectionId),
  indexes: catalog.find(indexes, 'collection', collection.collectionId),
  segments: catalog.find(segments, 'collection', collection.collectionId),
});

const byId =
  <T>(idOf: (item: T) => bigint) =>
  (a: T, b: T): number => {
    const [left, right] = [idOf(a), idOf(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  };

/**
 * `acknowledged`: the segments that hold a write up to `createTs`; a flush at that time left none that holds later ones too. `flushed`:
 * every flushed segment, whatever its writes. Throws `data-integrity` for a segment that lacks its file of rows or deletes: nothing
 * is left out in silence.
 */
export async function arrange(taken: Taken, mode: CaptureMode, gate: RestoreGate): Promise<Captured> {
  const { collection, createTs } = taken;
  const { name, schema, shardsNum, channels, consistencyLevel, properties, agePauses } = collection;
  const ownPartitions = taken.partitions.toSorted(byId((p) => p.partitionId));
  const ownIndexes = taken.indexes.toSorted(byId((i) => i.indexId));
  const partitionIds = new Set([ALL_PARTITIONS, ...ownPartitions.map(({ partitionId }) => partitionId)]);
  const held: SegmentRecord[] = [];
  await inSlices(taken.segments, (segment) => {
    if (!holdsData(segment, gate) || !partitionIds.has(segment.partitionId)) return;
    if (mode === 'acknowledged' && segment.minTs > createTs) return;
    checkWhole(segment);
    if (mode === 'acknowledged')
      assert(segment.maxTs <= createTs, `segment ${segment.segmentId} lies on both sides of ${createTs}`);
    held.push(segment);
  });
  return {
    createTs,
    collection: {
      ...{ name, schema, shardsNum, channels, consistencyLevel, properties },
      ...(agePauses === undefined ? {} : { agePauses }),
    },
    partitions: ownPartitions.map((partition) => ({
      partitionId: partition.partitionId,
      name: partition.name,
    })),
    indexes: ownIndexes.map((index) => ({
      indexId: index.indexId,
      fieldId: index.fieldId,
      name: index.name,
      params: index.params,
    })),
    ...(await listed(
      await sortedInSlices(
        held,
        byId((s) => s.segmentId),
      ),
      new Set(ownIndexes.map(({ indexId }) => indexId)),
    )),
  };
}

const holdsData = (segment: SegmentRecord, gate: RestoreGate): boolean =>
  segment.state === 'flushed' &&
  segment.rowCount > 0 &&
  (segment.restoreJobId === undefined || gate.isCompleted(segment.restoreJobId));

function checkWhole({ segmentId, level, rowCount, files }: SegmentRecord): void {
  const what = level === 'L0' ? 'deletes' : 'rows';
  if (files.some(({ kind }) => kind === what)) return;
  throw new DbError(
    'data-integrity',
    `flushed segment ${segmentId} has no ${what} file: a snapshot would miss its ${rowCount} ${what}`,
  );
}

async function listed(held: readonly SegmentRecord[], indexIds: ReadonlySet<bigint>) {
  const captured: SnapshotSegment[] = [];
  const segmentIds: SegmentId[] = [];
  const buildIds: BuildId[] = [];
  let rowCount = 0;
  let sizeBytes = 0;
  await inSlices(held, (record) => {
    const segment = toSnapshot(record, indexIds);
    captured.push(segment);
    segmentIds.push(segment.segmentId);
    for (const { buildId } of segment.indexes) buildIds.push(buildId);
    if (segment.level === 'L1') rowCount += segment.rowCount;
    sizeBytes += sizeOf(segment);
  });
  return { segments: captured, segmentIds, buildIds, rowCount, sizeBytes };
}

/** A dropped index is not restored, so its files are not kept either. */
function toSnapshot(segment: SegmentRecord, indexIds: ReadonlySet<bigint>): SnapshotSegment {
  const isWanted = ({ indexId }: SegmentIndex): boolean => indexIds.has(indexId);
  if (segment.indexes.every(isWanted)) return segment;
  return { ...segment, indexes: segment.indexes.filter(isWanted) };
}
