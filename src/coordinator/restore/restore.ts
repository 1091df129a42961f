/**
 * From a restore request to a durable job. Everything is checked before anything is made. Partitions and indexes of the target are
 * written first, garbage as long as their collection is not; then one commit makes target, job and pin, guarded by the database's
 * record, which every commit that takes a name in it replaces: of two requests for one name exactly one wins.
 */
import { type Catalog, type Change, MAX_CHANGES_PER_COMMIT, put, remove } from '../../catalog/catalog.ts';
import { messageOf } from '../../errors/db-error.ts';
import type {
  BuildId,
  CollectionId,
  IndexId,
  JobId,
  PartitionId,
  SegmentId,
  TaskId,
} from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import type { RestorePreview } from '../admin-api.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { RestoreSnapshot } from '../api.ts';
import { commitEach } from '../batches.ts';
import { asideName, claimNames } from '../collections/names.ts';
import { copyJobs, type RestorePurpose } from '../copy-segment/job.ts';
import type { SnapshotSource } from '../copy-segment/source.ts';
import type { Pins } from '../snapshot/pins.ts';
import { collections, indexes, partitions } from '../tables.ts';
import {
  type Admission,
  type AdmissionParts,
  type Aside,
  RestoreAdmission,
  type RestoreNames,
} from './admission.ts';
import { planRestore, type RestoreIds, type RestorePlan } from './plan.ts';
import { previewRestore } from './preview.ts';
import { RestoreRates } from './rates.ts';

export interface RestoreParts extends AdmissionParts {
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly clock: Clock;
  readonly pins: Pins;
  readonly source: SnapshotSource;
  readonly log: Log;
}

/** Changes the deciding commit makes besides partitions and indexes: database, collection, job, pin, snapshot. */
const DECIDING_CHANGES = 5;

export class Restore {
  readonly #parts: RestoreParts;
  readonly #catalog: Catalog;
  readonly #admission: RestoreAdmission;
  readonly #rates: RestoreRates;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
    this.#admission = new RestoreAdmission(parts);
    this.#rates = new RestoreRates(parts.catalog, parts.limits.copyMode);
  }

  /** What `start` would do. Makes and changes nothing. */
  preview(request: RestoreSnapshot, signal: AbortSignal): Promise<RestorePreview> {
    const { store, limits } = this.#parts;
    const { objectsAtOnce } = limits;
    const parts = { store, admission: this.#admission, rates: this.#rates, objectsAtOnce };
    return previewRestore(parts, request, signal);
  }

  /**
   * Resolves once target and job are durable; the copying goes on without the caller. `aside`: the target gets a name of its own, and
   * the request's is what the job is listed under.
   */
  async start(request: RestoreSnapshot, aside?: Aside): Promise<JobId> {
    const { source } = this.#parts;
    const admitted = await this.#admission.admit(request, undefined, aside);
    const ids = await this.#allocate(admitted);
    const purpose = aside?.purpose(ids.jobId);
    const plan = (names: RestoreNames) => this.#plan(request, { ...admitted, ...names }, ids, purpose);
    const first = plan(admitted);
    // Before the commit that wakes the checker.
    source.admit(first.planned.job, admitted.metadata, admitted.counts, admitted.firstManifests);
    try {
      const remaining = await this.#writeAhead(first.planned);
      for (;;) {
        const now = this.#admission.checkAgain(request, admitted.snapshot, aside);
        const { planned, pinning } = plan(now);
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
      source.forget(ids.jobId);
      await this.#takeBack(first.planned);
      throw error;
    }
  }

  #plan(
    request: RestoreSnapshot,
    admitted: Admission,
    ids: Omit<RestoreIds, 'pinId'>,
    purpose: RestorePurpose | undefined,
  ): { readonly planned: RestorePlan; readonly pinning: readonly Change[] } {
    const { pins, time, clock } = this.#parts;
    const { name } = request.target;
    const owner = { kind: 'restore', jobId: ids.jobId } as const;
    const pin = pins.pinning(admitted.snapshot, owner, undefined);
    const planned = planRestore({
      ...admitted,
      ids: { ...ids, pinId: pin.pinId },
      targetName: purpose === undefined ? name : asideName(name, ids.jobId),
      askedName: name,
      purpose,
      createdTs: time.next(),
      nowMs: clock.nowMs(),
    });
    return { planned, pinning: pin.changes };
  }

  async #allocate({ size, metadata }: Admission): Promise<Omit<RestoreIds, 'pinId'>> {
    const { ids } = this.#parts;
    return {
      jobId: await ids.next<JobId>(),
      collectionId: await ids.next<CollectionId>(),
      firstPartitionId: await ids.range<PartitionId>(metadata.partitions.length),
      firstIndexId: await ids.range<IndexId>(metadata.indexes.length),
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
