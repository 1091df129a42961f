/**
 * DOOR of the control plane: what proxy, admin and CLI may ask. The coordinator decides and is the only writer of the
 * catalog. Names are resolved here; an empty database name means `default`. Every method throws `DbError`.
 */
import type { HybridTime } from '../model/hybrid-time.ts';
import type {
  CollectionId,
  CompactionId,
  JobId,
  PartitionId,
  PinId,
  SegmentId,
  SnapshotId,
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
import type { CollectionSchema } from '../model/schema.ts';

export interface CollectionName {
  readonly database: string;
  readonly name: string;
}

export interface CollectionInfo {
  readonly collection: CollectionRecord;
  readonly databaseName: string;
  readonly partitions: readonly PartitionRecord[];
}

export interface CreateCollection {
  readonly database: string;
  readonly name: string;
  /** Field ids are assigned by the coordinator: those given are ignored. */
  readonly schema: CollectionSchema;
  readonly shardsNum: number;
  readonly consistencyLevel: ConsistencyLevel;
  readonly properties: Properties;
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
  /** Resolves when everything is searchable. Needs an index on every vector field (`index-not-found`). */
  load(at: CollectionName): Promise<void>;
  release(at: CollectionName): Promise<void>;
  loadState(at: CollectionName): {
    readonly state: 'not-exist' | 'not-load' | 'loading' | 'loaded';
    readonly progress: number;
  };
}

export interface Indexes {
  createIndex(at: CollectionName, fieldName: string, indexName: string, params: Properties): Promise<void>;
  dropIndex(at: CollectionName, fieldName: string, indexName: string): Promise<void>;
  /** All, or those of one name or field. Throws `index-not-found` when there is none. */
  describeIndexes(at: CollectionName, indexName: string): readonly IndexProgress[];
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
}

export interface RestoreSnapshot {
  readonly source: CollectionName;
  readonly name: string;
  readonly target: CollectionName;
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

export interface Compactions {
  /** Plans and starts; does not wait. A collection with nothing to compact gets an id and no plans. */
  compact(request: ManualCompaction): Promise<CompactionInfo>;
  /** Throws `compaction-not-found`: ids are forgotten some hours after the end, and by a restart. */
  compactionState(compactionId: CompactionId): CompactionInfo;
}

/** A snapshot and what it costs, from the catalog alone. Sizes in bytes. */
export interface SnapshotReport {
  readonly snapshotId: SnapshotId;
  readonly name: string;
  readonly description: string;
  readonly databaseName: string;
  /** As the collection is called now; as it was called then when it is gone. */
  readonly collectionName: string;
  readonly collectionId: CollectionId;
  /** The moment it shows. */
  readonly createTs: HybridTime;
  /** The wall-clock part of `createTs`. */
  readonly createdAtMs: number;
  readonly location: string;
  /** Rows in its segments, deleted ones included. */
  readonly rowCount: number;
  readonly segmentCount: number;
  /** Of every object of it: data, indexes, manifests, metadata. */
  readonly sizeBytes: number;
  /** No compaction of its segments until then; wall clock, 0: not protected. */
  readonly protectedUntilMs: number;
  /** Those that have not ended. */
  readonly pins: readonly PinInfo[];
  /**
   * Why its objects cannot be believed, naming one: what the start, a report or a verification has found since this process runs.
   * Absent: nothing is known to be wrong.
   */
  readonly damage?: string;
}

/** What only its objects tell. */
export interface SnapshotContent {
  /** Deletes in its delete segments. */
  readonly deleteCount: number;
  /**
   * Bytes of objects that dropping it would delete: no live segment and no other snapshot needs them; its metadata and manifests are
   * among them. Together with the shared ones all its bytes. Counted by object: blocks that the file system shares between an object
   * and its restored copy are counted for both. Everything but its own manifests and metadata is shared while a snapshot of the
   * collection cannot be asked what it needs.
   */
  readonly exclusiveBytes: number;
  readonly sharedBytes: number;
  /** Distinct objects: data, indexes, manifests, metadata. */
  readonly fileCount: number;
  readonly schema: CollectionSchema;
  readonly shardsNum: number;
  readonly consistencyLevel: ConsistencyLevel;
  readonly properties: Properties;
  /** Also those that were dropped since. Never without a name: `(all partitions)` has the deletes that are of no single one. */
  readonly partitions: readonly {
    readonly partitionId: PartitionId;
    readonly name: string;
    readonly segmentCount: number;
    /** Deletes are not counted. */
    readonly rowCount: number;
    readonly sizeBytes: number;
  }[];
  readonly indexes: readonly {
    readonly name: string;
    readonly fieldName: string;
    readonly params: Properties;
    /** Segments that have a file of it; small ones need none. */
    readonly segmentCount: number;
    readonly sizeBytes: number;
  }[];
}

export interface PinInfo {
  readonly pinId: PinId;
  readonly snapshotId: SnapshotId;
  readonly snapshotName: string;
  readonly databaseName: string;
  readonly collectionName: string;
  /** `user`, `restore job 17` or `verification`. */
  readonly owner: string;
  readonly createdAtMs: number;
  /** Absent: until it is released, or its restore ends. */
  readonly expiresAtMs?: number;
}

export interface SnapshotStats {
  /** Committed ones. */
  readonly snapshots: number;
  /** Those that have not ended. */
  readonly pins: number;
  /** Snapshots whose references are not loaded: everything of their collections is kept. */
  readonly referencesNotLoaded: number;
}

/** `corrupt`: other bytes of the right size. `unreadable`: the store fails, or the bytes are right and of a format too new. */
export type ObjectProblem = 'missing' | 'short' | 'long' | 'corrupt' | 'unreadable';

export type VerifyStep =
  /** Every quarter of a second, and after 64 MB. */
  | {
      readonly kind: 'progress';
      /** Looked at so far; all of them in the end, also when a part is read. */
      readonly objects: number;
      /** Read so far. */
      readonly bytes: number;
      /** Of the whole snapshot; grows until the manifests are read. */
      readonly totalObjects: number;
      readonly totalBytes: number;
    }
  | {
      readonly kind: 'problem';
      readonly key: string;
      /** `metadata`, `manifest`, or the kind of the segment's file. */
      readonly object: string;
      readonly segmentId?: SegmentId;
      readonly problem: ObjectProblem;
      /** For people; names the key. */
      readonly detail: string;
    }
  | {
      readonly kind: 'end';
      /** Read whole and compared with the checksum. */
      readonly objects: number;
      readonly bytes: number;
      readonly totalObjects: number;
      readonly totalBytes: number;
      readonly problems: number;
    };

export interface SnapshotDiff {
  readonly from: SnapshotReport;
  readonly to: SnapshotReport;
  readonly segments: {
    readonly added: readonly DiffSegment[];
    readonly removed: readonly DiffSegment[];
    readonly common: number;
  };
  /** Of the added and removed segments. */
  readonly addedRows: number;
  readonly removedRows: number;
  readonly addedBytes: number;
  readonly removedBytes: number;
  /**
   * Collection, fields, indexes, partitions, properties, in this order: one entry for each difference; `was` or `is` absent: added or
   * removed. `what` is for people: `shards`, `field 'title': max_length`, `index 'v' on 'vector'`, `partition 'old'`.
   */
  readonly definition: readonly {
    readonly what: string;
    readonly was?: string;
    readonly is?: string;
  }[];
}
export interface DiffSegment {
  readonly segmentId: SegmentId;
  readonly partitionName: string;
  readonly level: SegmentLevel;
  readonly rowCount: number;
  readonly sizeBytes: number;
}

/** Also of a collection that is gone, by the name it had when the snapshot was made: pinned snapshots outlive it. */
export interface SnapshotAt {
  readonly at: CollectionName;
  readonly name: string;
}

/** One object in storage, or one record, as a collection of garbage sees it. */
export interface GarbageVerdict {
  /** What is no object begins as no key does: temporaries with `.tmp/`, records with `record:`. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly verdict: 'keep' | 'delete';
  /** A word: `live`, `snapshot`, `young`, … (gc/verdict.ts has them all). */
  readonly reason: string;
  /** For people: which snapshot keeps it, how long it is still young. */
  readonly detail: string;
}

export interface GarbageResult {
  readonly deletedObjects: number;
  readonly deletedBytes: number;
  readonly keptObjects: number;
  readonly keptBytes: number;
}

/** What goes beyond the wire of Milvus. An aborted signal ends the call between two objects. */
export interface SnapshotAdmin {
  /** By database and collection, both may be empty: all; oldest first. */
  snapshotReports(database: string, collection: string): readonly SnapshotReport[];
  /** Reads metadata and manifests; when they cannot be read, `content` is absent and `damage` says why. */
  snapshotReport(snapshot: SnapshotAt): Promise<SnapshotReport & { readonly content?: SnapshotContent }>;
  /**
   * Reads every object, or a random part of the segments' objects (`fraction` above 0, up to 1, rounded up), and compares size and
   * checksum; those not read are looked for. The snapshot cannot be dropped meanwhile. Ends with an `end` step; throws the signal's
   * reason once it aborts, `snapshot-not-found` when nobody took steps for a minute and the snapshot was dropped then.
   */
  verifySnapshot(snapshot: SnapshotAt, fraction: number, signal: AbortSignal): AsyncIterable<VerifyStep>;
  /** Throws `data-integrity` or `object-not-found` when one of them cannot be read. */
  diffSnapshots(from: SnapshotAt, to: SnapshotAt, signal: AbortSignal): Promise<SnapshotDiff>;
  /** Oldest first, those that have ended left out. */
  listPins(): readonly PinInfo[];
  snapshotStats(): SnapshotStats;
  /**
   * What a collection of garbage would do now: temporaries, objects in key order, then the records that would go. Changes
   * nothing. Throws `store-mismatch`.
   */
  planGarbage(signal: AbortSignal): AsyncIterable<GarbageVerdict>;
  /**
   * Collects now, after collections that were asked for before. Throws `store-mismatch` when catalog and store do not belong together,
   * and what the store failed with; then it has done what it could.
   */
  collectGarbage(signal: AbortSignal): Promise<GarbageResult>;
  /** False: it had ended already. Throws `job-not-found`. */
  cancelRestore(jobId: JobId, reason?: string): Promise<boolean>;
}

export interface Health {
  readonly isHealthy: boolean;
  readonly reasons: readonly string[];
}

/** The part of `SnapshotAdmin` that costs nothing to ask. */
export type SnapshotAccounts = Pick<SnapshotAdmin, 'listPins' | 'snapshotStats'>;

export interface Coordinator
  extends Databases,
    Collections,
    Indexes,
    Segments,
    Snapshots,
    SnapshotAdmin,
    Compactions {
  health(): Health;
  /** Fresh ids for auto-id rows: the first of `count` consecutive ones. */
  allocateIds(count: number): Promise<bigint>;
  /** A timestamp above every write acknowledged so far. */
  timestamp(): HybridTime;
  close(): Promise<void>;
}
