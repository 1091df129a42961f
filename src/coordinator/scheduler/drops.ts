import type { NodeId, TaskId } from '../../model/ids.ts';
import { backoffMs } from '../../support/retry.ts';
import type { SchedulerOptions } from './limits.ts';
import { defaultSchedulerLimits } from './limits.ts';

/** Tells nodes to let go of attempts. */
export class NodeDrops {
  readonly #options: SchedulerOptions;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** For an attempt that has ended: the node forgets finished attempts by itself and refuses older ones, so a lost drop is harmless. */
  async once(taskId: TaskId, nodeId: NodeId, attempt: number): Promise<void> {
    const { cluster, log } = this.#options;
    try {
      await cluster.get(nodeId)?.drop(taskId, attempt);
    } catch (error) {
      log.debug('task-drop-failed', { taskId, nodeId, error });
    }
  }

  /** For a running attempt: resolves when the node has stopped it or is lost. Rejects when `signal` aborts. */
  async untilGone(taskId: TaskId, nodeId: NodeId, attempt: number, signal: AbortSignal): Promise<void> {
    const { cluster, clock, random, log, limits } = this.#options;
    const backoff = limits?.backoff ?? defaultSchedulerLimits.backoff;
    for (let tries = 1; ; tries++) {
      const node = cluster.get(nodeId);
      if (node === undefined) return;
      try {
        await node.drop(taskId, attempt);
        return;
      } catch (error) {
        log.debug('task-drop-failed', { taskId, nodeId, error });
      }
      await clock.sleep(backoffMs(tries, backoff, random), signal);
      cluster.expire();
    }
  }
}
