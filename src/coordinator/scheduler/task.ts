/** What any task offers the scheduler. The scheduler knows tasks, slots and nodes, and nothing of what a task does. */
import type { NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { NodeId, TaskId } from '../../model/ids.ts';
import type { NodeCapacity } from '../rooms.ts';

/** In the order of their turns. */
export const taskClasses = ['restore', 'flush', 'index', 'compaction'] as const;
export type TaskClass = (typeof taskClasses)[number];

export interface SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass: TaskClass;
  /** What it takes of a node's slots while it runs; at least 1. */
  readonly slots: number;
  /** Groups of a class take turns, whatever the number of their tasks; a restore's tasks are a group. Absent: one group for all such. */
  readonly group?: bigint;
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

export interface SchedulerStats {
  /** Tasks that wait for a node, those in a back-off included. */
  readonly waiting: Readonly<Record<TaskClass, number>>;
  readonly nodes: readonly {
    readonly nodeId: NodeId;
    readonly slots: number;
    readonly usedSlots: number;
    /** The part of `usedSlots` that is restores. */
    readonly restoreSlots: number;
  }[];
}

export interface Scheduler extends NodeCapacity {
  stats(): SchedulerStats;
  /** How many tasks of the group it knows: waiting, running, or being settled. */
  known(group: bigint): number;
  /** Idempotent by task id. */
  enqueue(task: SchedulerTask, running?: RunningAttempt): void;
  /** Forgets the task and stops it on its node; resolves when the node has let go of it or is lost. */
  cancel(taskId: TaskId): Promise<void>;
}
