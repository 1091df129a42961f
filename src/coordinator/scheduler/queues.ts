/** Waiting tasks: one queue per class in order of arrival, and those that wait out a back-off. Removing costs no search. */
import type { TaskId } from '../../model/ids.ts';
import { Heap } from '../../support/heap.ts';
import type { SchedulerTask, TaskClass } from './task.ts';

/** The order of turns: one task of each class that has one, then round again. */
const classes = ['restore', 'flush', 'index', 'compaction'] as const satisfies readonly TaskClass[];

interface Waiting {
  readonly task: SchedulerTask;
}

export class TaskQueues<W extends Waiting> {
  readonly #ready: Readonly<Record<TaskClass, Map<TaskId, W>>> = {
    restore: new Map(),
    flush: new Map(),
    index: new Map(),
    compaction: new Map(),
  };
  readonly #later = new Heap<TaskId>();
  readonly #waiting = new Map<TaskId, { readonly entry: W; readonly readyAtMs: number }>();
  /** Position in `classes` whose turn is next. */
  #turn = 0;

  /** `readyAtMs` 0: now. */
  add(entry: W, readyAtMs: number): void {
    const { taskId, taskClass } = entry.task;
    if (readyAtMs === 0) {
      this.#ready[taskClass].set(taskId, entry);
      return;
    }
    this.#waiting.set(taskId, { entry, readyAtMs });
    this.#later.push(readyAtMs, taskId);
  }

  delete(entry: W): void {
    this.#ready[entry.task.taskClass].delete(entry.task.taskId);
    this.#waiting.delete(entry.task.taskId);
  }

  /** When the next back-off ends; undefined when nothing waits for one. */
  get nextReadyAtMs(): number | undefined {
    return this.#later.smallest;
  }

  /** Moves what has waited long enough behind the queue of its class. */
  wakeUntil(nowMs: number): void {
    for (let id = this.#later.popUntil(nowMs); id !== undefined; id = this.#later.popUntil(nowMs)) {
      const waiting = this.#waiting.get(id);
      if (waiting === undefined || waiting.readyAtMs > nowMs) continue;
      this.#waiting.delete(id);
      this.add(waiting.entry, 0);
    }
  }

  /**
   * Takes, turn by turn, the first task of every class for which `place` finds a node, until no class gets one. A class whose
   * first task fits nowhere waits, so that a big task is not overtaken for ever by small ones behind it.
   */
  take<P>(place: (entry: W) => P | undefined): readonly { readonly entry: W; readonly placed: P }[] {
    const taken: { entry: W; placed: P }[] = [];
    const blocked = new Set<TaskClass>();
    while (blocked.size < classes.length) {
      const taskClass = classes[this.#turn % classes.length] as TaskClass;
      const [first] = this.#ready[taskClass].values();
      const placed = first === undefined || blocked.has(taskClass) ? undefined : place(first);
      if (first === undefined || placed === undefined) blocked.add(taskClass);
      else {
        this.#ready[taskClass].delete(first.task.taskId);
        taken.push({ entry: first, placed });
      }
      this.#turn = (this.#turn + 1) % classes.length;
    }
    return taken;
  }
}
