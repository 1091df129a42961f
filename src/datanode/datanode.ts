/**
 * A data node in this process: the table of its attempts. It holds one attempt per task, the newest it has seen; older ones are
 * refused, so that a late command does no harm. It never deletes an object, so a late drop does none either.
 */
import { DbError, isDbError, messageOf } from '../errors/db-error.ts';
import type { NodeId, TaskId } from '../model/ids.ts';
import { unreachable } from '../support/assert.ts';
import type { Log } from '../support/log.ts';
import type {
  BuildIndexOutput,
  BuildIndexWork,
  CompactDeletesOutput,
  CompactDeletesWork,
  CompactOutput,
  CompactWork,
  CopySegmentOutput,
  CopySegmentWork,
  DataNode,
  FlushOutput,
  FlushWork,
  NodeOutput,
  NodeTask,
  NodeTaskReport,
  NodeWork,
} from './api.ts';
import type { Executor, ExecutorContext } from './executor.ts';

/** A kind without an executor is refused by name. */
export interface Executors {
  readonly flush?: Executor<FlushWork, FlushOutput>;
  readonly 'build-index'?: Executor<BuildIndexWork, BuildIndexOutput>;
  readonly 'copy-segment'?: Executor<CopySegmentWork, CopySegmentOutput>;
  readonly compact?: Executor<CompactWork, CompactOutput>;
  readonly 'compact-deletes'?: Executor<CompactDeletesWork, CompactDeletesOutput>;
}

export interface LocalDataNodeOptions {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly executors: Executors;
  readonly log: Log;
  /** Finished attempts whose report is kept for `query`; the oldest is forgotten first and then `unknown`. */
  readonly maxFinished?: number;
}

/** Dropped tasks remembered, so that a create that was overtaken by its drop is still refused. */
const MAX_DROPPED = 10_000;
const NOTHING_DONE = { bytes: 0, files: 0 };

interface Entry {
  readonly attempt: number;
  readonly abort: AbortController;
  report: NodeTaskReport;
  /** Resolves when the executor has ended; never rejects. */
  ended: Promise<void>;
}

export class LocalDataNode implements DataNode {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly #executors: Executors;
  readonly #log: Log;
  readonly #maxFinished: number;
  readonly #entries = new Map<TaskId, Entry>();
  readonly #finished = new Set<TaskId>();
  /** Highest attempt dropped, by task, oldest first. */
  readonly #dropped = new Map<TaskId, number>();
  readonly #listeners = new Set<(report: NodeTaskReport) => void>();
  #isClosed = false;

  constructor(options: LocalDataNodeOptions) {
    this.nodeId = options.nodeId;
    this.slots = options.slots;
    this.#executors = options.executors;
    this.#log = options.log;
    this.#maxFinished = options.maxFinished ?? 1000;
  }

  /** Throws `cancelled` for an attempt that was overtaken, `resource-exhausted` when every slot is taken. */
  create(task: NodeTask): Promise<void> {
    try {
      this.#create(task);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  query(taskId: TaskId, attempt: number): Promise<NodeTaskReport> {
    const entry = this.#entries.get(taskId);
    return Promise.resolve(
      entry?.attempt === attempt
        ? entry.report
        : { taskId, attempt, state: 'unknown', progress: NOTHING_DONE },
    );
  }

  async drop(taskId: TaskId, attempt: number): Promise<void> {
    this.#remember(taskId, attempt);
    const entry = this.#entries.get(taskId);
    if (entry === undefined || entry.attempt > attempt) return;
    // The usual drop is of an attempt that has ended: there is nothing to stop.
    if (!this.#finished.has(taskId)) {
      entry.abort.abort(new DbError('cancelled', `task ${taskId} was dropped`));
      await entry.ended;
    }
    this.#forget(taskId, entry);
  }

  onReport(listener: (report: NodeTaskReport) => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const entries = [...this.#entries.values()];
    for (const { abort } of entries)
      abort.abort(new DbError('service-unavailable', 'the data node is closing'));
    for (const { ended } of entries) await ended;
    this.#listeners.clear();
  }

  #create({ taskId, attempt, work }: NodeTask): void {
    if (this.#isClosed) throw new DbError('service-unavailable', `data node ${this.nodeId} is closed`);
    const before = this.#entries.get(taskId);
    if (before?.attempt === attempt) return;
    const newest = Math.max(before?.attempt ?? 0, this.#dropped.get(taskId) ?? 0);
    if (attempt <= newest)
      throw new DbError('cancelled', `task ${taskId}: attempt ${attempt} comes after attempt ${newest}`);
    if (before === undefined && this.#entries.size - this.#finished.size >= this.slots)
      throw new DbError('resource-exhausted', `data node ${this.nodeId} has no free slot`);
    before?.abort.abort(new DbError('cancelled', `task ${taskId} has a newer attempt`));
    const entry: Entry = {
      attempt,
      abort: new AbortController(),
      report: { taskId, attempt, state: 'in-progress', progress: NOTHING_DONE },
      ended: Promise.resolve(),
    };
    this.#finished.delete(taskId);
    this.#entries.set(taskId, entry);
    entry.ended = this.#run(taskId, entry, work, before?.ended);
  }

  /** Two attempts of a task never run at once on one node: the newer one waits for the older one's end. */
  async #run(taskId: TaskId, entry: Entry, work: NodeWork, before: Promise<void> | undefined): Promise<void> {
    const { attempt, abort } = entry;
    const context: ExecutorContext = {
      signal: abort.signal,
      progress: (progress) => {
        if (!abort.signal.aborted) this.#report(entry, { taskId, attempt, state: 'in-progress', progress });
      },
    };
    await before;
    try {
      abort.signal.throwIfAborted();
      const output = await this.#execute(work, context);
      abort.signal.throwIfAborted();
      this.#finish(entry, {
        taskId,
        attempt,
        state: 'completed',
        progress: entry.report.progress,
        output,
      });
    } catch (error) {
      if (!isDbError(error) && !abort.signal.aborted)
        this.#log.error('task-broke', { taskId, kind: work.kind, error });
      this.#finish(entry, {
        taskId,
        attempt,
        state: 'failed',
        progress: entry.report.progress,
        code: isDbError(error) ? error.code : 'internal',
        reason: messageOf(error),
      });
    }
  }

  #execute(work: NodeWork, context: ExecutorContext): Promise<NodeOutput> {
    const missing = () =>
      new DbError('unimplemented', `data node ${this.nodeId} cannot do work of kind '${work.kind}'`);
    switch (work.kind) {
      case 'flush':
        return this.#executors.flush?.(work, context) ?? Promise.reject(missing());
      case 'build-index':
        return this.#executors['build-index']?.(work, context) ?? Promise.reject(missing());
      case 'copy-segment':
        return this.#executors['copy-segment']?.(work, context) ?? Promise.reject(missing());
      case 'compact':
        return this.#executors.compact?.(work, context) ?? Promise.reject(missing());
      case 'compact-deletes':
        return this.#executors['compact-deletes']?.(work, context) ?? Promise.reject(missing());
      default:
        return unreachable(work);
    }
  }

  #finish(entry: Entry, report: NodeTaskReport): void {
    if (this.#entries.get(report.taskId) === entry) {
      this.#finished.add(report.taskId);
      for (const oldest of this.#finished) {
        if (this.#finished.size <= this.#maxFinished) break;
        this.#entries.delete(oldest);
        this.#finished.delete(oldest);
      }
    }
    this.#report(entry, report);
  }

  /** An aborted attempt is silent: whoever dropped it knows. */
  #report(entry: Entry, report: NodeTaskReport): void {
    entry.report = report;
    if (entry.abort.signal.aborted) return;
    for (const listener of this.#listeners) listener(report);
  }

  #forget(taskId: TaskId, entry: Entry): void {
    if (this.#entries.get(taskId) !== entry) return;
    this.#entries.delete(taskId);
    this.#finished.delete(taskId);
  }

  #remember(taskId: TaskId, attempt: number): void {
    const highest = Math.max(attempt, this.#dropped.get(taskId) ?? 0);
    this.#dropped.delete(taskId);
    this.#dropped.set(taskId, highest);
    for (const oldest of this.#dropped.keys()) {
      if (this.#dropped.size <= MAX_DROPPED) break;
      this.#dropped.delete(oldest);
    }
  }
}
