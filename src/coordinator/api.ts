/**
 * DOOR of the control plane: what proxy, admin and CLI may ask. The coordinator decides and is the only writer of the
 * catalog. Names are resolved here; an empty database name means `default`. Every method throws `DbError`.
 */
import type { HybridTime } from '../model/hybrid-time.ts';
import type {
  CollectionId,
  CompactionId,
  JobId,
  NodeId,
  PartitionId,
  PinId,
  SegmentId,
  SnapshotId,
  TaskId,
} from '../model/ids.ts';
import type {
  CollectionRecord,
  ConsistencyLevel,
  DatabaseRecord,
  IndexRecord,
  PartitionRecord,
  Properties,
  SegmentLevel,
  SegmentState,
} from '../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import type { HistogramCounts } from '../support/histogram.ts';
import type { RestoreAdmin, SnapshotAdmin } from './admin-api.ts';
import type { AddedFunction, AddedStruct, DroppedPart } from './collections/change-schema.ts';
import type { PropertyChange } from './collections/properties.ts';
import type { DrillOutcome } from './copy-segment/job.ts';

export type { AddedFunction, AddedStruct, DroppedPart, PropertyChange };

export interface CollectionName {
  readonly database: string;
  readonly name: string;
}

export interface CollectionInfo {
  readonly collection: CollectionRecord;
  readonly databaseName: string;
  readonly partitions: readonly PartitionRecord[];
  /** Its other names, in order. Absent: none. */
  readonly aliases?: readonly string[];
  /** The restore that still fills it: until that is completed nothing of it can be used. */
  readonly restoringJobId?: JobId;
}

export interface CreateCollection {
  readonly database: string;
  readonly name: string;
  /** Field ids are assigned by the coordinator: those given are ignored. */
  readonly schema: CollectionSchema;
  readonly shardsNum: number;
  readonly consistencyLevel: ConsistencyLevel;
  readonly properties: Properties;
  /** Of a schema with a partition key; absent or 0: the default. */
  readonly numPartitions?: number;
}

export interface IndexProgress {
  readonly index: IndexRecord;
  readonly fieldName: string;
  readonly totalRows: number;
  readonly indexedRows: number;
  readonly state: 'in-progress' | 'finished';
}

export interface SegmentInfo {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly rowCount: number;
  readonly state: SegmentState;
  readonly level: SegmentLevel;
}

export interface FlushResult {
  readonly collectionId: CollectionId;
  /** Sealed by this call; flushed once `flushState` says so. */
  readonly sealedIds: readonly SegmentId[];
  readonly flushedIds: readonly SegmentId[];
  readonly sealTs: HybridTime;
}

export interface Databases {
  createDatabase(name: string, properties: Properties): Promise<void>;
  dropDatabase(name: string): Promise<void>;
  listDatabases(): readonly DatabaseRecord[];
  describeDatabase(name: string): DatabaseRecord;
}

export interface Collections {
  createCollection(request: CreateCollection): Promise<CollectionRecord>;
  dropCollection(at: CollectionName): Promise<void>;
  /** Also answers for a collection that a restore is filling (its record names the job). */
  describeCollection(at: CollectionName): CollectionInfo;
  describeCollectionById(collectionId: CollectionId): CollectionInfo;
  /** A collection that can be read and written now; `collection-on-recovering` names the restore job and its progress. */
  requireReady(at: CollectionName): CollectionInfo;
  listCollections(database: string): readonly CollectionInfo[];
  renameCollection(at: CollectionName, newName: string, newDatabase: string): Promise<void>;
  /** Rows without deleted ones are not counted apart: the sum over segments, as Milvus does. */
  rowCount(collectionId: CollectionId, partitionId?: PartitionId): number;
  createPartition(at: CollectionName, partition: string): Promise<void>;
  dropPartition(at: CollectionName, partition: string): Promise<void>;
  /**
   * Resolves when everything is searchable, or everything in these partitions, besides what was before. Needs an index on every vector
   * field (`index-not-found`).
   */
  load(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void>;
  /** Resolves when no reader sees it any more. Without its last partition a collection is not loaded. */
  release(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void>;
  /** Of these partitions together; of none named: `loaded` when one of them is. */
  loadState(
    at: CollectionName,
    partitionIds?: readonly PartitionId[],
  ): {
    readonly state: 'not-exist' | 'not-load' | 'loading' | 'loaded';
    readonly progress: number;
  };
}

/** What describes something, changed. A change sets properties or takes some away, not both. Throws `parameter-invalid`. */
/** An index that is made together with its field. Name: the field's when empty. */
export interface AddedIndex {
  readonly name: string;
  readonly params: Properties;
}

export interface Alterations {
  alterCollection(at: CollectionName, change: PropertyChange): Promise<void>;
  /** Throws `field-not-found`. */
  alterField(at: CollectionName, fieldName: string, change: PropertyChange): Promise<void>;
  /** Throws `index-not-found`, or `collection-loaded`. */
  alterIndex(at: CollectionName, indexName: string, change: PropertyChange): Promise<void>;
  alterDatabase(database: string, change: PropertyChange): Promise<void>;
  /** Nullable, or with a default; its id is assigned. Rows that are there read null or the default. Resolves when readers know it. */
  addField(at: CollectionName, field: FieldSchema, index?: AddedIndex): Promise<void>;
  /** Nullable; rows that are there read null. Ids are assigned. */
  addStruct(at: CollectionName, struct: AddedStruct): Promise<void>;
  /** The function, the field it writes and that field's index in one step. Resolves when readers have what it makes of rows that are there. */
  addFunctionField(
    at: CollectionName,
    field: FieldSchema,
    added: AddedFunction,
    index: AddedIndex,
  ): Promise<void>;
  /** With its indexes. What rows hold of it is not read any more and goes with compaction. Throws `field-not-found`. */
  dropPart(at: CollectionName, part: DroppedPart): Promise<void>;
  /** Every row goes; everything else, snapshots included, stays. Resolves when no reader sees one any more. */
  truncateCollection(at: CollectionName): Promise<void>;
}

/** Wherever a collection is named, an alias of it will do; to drop and to rename it takes its own name. */
export interface Aliases {
  /** The same again is success. Throws `alias-conflict` or `alias-duplicate`. */
  createAlias(at: CollectionName, alias: string): Promise<void>;
  /** From now on the alias is of `at`. Throws `alias-not-found`. */
  alterAlias(at: CollectionName, alias: string): Promise<void>;
  /** An unknown alias is no error, as in Milvus. */
  dropAlias(database: string, alias: string): Promise<void>;
  /** Throws `alias-not-found`. */
  describeAlias(
    database: string,
    alias: string,
  ): { readonly databaseName: string; readonly collectionName: string };
  /** Of one collection, or of all in the database when `collection` is empty. In order. */
  listAliases(database: string, collection: string): readonly string[];
}

export interface Indexes {
  createIndex(at: CollectionName, fieldName: string, indexName: string, params: Properties): Promise<void>;
  dropIndex(at: CollectionName, fieldName: string, indexName: string): Promise<void>;
  /** All, or those of one name or field. Throws `index-not-found` when there is none. */
  describeIndexes(at: CollectionName, indexName: string): readonly IndexProgress[];
  /** Flushed segments that have the index. Throws `index-not-found`. */
  indexedSegments(at: CollectionName, indexName: string): readonly SegmentId[];
}

export interface Segments {
  /** Seals at once and starts flushing; does not wait for the files. */
  flush(collectionId: CollectionId): Promise<FlushResult>;
  /** Whether all of these are flushed (or gone). */
  isFlushed(segmentIds: readonly SegmentId[]): boolean;
  listSegments(at: CollectionName): readonly SegmentInfo[];
}

export interface CreateSnapshot {
  readonly at: CollectionName;
  readonly name: string;
  readonly description: string;
  readonly compactionProtectionSeconds: number;
}

export interface SnapshotInfo {
  readonly snapshotId: SnapshotId;
  readonly name: string;
  readonly description: string;
  readonly collectionName: string;
  readonly partitionNames: readonly string[];
  readonly createTs: HybridTime;
  /** Where the metadata object is: never empty. */
  readonly location: string;
  readonly segmentCount: number;
  readonly rowCount: number;
  readonly sizeBytes: number;
}

export type RestoreState = 'pending' | 'executing' | 'completed' | 'failed';

export interface RestoreJobInfo {
  readonly jobId: JobId;
  readonly snapshotName: string;
  readonly databaseName: string;
  readonly collectionName: string;
  readonly state: RestoreState;
  /** 0 to 100, by bytes, never decreasing; 100 exactly when completed. */
  readonly progress: number;
  readonly reason: string;
  readonly startedAtMs: number;
  /** Milliseconds from start to the end, or to now; at least 1 at the end. */
  readonly durationMs: number;
  readonly totalBytes: number;
  readonly copiedBytes: number;
  readonly totalFiles: number;
  readonly copiedFiles: number;
  readonly totalSegments: number;
  readonly totalRows: number;
  /** Absent: the target stays as what was asked for. */
  readonly purpose?: RestorePurposeInfo;
  /** While it copies: over the last seconds. Ended: over its copying. Absent when that cannot be told. */
  readonly bytesPerSecond?: number;
  /** At that rate; absent when it is not known or nothing remains. */
  readonly remainingMs?: number;
  /** Of completed tasks: how their bytes came to the target (hard-link, clone, server-side, stream, present). */
  readonly bytesByMethod: Readonly<Record<string, number>>;
  readonly tasks: { readonly queued: number; readonly running: number; readonly completed: number };
  /** Data nodes at work on it, and on which tasks. */
  readonly nodes: readonly { readonly nodeId: NodeId; readonly taskIds: readonly TaskId[] }[];
  readonly stages: {
    /** From its start until the first node took up work, to the end, or to now. */
    readonly waitingMs: number;
    /** From there to the end, or to now. */
    readonly copyingMs: number;
  };
}

/** The copy engine's own state, for metrics. */
export interface CopySegmentStats {
  readonly jobs: Readonly<Record<RestoreState, number>>;
  readonly tasks: Readonly<Record<'pending' | 'in-progress' | 'completed' | 'failed', number>>;
  readonly latencies: {
    /** Stages of jobs: pending, executing, total. */
    readonly job: Readonly<Record<string, HistogramCounts>>;
    /** Stages of attempts: pending, executing, settled. */
    readonly task: Readonly<Record<string, HistogramCounts>>;
  };
  readonly scheduler: {
    /** By class; of a large restore only its next tasks wait in the scheduler. */
    readonly waiting: Readonly<Record<string, number>>;
    readonly nodes: readonly {
      readonly nodeId: NodeId;
      readonly slots: number;
      readonly usedSlots: number;
      readonly restoreSlots: number;
    }[];
  };
}

/** What a restore beyond the wire is for, and how far that is. */
export type RestorePurposeInfo =
  | {
      readonly kind: 'in-place';
      /** `swapping`: all is copied, the target is loaded when the old collection is. `swapped`: the old one waits for a decision. */
      readonly stage: 'copying' | 'swapping' | 'swapped' | 'confirmed' | 'reverted';
      readonly name: string;
      /** What the old collection is called once the names are swapped. */
      readonly keptName: string;
      /** Snapshots of the old collection, which go when it is dropped; pinned ones stay. */
      readonly keptSnapshots: number;
      /** What the last try met; it is tried again. */
      readonly trouble?: string;
    }
  | {
      readonly kind: 'drill';
      readonly stage: 'copying' | 'comparing' | 'compared';
      readonly outcome?: DrillOutcome;
      readonly trouble?: string;
    };

export interface RestoreSnapshot {
  readonly source: CollectionName;
  readonly name: string;
  readonly target: CollectionName;
  /** Names; absent: all. `_default` is made in any case. */
  readonly partitions?: readonly string[];
  /** Absent: `dataCoord.copySegmentMode`. */
  readonly mode?: 'shared' | 'physical';
}

export interface Snapshots {
  createSnapshot(request: CreateSnapshot): Promise<SnapshotId>;
  /** Unknown snapshots are no error. */
  dropSnapshot(at: CollectionName, name: string): Promise<void>;
  /** Names, oldest first. */
  listSnapshots(at: CollectionName): readonly string[];
  describeSnapshot(at: CollectionName, name: string): SnapshotInfo;
  /** `owner`: who asks, when the call says so. */
  pinSnapshot(at: CollectionName, name: string, ttlSeconds: number, owner?: string): Promise<PinId>;
  unpinSnapshot(pinId: PinId): Promise<void>;
  restoreSnapshot(request: RestoreSnapshot): Promise<JobId>;
  restoreState(jobId: JobId): RestoreJobInfo;
  /** By target database and collection; both may be empty. Oldest first. */
  listRestoreJobs(database: string, collection: string): readonly RestoreJobInfo[];
  copySegmentStats(): CopySegmentStats;
}

export interface ManualCompaction {
  readonly collectionId: CollectionId;
  /** Absent: all. */
  readonly partitionId?: PartitionId;
  readonly channel?: string;
  /** Absent or empty: all. */
  readonly segmentIds?: readonly SegmentId[];
  /** Delete segments only, and the rows they kill. */
  readonly isDeletesOnly: boolean;
  /** Absent: `dataCoord.segment.maxSize`. */
  readonly targetSizeBytes?: number;
}

export interface CompactionPlanInfo {
  readonly sources: readonly SegmentId[];
  /** Absent: while it runs, or nothing was left. */
  readonly target?: SegmentId;
  readonly state: 'executing' | 'completed' | 'failed';
  readonly reason: string;
}

export interface CompactionInfo {
  readonly compactionId: CompactionId;
  readonly state: 'executing' | 'completed';
  readonly plans: readonly CompactionPlanInfo[];
}

/** Plans and what they did, since the start. */
export interface CompactionStats {
  /** Waiting, running, or being handed over. */
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  readonly rowsRemoved: number;
}

export interface Compactions {
  /** Plans and starts; does not wait. A collection with nothing to compact gets an id and no plans. */
  compact(request: ManualCompaction): Promise<CompactionInfo>;
  /** Throws `compaction-not-found`: ids are forgotten some hours after the end, and by a restart. */
  compactionState(compactionId: CompactionId): CompactionInfo;
  compactionStats(): CompactionStats;
}

export interface Health {
  /** Writes are taken, what is loaded is read: what a probe should restart a server for. */
  readonly isHealthy: boolean;
  /** Everything somebody should look at, also what leaves the server healthy: a damaged snapshot, an index that cannot be built. */
  readonly reasons: readonly string[];
}

export interface Coordinator
  extends Databases,
    Collections,
    Aliases,
    Alterations,
    Indexes,
    Segments,
    Snapshots,
    SnapshotAdmin,
    RestoreAdmin,
    Compactions {
  health(): Health;
  /** Fresh ids for auto-id rows: the first of `count` consecutive ones. */
  allocateIds(count: number): Promise<bigint>;
  /**
   * A timestamp above every one that anybody has seen, restarts included. Rejects when the catalog cannot be written: see `now` for what
   * needs no promise.
   */
  timestamp(): Promise<HybridTime>;
  /** About now: nothing is taken, and later timestamps may equal it. */
  readonly now: HybridTime;
  close(): Promise<void>;
}
