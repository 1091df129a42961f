/**
 * In-place restores. The target is filled aside like any other; the commit that publishes it also gives it the name, and the old
 * collection another one: readers of the name see the one or the other, whole. Every step is one commit, guarded by the records
 * it was decided on: the job, both collections, and the database, whose record every commit that takes a name in it replaces.
 */
import { type Catalog, type Change, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import { type Load, movedTo, NOT_LOADED } from '../../model/load-scope.ts';
import type { CollectionRecord, DatabaseRecord } from '../../model/records.ts';
import { unreachable } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import type { SnapshotAt } from '../admin-api.ts';
import { movedAliases } from '../collections/aliases.ts';
import { aliasesOf, claimNames, findAlias, keptName, resolveCollection } from '../collections/names.ts';
import { type CopyJob, copyJobs, isOpen, isUnsettled, type OpenCopyJob } from '../copy-segment/job.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import { copyJobMachine, swapMachine } from '../copy-segment/state.ts';
import type { AheadLoads, CollectionDrops, CollectionLookup } from '../rooms.ts';
import type { Pins } from '../snapshot/pins.ts';
import type { SnapshotRecord } from '../snapshot/record.ts';
import { collections, databases, partitions } from '../tables.ts';
import type { Restore } from './restore.ts';
import { type Decision, decideSettle, decideSwap, type InPlace, type SwapView } from './swap.ts';

const past = { confirm: 'confirmed', revert: 'reverted' } as const;

export interface InPlaceParts {
  readonly catalog: Catalog;
  readonly meta: CopyMeta;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly resolve: CollectionLookup;
  readonly loads: AheadLoads;
  readonly drops: CollectionDrops;
  readonly restore: Restore;
  /** Ends a job as failed. */
  readonly end: (jobId: JobId, reason: string) => Promise<boolean>;
}

export class InPlaceRestores {
  readonly #parts: InPlaceParts;
  readonly #catalog: Catalog;

  constructor(parts: InPlaceParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  start({ at, name }: SnapshotAt, mode: 'shared' | 'physical' | undefined): Promise<JobId> {
    // Names are swapped, so the one at stake is the collection's own.
    const own = { database: at.database, name: this.#parts.resolve.requireCollection(at).name };
    const request = { source: own, name, target: own, ...(mode === undefined ? {} : { mode }) };
    return this.#parts.restore.start(request, {
      check: (snapshot) => this.#requireAlone(snapshot),
      purpose: (jobId) => {
        const database = this.#parts.resolve.requireDatabase(at.database);
        const kept = keptName(own.name, jobId, (taken) => this.#isTaken(database, taken));
        return { kind: 'in-place', stage: 'copying', name: own.name, keptName: kept };
      },
    });
  }

  /** Ends the open job, whose files are all copied. Rejects with what the load of the target met. */
  async swap(jobId: JobId): Promise<void> {
    for (;;) {
      const view = this.#view(jobId);
      if (view === undefined || !isOpen(view.job)) return;
      const { collectionId } = view.job;
      const step = decideSwap(view, this.#parts.loads.isLoadedAhead(collectionId));
      switch (step.kind) {
        case 'none':
          return;
        case 'load':
          await this.#parts.loads.loadAhead(collectionId);
          break;
        case 'fail':
          await this.#parts.end(jobId, step.reason);
          return;
        case 'swap':
        case 'take':
          if (await this.#publish(view.job, view, step.kind)) return;
          break;
        default:
          unreachable(step);
      }
    }
  }

  /** Repeatable. Throws `job-not-found`, or `parameter-invalid` with the reason when it cannot be done. */
  async settle(jobId: JobId, decision: Decision): Promise<void> {
    for (;;) {
      const view = this.#view(jobId);
      if (view === undefined) throw this.#nothingTo(decision, jobId);
      const step = decideSettle(view, decision);
      if (step.kind === 'none') return;
      if (step.kind === 'refuse')
        throw new DbError('parameter-invalid', `restore ${jobId} cannot be ${past[decision]}: ${step.why}`);
      if (step.kind === 'load') await this.#load(step.collection);
      else if (await this.#settle(view, step)) {
        if (step.drop !== undefined) await this.#parts.drops.finishCollection(step.drop.collectionId);
        return;
      }
    }
  }

  #nothingTo(decision: Decision, jobId: JobId): DbError {
    return this.#parts.meta.job(jobId) === undefined
      ? new DbError('job-not-found', `restore job not found: jobID=${jobId}`)
      : new DbError('parameter-invalid', `restore ${jobId} is not in place: nothing to ${decision}`);
  }

  #view(jobId: JobId): SwapView | undefined {
    const job = this.#parts.meta.job(jobId);
    if (job?.purpose?.kind !== 'in-place') return undefined;
    const database = this.#catalog.get(databases, job.databaseId);
    const { name } = job.purpose;
    return {
      purpose: job.purpose,
      job,
      source: this.#catalog.get(collections, job.sourceCollectionId),
      target: this.#parts.meta.target(job),
      holder: database && resolveCollection(this.#catalog, database, name),
      isAlias: database !== undefined && findAlias(this.#catalog, database, name) !== undefined,
      aliases: {
        source: aliasesOf(this.#catalog, job.sourceCollectionId).length,
        target: aliasesOf(this.#catalog, job.collectionId).length,
      },
    };
  }

  async #publish(job: OpenCopyJob, view: SwapView, event: 'swap' | 'take'): Promise<boolean> {
    const { purpose, source, target } = view;
    const database = this.#catalog.get(databases, job.databaseId);
    if (target === undefined || database === undefined) return false;
    const keptNow = keptName(purpose.name, job.jobId, (name) => this.#isTaken(database, name));
    const swapped: InPlace = {
      ...purpose,
      stage: swapMachine.next(purpose.stage, event),
      keptName: event === 'swap' ? keptNow : purpose.keptName,
    };
    const load = source === undefined ? NOT_LOADED : loadOf(this.#catalog, source, target);
    const state = copyJobMachine.next(job.state, 'complete') as 'completed';
    const endedAtMs = this.#parts.clock.nowMs();
    const is: CopyJob = { ...job, state, endedAtMs, isTidy: false, purpose: swapped };
    // The old collection was released while the target was loaded for its readers; nobody else can have loaded it yet.
    if (load.load === 'none') await this.#parts.loads.dropAhead(job.collectionId);
    return this.#commit([
      claimNames(database),
      put(collections, { ...target, name: purpose.name, ...load }, target),
      ...(source === undefined
        ? []
        : [
            put(collections, { ...source, name: keptNow }, source),
            ...movedAliases(this.#catalog, source.collectionId, target.collectionId),
          ]),
      put(copyJobs, is, job),
      ...this.#parts.pins.releasing(job.pinId),
    ]);
  }

  #isTaken(database: DatabaseRecord, name: string): boolean {
    return resolveCollection(this.#catalog, database, name) !== undefined;
  }

  #settle(
    { job, purpose }: SwapView,
    step:
      | { readonly kind: 'confirm'; readonly drop: CollectionRecord | undefined }
      | {
          readonly kind: 'revert';
          readonly back: CollectionRecord;
          readonly drop: CollectionRecord | undefined;
        },
  ): Promise<boolean> {
    const stage = swapMachine.next(purpose.stage, step.kind);
    const changes: Change[] = [put(copyJobs, { ...job, purpose: { ...purpose, stage } }, job)];
    if (step.drop !== undefined) {
      if (step.kind === 'revert')
        changes.push(...movedAliases(this.#catalog, step.drop.collectionId, step.back.collectionId));
      changes.push(remove(collections, step.drop));
    }
    if (step.kind === 'revert') {
      const database = this.#catalog.get(databases, job.databaseId);
      if (database === undefined)
        throw new DbError('database-not-found', `database not found[database=${job.databaseName}]`);
      const { databaseId } = job;
      changes.push(
        claimNames(database),
        put(collections, { ...step.back, databaseId, name: purpose.name }, step.back),
      );
    }
    return this.#commit(changes);
  }

  #load({ databaseId, name }: CollectionRecord): Promise<void> {
    const database = this.#catalog.get(databases, databaseId);
    return this.#parts.loads.load({ database: database?.name ?? '', name });
  }

  /** Two that replace one collection would undo each other. */
  #requireAlone({ collectionId }: SnapshotRecord): void {
    for (const job of this.#parts.meta.jobs()) {
      if (job.purpose?.kind !== 'in-place') continue;
      const isSame = job.sourceCollectionId === collectionId || job.collectionId === collectionId;
      if (isSame && (isOpen(job) || isUnsettled(job)))
        throw new DbError(
          'collection-duplicate',
          isOpen(job)
            ? `restore ${job.jobId} is about to replace the same collection: wait for it, or cancel it`
            : `restore ${job.jobId} has replaced the collection and waits: confirm or revert it first`,
        );
    }
  }

  async #commit(changes: readonly Change[]): Promise<boolean> {
    return (await this.#catalog.commit(changes)) === 'committed';
  }
}

/** What the readers of the old collection have, of the new one: its partitions of the same names. */
function loadOf(catalog: Catalog, source: CollectionRecord, target: CollectionRecord): Load {
  const namesOf = ({ collectionId }: CollectionRecord) =>
    catalog.find(partitions, 'collection', collectionId);
  const names = new Map(namesOf(source).map(({ partitionId, name }) => [partitionId, name]));
  const targets = namesOf(target);
  const places = new Map(targets.map(({ name, partitionId }) => [name, partitionId]));
  const { load, loadScope } = movedTo(
    source,
    (partitionId) => places.get(names.get(partitionId) ?? ''),
    targets.map(({ partitionId }) => partitionId),
  );
  return loadScope === undefined ? { load } : { load, loadScope };
}
