/**
 * Compaction as a whole: looks at a collection when something of it has changed (a segment was flushed or dropped, a snapshot went),
 * plans, and starts what fits. Nothing of it is stored but the segments: after a crash the outputs of unfinished plans are dropped
 * and the collections looked at anew.
 */
import type { Change } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import { expiredRanges, expiryOf, type TimeRange } from '../../model/expiry.ts';
import {
  ALL_PARTITIONS,
  type CollectionId,
  type CompactionId,
  type PartitionId,
  type SegmentId,
} from '../../model/ids.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import type { StreamingNode } from '../../streamingnode/api.ts';
import type { Signal } from '../../support/signal.ts';
import { inTurns } from '../../support/slices.ts';
import type { CompactionInfo, CompactionStats, Compactions, ManualCompaction } from '../api.ts';
import { requireCollectionById } from '../collections/names.ts';
import type { RestoreGate } from '../rooms.ts';
import { type SnapshotRecord, snapshots } from '../snapshot/record.ts';
import { collections, partitions, segments } from '../tables.ts';
import { stillOver } from './deletes.ts';
import { ManualJob, ManualJobs } from './manual.ts';
import { type CompactionPlan, type PlanInput, type Planned, type Policy, planSteps } from './plan.ts';
import { PlanRunner, type RunnerParts } from './runner.ts';

export interface CompactorParts extends RunnerParts {
  readonly streamingNode: StreamingNode;
  readonly gate: RestoreGate;
  readonly wake: Signal;
}

const MiB = 1024 * 1024;
/** A smaller target would leave what is to be merged as it is; a larger one means as large as segments can be. */
const MIN_TARGET_BYTES = 16 * MiB;
const MAX_TARGET_BYTES = 1536 * MiB;
/** Delete segments dropped by one commit. */
const RETIRED_AT_ONCE = 64;
/** Records of a collection from which on it is planned at intervals, and how long these are. */
const RESTING_FROM = 5000;
const REST_MS_PER_RECORD = 0.1;
/** Property of a collection: `false` leaves it to manual compactions. */
const AUTO_PROPERTY = 'collection.autocompaction.enabled';

export class Compactor implements Compactions {
  readonly #parts: CompactorParts;
  readonly #runner: PlanRunner;
  readonly #jobs: ManualJobs;
  readonly #changed = new Set<CollectionId>();
  /** Where something stays out until time has passed. */
  readonly #held = new Set<CollectionId>();
  /** Large collections are not planned anew at every change. */
  readonly #restsUntilMs = new Map<CollectionId, number>();
  readonly #retiring = new Set<Promise<void>>();
  /** One look at a collection at a time, from its planning until what it starts counts as taken. */
  readonly #looking = new Map<CollectionId, Promise<unknown>>();
  #nextTickMs = 0;

  constructor(parts: CompactorParts) {
    this.#parts = parts;
    this.#runner = new PlanRunner(parts);
    this.#jobs = new ManualJobs(parts.limits);
  }

  compactionStats(): CompactionStats {
    return this.#runner.stats;
  }

  async recover(): Promise<void> {
    await this.#runner.replacement.recover();
    for (const { collectionId } of this.#parts.catalog.all(collections)) this.look(collectionId);
  }

  /** Told of every commit. */
  changed(changes: readonly Change[]): void {
    for (const { table, was, is } of changes) {
      if (was === is) continue;
      if (table === segments)
        this.#segmentChanged(was as SegmentRecord | undefined, is as SegmentRecord | undefined);
      if (table === snapshots && was !== undefined) this.look((was as SnapshotRecord).collectionId);
      if (table === collections && is !== undefined && isOtherNow(was, is))
        this.look((is as CollectionRecord).collectionId);
    }
  }

  /** Something may be possible in the collection that was not: a change, or the log let go of a segment. */
  look(collectionId: CollectionId): void {
    this.#changed.add(collectionId);
    this.#parts.wake.set();
  }

  async pass(): Promise<void> {
    const { clock, limits } = this.#parts;
    const nowMs = clock.monotonicMs();
    await this.#runner.tidy();
    this.#jobs.forget(nowMs);
    if (nowMs >= this.#nextTickMs) {
      this.#nextTickMs = nowMs + limits.tickMs;
      for (const collectionId of this.#held) this.#changed.add(collectionId);
    }
    for (const collectionId of [...this.#changed]) {
      if (this.#room <= 0) return;
      this.#changed.delete(collectionId);
      try {
        for (const job of this.#jobs.openOf(collectionId))
          await this.#alone(collectionId, () => this.#round(job));
        await this.#alone(collectionId, () => this.#automatic(collectionId));
      } catch (error) {
        this.#held.add(collectionId);
        throw error;
      }
    }
  }

  async compact(request: ManualCompaction): Promise<CompactionInfo> {
    this.#check(request);
    const job = new ManualJob(await this.#parts.ids.next<CompactionId>(), request);
    this.#jobs.forget(this.#parts.clock.monotonicMs());
    this.#jobs.add(job);
    await this.#alone(job.collectionId, () => this.#round(job));
    return job.info();
  }

  compactionState(compactionId: CompactionId): CompactionInfo {
    return this.#jobs.require(compactionId).info();
  }

  troubles(): readonly string[] {
    return this.#runner.open.troubles(this.#parts.clock.monotonicMs());
  }

  /** Ends what reads or writes these segments; resolves when no node works on it. */
  cancel(segmentIds: readonly SegmentId[]): Promise<void> {
    return this.#runner.cancel(segmentIds);
  }

  close(): void {
    this.#runner.close();
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#looking.values());
    await this.#runner.settled();
    await Promise.all(this.#retiring);
  }

  get #room(): number {
    return this.#runner.isClosed ? 0 : this.#parts.limits.maxOpenPlans - this.#runner.open.size;
  }

  #segmentChanged(was: SegmentRecord | undefined, is: SegmentRecord | undefined): void {
    if (was !== undefined && (is === undefined || is.state === 'dropped'))
      this.#runner.open.forget(was.segmentId);
    if (is === undefined) return;
    const isNews =
      is.state !== was?.state ||
      is.restoreJobId !== was.restoreJobId ||
      is.deletesAppliedTs !== was.deletesAppliedTs;
    if (isNews && (is.state === 'flushed' || is.state === 'dropped')) this.look(is.collectionId);
  }

  async #automatic(collectionId: CollectionId): Promise<void> {
    const { catalog, limits, clock } = this.#parts;
    const collection = catalog.get(collections, collectionId);
    this.#held.delete(collectionId);
    if (!limits.isEnabled || !limits.isAutomatic || collection === undefined || !this.#isReady(collection))
      return;
    if (collection.properties[AUTO_PROPERTY]?.toLowerCase() === 'false') return;
    const nowMs = clock.monotonicMs();
    if (nowMs < (this.#restsUntilMs.get(collectionId) ?? 0)) {
      this.#held.add(collectionId);
      return;
    }
    this.#rest(collectionId, nowMs);
    const planned = await this.#plan(collectionId, {
      policy: this.#policy({ isThorough: false }),
      isResting: (segmentId) => this.#runner.open.isResting(segmentId, nowMs),
      examinedWith: (segmentId) => this.#runner.open.examinedWith(segmentId),
    });
    // Rows expire without anything that changes.
    const isExpiring = expiryOf(collection) !== undefined;
    if (planned.isProtected || planned.isWaiting || planned.isResting || isExpiring)
      this.#held.add(collectionId);
    await this.#start(collectionId, planned);
  }

  /** A plan costs about a microsecond for every record: at most a hundredth of the time goes into that. */
  #rest(collectionId: CollectionId, nowMs: number): void {
    const records = this.#parts.catalog.countOf(segments, 'collection', collectionId);
    if (records < RESTING_FROM) this.#restsUntilMs.delete(collectionId);
    else this.#restsUntilMs.set(collectionId, nowMs + records * REST_MS_PER_RECORD);
  }

  async #round(job: ManualJob): Promise<void> {
    const { collectionId, request } = job;
    if (!this.#jobs.isOpen(job)) return;
    const planned = await this.#plan(collectionId, {
      policy: this.#policy({
        isThorough: true,
        mergesRows: !request.isDeletesOnly,
        minSegments: 2,
        minDeleteSegments: 2,
        deleteRatio: 0,
        ...(request.targetSizeBytes === undefined ? {} : targetSizes(request.targetSizeBytes)),
      }),
      isResting: () => false,
      examinedWith: (segmentId) => (job.isApplied(segmentId) ? 1 : 0),
      isMeant: (segment) => job.isMeant(segment),
    });
    await this.#start(collectionId, planned, job);
    const isDone = planned.plans.length === 0 && planned.retired.length === 0 && !planned.isWaiting;
    if (isDone && !job.isRunning) this.#jobs.end(job, this.#parts.clock.monotonicMs());
  }

  /**
   * Retired deletes go, and plans begin as far as there is room and what they are about is still there. Sources count as taken before the
   * first wait.
   */
  async #start(collectionId: CollectionId, planned: Planned, job?: ManualJob): Promise<void> {
    const plans = planned.plans.slice(0, Math.max(0, this.#room));
    const now = plans.filter((plan) => this.#isStill(plan));
    this.#retire(collectionId, planned.retired);
    if (now.length < plans.length) this.look(collectionId);
    else if (now.length < planned.plans.length) this.#changed.add(collectionId);
    await Promise.all(
      now.map((plan) => {
        const told = job?.begin(plan);
        return this.#runner.start(plan, (end) => {
          if (end.state === 'completed' && end.target !== undefined)
            for (const each of this.#jobs.openOf(collectionId)) each.follow(plan, end.target);
          told?.(end);
          this.look(collectionId);
        });
      }),
    );
  }

  /** Between the look at the records and now other plans may have ended. */
  #isStill(plan: CompactionPlan): boolean {
    const { open } = this.#runner;
    const isFree = ({ segmentId }: SegmentRecord) =>
      this.#parts.catalog.get(segments, segmentId)?.state === 'flushed' && !open.isSource(segmentId);
    if (!plan.sources.every(isFree)) return false;
    return plan.kind === 'merge-deletes'
      ? plan.sources.every(({ segmentId }) => !open.isRead(segmentId))
      : plan.deletes.every(isFree);
  }

  /** One look at the records; what is made of a large collection takes its turns. */
  #plan(
    collectionId: CollectionId,
    rules: Pick<PlanInput, 'policy' | 'isResting' | 'examinedWith' | 'isMeant'>,
  ): Promise<Planned> {
    const { protection } = this.#parts;
    const { open } = this.#runner;
    const expired = this.#expired(collectionId);
    return inTurns(
      planSteps({
        ...rules,
        segments: this.#living(collectionId),
        log: this.#log(collectionId),
        isProtected: (segmentId) => protection.isProtected(collectionId, segmentId),
        isBusy: (segmentId) => open.isSource(segmentId),
        isRead: (segmentId) => open.isRead(segmentId),
        ...(expired.length === 0 ? {} : { expired }),
      }),
    );
  }

  #expired(collectionId: CollectionId): readonly TimeRange[] {
    const { catalog, clock } = this.#parts;
    const collection = catalog.get(collections, collectionId);
    const expiry = collection && expiryOf(collection);
    return expiry === undefined ? [] : expiredRanges(expiry, clock.nowMs());
  }

  /** Records of what may still be seen: of a partition whose drop is under way nothing is, neither rows nor deletes. */
  #living(collectionId: CollectionId): readonly SegmentRecord[] {
    const { catalog } = this.#parts;
    const living = new Set<PartitionId>([ALL_PARTITIONS]);
    for (const { partitionId } of catalog.find(partitions, 'collection', collectionId))
      living.add(partitionId);
    return catalog
      .find(segments, 'collection', collectionId)
      .filter(({ partitionId }) => living.has(partitionId));
  }

  #log(collectionId: CollectionId) {
    return this.#parts.streamingNode.segments().filter((segment) => segment.collectionId === collectionId);
  }

  /** One after another for a collection. */
  async #alone(collectionId: CollectionId, work: () => Promise<void>): Promise<void> {
    const turn = (this.#looking.get(collectionId) ?? Promise.resolve()).then(work, work);
    this.#looking.set(collectionId, turn);
    try {
      await turn;
    } finally {
      if (this.#looking.get(collectionId) === turn) this.#looking.delete(collectionId);
    }
  }

  /** Waits for captures, and nobody waits for it. */
  #retire(collectionId: CollectionId, retired: readonly SegmentRecord[]): void {
    if (retired.length === 0 || this.#runner.isClosed) return;
    const { open, replacement } = this.#runner;
    const segmentIds = retired.map(({ segmentId }) => segmentId);
    open.hold(segmentIds);
    const work = replacement
      .retire(collectionId, RETIRED_AT_ONCE, () => this.#stillRetired(collectionId, segmentIds))
      .then((count) => {
        open.letGo(segmentIds);
        // None is over any more: what made it so has told of itself, or it will be seen at the next tick.
        if (count > 0) this.look(collectionId);
        else this.#held.add(collectionId);
      })
      .catch((error: unknown) => {
        open.letGo(segmentIds);
        this.#held.add(collectionId);
        if (!this.#runner.isClosed) this.#parts.log.error('deletes-not-retired', { collectionId, error });
      })
      .finally(() => this.#retiring.delete(work));
    this.#retiring.add(work);
  }

  #stillRetired(collectionId: CollectionId, segmentIds: readonly SegmentId[]): readonly SegmentRecord[] {
    const { catalog, protection } = this.#parts;
    const { open } = this.#runner;
    const free = segmentIds
      .filter((segmentId) => !open.isRead(segmentId) && !protection.isProtected(collectionId, segmentId))
      .map((segmentId) => catalog.get(segments, segmentId))
      .filter((record) => record?.state === 'flushed');
    return stillOver(free as SegmentRecord[], this.#living(collectionId), this.#log(collectionId));
  }

  #policy(special: Partial<Policy> & Pick<Policy, 'isThorough'>): Policy {
    const { limits } = this.#parts;
    return { ...limits, ...sizes(limits.maxSizeBytes, limits), mergesRows: true, ...special };
  }

  #isReady({ restoreJobId }: CollectionRecord): boolean {
    return restoreJobId === undefined || this.#parts.gate.isCompleted(restoreJobId);
  }

  #check({ collectionId, partitionId, channel, segmentIds, targetSizeBytes }: ManualCompaction): void {
    const { catalog, limits } = this.#parts;
    if (!limits.isEnabled)
      throw new DbError('unimplemented', 'compaction is switched off (dataCoord.enableCompaction)');
    const collection = requireCollectionById(catalog, collectionId);
    if (!this.#isReady(collection))
      throw new DbError('collection-on-recovering', `collection ${collection.name} is being restored`);
    if (partitionId !== undefined && catalog.get(partitions, partitionId)?.collectionId !== collectionId)
      throw new DbError('partition-not-found', `partition not found[partition=${partitionId}]`);
    if (channel !== undefined && !collection.channels.includes(channel))
      throw new DbError('parameter-invalid', `collection ${collection.name} has no channel ${channel}`);
    for (const segmentId of segmentIds ?? [])
      if (catalog.get(segments, segmentId)?.collectionId !== collectionId)
        throw new DbError('parameter-invalid', `collection ${collection.name} has no segment ${segmentId}`);
    if (targetSizeBytes !== undefined && !(targetSizeBytes >= MIN_TARGET_BYTES))
      throw new DbError('parameter-invalid', `target size must be at least ${MIN_TARGET_BYTES / MiB} MB`);
  }
}

/** Of whatever is below it, what fits together. */
const targetSizes = (targetSizeBytes: number) => {
  const maxSizeBytes = Math.min(targetSizeBytes, MAX_TARGET_BYTES);
  return { maxSizeBytes, smallBytes: maxSizeBytes };
};

const sizes = (maxSizeBytes: number, { smallProportion }: { readonly smallProportion: number }) => ({
  maxSizeBytes,
  smallBytes: maxSizeBytes * smallProportion,
});

/** A restore was published, or the time to live may be another. */
function isOtherNow(was: object | undefined, is: object): boolean {
  const [before, after] = [was as CollectionRecord | undefined, is as CollectionRecord];
  if (before?.restoreJobId !== after.restoreJobId) return true;
  return before !== undefined && before.properties !== after.properties;
}
