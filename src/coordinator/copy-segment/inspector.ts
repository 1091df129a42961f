/**
 * Drives tasks: hands running attempts back to the scheduler after a restart, enqueues pending tasks of executing jobs, and clears
 * away what failed jobs leave. Clearing waits until no node works on the job any more, so that nothing is written after it. A failed
 * job stays untidy until all of that is done, and every sweep, the first one after a start too, takes up what is untidy: whatever
 * stopped the clearing, it goes on.
 */
import { setImmediate } from 'node:timers/promises';
import { type Catalog, type Change, put, remove } from '../../catalog/catalog.ts';
import { messageOf } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import { collectionSegmentsPrefix } from '../../storage/keys.ts';
import { assert } from '../../support/assert.ts';
import { Limiter, mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { Signal } from '../../support/signal.ts';
import { SLICE } from '../../support/slices.ts';
import { TurnBudget } from '../../support/turn-budget.ts';
import { commitEach } from '../batches.ts';
import type { ObjectRemover } from '../gc/remover.ts';
import type { AheadLoads } from '../rooms.ts';
import type { Scheduler } from '../scheduler/task.ts';
import { indexes, partitions, segments } from '../tables.ts';
import { removeTasks } from './checker.ts';
import { type CopyDispatchParts, CopyTaskDispatch } from './dispatch.ts';
import { type CopyJob, copyJobs, idAt, isOpen, isToClear } from './job.ts';
import { type CopyMeta, plannedTasks } from './meta.ts';
import type { CopyTaskState } from './state.ts';
import type { CopyTask } from './task.ts';

export interface InspectorParts extends Omit<CopyDispatchParts, 'turns'> {
  readonly scheduler: Scheduler;
  readonly loads: AheadLoads;
  readonly remover: ObjectRemover;
  readonly log: Log;
}

/** Of all tasks together, dispatched or taken back in one turn of the event loop: some milliseconds. */
export const SEGMENTS_PER_TURN = 64;
const CANCELS_AT_ONCE = 16;
const CLEARINGS_AT_ONCE = 8;
/** Tasks of a job that the scheduler is told of ahead of time: a job of any size costs it no more. */
const MAX_QUEUED = 1024;
const MIN_QUEUED = 512;

export class CopySegmentInspector {
  /** Set when a job began to execute or failed. */
  readonly wake = new Signal();
  readonly #parts: InspectorParts & CopyDispatchParts;
  readonly #catalog: Catalog;
  readonly #meta: CopyMeta;
  readonly #due = new Set<JobId>();
  readonly #clearing = new Map<JobId, Promise<void>>();
  readonly #clearings = new Limiter(CLEARINGS_AT_ONCE);
  /** Position, in the job's range of tasks, of the first that the scheduler was not told of. */
  readonly #nextTask = new Map<JobId, number>();
  #nextSweepMs = 0;

  constructor(parts: InspectorParts) {
    this.#parts = { ...parts, turns: new TurnBudget(SEGMENTS_PER_TURN) };
    this.#catalog = parts.catalog;
    this.#meta = parts.meta;
    this.#meta.onChange((jobId, what) => {
      if (what === 'progress' || (what === 'task' && !this.#isLow(jobId))) return;
      this.#due.add(jobId);
      this.wake.set();
    });
  }

  /** Once, at start: attempts that were sent before are asked for, not sent again. */
  reload(): void {
    for (const { jobId, state } of [...this.#meta.jobs()].sort((a, b) => order(a.jobId, b.jobId)))
      if (state === 'executing')
        for (const task of this.#tasksIn(jobId, 'in-progress'))
          if (task.state === 'in-progress')
            this.#parts.scheduler.enqueue(new CopyTaskDispatch(task, this.#parts), {
              nodeId: task.nodeId,
              attempt: task.attempt,
            });
  }

  /** Enqueues what is pending and starts clearing after failed jobs; does not wait for the clearing. */
  pass(): Promise<void> {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs >= this.#nextSweepMs) {
      for (const job of this.#meta.unsettled()) {
        this.#due.add(job.jobId);
        if (job.state === 'executing') this.#beginAnew(job);
      }
      this.#nextSweepMs = nowMs + this.#parts.limits.checkIntervalMs;
    }
    const due = [...this.#due];
    this.#due.clear();
    for (const jobId of due.sort(order)) this.#inspect(jobId);
    return Promise.resolve();
  }

  /** All its tasks were handed over, and the scheduler does not know of all that are open: it is told of them again. */
  #beginAnew({ jobId }: CopyJob): void {
    const tally = this.#meta.tally(jobId);
    const { tasks } = tally;
    const isAllTold = (this.#nextTask.get(jobId) ?? 0) >= plannedTasks(tally);
    if (isAllTold && this.#parts.scheduler.known(jobId) < tasks.pending + tasks['in-progress'])
      this.#nextTask.delete(jobId);
  }

  /** Whether the scheduler should be told of more of its tasks. */
  #isLow(jobId: JobId): boolean {
    const next = this.#nextTask.get(jobId);
    if (next === undefined || this.#parts.scheduler.known(jobId) > MIN_QUEUED) return false;
    return next < plannedTasks(this.#meta.tally(jobId));
  }

  /** Resolves when nothing is left of the failed job, or clearing has failed for now. */
  async clear(jobId: JobId): Promise<void> {
    const job = this.#meta.job(jobId);
    if (job === undefined || !isToClear(job)) return;
    const running =
      this.#clearing.get(jobId) ??
      this.#clearings
        .run(() => this.#clear(job))
        .catch((error: unknown) =>
          this.#parts.log.warn('failed-restore-not-cleared', { jobId, reason: messageOf(error) }),
        )
        .finally(() => this.#clearing.delete(jobId));
    this.#clearing.set(jobId, running);
    await running;
  }

  /** Waits for clearing that is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#clearing.values());
  }

  #inspect(jobId: JobId): void {
    const job = this.#meta.job(jobId);
    if (job?.state === 'executing') this.#enqueue(job);
    else this.#nextTask.delete(jobId);
    if (job !== undefined && isToClear(job)) void this.clear(jobId);
  }

  /** In manifest order. */
  #tasksIn(jobId: JobId, state: CopyTaskState): readonly CopyTask[] {
    return this.#meta.tasksIn(jobId, state).toSorted((a, b) => order(a.taskId, b.taskId));
  }

  #enqueue({ jobId, firstTaskId }: CopyJob): void {
    const { scheduler } = this.#parts;
    const planned = plannedTasks(this.#meta.tally(jobId));
    let next = this.#nextTask.get(jobId) ?? 0;
    for (; next < planned && scheduler.known(jobId) < MAX_QUEUED; next++) {
      const task = this.#meta.task(idAt(firstTaskId, next));
      if (task?.state === 'pending') scheduler.enqueue(new CopyTaskDispatch(task, this.#parts));
    }
    this.#nextTask.set(jobId, next);
  }

  /** Nodes first, then objects, then the records that named them, the job's own mark last. Repeatable from any point. */
  async #clear(job: CopyJob): Promise<void> {
    const { jobId, collectionId } = job;
    const { scheduler, remover, source } = this.#parts;
    assert(this.#meta.target(job) === undefined, `ended job ${jobId} still has its target`);
    const tasks = this.#meta.tasksOf(jobId);
    for (let from = 0; from < tasks.length; from += SLICE) {
      if (from > 0) await setImmediate();
      const some = tasks.slice(from, from + SLICE);
      await mapLimited(some, CANCELS_AT_ONCE, ({ taskId }) => scheduler.cancel(taskId));
    }
    if (job.purpose?.kind === 'in-place') await this.#parts.loads.dropAhead(collectionId);
    // The collection was this job's alone, and never visible: nothing else can lie here.
    await remover.removeBelow(collectionSegmentsPrefix(collectionId));
    await this.#removeAll(
      this.#catalog.find(segments, 'collection', collectionId).map(({ segmentId }) => segmentId),
      (id) => removing(this.#catalog.get(segments, id), (was) => remove(segments, was)),
    );
    await this.#removeAll(
      this.#catalog.find(indexes, 'collection', collectionId).map(({ indexId }) => indexId),
      (id) => removing(this.#catalog.get(indexes, id), (was) => remove(indexes, was)),
    );
    await this.#removeAll(
      this.#catalog.find(partitions, 'collection', collectionId).map(({ partitionId }) => partitionId),
      (id) => removing(this.#catalog.get(partitions, id), (was) => remove(partitions, was)),
    );
    await removeTasks(this.#catalog, this.#meta, job);
    source.forget(jobId);
    await this.#removeAll([jobId], () => {
      const was = this.#meta.job(jobId);
      if (was === undefined || isOpen(was) || was.isTidy) return undefined;
      return put(copyJobs, { ...was, isTidy: true }, was);
    });
  }

  #removeAll<Id>(ids: readonly Id[], changeOf: (id: Id) => Change | undefined): Promise<void> {
    return commitEach(this.#catalog, ids, changeOf);
  }
}

/** Ids are given in order of creation: older first. */
const order = (a: bigint, b: bigint): number => (a < b ? -1 : 1);

const removing = <R>(was: R | undefined, change: (was: R) => Change): Change | undefined =>
  was === undefined ? undefined : change(was);
