/** From a job and the snapshot's segments to target records and to what a data node is told. Pure: mappings are positions. */
import type { CopiedSegment, CopySegmentOutput, CopySegmentWork, SegmentPlace } from '../../datanode/api.ts';
import { DbError } from '../../errors/db-error.ts';
import { ALL_PARTITIONS, type IndexId, type PartitionId } from '../../model/ids.ts';
import type { CollectionRecord, SegmentIndex, SegmentRecord } from '../../model/records.ts';
import { segmentPrefix } from '../../storage/keys.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import { allFiles, type SnapshotSegment } from '../snapshot/segment.ts';
import { type CopyJob, idAt, type TaskRange } from './job.ts';
import type { OpenedSnapshot, SourceSegment } from './source.ts';

/** The target's partition. Throws `data-integrity` for one the snapshot does not list. */
export function targetPartition(
  job: CopyJob,
  { partitions }: SnapshotMetadata,
  of: PartitionId,
): PartitionId {
  if (of === ALL_PARTITIONS) return of;
  const rank = partitions.findIndex(({ partitionId }) => partitionId === of);
  if (rank < 0) throw new DbError('data-integrity', `partition ${of} is not listed in the snapshot`);
  return idAt(job.firstPartitionId, rank);
}

/** Channels pair up by shard. */
function targetChannel(target: CollectionRecord, { collection }: SnapshotMetadata, channel: string): string {
  const shard = collection.channels.indexOf(channel);
  const found = target.channels[shard];
  if (found === undefined)
    throw new DbError('data-integrity', `channel ${channel} is not listed in the snapshot`);
  return found;
}

export const targetPlace = (
  job: CopyJob,
  metadata: SnapshotMetadata,
  source: SnapshotSegment,
  position: number,
): SegmentPlace => ({
  collectionId: job.collectionId,
  partitionId: targetPartition(job, metadata, source.partitionId),
  segmentId: idAt(job.firstSegmentId, position),
});

/** The target of the segment at `position`, as it is before its files are there: it belongs to the job, so nobody sees it. Rows keep their timestamps. */
export const targetSegment = (
  job: CopyJob,
  target: CollectionRecord,
  metadata: SnapshotMetadata,
  source: SnapshotSegment,
  position: number,
): SegmentRecord => ({
  collectionId: job.collectionId,
  partitionId: targetPartition(job, metadata, source.partitionId),
  segmentId: idAt(job.firstSegmentId, position),
  channel: targetChannel(target, metadata, source.channel),
  level: source.level,
  state: 'flushed',
  rowCount: source.rowCount,
  minTs: source.minTs,
  maxTs: source.maxTs,
  files: [],
  indexes: [],
  restoreJobId: job.jobId,
});

export const copyWork = (
  job: CopyJob,
  { metadata }: OpenedSnapshot,
  range: TaskRange,
  segments: readonly SourceSegment[],
  mode: CopySegmentWork['mode'],
): CopySegmentWork => ({
  kind: 'copy-segment',
  jobId: job.jobId,
  mode,
  sources: segments.map(({ segmentId, partitionId, files, indexes }) => ({
    place: { collectionId: job.sourceCollectionId, partitionId, segmentId },
    files,
    indexes,
  })),
  targets: segments.map((source, i) => ({
    place: targetPlace(job, metadata, source, range.firstSegment + i),
    newBuildIds: new Map(
      source.indexes.map(({ buildId }, rank) => [buildId, idAt(job.firstBuildId, source.firstBuild + rank)]),
    ),
  })),
});

/** The target's index: same rank in the metadata. */
function targetIndexId(job: CopyJob, { indexes }: SnapshotMetadata, of: IndexId): IndexId {
  const rank = indexes.findIndex(({ indexId }) => indexId === of);
  if (rank < 0) throw new DbError('data-integrity', `index ${of} is not listed in the snapshot`);
  return idAt(job.firstIndexId, rank);
}

/**
 * What a node reports, as target records are to hold it. Throws `data-integrity` unless the report names exactly the targets asked
 * for, each with the files of its source under its own prefix.
 */
export function checkedOutput(
  job: CopyJob,
  { metadata }: OpenedSnapshot,
  work: CopySegmentWork,
  output: CopySegmentOutput,
): readonly CopiedSegment[] {
  const wrong = (what: string) =>
    new DbError('data-integrity', `a node's report does not match its task: ${what}`);
  if (output.segments.length !== work.targets.length) throw wrong(`${output.segments.length} segments`);
  return output.segments.map((copied, i) => {
    const [source, target] = [work.sources[i], work.targets[i]];
    if (source === undefined || target?.place.segmentId !== copied.segmentId)
      throw wrong(`segment ${copied.segmentId}`);
    const [expected, reported] = [allFiles(source), allFiles(copied)];
    const prefix = segmentPrefix(target.place);
    const isSame =
      reported.length === expected.length &&
      reported.every(
        (file, n) =>
          file.key.startsWith(prefix) &&
          file.kind === expected[n]?.kind &&
          file.sizeBytes === expected[n].sizeBytes &&
          file.crc32 === expected[n].crc32,
      );
    if (!isSame) throw wrong(`files of segment ${copied.segmentId}`);
    const indexes = copied.indexes.map(
      (index): SegmentIndex => ({
        ...index,
        indexId: targetIndexId(job, metadata, index.indexId),
      }),
    );
    return { ...copied, indexes };
  });
}
