/**
 * One restore's copying. The record is small at any size: target segments, tasks and builds are ranges of ids in manifest order,
 * so that which source goes where is computed from a position and never stored.
 */
import type { TableSpec } from '../../catalog/catalog.ts';
import type {
  BuildId,
  CollectionId,
  DatabaseId,
  IndexId,
  JobId,
  PartitionId,
  PinId,
  SegmentId,
  SnapshotId,
  TaskId,
} from '../../model/ids.ts';

interface CopyJobBase {
  readonly jobId: JobId;
  readonly snapshotId: SnapshotId;
  readonly snapshotName: string;
  readonly sourceCollectionId: CollectionId;
  /** The restore's own lease on the snapshot; released by the commit that ends the job. */
  readonly pinId: PinId;
  /** Target. The names are those asked for. */
  readonly collectionId: CollectionId;
  readonly databaseId: DatabaseId;
  readonly databaseName: string;
  readonly collectionName: string;
  /** First ids of the ranges: one id per segment, task, index build of the snapshot, in manifest order. */
  readonly firstSegmentId: SegmentId;
  readonly firstTaskId: TaskId;
  readonly firstBuildId: BuildId;
  readonly segmentCount: number;
  readonly taskCount: number;
  /** Target ids by rank in the snapshot's metadata. */
  readonly firstPartitionId: PartitionId;
  readonly firstIndexId: IndexId;
  readonly totalBytes: number;
  readonly totalFiles: number;
  /** L1 rows. */
  readonly totalRows: number;
  /** How segments were grouped into tasks; kept so that a new configuration does not move them. */
  readonly grouping: CopyGrouping;
  readonly createdAtMs: number;
  /** Partitions of the snapshot that are restored, in the order of its metadata; absent: all. Positions count selected segments only. */
  readonly selection?: readonly PartitionId[];
  /** Absent in jobs of older servers: as the configuration says. */
  readonly copyMode?: 'shared' | 'physical';
  /** Absent: the target is what was asked for, and stays. */
  readonly purpose?: RestorePurpose;
}

export type RestorePurpose =
  /** The target takes the source collection's name when it is whole. The source is kept under `keptName` until somebody says what is to become of it. */
  | {
      readonly kind: 'in-place';
      readonly stage: 'copying' | 'swapped' | 'confirmed' | 'reverted';
      readonly name: string;
      readonly keptName: string;
    }
  /** The target is compared with the snapshot, row by row, and goes. */
  | { readonly kind: 'drill'; readonly outcome?: DrillOutcome };

export interface DrillOutcome {
  readonly isSame: boolean;
  readonly segments: number;
  readonly rows: number;
  readonly deletes: number;
  /** What differs, at most a hundred; empty when nothing does. */
  readonly differences: readonly string[];
}

export interface CopyGrouping {
  readonly maxSegments: number;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

export type CopyJob = CopyJobBase &
  (
    | { readonly state: 'pending' }
    /** `progress` 0 to 99: what was last shown, so that it never goes back, over restarts too. */
    | { readonly state: 'executing'; readonly progress: number }
    /** `isTidy`: its targets have become ordinary records. */
    | { readonly state: 'completed'; readonly endedAtMs: number; readonly isTidy: boolean }
    /** `isTidy`: nothing is left of its target. `progress`: as far as it came. */
    | {
        readonly state: 'failed';
        readonly endedAtMs: number;
        readonly isTidy: boolean;
        readonly reason: string;
        readonly progress: number;
      }
  );

export type OpenCopyJob = CopyJob & { readonly state: 'pending' | 'executing' };

export const copyJobs: TableSpec<JobId, CopyJob> = {
  name: 'copy-job',
  version: 1,
  idOf: (record) => record.jobId,
  indexes: { collection: (record) => record.collectionId },
};

export const isOpen = (job: CopyJob): job is OpenCopyJob =>
  job.state === 'pending' || job.state === 'executing';

/** A result commit holds every target segment of a task and the task itself; both bounds keep it inside what one commit can hold. */
export const MAX_SEGMENTS_PER_TASK = 120;
export const MAX_FILES_PER_TASK = 4096;

export interface SegmentSize {
  readonly bytes: number;
  readonly files: number;
}

/** Consecutive segments of one task, by position in the manifests. */
export interface TaskRange {
  readonly firstSegment: number;
  readonly segmentCount: number;
  readonly bytes: number;
  readonly files: number;
}

/** Cuts the segments, in order, into tasks. A segment larger than the bounds gets a task of its own. */
export function groupIntoTasks(sizes: readonly SegmentSize[], grouping: CopyGrouping): readonly TaskRange[] {
  const ranges: TaskRange[] = [];
  for (const [at, { bytes, files }] of sizes.entries()) {
    const last = ranges.at(-1);
    const fits =
      last !== undefined &&
      last.segmentCount < grouping.maxSegments &&
      last.bytes + bytes <= grouping.maxBytes &&
      last.files + files <= grouping.maxFiles;
    if (fits)
      ranges[ranges.length - 1] = {
        firstSegment: last.firstSegment,
        segmentCount: last.segmentCount + 1,
        bytes: last.bytes + bytes,
        files: last.files + files,
      };
    else ranges.push({ firstSegment: at, segmentCount: 1, bytes, files });
  }
  return ranges;
}

/** The id at `position` of a range. */
export const idAt = <Id extends bigint>(first: Id, position: number): Id => (first + BigInt(position)) as Id;
