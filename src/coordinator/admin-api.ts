/** DOOR of the control plane beyond the wire of Milvus: accounts, verification, comparison, pins and garbage, for admin and CLI. */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, JobId, PartitionId, PinId, SegmentId, SnapshotId } from '../model/ids.ts';
import type { ConsistencyLevel, Properties, SegmentLevel } from '../model/records.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { CollectionName, RestoreSnapshot } from './api.ts';

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

/** Also of a pass that ended early: what it has done. */
export interface GarbageResult {
  readonly deletedObjects: number;
  readonly deletedBytes: number;
  readonly keptObjects: number;
  readonly keptBytes: number;
}

/** What a restore would do. Bytes and files as they would be copied. */
export interface RestorePreview {
  readonly snapshotName: string;
  readonly databaseName: string;
  readonly collectionName: string;
  readonly segmentCount: number;
  readonly taskCount: number;
  readonly totalBytes: number;
  readonly totalFiles: number;
  readonly totalRows: number;
  readonly mode: 'shared' | 'physical';
  /** How the bytes would travel in this store; `stream`: they are written again. */
  readonly method: 'hard-link' | 'clone' | 'server-side' | 'stream';
  /** Objects that are missing or have another size, the first thousand; nothing else is read. */
  readonly problems: readonly { readonly key: string; readonly detail: string }[];
  /** All that were found. */
  readonly problemCount: number;
  /** Undefined: the store does not say. */
  readonly freeBytes?: number;
  /** From what restores have lately achieved; undefined when there were none. */
  readonly estimatedMs?: number;
}

/** Restores beyond the wire. All through the same jobs. */
export interface RestoreAdmin {
  /** Checks as a restore does and says what it would do. Changes nothing. `signal` ends it between two objects. */
  previewRestore(request: RestoreSnapshot, signal: AbortSignal): Promise<RestorePreview>;
  /**
   * Restores aside, then the names change in one commit: readers of the name see the snapshot's rows. The old collection is kept under
   * another name until `settleSwap`.
   */
  restoreInPlace(snapshot: SnapshotAt, mode?: 'shared' | 'physical'): Promise<JobId>;
  /** `confirm` drops the old collection, `revert` gives it its name back and drops the restored one. Repeatable. */
  settleSwap(jobId: JobId, decision: 'confirm' | 'revert'): Promise<void>;
  /** Restores aside, compares every row with the snapshot's, drops the copy; the job tells the outcome. */
  drillRestore(snapshot: SnapshotAt): Promise<JobId>;
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
  /** Of the last collection of garbage that ended well since the start. */
  lastCollection(): (GarbageResult & { readonly endedAtMs: number }) | undefined;
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
