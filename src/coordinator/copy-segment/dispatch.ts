/**
 * A copy task as the scheduler sees it. The attempt is stored before its command is sent (O6); a result becomes visible in the
 * catalog by one commit: files into the target segments, task completed. Whatever lost a race is looked at again.
 */
import { type Catalog, type Change, put } from '../../catalog/catalog.ts';
import type { CopySegmentWork, NodeTaskReport } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { JobId, NodeId, TaskId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { TurnBudget } from '../../support/turn-budget.ts';
import type { SchedulerTask } from '../scheduler/task.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import { segments } from '../tables.ts';
import type { CopyJob } from './job.ts';
import type { CopyMeta } from './meta.ts';
import { checkedOutput, copyWork } from './request.ts';
import type { SnapshotSource } from './source.ts';
import { copyTaskMachine } from './state.ts';
import { type CopyTask, copyTasks, isFinal, isPermanent, slotsFor } from './task.ts';

export interface CopyDispatchParts {
  readonly catalog: Catalog;
  readonly meta: CopyMeta;
  readonly source: SnapshotSource;
  readonly limits: SnapshotLimits;
  readonly clock: Clock;
  /** In segments: what is dispatched and taken back in one turn, of all tasks. */
  readonly turns: TurnBudget;
}

type ActiveTask = CopyTask & { readonly state: 'pending' | 'in-progress' };

export class CopyTaskDispatch implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass = 'restore';
  readonly slots: number;
  /** Restores take turns, whatever their size. */
  readonly group: JobId;
  readonly #jobId: JobId;
  readonly #segmentCount: number;
  readonly #parts: CopyDispatchParts;
  /** What was sent last: its result is checked against it. Absent after a restart. */
  #sent: { readonly attempt: number; readonly work: CopySegmentWork } | undefined;

  constructor({ taskId, jobId, range }: CopyTask, parts: CopyDispatchParts) {
    this.taskId = taskId;
    this.group = jobId;
    this.slots = slotsFor(range, parts.limits);
    this.#jobId = jobId;
    this.#segmentCount = range.segmentCount;
    this.#parts = parts;
  }

  async dispatch(
    nodeId: NodeId,
  ): Promise<{ readonly attempt: number; readonly work: CopySegmentWork } | undefined> {
    await this.#parts.turns.take(this.#segmentCount);
    for (;;) {
      const found = this.#active();
      if (found === undefined) return undefined;
      const { job, task } = found;
      if (task.attempt >= this.#parts.limits.maxCopyAttempts) {
        await this.#fail(task, 'internal', `no attempt of ${task.attempt} brought a usable result`);
        return undefined;
      }
      let work: CopySegmentWork;
      try {
        work = await this.#work(job, task);
      } catch (error) {
        if (!isDbError(error) || !isPermanent(error.code)) throw error;
        await this.#fail(task, error.code, error.message);
        return undefined;
      }
      const attempt = task.attempt + 1;
      const waiting = task.state === 'pending' ? task.state : copyTaskMachine.next(task.state, 'requeue');
      const state = copyTaskMachine.next(waiting, 'dispatch') as 'in-progress';
      if (!(await this.#put(task, { ...base(task), ...this.#now(), state, attempt, nodeId }))) continue;
      this.#sent = { attempt, work };
      return this.#sent;
    }
  }

  progress({ progress }: NodeTaskReport): void {
    if (this.#active() !== undefined) this.#parts.meta.noteProgress(this.#jobId, this.taskId, progress);
  }

  /** Many may end at once, and a large result takes milliseconds: they are taken a few in a turn, and share commits. */
  async completed(report: NodeTaskReport & { readonly state: 'completed' }): Promise<void> {
    const heardAtMs = this.#parts.clock.nowMs();
    await this.#parts.turns.take(this.#segmentCount);
    await this.#complete(report, heardAtMs);
  }

  async #complete(
    report: NodeTaskReport & { readonly state: 'completed' },
    heardAtMs: number,
  ): Promise<void> {
    const { catalog, source } = this.#parts;
    for (;;) {
      const found = this.#active(report.attempt);
      if (found === undefined) return;
      const { job, task } = found;
      if (report.output.kind !== 'copy-segment')
        throw new DbError('data-integrity', `a copy task ended with a ${report.output.kind}`);
      const work = this.#sent?.attempt === report.attempt ? this.#sent.work : await this.#work(job, task);
      const copied = checkedOutput(job, await source.open(job), work, report.output);
      const changes: Change[] = [];
      for (const { segmentId, files, indexes } of copied) {
        const was = catalog.get(segments, segmentId);
        // Dropped with its collection meanwhile: the job is about to fail.
        if (was?.state !== 'flushed') return;
        changes.push(put(segments, { ...was, files, indexes }, was));
      }
      const state = copyTaskMachine.next(task.state, 'complete') as 'completed';
      const { bytesByMethod } = report.output;
      changes.push(
        put(copyTasks, { ...base(task), ...this.#now(), state, attempt: task.attempt, bytesByMethod }, task),
      );
      if ((await catalog.commit(changes)) !== 'committed') continue;
      this.#time(task, heardAtMs);
      return;
    }
  }

  async failed(code: ErrorName, reason: string): Promise<'retry' | 'done'> {
    const heardAtMs = this.#parts.clock.nowMs();
    for (;;) {
      const found = this.#active();
      if (found === undefined) return 'done';
      const { task } = found;
      if (task.state === 'pending') return 'retry';
      const isLast = isFinal(code, task.attempt, this.#parts.limits.maxCopyAttempts);
      const isStored = isLast ? await this.#fail(task, code, reason) : await this.#requeue(task);
      if (!isStored) continue;
      this.#time(task, heardAtMs);
      return isLast ? 'done' : 'retry';
    }
  }

  #requeue(task: ActiveTask): Promise<boolean> {
    const state = copyTaskMachine.next(task.state, 'requeue') as 'pending';
    return this.#put(task, { ...base(task), ...this.#now(), state, attempt: task.attempt });
  }

  #now(): { readonly sinceMs: number } {
    return { sinceMs: this.#parts.clock.nowMs() };
  }

  /** An attempt's end is stored. */
  #time({ sinceMs }: CopyTask, heardAtMs: number): void {
    const { executing, settled } = this.#parts.meta.latencies.task;
    if (sinceMs !== undefined) executing.observe(heardAtMs - sinceMs);
    settled.observe(this.#parts.clock.nowMs() - heardAtMs);
  }

  /** The task and its job, while both are to be worked on; of exactly this attempt when one is given. */
  #active(attempt?: number): { readonly job: CopyJob; readonly task: ActiveTask } | undefined {
    const [job, task] = [this.#parts.meta.job(this.#jobId), this.#parts.meta.task(this.taskId)];
    if (job?.state !== 'executing' || task === undefined) return undefined;
    if (task.state !== 'pending' && task.state !== 'in-progress') return undefined;
    const isAsked = attempt === undefined || (task.state === 'in-progress' && task.attempt === attempt);
    return isAsked ? { job, task } : undefined;
  }

  async #work(job: CopyJob, { range }: CopyTask): Promise<CopySegmentWork> {
    const snapshot = await this.#parts.source.open(job);
    const sources = await snapshot.segments(range.firstSegment, range.segmentCount);
    return copyWork(job, snapshot, range, sources, job.copyMode ?? this.#parts.limits.copyMode);
  }

  #fail(task: ActiveTask, code: ErrorName, reason: string): Promise<boolean> {
    const state = copyTaskMachine.next(task.state, 'fail') as 'failed';
    return this.#put(task, {
      ...base(task),
      ...this.#now(),
      state,
      attempt: task.attempt,
      code,
      reason,
    });
  }

  async #put(was: CopyTask, is: CopyTask): Promise<boolean> {
    return (await this.#parts.catalog.commit([put(copyTasks, is, was)])) === 'committed';
  }
}

const base = ({ taskId, jobId, range }: CopyTask) => ({ taskId, jobId, range });
