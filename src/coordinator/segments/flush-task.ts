/** The flush of one sealed segment as the scheduler sees it. It lives in memory: after a restart the log names what to flush again. */
import type { NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { TaskId } from '../../model/ids.ts';
import type { SchedulerTask } from '../scheduler/task.ts';

export interface FlushSteps {
  /** Undefined: the segment is gone. */
  work(): NodeWork | undefined;
  finish(output: NodeTaskReport & { readonly state: 'completed' }): Promise<void>;
  fail(code: ErrorName, reason: string): 'retry' | 'done';
}

export class FlushTask implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass = 'flush';
  readonly slots = 1;
  readonly #steps: FlushSteps;
  #attempt = 0;

  constructor(taskId: TaskId, steps: FlushSteps) {
    this.taskId = taskId;
    this.#steps = steps;
  }

  dispatch(): Promise<{ readonly attempt: number; readonly work: NodeWork } | undefined> {
    const work = this.#steps.work();
    return Promise.resolve(work === undefined ? undefined : { attempt: ++this.#attempt, work });
  }

  progress(): void {}

  completed(report: NodeTaskReport & { readonly state: 'completed' }): Promise<void> {
    return this.#steps.finish(report);
  }

  failed(code: ErrorName, reason: string): Promise<'retry' | 'done'> {
    return Promise.resolve(this.#steps.fail(code, reason));
  }
}
