import type { NodeProgress } from './api.ts';

export interface ExecutorContext {
  /** Aborted when the attempt is dropped or the node closes: stop soon, leave what was written. */
  readonly signal: AbortSignal;
  /** Total done so far, not a difference. */
  progress(done: NodeProgress): void;
}

/** Does one kind of work. Repeatable: a second run over the first one's output ends in the same objects. Never deletes. */
export type Executor<Work, Output> = (work: Work, context: ExecutorContext) => Promise<Output>;
