/** One index file of one segment as the scheduler sees it. It lives in memory: what is missing is seen from the catalog at every start. */
import type { BuildIndexOutput, NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import { type ErrorName, errorCodes } from '../../errors/codes.ts';
import type { BuildId, IndexId, SegmentId, TaskId } from '../../model/ids.ts';
import type { SchedulerTask } from '../scheduler/task.ts';

export interface BuildTarget {
  readonly segmentId: SegmentId;
  readonly indexId: IndexId;
}

export interface BuildSteps {
  /** Undefined: segment or index are gone, or the file is there. A fresh build id for every attempt: a lost node may still write to its own. */
  work(target: BuildTarget): Promise<{ readonly work: NodeWork; readonly buildId: BuildId } | undefined>;
  finish(target: BuildTarget, buildId: BuildId, output: BuildIndexOutput): Promise<void>;
  ended(target: BuildTarget, failure?: string): void;
  /** An attempt failed and is made again. */
  stumbled(target: BuildTarget): void;
}

/** Nothing changes when the same bytes are read again: such a build ends, and is tried anew after a restart. */
const isPermanent = (code: ErrorName): boolean => !errorCodes[code].retriable;

export class BuildTask implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass = 'index';
  readonly slots = 1;
  readonly #target: BuildTarget;
  readonly #steps: BuildSteps;
  #attempt = 0;
  #buildId: BuildId | undefined;

  constructor(taskId: TaskId, target: BuildTarget, steps: BuildSteps) {
    this.taskId = taskId;
    this.#target = target;
    this.#steps = steps;
  }

  async dispatch(): Promise<{ readonly attempt: number; readonly work: NodeWork } | undefined> {
    const next = await this.#steps.work(this.#target);
    if (next === undefined) {
      this.#steps.ended(this.#target);
      return undefined;
    }
    this.#buildId = next.buildId;
    return { attempt: ++this.#attempt, work: next.work };
  }

  progress(): void {}

  async completed(report: NodeTaskReport & { readonly state: 'completed' }): Promise<void> {
    if (this.#buildId === undefined || report.attempt !== this.#attempt) return;
    if (report.output.kind === 'build-index')
      await this.#steps.finish(this.#target, this.#buildId, report.output);
    else this.#steps.ended(this.#target, `a build was answered with ${report.output.kind}`);
  }

  failed(code: ErrorName, reason: string): Promise<'retry' | 'done'> {
    if (!isPermanent(code)) {
      this.#steps.stumbled(this.#target);
      return Promise.resolve('retry');
    }
    this.#steps.ended(this.#target, `${code}: ${reason}`);
    return Promise.resolve('done');
  }
}
