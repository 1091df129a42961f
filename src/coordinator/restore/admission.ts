/**
 * Everything a restore is refused for, before anything is made: names, target, partitions, indexes, data nodes, room in the store. A
 * preview asks the same. Manifests are read one after the other: only counts stay, and the first few for the job.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { JobId, PartitionId } from '../../model/ids.ts';
import type { DatabaseRecord } from '../../model/records.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { RestoreSnapshot } from '../api.ts';
import {
  type CopyGrouping,
  type CopyJob,
  isOpen,
  MAX_FILES_PER_TASK,
  MAX_SEGMENTS_PER_TASK,
  type RestorePurpose,
} from '../copy-segment/job.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import { countSelected, MANIFESTS_KEPT, type ManifestCount, selectedOf } from '../copy-segment/source.ts';
import { slotsFor } from '../copy-segment/task.ts';
import type { CollectionLookup, NodeCapacity } from '../rooms.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import type { SnapshotManager } from '../snapshot/manager.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import { checkSnapshotName, requireCollectionName, snapshotNotFound } from '../snapshot/names.ts';
import { manifestsInOrder, readMetadata } from '../snapshot/reader.ts';
import type { SnapshotRecord } from '../snapshot/record.ts';
import type { SnapshotSegment } from '../snapshot/segment.ts';
import { type RestoreSize, RestoreSizer } from './plan.ts';
import { type CopyMethod, type CopyMode, methodOf } from './rates.ts';
import { checkIndexes, refuseKeyed, selectPartitions } from './selection.ts';

export interface AdmissionParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly resolve: CollectionLookup;
  readonly manager: SnapshotManager;
  readonly meta: CopyMeta;
  readonly scheduler: NodeCapacity;
  readonly limits: SnapshotLimits;
}

/** Source and target as they stand now. */
export interface RestoreNames {
  readonly snapshot: SnapshotRecord;
  readonly database: DatabaseRecord;
}

export interface Admission extends RestoreNames {
  readonly metadata: SnapshotMetadata;
  readonly selection: readonly PartitionId[] | undefined;
  readonly grouping: CopyGrouping;
  readonly size: RestoreSize;
  /** Of every manifest, what is restored of it. */
  readonly counts: readonly ManifestCount[];
  readonly firstManifests: readonly (readonly SnapshotSegment[])[];
  readonly copyMode: CopyMode;
  readonly method: CopyMethod;
  /** Undefined: the store does not know. */
  readonly freeBytes: number | undefined;
}

/** A restore whose target is nobody's for now. */
export interface Aside {
  purpose(jobId: JobId): RestorePurpose;
  /** Throws when it must not be; asked again in the moment of the deciding commit, which the database's record guards. */
  check(snapshot: SnapshotRecord, database: DatabaseRecord): void;
}

/** What a restore leaves free: the catalog, the log and flushes live there, too. */
export const SPARE_BYTES = 64 * 2 ** 20;

export class RestoreAdmission {
  readonly #parts: AdmissionParts;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /** Names alone. Asked again right before the commit that makes the target. */
  check({ source, name, target }: RestoreSnapshot, aside?: Aside): RestoreNames {
    const { resolve, manager, limits } = this.#parts;
    checkSnapshotName(name, limits.maxNameLength);
    requireCollectionName(source.name, 'restore snapshot');
    if (target.name === '')
      throw new DbError('parameter-invalid', 'target_collection_name is required for restore snapshot');
    resolve.checkCollectionName(target.name);
    const snapshot = manager.require(resolve.requireCollection(source), name);
    const database = resolve.requireDatabase(target.database);
    if (aside !== undefined) {
      aside.check(snapshot, database);
      return { snapshot, database };
    }
    const taken = this.#findTarget(database.name, target.name);
    if (taken !== undefined)
      throw new DbError(
        'collection-duplicate',
        taken === target.name
          ? `duplicate collection: '${target.name}' already exists in database '${database.name}'`
          : `collection name '${target.name}' conflicts with an existing alias of collection '${taken}'`,
      );
    resolve.requireRoom(database);
    return { snapshot, database };
  }

  /** As `check`, and still the same snapshot: one of its name may have been dropped and made again. */
  checkAgain(request: RestoreSnapshot, before: SnapshotRecord, aside?: Aside): RestoreNames {
    const now = this.check(request, aside);
    if (now.snapshot.snapshotId !== before.snapshotId)
      throw snapshotNotFound(request.name, request.source.name);
    return now;
  }

  /** All of it. `visit` sees the segments that would be restored, manifest by manifest. */
  async admit(
    request: RestoreSnapshot,
    visit: (segments: readonly SnapshotSegment[]) => Promise<void> = () => Promise.resolve(),
    aside?: Aside,
  ): Promise<Admission> {
    const names = this.check(request, aside);
    const { limits } = this.#parts;
    const grouping: CopyGrouping = {
      maxSegments: Math.min(MAX_SEGMENTS_PER_TASK, limits.maxSegmentsPerCopyTask),
      maxBytes: limits.maxBytesPerCopyTask,
      maxFiles: MAX_FILES_PER_TASK,
    };
    const read = await this.#read(request, names.snapshot, grouping, visit, aside);
    this.#checkNodes(read.size);
    const copyMode = request.mode ?? limits.copyMode;
    return { ...names, ...read, grouping, copyMode, ...(await this.#checkRoom(read.size, copyMode)) };
  }

  /** Nothing holds the snapshot yet: when its objects are missing because it was dropped, that is what the caller hears. */
  async #read(
    request: RestoreSnapshot,
    snapshot: SnapshotRecord,
    grouping: CopyGrouping,
    visit: (segments: readonly SnapshotSegment[]) => Promise<void>,
    aside: Aside | undefined,
  ) {
    const { store, limits } = this.#parts;
    try {
      const metadata = await readMetadata(store, snapshot);
      checkIndexes(metadata);
      refuseKeyed(metadata, request.partitions);
      const selection = selectPartitions(metadata, request.partitions);
      const sizer = new RestoreSizer(grouping);
      const counts: ManifestCount[] = [];
      const firstManifests: (readonly SnapshotSegment[])[] = [];
      for await (const segments of manifestsInOrder(store, metadata, limits.objectsAtOnce)) {
        const selected = selectedOf(segments, selection);
        counts.push(countSelected(selected));
        sizer.add(selected);
        if (firstManifests.length < MANIFESTS_KEPT) firstManifests.push(selected);
        await visit(selected);
      }
      return { metadata, selection, size: sizer.size(), counts, firstManifests };
    } catch (error) {
      this.checkAgain(request, snapshot, aside);
      throw error;
    }
  }

  #checkNodes({ taskCount, largestTaskBytes }: RestoreSize): void {
    const { scheduler, limits } = this.#parts;
    const slots = slotsFor({ bytes: largestTaskBytes, files: 0 }, limits);
    if (taskCount === 0 || scheduler.canEverTake(slots)) return;
    throw new DbError(
      'resource-exhausted',
      `no data node can take a task of this restore, which needs ${slots} slots: no node is alive, or none has slots`,
    );
  }

  async #checkRoom(size: RestoreSize, copyMode: CopyMode) {
    const { store } = this.#parts;
    const [sharing, capacity] = await Promise.all([store.sharing(), store.capacity()]);
    const method = methodOf(copyMode, sharing);
    const freeBytes = capacity?.freeBytes;
    if (method === 'stream' && freeBytes !== undefined && size.totalBytes > 0) {
      const promised = this.#promisedBytes((job) => methodOf(modeOf(job, this.#parts.limits), sharing));
      const needed = size.totalBytes + promised + SPARE_BYTES;
      if (needed > freeBytes)
        throw new DbError(
          'storage-full',
          `the restore needs ${size.totalBytes} bytes, and ${freeBytes} are free, of which ${promised} are other restores' and ${SPARE_BYTES} are spare`,
        );
    }
    return { method, freeBytes };
  }

  /** What restores under way have yet to write. */
  #promisedBytes(method: (job: CopyJob) => CopyMethod): number {
    const { meta } = this.#parts;
    let bytes = 0;
    for (const job of meta.jobs())
      if (isOpen(job) && method(job) === 'stream')
        bytes += Math.max(0, job.totalBytes - meta.tally(job.jobId).copiedBytes);
    return bytes;
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
}

const modeOf = (job: CopyJob, { copyMode }: SnapshotLimits): CopyMode => job.copyMode ?? copyMode;
