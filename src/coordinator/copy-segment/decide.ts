/** What to do next with a job. Pure: every rule of the checker stands here. */
import { unreachable } from '../../support/assert.ts';
import { type CopyJob, isUnsettled, type OpenCopyJob } from './job.ts';
import { type JobTally, plannedTasks } from './meta.ts';

export interface JobView {
  readonly job: CopyJob;
  readonly tally: JobTally;
  /** Whether the target collection is still there. */
  readonly hasTarget: boolean;
  /** Why the first failed task failed. */
  readonly failure: string | undefined;
  /** Whether the collection that the snapshot is of is still there. */
  readonly hasSource: boolean;
  /** Wall clock: how long an ended job is kept is told by its record. */
  readonly nowMs: number;
  /** Monotonic, as everything that is measured while the job runs: a clock that is set anew must not time it out. */
  readonly uptimeMs: number;
  /** When this job's progress was last stored, monotonic. */
  readonly progressStoredAtMs: number;
}

export interface JobLimits {
  readonly jobTimeoutMs: number;
  readonly jobRetentionMs: number;
  readonly progressIntervalMs: number;
}

export type JobDecision =
  | { readonly kind: 'wait' }
  /** Write the first tasks and their target segments, those that are missing, then execute. */
  | { readonly kind: 'prepare' }
  /** Write the next tasks and their target segments. */
  | { readonly kind: 'plan' }
  | { readonly kind: 'progress'; readonly progress: number }
  | { readonly kind: 'complete' }
  /** All is copied; what the restore is for, a swap or a comparison, ends the job. */
  | { readonly kind: 'finish' }
  /** The old collection of an in-place restore was dropped: nothing waits for a decision any more. */
  | { readonly kind: 'settle' }
  | { readonly kind: 'fail'; readonly reason: string }
  /** completed: targets become ordinary records. failed: nothing is left of the target. */
  | { readonly kind: 'tidy' }
  | { readonly kind: 'forget' };

/** Segments whose tasks wait for a node: more tasks are written when no more than `min` are left, until there are `max`. */
export const PLANNED_AHEAD = { min: 128, max: 256 } as const;

const wait: JobDecision = { kind: 'wait' };

export function decide(view: JobView, limits: JobLimits): JobDecision {
  const { job } = view;
  switch (job.state) {
    case 'pending':
      if (!view.hasTarget) return targetGone;
      return job.segmentCount === 0 ? copied(job) : { kind: 'prepare' };
    case 'executing':
      return decideExecuting({ ...view, job }, job.progress, limits);
    case 'completed':
    case 'failed':
      if (!job.isTidy) return { kind: 'tidy' };
      if (isUnsettled(job)) return view.hasSource ? wait : { kind: 'settle' };
      return view.nowMs >= job.endedAtMs + limits.jobRetentionMs ? { kind: 'forget' } : wait;
    default:
      return unreachable(job);
  }
}

const copied = ({ purpose }: CopyJob): JobDecision => ({
  kind: purpose === undefined ? 'complete' : 'finish',
});

const targetGone: JobDecision = { kind: 'fail', reason: 'the target collection was dropped' };

/** A dropped target and a failed task end the job before anything else; then completion, so that a job done in its last moment is not timed out. */
function decideExecuting(
  view: JobView & { readonly job: OpenCopyJob },
  shown: number,
  limits: JobLimits,
): JobDecision {
  const { job, tally, uptimeMs } = view;
  if (!view.hasTarget) return targetGone;
  if (view.failure !== undefined) return { kind: 'fail', reason: view.failure };
  const isCopied = tally.tasks.completed === job.taskCount;
  if (isCopied && job.purpose === undefined) return copied(job);
  // A job that waits in the queue is nobody's fault: time counts only while a node, or its ending, works on it.
  const isAtWork = isCopied || tally.tasks['in-progress'] > 0;
  const isStalled = isAtWork && uptimeMs - tally.movedAtMs >= limits.jobTimeoutMs;
  if (isStalled) return { kind: 'fail', reason: `timeout: no progress for ${limits.jobTimeoutMs} ms` };
  if (isCopied) return copied(job);
  const progress = progressOf(job, tally);
  const isDue = uptimeMs - view.progressStoredAtMs >= limits.progressIntervalMs;
  if (progress > shown && isDue) return { kind: 'progress', progress };
  const isLow = plannedTasks(tally) < job.taskCount && tally.waitingSegments <= PLANNED_AHEAD.min;
  return isLow ? { kind: 'plan' } : wait;
}

/** 0 to 99 by bytes; 100 belongs to completed jobs alone. */
export const progressOf = ({ totalBytes }: CopyJob, { copiedBytes }: JobTally): number =>
  totalBytes === 0 ? 0 : Math.min(99, Math.floor((copiedBytes * 100) / totalBytes));
