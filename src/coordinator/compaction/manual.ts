/** Compactions that a user asked for. In memory: an ended one is listed for some hours, a restart forgets all. */
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, CompactionId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { CompactionInfo, CompactionPlanInfo, ManualCompaction } from '../api.ts';
import type { CompactionLimits } from './limits.ts';
import type { PlanEnd } from './open-plans.ts';
import type { CompactionPlan } from './plan.ts';

/**
 * One request. It goes on in rounds: what a round has merged is looked at again. It is about what was there when it was made, or it
 * would not end while others write.
 */
export class ManualJob {
  readonly compactionId: CompactionId;
  readonly request: ManualCompaction;
  /** Undefined: it goes on. */
  endedAtMs: number | undefined;
  readonly #plans: CompactionPlanInfo[] = [];
  /** Left alone by the next rounds: a plan with it failed. */
  readonly #failed = new Set<SegmentId>();
  /** All deletes there were are applied to it. */
  readonly #applied = new Set<SegmentId>();
  /** Undefined: all segments older than the request. */
  readonly #asked: ReadonlySet<SegmentId> | undefined;
  /** What became of them. */
  readonly #outputs = new Set<SegmentId>();
  #running = 0;

  constructor(compactionId: CompactionId, request: ManualCompaction) {
    this.compactionId = compactionId;
    this.request = request;
    const { segmentIds = [] } = request;
    this.#asked = segmentIds.length === 0 ? undefined : new Set(segmentIds);
  }

  get collectionId(): CollectionId {
    return this.request.collectionId;
  }

  get isRunning(): boolean {
    return this.#running > 0;
  }

  isMeant({ segmentId, partitionId, channel, level }: SegmentRecord): boolean {
    const { request } = this;
    if (this.#failed.has(segmentId)) return false;
    if (request.channel !== undefined && request.channel !== channel) return false;
    if (request.partitionId !== undefined && request.partitionId !== partitionId) return false;
    if (this.#outputs.has(segmentId)) return true;
    // Ids are handed out in the order of time.
    if (this.#asked === undefined) return segmentId < this.compactionId;
    return level === 'L1' && this.#asked.has(segmentId);
  }

  /** A plan, whoever wanted it, has written `target`. */
  follow({ sources }: CompactionPlan, target: SegmentId): void {
    if (sources.some((source) => this.isMeant(source))) this.#outputs.add(target);
  }

  isApplied(segmentId: SegmentId): boolean {
    return this.#applied.has(segmentId);
  }

  /** A plan of it begins; what is returned has to be told its end. */
  begin(plan: CompactionPlan): (end: PlanEnd) => void {
    const sources = plan.sources.map(({ segmentId }) => segmentId);
    const at = this.#plans.push({ sources, state: 'executing', reason: '' }) - 1;
    this.#running++;
    return (end) => {
      this.#running--;
      if (end.state === 'failed') {
        this.#plans[at] = { sources, state: 'failed', reason: end.reason };
        for (const segmentId of sources) this.#failed.add(segmentId);
      } else this.#completed(at, sources, end.target);
    };
  }

  #completed(at: number, sources: readonly SegmentId[], target: SegmentId | undefined): void {
    const result = target === undefined ? {} : { target };
    this.#plans[at] = { sources, state: 'completed', reason: '', ...result };
    for (const segmentId of target === undefined ? sources : [target]) this.#applied.add(segmentId);
  }

  info(): CompactionInfo {
    const state = this.endedAtMs === undefined ? 'executing' : 'completed';
    return { compactionId: this.compactionId, state, plans: [...this.#plans] };
  }
}

export class ManualJobs {
  readonly #jobs = new Map<CompactionId, ManualJob>();
  readonly #open = new Set<ManualJob>();
  readonly #limits: CompactionLimits;

  constructor(limits: CompactionLimits) {
    this.#limits = limits;
  }

  add(job: ManualJob): void {
    this.#jobs.set(job.compactionId, job);
    this.#open.add(job);
  }

  /** Throws `compaction-not-found`. */
  require(compactionId: CompactionId): ManualJob {
    const job = this.#jobs.get(compactionId);
    if (job === undefined)
      throw new DbError('compaction-not-found', `compaction not found: compactionID=${compactionId}`);
    return job;
  }

  /** Those of the collection that go on, oldest first. */
  openOf(collectionId: CollectionId): readonly ManualJob[] {
    return [...this.#open].filter((job) => job.collectionId === collectionId);
  }

  isOpen(job: ManualJob): boolean {
    return this.#open.has(job);
  }

  end(job: ManualJob, nowMs: number): void {
    job.endedAtMs ??= nowMs;
    this.#open.delete(job);
  }

  /** Forgets what ended long ago, and the oldest of what is too much. */
  forget(nowMs: number): void {
    const { retentionMs, maxEnded } = this.#limits;
    let excess = this.#jobs.size - maxEnded;
    for (const [compactionId, { endedAtMs }] of this.#jobs) {
      if (endedAtMs === undefined || (excess <= 0 && endedAtMs + retentionMs > nowMs)) continue;
      this.#jobs.delete(compactionId);
      excess--;
    }
  }
}
