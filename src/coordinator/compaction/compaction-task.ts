/** One compaction plan as the scheduler sees it. It lives in memory: after a restart the catalog is looked at anew. */
import type { NodeOutput, NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { TaskId } from '../../model/ids.ts';
import type { SchedulerTask } from '../scheduler/task.ts';

export interface CompactionSteps {
  /** Undefined: not wanted any more. A fresh segment for every attempt: a lost node may still write to its own. */
  work(): Promise<NodeWork | undefined>;
  /** Resolves when the output is taken over; what follows needs no node of this task. */
  finish(output: NodeOutput): Promise<void>;
  fail(code: ErrorName, reason: string): 'retry' | 'done';
}

export class CompactionTask implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass = 'compaction';
  readonly slots = 1;
  readonly #steps: CompactionSteps;
  #attempt = 0;

  constructor(taskId: TaskId, steps: CompactionSteps) {
    this.taskId = taskId;
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
