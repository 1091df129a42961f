/** A task that lives in memory: after a restart whoever gave it looks anew for what is to be done. */
import type { NodeOutput, NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { TaskId } from '../../model/ids.ts';
import type { SchedulerTask, TaskClass } from './task.ts';

export interface MemoryTaskSteps {
  /** Undefined: not wanted any more. */
  work(): NodeWork | undefined | Promise<NodeWork | undefined>;
  /** What it throws is a failed attempt. */
  finish(output: NodeOutput): Promise<void>;
  fail(code: ErrorName, reason: string): 'retry' | 'done';
}

export class MemoryTask implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass: TaskClass;
  readonly slots = 1;
  readonly #steps: MemoryTaskSteps;
  #attempt = 0;

  constructor(taskId: TaskId, taskClass: TaskClass, steps: MemoryTaskSteps) {
    this.taskId = taskId;
    this.taskClass = taskClass;
    this.#steps = steps;
  }

  async dispatch(): Promise<{ readonly attempt: number; readonly work: NodeWork } | undefined> {
    const work = await this.#steps.work();
    return work === undefined ? undefined : { attempt: ++this.#attempt, work };
  }

  progress(): void {}

  async completed(report: NodeTaskReport & { readonly state: 'completed' }): Promise<void> {
    if (report.attempt === this.#attempt) await this.#steps.finish(report.output);
  }

  failed(code: ErrorName, reason: string): Promise<'retry' | 'done'> {
    return Promise.resolve(this.#steps.fail(code, reason));
  }
}
