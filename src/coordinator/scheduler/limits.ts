import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import type { Random } from '../../support/random.ts';
import type { Backoff } from '../../support/retry.ts';
import type { Cluster } from './cluster.ts';

/** high: restores get free slots first; low: they get what the others leave, and their reserved share. */
export type RestorePriority = 'high' | 'normal' | 'low';

export interface SchedulerLimits {
  /** Part of every node's slots that only restores may use, 0 to 1. */
  readonly restoreShare: number;
  readonly restorePriority: RestorePriority;
  /** Restore tasks that hold a node at once, over all jobs. */
  readonly maxRestoreTasks: number;
  readonly maxRestoreTasksPerJob: number;
  readonly backoff: Backoff;
  /** How often nodes are asked about attempts that have not reported. */
  readonly tickMs: number;
}

export const defaultSchedulerLimits: SchedulerLimits = {
  restoreShare: 0.25,
  restorePriority: 'normal',
  maxRestoreTasks: Number.POSITIVE_INFINITY,
  maxRestoreTasksPerJob: Number.POSITIVE_INFINITY,
  backoff: { baseMs: 1000, maxMs: 60_000 },
  tickMs: 5000,
};

export interface SchedulerOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What is absent is as in `defaultSchedulerLimits`. */
  readonly limits?: Partial<SchedulerLimits>;
}
