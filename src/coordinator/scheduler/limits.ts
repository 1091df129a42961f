import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import type { Random } from '../../support/random.ts';
import type { Backoff } from '../../support/retry.ts';
import type { Cluster } from './cluster.ts';

export interface SchedulerLimits {
  /** Part of every node's slots that only restores may use, 0 to 1. */
  readonly restoreShare: number;
  readonly backoff: Backoff;
  /** How often nodes are asked about attempts that have not reported. */
  readonly tickMs: number;
}

export const defaultSchedulerLimits: SchedulerLimits = {
  restoreShare: 0.25,
  backoff: { baseMs: 1000, maxMs: 60_000 },
  tickMs: 5000,
};

export interface SchedulerOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits?: SchedulerLimits;
}
