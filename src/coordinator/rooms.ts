/** What the rooms of the coordinator promise each other. */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BuildId, CollectionId, JobId, SegmentId } from '../model/ids.ts';
import type { CollectionRecord, DatabaseRecord, SegmentFile } from '../model/records.ts';
import type { ObjectPart, PartFinding } from '../storage/check-object.ts';
import type { CollectionName } from './api.ts';

/** Asked by collections and segments, answered by restore: a target is visible exactly when its job is completed. */
export interface RestoreGate {
  /** Unknown jobs are completed ones that were forgotten: targets are tidied before their job goes. */
  isCompleted(jobId: JobId): boolean;
  /** 0 to 100. */
  progress(jobId: JobId): number;
}

/** Asked by snapshot, answered by segments. */
export interface SegmentFlusher {
  /**
   * Seals everything of the collection at one timestamp T and resolves with T once every row and delete with a timestamp <= T
   * stands in flushed segments of the catalog, and none of those segments holds anything later.
   */
  flushAll(collectionId: CollectionId): Promise<HybridTime>;
  /**
   * Seals and flushes nothing: a timestamp up to which every write stands in flushed segments of the catalog as it is now. Just below
   * the oldest write that does not; the newest timestamp when all do. Later writes may stand in flushed segments, too.
   */
  flushedUpTo(collectionId: CollectionId): HybridTime;
}

/** Asked by the collector, answered by indexes. */
export interface IndexBuilds {
  /** Whether a file that is built for the segment now may still become its index. */
  isBuilding(segmentId: SegmentId): boolean;
}

/** Asked by compaction, answered by indexes. */
export interface OutputIndexes {
  /**
   * Builds what the segment lacks although nobody sees it yet. Resolves when every build has ended or has failed once, or when
   * `signal` aborts; never rejects.
   */
  buildAll(segmentId: SegmentId, signal: AbortSignal): Promise<void>;
}

/** Asked by compaction, answered by snapshot. */
export interface SegmentProtection {
  /** A snapshot's compaction protection covers the segment, or may cover it: it stays as it is. */
  isProtected(collectionId: CollectionId, segmentId: SegmentId): boolean;
}

/** Asked by snapshot and restore, answered by collections. An empty database name means `default`. */
export interface CollectionLookup {
  /** By name or alias. Throws `database-not-found` or `collection-not-found`. */
  requireCollection(at: CollectionName): CollectionRecord;
  /** Throws `database-not-found`. */
  requireDatabase(name: string): DatabaseRecord;
  /** Throws `parameter-invalid` for a name no collection may have. */
  checkCollectionName(name: string): void;
  /** Throws `resource-exhausted` when the database has as many collections as it may. */
  requireRoom(database: DatabaseRecord): void;
}

/** Asked by restore, answered by the scheduler. */
export interface NodeCapacity {
  /** Whether a node that is alive can take a task of so many slots, now or when it has done what it does. */
  canEverTake(slots: number): boolean;
}

/** Asked by in-place restores, answered by load. */
export interface AheadLoads {
  /**
   * Loads a target that nobody may see yet, so that its publication finds every row searchable. Repeatable. Rejects with what the
   * load met; nothing is taken back then.
   */
  loadAhead(collectionId: CollectionId): Promise<void>;
  isLoadedAhead(collectionId: CollectionId): boolean;
  /** Nobody is going to read it. Repeatable. */
  dropAhead(collectionId: CollectionId): Promise<void>;
  /** As a user's load. */
  load(at: CollectionName): Promise<void>;
}

/** Asked by in-place restores, answered by collections. */
export interface CollectionDrops {
  /** The record was removed: what follows a drop happens now, or, when it fails, is tried again. */
  finishCollection(collectionId: CollectionId): Promise<void>;
}

/** Asked by drills, answered by worker threads. */
export interface SegmentFingerprints {
  /** Of a rows or a deletes file, every byte checked. Throws `data-integrity`, `object-not-found`, what the store failed with, the signal's reason. */
  of(file: SegmentFile, signal: AbortSignal): Promise<{ readonly rowCount: number; readonly digest: string }>;
}

/** Asked by a verification, answered by worker threads: reading and summing up does not happen on the event loop. */
export interface ObjectChecker {
  /** In the order of `parts`. Rejects only when `signal` aborts, or when its thread died or was closed. */
  check(parts: readonly ObjectPart[], signal: AbortSignal): Promise<readonly PartFinding[]>;
}

/** How many snapshots need something. Infinity while a snapshot of the collection cannot be asked. */
export interface ReferenceCounts {
  segmentCount(collectionId: CollectionId, segmentId: SegmentId): number;
  buildCount(collectionId: CollectionId, buildId: BuildId): number;
}
