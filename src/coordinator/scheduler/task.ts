/** What any task offers the scheduler. The scheduler knows tasks, slots and nodes, and nothing of what a task does. */
import type { NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { NodeId, TaskId } from '../../model/ids.ts';
import type { NodeCapacity } from '../rooms.ts';

export type TaskClass = 'restore' | 'flush' | 'index' | 'compaction';

export interface SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass: TaskClass;
  /** What it takes of a node's slots while it runs; at least 1. */
  readonly slots: number;
  /**
   * Called before a command is sent: stores the attempt and its node where the task needs that to survive a crash, and says what
   * to do. Undefined: the task is no longer wanted, forget it.
   */
  dispatch(nodeId: NodeId): Promise<{ readonly attempt: number; readonly work: NodeWork } | undefined>;
  /** Something moved. Cheap; called often. */
  progress(report: NodeTaskReport): void;
  /** The attempt ended well. Repeatable: a second call with the same report changes nothing. */
  completed(report: NodeTaskReport & { readonly state: 'completed' }): Promise<void>;
  /**
   * The attempt failed, or its node is lost (code `node-not-found`). `retry`: dispatch it again after a back-off; `done`: the task
   * has stored its failure or is gone.
   */
  failed(code: ErrorName, reason: string): Promise<'retry' | 'done'>;
}

/** A task that was already dispatched when the coordinator stopped: ask the node before sending it again. */
export interface RunningAttempt {
  readonly nodeId: NodeId;
  readonly attempt: number;
}

export interface Scheduler extends NodeCapacity {
  /** Idempotent by task id. */
  enqueue(task: SchedulerTask, running?: RunningAttempt): void;
  /** Forgets the task and stops it on its node; resolves when the node has let go of it or is lost. */
  cancel(taskId: TaskId): Promise<void>;
}
