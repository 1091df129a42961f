/**
 * Drives jobs: `pass` looks at every job something happened to, and now and then at all of them, and carries out what `decide` says;
 * each job by itself, so that one whose snapshot cannot be read for long holds up no other.
 * Every step is one commit guarded by the job record it was decided on, or repeatable commits that lead up to one.
 *
 * The commit that turns a job completed publishes the restore: until then no target segment is visible, afterwards all are (I2).
 * The commit that turns it failed takes the target collection and the pin away with it.
 */
import { type Catalog, type Change, put, remove } from '../../catalog/catalog.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { isDbError, messageOf } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import { unreachable } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { Heap } from '../../support/heap.ts';
import { Limiter } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { Signal } from '../../support/signal.ts';
import { commitEach } from '../batches.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import type { Pins } from '../snapshot/pins.ts';
import { collections, segments } from '../tables.ts';
import { decide, type JobDecision, progressOf } from './decide.ts';
import {
  type CopyJob,
  type CopyOutcome,
  copyJobs,
  type DrillOutcome,
  idRange,
  isOpen,
  isToClear,
  type OpenCopyJob,
} from './job.ts';
import type { CopyMeta } from './meta.ts';
import { TaskPlanner } from './planner.ts';
import type { SnapshotSource } from './source.ts';
import { copyJobMachine, swapMachine } from './state.ts';
import { copyTasks, isPermanent } from './task.ts';

export interface CheckerParts {
  readonly catalog: Catalog;
  readonly meta: CopyMeta;
  readonly source: SnapshotSource;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: SnapshotLimits;
  /** Begins what ends a job with a purpose, unless it is under way. */
  readonly finish: (job: OpenCopyJob) => void;
}

/** Jobs whose snapshot is read and whose tasks are written at once; every other step is a few commits. */
const PREPARATIONS_AT_ONCE = 4;

export class CopySegmentChecker {
  /** Set when a job may need a pass. */
  readonly wake = new Signal();
  readonly #parts: CheckerParts;
  readonly #catalog: Catalog;
  readonly #meta: CopyMeta;
  readonly #planner: TaskPlanner;
  readonly #due = new Set<JobId>();
  readonly #driving = new Map<JobId, Promise<void>>();
  readonly #preparations = new Limiter(PREPARATIONS_AT_ONCE);
  readonly #progressStoredAtMs = new Map<JobId, number>();
  /** When ended jobs are to be forgotten: until then nobody looks at them (W2). */
  readonly #retained = new Heap<JobId>();
  #nextSweepMs = 0;

  constructor(parts: CheckerParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
    this.#meta = parts.meta;
    this.#planner = new TaskPlanner(parts);
    for (const { jobId } of this.#meta.jobs()) this.#retain(jobId, 0);
    this.#meta.onChange((jobId) => {
      this.#due.add(jobId);
      this.wake.set();
    });
  }

  /** Starts with what is due; does not wait for it. */
  pass(): Promise<void> {
    const { clock, limits } = this.#parts;
    const [nowMs, uptimeMs] = [clock.nowMs(), clock.monotonicMs()];
    if (uptimeMs >= this.#nextSweepMs) {
      for (const { jobId } of this.#meta.unsettled()) this.#due.add(jobId);
      this.#nextSweepMs = uptimeMs + limits.checkIntervalMs;
    }
    for (let id = this.#retained.popUntil(nowMs); id !== undefined; id = this.#retained.popUntil(nowMs))
      this.#due.add(id);
    for (const jobId of this.#due) {
      // What is being driven stays due, and comes again when that has ended.
      if (this.#driving.has(jobId)) continue;
      this.#due.delete(jobId);
      const driving = this.#drive(jobId)
        .catch((error: unknown) =>
          this.#parts.log.error('restore-job-not-ended', { jobId, reason: messageOf(error) }),
        )
        .finally(() => {
          this.#driving.delete(jobId);
          // What could not be forgotten now is tried again.
          this.#retain(jobId, clock.nowMs() + limits.checkIntervalMs);
          if (this.#due.has(jobId)) this.wake.set();
        });
      this.#driving.set(jobId, driving);
    }
    return Promise.resolve();
  }

  #retain(jobId: JobId, notBeforeMs: number): void {
    const job = this.#meta.job(jobId);
    if (job === undefined || isOpen(job)) return;
    this.#retained.push(Math.max(notBeforeMs, job.endedAtMs + this.#parts.limits.jobRetentionMs), jobId);
  }

  /** Waits for what is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#driving.values());
  }

  /** Ends an open job as failed, as a cancel does. False when it was not open any more. `outcome`: what a drill has found. */
  async end(jobId: JobId, reason: string, outcome?: DrillOutcome): Promise<boolean> {
    for (;;) {
      const job = this.#meta.job(jobId);
      if (job === undefined || !isOpen(job)) return false;
      if (await this.#fail(job, reason, outcome)) return true;
    }
  }

  /** Goes on with one job until there is nothing to do now. What it cannot do it leaves to the next sweep. */
  async #drive(jobId: JobId): Promise<void> {
    for (;;) {
      const job = this.#meta.job(jobId);
      if (job === undefined) return;
      try {
        if (!(await this.#step(job))) return;
      } catch (error) {
        if (isOpen(job) && isDbError(error) && isPermanent(error.code)) {
          await this.end(jobId, error.message, damageFound(job, error.code, error.message));
          continue;
        }
        this.#parts.log.warn('restore-job-step-failed', {
          jobId,
          state: job.state,
          reason: messageOf(error),
        });
        return;
      }
    }
  }

  #damageIn(job: CopyJob, reason: string): DrillOutcome | undefined {
    const [failed] = this.#meta.tasksIn(job.jobId, 'failed');
    const isCause = failed?.state === 'failed' && failed.reason === reason;
    return isCause ? damageFound(job, failed.code, reason) : undefined;
  }

  /** False: nothing to do. After a commit, one that lost a race too, there may be more. */
  async #step(job: CopyJob): Promise<boolean> {
    const { clock, limits } = this.#parts;
    const [failed] = this.#meta.tasksIn(job.jobId, 'failed');
    const decision = decide(
      {
        job,
        tally: this.#meta.tally(job.jobId),
        hasTarget: this.#meta.target(job) !== undefined,
        hasSource: this.#catalog.get(collections, job.sourceCollectionId) !== undefined,
        failure: failed?.state === 'failed' ? failed.reason : undefined,
        nowMs: clock.nowMs(),
        uptimeMs: clock.monotonicMs(),
        progressStoredAtMs: this.#progressStoredAtMs.get(job.jobId) ?? 0,
      },
      limits,
    );
    return this.#carryOut(job, decision);
  }

  async #carryOut(job: CopyJob, decision: JobDecision): Promise<boolean> {
    switch (decision.kind) {
      case 'wait':
        return false;
      case 'prepare':
      case 'plan':
        if (isOpen(job)) await this.#preparations.run(() => this.#plan(job));
        return true;
      case 'progress':
        this.#progressStoredAtMs.set(job.jobId, this.#parts.clock.monotonicMs());
        if (job.state === 'executing') await this.#storeProgress(job, decision.progress);
        return true;
      case 'complete':
        if (isOpen(job)) await this.#complete(job);
        return true;
      case 'finish':
        if (isOpen(job)) this.#parts.finish(job);
        return false;
      case 'settle':
        await this.#settle(job);
        return true;
      case 'fail':
        if (isOpen(job)) await this.#fail(job, decision.reason, this.#damageIn(job, decision.reason));
        return true;
      case 'tidy':
        // What a failed job leaves, and every drill, is the inspector's to clear.
        if (isToClear(job)) return false;
        if (job.state === 'completed') await this.#tidy(job);
        return true;
      case 'forget':
        this.#progressStoredAtMs.delete(job.jobId);
        await this.#commit([remove(copyJobs, job)]);
        return true;
      default:
        return unreachable(decision);
    }
  }

  /** W6: a job executes in the commit after which none of its first tasks is missing, whatever was there before; the others follow as nodes take these up. */
  async #plan(job: OpenCopyJob): Promise<void> {
    if (job.state === 'executing') {
      await this.#planner.plan(job);
      return;
    }
    const state = copyJobMachine.next(job.state, 'execute') as 'executing';
    // Progress 0 is stored now: a small restore is complete before the next one is due, and no commit stands in its way.
    const executingSinceMs = this.#parts.clock.nowMs();
    this.#progressStoredAtMs.set(job.jobId, this.#parts.clock.monotonicMs());
    await this.#planner.plan(job, { ...job, state, progress: 0, executingSinceMs });
  }

  #storeProgress(job: CopyJob & { readonly state: 'executing' }, progress: number): Promise<boolean> {
    const { copyingSinceMs } = this.#meta.detail(job);
    return this.#put(job, { ...job, progress, ...(copyingSinceMs === undefined ? {} : { copyingSinceMs }) });
  }

  #outcome(job: OpenCopyJob): CopyOutcome {
    const { copiedBytes, copiedFiles, bytesByMethod, copyingSinceMs } = this.#meta.detail(job);
    const since = copyingSinceMs === undefined ? {} : { copyingSinceMs };
    return { copiedBytes, copiedFiles, bytesByMethod, ...since };
  }

  #complete(job: OpenCopyJob): Promise<boolean> {
    const state = copyJobMachine.next(job.state, 'complete') as 'completed';
    const endedAtMs = this.#parts.clock.nowMs();
    const is: CopyJob = { ...job, state, endedAtMs, isTidy: false, outcome: this.#outcome(job) };
    return this.#commit([put(copyJobs, is, job), ...this.#parts.pins.releasing(job.pinId)]);
  }

  #fail(job: OpenCopyJob, reason: string, outcome?: DrillOutcome): Promise<boolean> {
    const progress = Math.max(
      job.state === 'executing' ? job.progress : 0,
      progressOf(job, this.#meta.tally(job.jobId)),
    );
    const state = copyJobMachine.next(job.state, 'fail') as 'failed';
    const endedAtMs = this.#parts.clock.nowMs();
    const target = this.#meta.target(job);
    return this.#commit([
      put(
        copyJobs,
        {
          ...job,
          ...(outcome === undefined ? {} : { purpose: { kind: 'drill', outcome } as const }),
          state,
          endedAtMs,
          isTidy: false,
          reason,
          progress,
          outcome: this.#outcome(job),
        },
        job,
      ),
      ...(target === undefined ? [] : [remove(collections, target)]),
      ...this.#parts.pins.releasing(job.pinId),
    ]);
  }

  /** Nobody sees a difference: visible through a completed job, or by themselves. */
  async #tidy(job: CopyJob & { readonly state: 'completed' }): Promise<boolean> {
    const { jobId, collectionId } = job;
    await commitEach(this.#catalog, idRange(job.firstSegmentId, job.segmentCount), (segmentId) => {
      const was = this.#catalog.get(segments, segmentId);
      if (was?.restoreJobId !== jobId) return undefined;
      const { restoreJobId: _, ...is } = was;
      return put(segments, is, was);
    });
    await commitEach(this.#catalog, [collectionId], () => {
      const was = this.#meta.target(job);
      if (was?.restoreJobId === undefined) return undefined;
      const { restoreJobId: _, ...is } = was;
      return put(collections, is, was);
    });
    await removeTasks(this.#catalog, this.#meta, job);
    this.#parts.source.forget(job.jobId);
    return this.#put(job, { ...job, isTidy: true });
  }

  #settle(job: CopyJob): Promise<boolean> | boolean {
    const { purpose } = job;
    if (purpose?.kind !== 'in-place') return false;
    return this.#put(job, {
      ...job,
      purpose: { ...purpose, stage: swapMachine.next(purpose.stage, 'confirm') },
    });
  }

  #put(was: CopyJob, is: CopyJob): Promise<boolean> {
    return this.#commit([put(copyJobs, is, was)]);
  }

  async #commit(changes: readonly Change[]): Promise<boolean> {
    return (await this.#catalog.commit(changes)) === 'committed';
  }
}

/** A drill that cannot copy the snapshot because of the snapshot has found what it looks for. */
const damageFound = ({ purpose }: CopyJob, code: ErrorName, reason: string): DrillOutcome | undefined =>
  purpose?.kind === 'drill' && (code === 'object-not-found' || code === 'data-integrity')
    ? { isSame: false, segments: 0, rows: 0, deletes: 0, differences: [reason] }
    : undefined;

/** Tasks of an ended job say nothing that the job does not. */
export const removeTasks = (
  catalog: Catalog,
  meta: CopyMeta,
  { firstTaskId, taskCount }: CopyJob,
): Promise<void> =>
  commitEach(catalog, idRange(firstTaskId, taskCount), (taskId) => {
    const was = meta.task(taskId);
    return was === undefined ? undefined : remove(copyTasks, was);
  });
