/**
 * Waiting tasks: a queue for each class, in it one for each group in order of arrival, and those that wait out a back-off. Classes take
 * turns, the groups of a class do, too. What may not run now (its group is at its limit) is not looked at; removing costs no search.
 */
import type { TaskId } from '../../model/ids.ts';
import { Heap } from '../../support/heap.ts';
import { Fifo } from './fifo.ts';
import type { SchedulerLimits } from './limits.ts';
import { type SchedulerTask, type TaskClass, taskClasses } from './task.ts';

interface Waiting {
  readonly task: SchedulerTask;
}

interface Group<W> {
  readonly key: bigint;
  readonly ready: Fifo<TaskId, W>;
  running: number;
}

interface ClassQueue<W> {
  readonly groups: Map<bigint, Group<W>>;
  /** Groups with a task that may run now, in the order of their turns. */
  readonly turns: Fifo<bigint, Group<W>>;
  readonly maxPerGroup: number;
  readonly maxRunning: number;
  running: number;
  waiting: number;
}

/** Classes that take turns among themselves; `next`: whose turn it is. */
interface Round {
  readonly classes: readonly TaskClass[];
  next: number;
}

/** Tasks without a group of their own share one. */
const NO_GROUP = 0n;
const groupOf = ({ group }: SchedulerTask): bigint => group ?? NO_GROUP;

function roundsOf(priority: SchedulerLimits['restorePriority']): readonly Round[] {
  if (priority === 'normal') return [{ classes: taskClasses, next: 0 }];
  const restores: Round = { classes: ['restore'], next: 0 };
  const others: Round = { classes: taskClasses.filter((name) => name !== 'restore'), next: 0 };
  return priority === 'high' ? [restores, others] : [others, restores];
}

export class TaskQueues<W extends Waiting> {
  readonly #classes: Readonly<Record<TaskClass, ClassQueue<W>>>;
  readonly #rounds: readonly Round[];
  readonly #later = new Heap<TaskId>();
  readonly #backingOff = new Map<TaskId, { readonly entry: W; readonly readyAtMs: number }>();

  constructor(limits: SchedulerLimits) {
    const queue = (isRestore: boolean): ClassQueue<W> => ({
      groups: new Map(),
      turns: new Fifo(),
      maxPerGroup: isRestore ? limits.maxRestoreTasksPerJob : Number.POSITIVE_INFINITY,
      maxRunning: isRestore ? limits.maxRestoreTasks : Number.POSITIVE_INFINITY,
      running: 0,
      waiting: 0,
    });
    this.#classes = {
      restore: queue(true),
      flush: queue(false),
      index: queue(false),
      compaction: queue(false),
    };
    this.#rounds = roundsOf(limits.restorePriority);
  }

  /** Tasks that wait, those in a back-off included. */
  waiting(taskClass: TaskClass): number {
    return this.#classes[taskClass].waiting;
  }

  /** `readyAtMs` 0: now. */
  add(entry: W, readyAtMs: number): void {
    const { taskId, taskClass } = entry.task;
    this.#classes[taskClass].waiting++;
    if (readyAtMs === 0) this.#makeReady(entry);
    else {
      this.#backingOff.set(taskId, { entry, readyAtMs });
      this.#later.push(readyAtMs, taskId);
    }
  }

  delete({ task }: W): void {
    const queue = this.#classes[task.taskClass];
    const group = queue.groups.get(groupOf(task));
    if (group?.ready.has(task.taskId)) {
      queue.waiting--;
      group.ready.delete(task.taskId);
      this.#update(queue, group);
    } else if (this.#backingOff.delete(task.taskId)) queue.waiting--;
  }

  /** The task holds a node; `take` says so itself. */
  started({ task }: W): void {
    const queue = this.#classes[task.taskClass];
    const group = groupIn(queue, task);
    queue.running++;
    group.running++;
    this.#update(queue, group);
  }

  /** The task holds its node no more. */
  ended({ task }: W): void {
    const queue = this.#classes[task.taskClass];
    const group = groupIn(queue, task);
    queue.running--;
    group.running--;
    this.#update(queue, group);
  }

  /** When the next back-off ends; undefined when nothing waits for one. */
  get nextReadyAtMs(): number | undefined {
    return this.#later.smallest;
  }

  /** Moves what has waited long enough behind the queue of its group. */
  wakeUntil(nowMs: number): void {
    for (let id = this.#later.popUntil(nowMs); id !== undefined; id = this.#later.popUntil(nowMs)) {
      const waiting = this.#backingOff.get(id);
      if (waiting === undefined || waiting.readyAtMs > nowMs) continue;
      this.#backingOff.delete(id);
      this.#makeReady(waiting.entry);
    }
  }

  /**
   * Takes, turn by turn, the first task of every class for which `place` finds a node, until no class gets one. A class whose
   * first task fits nowhere waits, so that a big task is not overtaken for ever by small ones behind it.
   */
  take<P>(place: (entry: W) => P | undefined): readonly { readonly entry: W; readonly placed: P }[] {
    const taken: { entry: W; placed: P }[] = [];
    for (const round of this.#rounds) {
      const blocked = new Set<TaskClass>();
      while (blocked.size < round.classes.length) {
        const taskClass = round.classes[round.next] as TaskClass;
        round.next = (round.next + 1) % round.classes.length;
        const one = blocked.has(taskClass) ? undefined : this.#takeOne(this.#classes[taskClass], place);
        if (one === undefined) blocked.add(taskClass);
        else taken.push(one);
      }
    }
    return taken;
  }

  #takeOne<P>(queue: ClassQueue<W>, place: (entry: W) => P | undefined): { entry: W; placed: P } | undefined {
    const group = queue.running < queue.maxRunning ? queue.turns.first : undefined;
    const entry = group?.ready.first;
    const placed = entry && place(entry);
    if (group === undefined || entry === undefined || placed === undefined) return undefined;
    queue.waiting--;
    group.ready.delete(entry.task.taskId);
    // Behind the others of its class.
    queue.turns.delete(group.key);
    this.started(entry);
    return { entry, placed };
  }

  #makeReady(entry: W): void {
    const queue = this.#classes[entry.task.taskClass];
    const group = groupIn(queue, entry.task);
    group.ready.push(entry.task.taskId, entry);
    this.#update(queue, group);
  }

  /** After anything of the group has changed. */
  #update(queue: ClassQueue<W>, group: Group<W>): void {
    const { key, ready, running } = group;
    if (ready.size > 0 && running < queue.maxPerGroup) queue.turns.push(key, group);
    else queue.turns.delete(key);
    if (ready.size === 0 && running === 0) queue.groups.delete(key);
  }
}

function groupIn<W>(queue: ClassQueue<W>, task: SchedulerTask): Group<W> {
  const key = groupOf(task);
  const present = queue.groups.get(key);
  if (present !== undefined) return present;
  const fresh: Group<W> = { key, ready: new Fifo(), running: 0 };
  queue.groups.set(key, fresh);
  return fresh;
}
