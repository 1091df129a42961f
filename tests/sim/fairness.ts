/**
 * Whether restores take turns: seen from where tasks enter the scheduler and where it takes them out. A job that could run, and does not,
 * is passed by each other job once, and not again before its own turn.
 */
import type { SchedulerLimits } from '../../src/coordinator/scheduler/limits.ts';
import type { RunningAttempt, Scheduler, SchedulerTask } from '../../src/coordinator/scheduler/task.ts';
import type { TaskId } from '../../src/model/ids.ts';
import { check } from './properties.ts';

interface Turns {
  /** Tasks that wait for their first turn. One that waits out a back-off is not known to be ready. */
  readonly ready: Set<TaskId>;
  readonly running: Set<TaskId>;
  /** Turns of each other job since its own last one, or since it could run. */
  readonly passedBy: Map<bigint, number>;
}

type Limits = Pick<SchedulerLimits, 'maxRestoreTasks' | 'maxRestoreTasksPerJob'>;

/** One by right; one more of a job that took up its place before ours did. */
const MAX_PASSES = 2;

export class Fairness {
  readonly #groups = new Map<bigint, Turns>();
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  waits({ group, taskId }: SchedulerTask): void {
    if (group !== undefined) this.#turnsOf(group).ready.add(taskId);
  }

  runs({ group, taskId }: SchedulerTask): void {
    if (group !== undefined) this.#turnsOf(group).running.add(taskId);
  }

  /** It got a node. */
  turn(task: SchedulerTask): void {
    const { group, taskId } = task;
    if (group === undefined) return;
    const own = this.#turnsOf(group);
    own.ready.delete(taskId);
    own.running.add(taskId);
    own.passedBy.clear();
    const atOnce = [...this.#groups.values()].reduce((sum, { running }) => sum + running.size, 0);
    check(
      'ends',
      atOnce <= this.#limits.maxRestoreTasks && own.running.size <= this.#limits.maxRestoreTasksPerJob,
      () => `${atOnce} restore tasks, ${own.running.size} of job ${group}, run at once`,
    );
    for (const [other, turns] of this.#groups) {
      if (
        other === group ||
        turns.ready.size === 0 ||
        turns.running.size >= this.#limits.maxRestoreTasksPerJob
      )
        continue;
      const passes = (turns.passedBy.get(group) ?? 0) + 1;
      turns.passedBy.set(group, passes);
      check('ends', passes <= MAX_PASSES, () => `job ${other} waits while job ${group} has ${passes} turns`);
    }
  }

  /** It holds its node no more. */
  ended({ group, taskId }: SchedulerTask): void {
    const turns = group === undefined ? undefined : this.#groups.get(group);
    if (group === undefined || turns === undefined) return;
    turns.ready.delete(taskId);
    const wasFull = turns.running.size >= this.#limits.maxRestoreTasksPerJob;
    turns.running.delete(taskId);
    // Behind the others from now on.
    if (wasFull) turns.passedBy.clear();
    if (turns.ready.size === 0 && turns.running.size === 0) this.#groups.delete(group);
  }

  #turnsOf(group: bigint): Turns {
    const turns = this.#groups.get(group) ?? { ready: new Set(), running: new Set(), passedBy: new Map() };
    this.#groups.set(group, turns);
    return turns;
  }
}

/** A scheduler that tells who waits and whose turn it is. `watch`: what it throws ends the run. */
export function watchedScheduler(
  inner: Scheduler,
  fairness: Fairness,
  watch: (look: () => void) => void,
): Scheduler {
  const tasks = new Map<TaskId, SchedulerTask>();
  const told = (task: SchedulerTask): SchedulerTask => ({
    taskId: task.taskId,
    taskClass: task.taskClass,
    slots: task.slots,
    ...(task.group === undefined ? {} : { group: task.group }),
    async dispatch(nodeId) {
      watch(() => fairness.turn(task));
      let isSent = false;
      try {
        const order = await task.dispatch(nodeId);
        isSent = order !== undefined;
        return order;
      } finally {
        if (!isSent) fairness.ended(task);
      }
    },
    progress: (report) => task.progress(report),
    completed(report) {
      fairness.ended(task);
      return task.completed(report);
    },
    failed(code, reason) {
      fairness.ended(task);
      return task.failed(code, reason);
    },
  });
  return {
    stats: () => inner.stats(),
    known: (group) => inner.known(group),
    canEverTake: (slots) => inner.canEverTake(slots),
    enqueue(task: SchedulerTask, running?: RunningAttempt) {
      if (task.taskClass !== 'restore' || task.group === undefined) {
        inner.enqueue(task, running);
        return;
      }
      const known = inner.known(task.group);
      inner.enqueue(told(task), running);
      // One that it knew stands where it stood.
      if (inner.known(task.group) === known) return;
      tasks.set(task.taskId, task);
      if (running === undefined) fairness.waits(task);
      else fairness.runs(task);
    },
    cancel(taskId) {
      const task = tasks.get(taskId);
      tasks.delete(taskId);
      if (task !== undefined) fairness.ended(task);
      return inner.cancel(taskId);
    },
  };
}
