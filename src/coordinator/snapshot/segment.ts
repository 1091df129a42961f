/** A segment as a snapshot keeps it. */
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { PartitionId, SegmentId } from '../../model/ids.ts';
import type { SegmentFile, SegmentIndex, SegmentLevel } from '../../model/records.ts';

export interface SnapshotSegment {
  readonly segmentId: SegmentId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
  readonly rowCount: number;
  readonly minTs: HybridTime;
  readonly maxTs: HybridTime;
  readonly files: readonly SegmentFile[];
  readonly indexes: readonly SegmentIndex[];
}

/** Every object of the segment: its files, then its index files. */
export const allFiles = (segment: Pick<SnapshotSegment, 'files' | 'indexes'>): readonly SegmentFile[] => [
  ...segment.files,
  ...segment.indexes.map(({ file }) => file),
];

export const sizeOf = (segment: Pick<SnapshotSegment, 'files' | 'indexes'>): number =>
  allFiles(segment).reduce((sum, file) => sum + file.sizeBytes, 0);
