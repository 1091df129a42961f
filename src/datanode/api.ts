/**
 * DOOR of a data node: does the work it is handed and reports; never sees the catalog, never deletes an object.
 * A task is named by (taskId, attempt). `create` is idempotent; an attempt older than the newest one seen is refused.
 */
import type { ErrorName } from '../errors/codes.ts';
import type { TimeRange } from '../model/expiry.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BuildId, CollectionId, JobId, NodeId, PartitionId, SegmentId, TaskId } from '../model/ids.ts';
import type { Properties, SegmentFile, SegmentIndex, SegmentLevel } from '../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import type { WalPosition } from '../wal/wal.ts';

/** A segment's place in storage; file keys are a function of it (`storage/keys.ts`). */
export interface SegmentPlace {
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly segmentId: SegmentId;
}

/** Log records of one sealed segment become its immutable files. */
export interface FlushWork {
  readonly kind: 'flush';
  readonly place: SegmentPlace;
  readonly level: SegmentLevel;
  readonly schema: CollectionSchema;
  readonly positions: readonly WalPosition[];
}
export interface FlushOutput {
  readonly kind: 'flush';
  readonly files: readonly SegmentFile[];
  readonly rowCount: number;
}

/** One vector column of one flushed segment becomes an index file. */
export interface BuildIndexWork {
  readonly kind: 'build-index';
  readonly place: SegmentPlace;
  readonly rowsFile: SegmentFile;
  readonly rowCount: number;
  readonly field: FieldSchema;
  readonly buildId: BuildId;
  /** `index_type`, `metric_type`, and build parameters such as `M` and `efConstruction`. */
  readonly params: Properties;
}
export interface BuildIndexOutput {
  readonly kind: 'build-index';
  /** Absent when the segment is too small for a graph: it is searched exactly. */
  readonly file?: SegmentFile;
}

/** One source segment as its manifest describes it. */
export interface CopySource {
  readonly place: SegmentPlace;
  readonly files: readonly SegmentFile[];
  readonly indexes: readonly SegmentIndex[];
}
export interface CopyTarget {
  readonly place: SegmentPlace;
  /** Source build id to the fresh one, for every index of the source. */
  readonly newBuildIds: ReadonlyMap<BuildId, BuildId>;
}
export interface CopySegmentWork {
  readonly kind: 'copy-segment';
  readonly jobId: JobId;
  /** Paired by index, same length. */
  readonly sources: readonly CopySource[];
  readonly targets: readonly CopyTarget[];
  readonly mode: 'shared' | 'physical';
}
export interface CopiedSegment {
  readonly segmentId: SegmentId;
  readonly files: readonly SegmentFile[];
  /** In the order of the source's indexes; build ids are the new ones, index ids still the source's. */
  readonly indexes: readonly SegmentIndex[];
}
export interface CopySegmentOutput {
  readonly kind: 'copy-segment';
  readonly segments: readonly CopiedSegment[];
  /** Bytes per method: hard-link, clone, server-side, stream, present. */
  readonly bytesByMethod: Readonly<Record<string, number>>;
}

/**
 * Flushed L1 segments of one partition and channel become one, without the rows that `deletes` kill (row timestamp below
 * the delete's). Rows keep their timestamps; the output is in the order of timestamps, equal ones in the order of the sources.
 * Repeatable: same input, same bytes.
 */
export interface CompactWork {
  readonly kind: 'compact';
  /** A fresh segment, so that two attempts never write to one place. */
  readonly place: SegmentPlace;
  readonly schema: CollectionSchema;
  readonly sources: readonly { readonly rowCount: number; readonly files: readonly SegmentFile[] }[];
  /** L0 segments of the channel that cover the partition. */
  readonly deletes: readonly { readonly rowCount: number; readonly files: readonly SegmentFile[] }[];
  /** With one source: when fewer rows than this would go, nothing is written. 0: written in any case. */
  readonly minKilled: number;
  /** Rows of these timestamps have expired: they go, too. Absent: none have. */
  readonly expired?: readonly TimeRange[];
}
export interface CompactOutput {
  readonly kind: 'compact';
  /** Rows that the deletes kill. 0 is proven by checksums; a higher number without `segment` is not, and the deletes must stay. */
  readonly killed: number;
  /** Absent: nothing was written, fewer than `minKilled` rows are dead. A segment without rows left has no files and `rowCount` 0. */
  readonly segment?: {
    readonly files: readonly SegmentFile[];
    readonly rowCount: number;
    readonly minTs: HybridTime;
    readonly maxTs: HybridTime;
  };
}

/** L0 segments of one channel and partition become one: of each key the newest delete stays. */
export interface CompactDeletesWork {
  readonly kind: 'compact-deletes';
  readonly place: SegmentPlace;
  readonly sources: readonly { readonly rowCount: number; readonly files: readonly SegmentFile[] }[];
}
export interface CompactDeletesOutput {
  readonly kind: 'compact-deletes';
  readonly segment: {
    readonly files: readonly SegmentFile[];
    /** Deletes. */
    readonly rowCount: number;
    readonly minTs: HybridTime;
    readonly maxTs: HybridTime;
  };
}

export type NodeWork = FlushWork | BuildIndexWork | CopySegmentWork | CompactWork | CompactDeletesWork;
export type NodeOutput =
  | FlushOutput
  | BuildIndexOutput
  | CopySegmentOutput
  | CompactOutput
  | CompactDeletesOutput;

export interface NodeTask {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly work: NodeWork;
}

export interface NodeProgress {
  readonly bytes: number;
  readonly files: number;
}

/** How an attempt stands. `unknown`: this node never saw it, or lost it in a restart. */
export type NodeTaskReport = {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly progress: NodeProgress;
} & (
  | { readonly state: 'unknown' }
  | { readonly state: 'in-progress' }
  | { readonly state: 'completed'; readonly output: NodeOutput }
  | { readonly state: 'failed'; readonly code: ErrorName; readonly reason: string }
);

export interface DataNode {
  readonly nodeId: NodeId;
  /** Tasks it works on at once; the scheduler keeps the sum of their slots at or below this. */
  readonly slots: number;
  create(task: NodeTask): Promise<void>;
  query(taskId: TaskId, attempt: number): Promise<NodeTaskReport>;
  /** Stops the attempt if it runs and forgets it. Idempotent. What it wrote stays: the coordinator's collector deletes. */
  drop(taskId: TaskId, attempt: number): Promise<void>;
  /** Told whenever an attempt ends or has moved on. May lose reports: `query` is the truth. */
  onReport(listener: (report: NodeTaskReport) => void): { stop(): void };
  close(): Promise<void>;
}
