/**
 * From a restore request to a durable job. Everything is checked before anything is made. Partitions and indexes of the target are
 * written first, garbage as long as their collection is not; then one commit makes target, job and pin, guarded by the database's
 * record, which every commit that takes a name in it replaces: of two requests for one name exactly one wins.
 */
import { type Catalog, type Change, MAX_CHANGES_PER_COMMIT, put, remove } from '../../catalog/catalog.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type {
  BuildId,
  CollectionId,
  IndexId,
  JobId,
  PartitionId,
  SegmentId,
  TaskId,
} from '../../model/ids.ts';
import type { DatabaseRecord } from '../../model/records.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { RestoreSnapshot } from '../api.ts';
import { commitEach } from '../batches.ts';
import { claimNames } from '../collections/names.ts';
import {
  type CopyGrouping,
  copyJobs,
  MAX_FILES_PER_TASK,
  MAX_SEGMENTS_PER_TASK,
  type RestorePurpose,
} from '../copy-segment/job.ts';
import type { SnapshotSource } from '../copy-segment/source.ts';
import type { CollectionLookup } from '../rooms.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import type { SnapshotManager } from '../snapshot/manager.ts';
import { checkSnapshotName, requireCollectionName, snapshotNotFound } from '../snapshot/names.ts';
import type { Pins } from '../snapshot/pins.ts';
import { readManifests, readMetadata } from '../snapshot/reader.ts';
import type { SnapshotRecord } from '../snapshot/record.ts';
import { collections, indexes, partitions } from '../tables.ts';
import { planRestore, type RestorePlan, type RestoreSize, sizeRestore } from './plan.ts';

export interface RestoreParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly clock: Clock;
  readonly resolve: CollectionLookup;
  readonly manager: SnapshotManager;
  readonly pins: Pins;
  readonly source: SnapshotSource;
  readonly log: Log;
  readonly limits: SnapshotLimits;
}

/** Changes the deciding commit makes besides partitions and indexes: database, collection, job, pin, snapshot. */
const DECIDING_CHANGES = 5;

export class Restore {
  readonly #parts: RestoreParts;
  readonly #catalog: Catalog;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  /** Resolves once target and job are durable; the copying goes on without the caller. `purpose`: what is to become of the target. */
  async start(request: RestoreSnapshot, purpose?: RestorePurpose): Promise<JobId> {
    const { limits } = this.#parts;
    const { snapshot, database } = this.#check(request);
    const grouping: CopyGrouping = {
      maxSegments: Math.min(MAX_SEGMENTS_PER_TASK, limits.maxSegmentsPerCopyTask),
      maxBytes: limits.maxBytesPerCopyTask,
      maxFiles: MAX_FILES_PER_TASK,
    };
    const { metadata, listed } = await this.#read(request, snapshot);
    const size = sizeRestore(listed, grouping);
    const ids = await this.#allocate(size, metadata.partitions.length, metadata.indexes.length);
    const plan = (snapshotNow: SnapshotRecord, databaseNow: DatabaseRecord) => {
      const owner = { kind: 'restore', jobId: ids.jobId } as const;
      const pin = this.#parts.pins.pinning(snapshotNow, owner, undefined);
      const planned = planRestore({
        snapshot: snapshotNow,
        metadata,
        size,
        grouping,
        ids: { ...ids, pinId: pin.pinId },
        database: databaseNow,
        targetName: request.target.name,
        purpose,
        createdTs: this.#parts.time.next(),
        nowMs: this.#parts.clock.nowMs(),
      });
      return { planned, pinning: pin.changes };
    };
    const first = plan(snapshot, database);
    // Before the commit that wakes the checker.
    this.#parts.source.admit(snapshot.snapshotId, metadata, listed);
    try {
      const remaining = await this.#writeAhead(first.planned);
      for (;;) {
        const now = this.#check(request);
        this.#requireSame(now.snapshot, snapshot, request);
        const { planned, pinning } = plan(now.snapshot, now.database);
        const outcome = await this.#catalog.commit([
          ...remaining,
          claimNames(now.database),
          put(collections, planned.collection, undefined),
          put(copyJobs, planned.job, undefined),
          ...pinning,
        ]);
        if (outcome === 'committed') return ids.jobId;
      }
    } catch (error) {
      this.#parts.source.forget(snapshot.snapshotId);
      await this.#takeBack(first.planned);
      throw error;
    }
  }

  /** Nothing holds the snapshot yet: when its objects are missing because it was dropped, that is what the caller hears. */
  async #read(request: RestoreSnapshot, snapshot: SnapshotRecord) {
    const { store, limits } = this.#parts;
    try {
      const metadata = await readMetadata(store, snapshot);
      return { metadata, listed: await readManifests(store, metadata, limits.objectsAtOnce) };
    } catch (error) {
      this.#requireSame(this.#check(request).snapshot, snapshot, request);
      throw error;
    }
  }

  #requireSame(now: SnapshotRecord, before: SnapshotRecord, { name, source }: RestoreSnapshot): void {
    if (now.snapshotId !== before.snapshotId) throw snapshotNotFound(name, source.name);
  }

  #check({ source, name, target }: RestoreSnapshot): {
    readonly snapshot: SnapshotRecord;
    readonly database: DatabaseRecord;
  } {
    const { resolve, manager, limits } = this.#parts;
    checkSnapshotName(name, limits.maxNameLength);
    requireCollectionName(source.name, 'restore snapshot');
    if (target.name === '')
      throw new DbError('parameter-invalid', 'target_collection_name is required for restore snapshot');
    resolve.checkCollectionName(target.name);
    const snapshot = manager.require(resolve.requireCollection(source), name);
    const database = resolve.requireDatabase(target.database);
    const taken = this.#findTarget(database.name, target.name);
    if (taken !== undefined)
      throw new DbError(
        'collection-duplicate',
        taken === target.name
          ? `duplicate collection: '${target.name}' already exists in database '${database.name}'`
          : `collection name '${target.name}' conflicts with an existing alias of collection '${taken}'`,
      );
    return { snapshot, database };
  }

  /** Name of the collection that answers to `name`, which differs from it when `name` is an alias. */
  #findTarget(database: string, name: string): string | undefined {
    try {
      return this.#parts.resolve.requireCollection({ database, name }).name;
    } catch (error) {
      if (isDbError(error, 'collection-not-found')) return undefined;
      throw error;
    }
  }

  async #allocate(size: RestoreSize, partitionCount: number, indexCount: number) {
    const { ids } = this.#parts;
    return {
      jobId: await ids.next<JobId>(),
      collectionId: await ids.next<CollectionId>(),
      firstPartitionId: await ids.range<PartitionId>(partitionCount),
      firstIndexId: await ids.range<IndexId>(indexCount),
      firstSegmentId: await ids.range<SegmentId>(size.segmentCount),
      firstTaskId: await ids.range<TaskId>(size.taskCount),
      firstBuildId: await ids.range<BuildId>(size.buildCount),
    };
  }

  /** Writes as many partitions and indexes as do not fit the deciding commit, and returns the rest for it. */
  async #writeAhead({ partitions: parts, indexes: defs }: RestorePlan): Promise<readonly Change[]> {
    let remaining: readonly Change[] = [
      ...parts.map((record) => put(partitions, record, undefined)),
      ...defs.map((record) => put(indexes, record, undefined)),
    ];
    while (remaining.length > MAX_CHANGES_PER_COMMIT - DECIDING_CHANGES) {
      await this.#catalog.commitSure(remaining.slice(0, MAX_CHANGES_PER_COMMIT));
      remaining = remaining.slice(MAX_CHANGES_PER_COMMIT);
    }
    return remaining;
  }

  /** What cannot be taken back now is cleared at the next start, as after a crash. */
  async #takeBack({ partitions: parts, indexes: defs, job }: RestorePlan): Promise<void> {
    const partitionIds = parts.map(({ partitionId }) => partitionId);
    const indexIds = defs.map(({ indexId }) => indexId);
    try {
      await commitEach(this.#catalog, partitionIds, (id) => {
        const was = this.#catalog.get(partitions, id);
        return was === undefined ? undefined : remove(partitions, was);
      });
      await commitEach(this.#catalog, indexIds, (id) => {
        const was = this.#catalog.get(indexes, id);
        return was === undefined ? undefined : remove(indexes, was);
      });
    } catch (error) {
      this.#parts.log.warn('restore-not-taken-back', { jobId: job.jobId, reason: messageOf(error) });
    }
  }
}
