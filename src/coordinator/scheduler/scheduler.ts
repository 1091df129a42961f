/**
 * Any task to any data node with free slots. It acts on events (a task arrived, a node reported, joined or was lost, a back-off
 * ended); a slow tick asks the nodes about running attempts, because reports may be lost. Only a report of the attempt that is
 * running counts. A lost node is known by the cluster's lease alone: a query that fails changes nothing.
 */
import type { NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type { NodeId, TaskId } from '../../model/ids.ts';
import { assert, unreachable } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { runLoop } from '../../support/loop.ts';
import type { Random } from '../../support/random.ts';
import { backoffMs } from '../../support/retry.ts';
import { Signal } from '../../support/signal.ts';
import type { Cluster } from './cluster.ts';
import { NodeDrops } from './drops.ts';
import { defaultSchedulerLimits, type SchedulerLimits, type SchedulerOptions } from './limits.ts';
import { pickNode } from './node-picker.ts';
import { TaskQueues } from './queues.ts';
import { NodeReports } from './reports.ts';
import { type Held, Slots } from './slots.ts';
import {
  type RunningAttempt,
  type Scheduler,
  type SchedulerStats,
  type SchedulerTask,
  taskClasses,
} from './task.ts';

/** Where a task stands. `settling`: its end is being stored. */
type Step =
  | { readonly at: 'waiting' }
  | { readonly at: 'dispatching'; readonly nodeId: NodeId }
  | { readonly at: 'running'; readonly nodeId: NodeId; readonly attempt: number }
  | { readonly at: 'settling' };

interface Entry {
  readonly task: SchedulerTask;
  step: Step;
  held: Held | undefined;
  failures: number;
  heardAtMs: number;
  isCancelled: boolean;
  /** The dispatch or settlement under way; never rejects. */
  work: Promise<void> | undefined;
}

const QUERIES_AT_ONCE = 16;
/** Attempts of a class whose end is being stored. A node is free before that; more work for it waits, or ends would pile up in memory. */
const MAX_SETTLING = 32;

export class TaskScheduler implements Scheduler {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #limits: SchedulerLimits;
  readonly #wake = new Signal();
  readonly #entries = new Map<TaskId, Entry>();
  readonly #queues: TaskQueues<Entry>;
  /** Entries by group, those without one left out. */
  readonly #known = new Map<bigint, number>();
  /** Entries that hold a node, so that a tick costs what runs and not what waits. */
  readonly #active = new Set<Entry>();
  readonly #settling = { restore: 0, flush: 0, index: 0, compaction: 0 };
  readonly #slots = new Slots();
  readonly #reports: NodeReports;
  readonly #drops: NodeDrops;
  readonly #work = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #nextTickMs = 0;
  /** Version of the cluster for which attempts on lost nodes were given up. */
  #givenUpFor = -1;

  constructor(options: SchedulerOptions) {
    this.#cluster = options.cluster;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
    this.#limits = { ...defaultSchedulerLimits, ...options.limits };
    this.#queues = new TaskQueues(this.#limits);
    this.#drops = new NodeDrops(options);
    this.#reports = new NodeReports(options.cluster, (nodeId, report) => this.#hear(nodeId, report));
  }

  /** Tasks known: waiting, running, or being settled. */
  get size(): number {
    return this.#entries.size;
  }

  /** A task that asks for more than a node has takes all of the node. */
  canEverTake(slots: number): boolean {
    this.#cluster.expire();
    return this.#cluster.nodes().some((node) => Math.min(slots, node.slots) >= 1);
  }

  known(group: bigint): number {
    return this.#known.get(group) ?? 0;
  }

  stats(): SchedulerStats {
    const waiting = Object.fromEntries(taskClasses.map((name) => [name, this.#queues.waiting(name)]));
    return {
      waiting: waiting as SchedulerStats['waiting'],
      nodes: this.#slots.loads(this.#cluster.nodes()).map(({ nodeId, slots, usedSlots, usedByOthers }) => ({
        nodeId,
        slots,
        usedSlots,
        restoreSlots: usedSlots - usedByOthers,
      })),
    };
  }

  enqueue(task: SchedulerTask, running?: RunningAttempt): void {
    if (this.#entries.has(task.taskId)) return;
    const entry: Entry = {
      task,
      step: { at: 'waiting' },
      held: undefined,
      failures: 0,
      heardAtMs: Number.NEGATIVE_INFINITY,
      isCancelled: false,
      work: undefined,
    };
    this.#entries.set(task.taskId, entry);
    this.#count(task, 1);
    if (running === undefined) this.#queues.add(entry, 0);
    else {
      this.#hold(entry, running.nodeId, task.slots);
      this.#queues.started(entry);
      this.#givenUpFor = -1;
      entry.step = { at: 'running', ...running };
      this.#nextTickMs = 0;
    }
    this.#wake.set();
  }

  async cancel(taskId: TaskId): Promise<void> {
    const entry = this.#entries.get(taskId);
    if (entry === undefined) return;
    this.#forget(entry);
    this.#queues.delete(entry);
    entry.isCancelled = true;
    while (entry.work !== undefined) await entry.work;
    const { step } = entry;
    if (step.at !== 'running') return;
    entry.step = { at: 'settling' };
    await this.#drops.untilGone(taskId, step.nodeId, step.attempt, this.#closing.signal);
    this.#release(entry);
  }

  /** Runs until `signal` aborts; then resolves when nothing is under way any more. Nodes keep working on what they were sent. */
  async run(signal: AbortSignal): Promise<void> {
    const membership = this.#cluster.onChange(() => this.#wake.set());
    try {
      await runLoop({
        pass: () => this.pass(),
        wake: this.#wake,
        fallbackMs: () => this.#waitMs(),
        clock: this.#clock,
        signal,
        onError: (error) => this.#log.error('scheduler-pass-failed', { error }),
      });
    } finally {
      membership.stop();
      this.#reports.stop();
      this.#closing.abort(new DbError('cancelled', 'the scheduler is stopping'));
      await Promise.all(this.#work);
    }
  }

  /** One turn: dispatches what fits, gives up on lost nodes, and now and then asks about silent attempts. */
  async pass(): Promise<void> {
    this.#cluster.expire();
    this.#reports.follow();
    this.#giveUpLost();
    const nowMs = this.#clock.monotonicMs();
    this.#queues.wakeUntil(nowMs);
    this.#dispatchAll();
    if (nowMs < this.#nextTickMs) return;
    this.#nextTickMs = nowMs + this.#limits.tickMs;
    await this.#querySilent(nowMs);
  }

  #waitMs(): number {
    const nowMs = this.#clock.monotonicMs();
    const next = Math.min(this.#nextTickMs, this.#queues.nextReadyAtMs ?? Number.POSITIVE_INFINITY);
    return Math.max(1, next - nowMs);
  }

  #giveUpLost(): void {
    const { version } = this.#cluster;
    if (version === this.#givenUpFor) return;
    this.#givenUpFor = version;
    for (const entry of [...this.#active])
      if (
        !entry.isCancelled &&
        entry.step.at === 'running' &&
        this.#cluster.get(entry.step.nodeId) === undefined
      )
        this.#fail(entry, 'node-not-found', `data node ${entry.step.nodeId} is lost`);
  }

  #dispatchAll(): void {
    const taken = this.#queues.take((entry) => {
      const { taskClass, slots } = entry.task;
      if (this.#settling[taskClass] >= MAX_SETTLING) return undefined;
      const placed = pickNode(
        this.#slots.loads(this.#cluster.nodes()),
        taskClass,
        slots,
        this.#limits.restoreShare,
      );
      if (placed !== undefined) this.#hold(entry, placed.nodeId, placed.slots);
      return placed;
    });
    for (const { entry, placed } of taken) {
      entry.step = { at: 'dispatching', nodeId: placed.nodeId };
      this.#track(entry, this.#dispatch(entry, placed.nodeId));
    }
  }

  async #dispatch(entry: Entry, nodeId: NodeId): Promise<void> {
    try {
      const order = await entry.task.dispatch(nodeId);
      if (order === undefined || entry.isCancelled) {
        this.#end(entry);
        return;
      }
      entry.step = { at: 'running', nodeId, attempt: order.attempt };
      entry.heardAtMs = this.#clock.monotonicMs();
      await this.#send(entry, nodeId, order);
    } catch (error) {
      // The attempt was not stored, so nothing was sent: the task still stands where it stood.
      this.#log.warn('dispatch-failed', { taskId: entry.task.taskId, nodeId, error });
      this.#again(entry);
    }
  }

  async #send(
    entry: Entry,
    nodeId: NodeId,
    order: { readonly attempt: number; readonly work: NodeWork },
  ): Promise<void> {
    const { attempt, work } = order;
    try {
      const node = this.#cluster.get(nodeId);
      if (node === undefined) throw new DbError('node-not-found', `data node ${nodeId} is lost`);
      await node.create({ taskId: entry.task.taskId, attempt, work });
    } catch (error) {
      if (isRunning(entry, attempt)) this.#fail(entry, codeOf(error), messageOf(error));
    }
  }

  #hear(nodeId: NodeId, report: NodeTaskReport): void {
    const entry = this.#entries.get(report.taskId);
    if (entry === undefined || !isRunning(entry, report.attempt) || entry.held?.nodeId !== nodeId) return;
    entry.heardAtMs = this.#clock.monotonicMs();
    switch (report.state) {
      case 'in-progress':
        entry.task.progress(report);
        return;
      case 'completed':
        this.#settle(entry, async () => {
          await entry.task.completed(report);
          return 'done';
        });
        return;
      case 'failed':
        this.#fail(entry, report.code, report.reason);
        return;
      case 'unknown':
        this.#fail(entry, 'node-not-found', `data node ${nodeId} does not know the attempt`);
        return;
      default:
        unreachable(report);
    }
  }

  #fail(entry: Entry, code: ErrorName, reason: string): void {
    this.#settle(entry, () => entry.task.failed(code, reason));
  }

  /** Ends the attempt: frees its slots at once, stores the outcome, lets the node forget it, and queues the task again or forgets it. */
  #settle(entry: Entry, store: () => Promise<'retry' | 'done'>): void {
    const { step, task } = entry;
    assert(step.at === 'running', `task ${task.taskId} is settled while ${step.at}`);
    entry.step = { at: 'settling' };
    this.#settling[task.taskClass]++;
    this.#release(entry);
    const settle = async () => {
      let verdict: 'retry' | 'done' = 'retry';
      try {
        verdict = await store();
      } catch (error) {
        // Not stored: the attempt counts for nothing, the work is asked for again and found done.
        this.#log.warn('task-outcome-not-stored', { taskId: task.taskId, error });
      }
      if (this.#settling[task.taskClass]-- === MAX_SETTLING) this.#wake.set();
      await this.#drops.once(task.taskId, step.nodeId, step.attempt);
      if (verdict === 'retry') this.#again(entry);
      else this.#end(entry);
    };
    this.#track(entry, settle());
  }

  #again(entry: Entry): void {
    this.#release(entry);
    if (entry.isCancelled) return;
    entry.failures++;
    entry.step = { at: 'waiting' };
    const waitMs = backoffMs(entry.failures, this.#limits.backoff, this.#random);
    this.#queues.add(entry, this.#clock.monotonicMs() + waitMs);
    this.#wake.set();
  }

  #end(entry: Entry): void {
    this.#release(entry);
    entry.step = { at: 'settling' };
    this.#forget(entry);
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.task.taskId) !== entry) return;
    this.#entries.delete(entry.task.taskId);
    this.#count(entry.task, -1);
  }

  #count({ group }: SchedulerTask, sign: 1 | -1): void {
    if (group === undefined) return;
    const count = this.known(group) + sign;
    if (count === 0) this.#known.delete(group);
    else this.#known.set(group, count);
  }

  async #querySilent(nowMs: number): Promise<void> {
    const silent = [...this.#active].filter(
      ({ step, heardAtMs }) => step.at === 'running' && heardAtMs + this.#limits.tickMs <= nowMs,
    );
    await mapLimited(silent, QUERIES_AT_ONCE, async ({ step, task }) => {
      const node = step.at === 'running' ? this.#cluster.get(step.nodeId) : undefined;
      if (step.at !== 'running' || node === undefined) return;
      try {
        this.#hear(step.nodeId, await node.query(task.taskId, step.attempt));
      } catch (error) {
        this.#log.debug('task-query-failed', { taskId: task.taskId, nodeId: step.nodeId, error });
      }
    });
  }

  #hold(entry: Entry, nodeId: NodeId, slots: number): void {
    entry.held = { nodeId, slots, taskClass: entry.task.taskClass };
    this.#slots.hold(entry.held);
    this.#active.add(entry);
  }

  #release(entry: Entry): void {
    if (entry.held === undefined) return;
    this.#slots.release(entry.held);
    entry.held = undefined;
    this.#queues.ended(entry);
    this.#active.delete(entry);
    this.#wake.set();
  }

  #track(entry: Entry, work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => this.#log.error('scheduler-broke', { taskId: entry.task.taskId, error }))
      .finally(() => {
        this.#work.delete(tracked);
        if (entry.work === tracked) entry.work = undefined;
      });
    entry.work = tracked;
    this.#work.add(tracked);
  }
}

const isRunning = ({ step }: Entry, attempt: number): boolean =>
  step.at === 'running' && step.attempt === attempt;

const codeOf = (error: unknown): ErrorName => (isDbError(error) ? error.code : 'internal');
