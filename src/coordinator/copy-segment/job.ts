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
  /** First ids of the ranges: one id per restored segment, task, index build, in manifest order. */
  readonly firstSegmentId: SegmentId;
  readonly firstTaskId: TaskId;
  readonly firstBuildId: BuildId;
  readonly segmentCount: number;
  readonly taskCount: number;
  /** Target ids by rank in the snapshot's metadata; those of partitions that are not restored stay unused. */
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

/** What a job's copying came to, kept when its tasks are gone. */
export interface CopyOutcome {
  readonly copiedBytes: number;
  readonly copiedFiles: number;
  /** How the bytes of completed tasks came to their targets. */
  readonly bytesByMethod: Readonly<Record<string, number>>;
  /** Wall clock, ms: when the first node took up work; absent when none did. */
  readonly copyingSinceMs?: number;
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
    | {
        readonly state: 'executing';
        readonly progress: number;
        /** Wall clock, ms. Absent in jobs of older servers. */
        readonly executingSinceMs?: number;
        /** As in `CopyOutcome`; stored with progress. */
        readonly copyingSinceMs?: number;
      }
    /** `isTidy`: its targets have become ordinary records. `outcome` is absent in jobs of older servers. */
    | {
        readonly state: 'completed';
        readonly endedAtMs: number;
        readonly isTidy: boolean;
        readonly outcome?: CopyOutcome;
      }
    /** `isTidy`: nothing is left of its target. `progress`: as far as it came. */
    | {
        readonly state: 'failed';
        readonly endedAtMs: number;
        readonly isTidy: boolean;
        readonly reason: string;
        readonly progress: number;
        readonly outcome?: CopyOutcome;
      }
  );

export type OpenCopyJob = CopyJob & { readonly state: 'pending' | 'executing' };

/** Its target is to go, and has no record any more. `completed`: a drill that found no difference. */
export const isToClear = (job: CopyJob): boolean =>
  (job.state === 'failed' || (job.state === 'completed' && job.purpose?.kind === 'drill')) && !job.isTidy;

/** An in-place restore whose old collection waits for somebody's decision. */
export const isUnsettled = ({ purpose }: CopyJob): boolean =>
  purpose?.kind === 'in-place' && purpose.stage === 'swapped';

export const copyJobs: TableSpec<JobId, CopyJob> = {
  name: 'copy-job',
  version: 1,
  idOf: (record) => record.jobId,
  indexes: {
    collection: (record) => record.collectionId,
    unsettled: (record) => (isSettled(record) ? undefined : 'yes'),
  },
};

/** Ended, its traces cleared away, nobody's decision awaited: there is nothing to do but to forget it in time. */
const isSettled = (job: CopyJob): boolean =>
  (job.state === 'completed' || job.state === 'failed') && job.isTidy && job.purpose === undefined;

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

/** Cuts segments, given one after the other, into tasks. A segment larger than the bounds gets a task of its own. */
export class TaskCutter {
  readonly #grouping: CopyGrouping;
  readonly #firstSegment: number;
  #open: TaskRange | undefined;

  /** `firstSegment`: where the first task begins. Where one ends depends on nothing before it. */
  constructor(grouping: CopyGrouping, firstSegment = 0) {
    this.#grouping = grouping;
    this.#firstSegment = firstSegment;
  }

  /** The task that ends before this segment, if one does. */
  add({ bytes, files }: SegmentSize): TaskRange | undefined {
    const { maxSegments, maxBytes, maxFiles } = this.#grouping;
    const was = this.#open;
    const fits =
      was !== undefined &&
      was.segmentCount < maxSegments &&
      was.bytes + bytes <= maxBytes &&
      was.files + files <= maxFiles;
    this.#open = {
      firstSegment: fits
        ? was.firstSegment
        : (was?.firstSegment ?? this.#firstSegment) + (was?.segmentCount ?? 0),
      segmentCount: fits ? was.segmentCount + 1 : 1,
      bytes: fits ? was.bytes + bytes : bytes,
      files: fits ? was.files + files : files,
    };
    return fits ? undefined : was;
  }

  /** The last task; undefined when there were no segments. */
  end(): TaskRange | undefined {
    return this.#open;
  }
}

/** The tasks of consecutive segments, in order. `isEnd` false: more segments follow, and the last task is left out, for they may belong to it. */
export function cutTasks(
  sizes: readonly SegmentSize[],
  grouping: CopyGrouping,
  firstSegment: number,
  isEnd: boolean,
): readonly TaskRange[] {
  const cutter = new TaskCutter(grouping, firstSegment);
  const ranges = sizes.map((size) => cutter.add(size));
  if (isEnd) ranges.push(cutter.end());
  return ranges.filter((range) => range !== undefined);
}

/** The tasks of all segments, in order. */
export const groupIntoTasks = (sizes: readonly SegmentSize[], grouping: CopyGrouping): readonly TaskRange[] =>
  cutTasks(sizes, grouping, 0, true);

/** The id at `position` of a range. */
export const idAt = <Id extends bigint>(first: Id, position: number): Id => (first + BigInt(position)) as Id;

/** `count` ids from `first` on, made as they are taken. */
export function* idRange<Id extends bigint>(first: Id, count: number): Generator<Id> {
  for (let n = 0; n < count; n++) yield idAt(first, n);
}
