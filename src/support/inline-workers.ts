import { DbError } from '../errors/db-error.ts';
import { receiveError, sendError, taskOf } from './worker-protocol.ts';
import type { Workers, WorkerTasks } from './workers.ts';

/**
 * Runs tasks on the calling thread, for tests and the simulation. Input and output pass through a structured clone, as between
 * threads: transferred buffers are detached, and what could not be sent to a thread fails here too.
 */
export function inlineWorkers(tasks: WorkerTasks): Workers {
  const running = new Set<Promise<unknown>>();
  let isClosed = false;
  const answer = async (task: string, input: unknown, transfer: readonly ArrayBuffer[]): Promise<unknown> => {
    const received = structuredClone(input, { transfer: [...transfer] });
    try {
      const result = await taskOf(tasks, task)(received);
      return structuredClone(result.output, { transfer: [...result.transfer] });
    } catch (error) {
      throw receiveError(task, sendError(error));
    }
  };
  return {
    async run<Input, Output>(
      task: string,
      input: Input,
      transfer: readonly ArrayBuffer[] = [],
      signal?: AbortSignal,
    ): Promise<Output> {
      if (isClosed) throw new DbError('cancelled', `worker task '${task}': the workers are closed`);
      signal?.throwIfAborted();
      const work = answer(task, input, transfer);
      running.add(work);
      try {
        return (await work) as Output;
      } finally {
        running.delete(work);
        signal?.throwIfAborted();
      }
    },
    async close() {
      isClosed = true;
      await Promise.allSettled(running);
    },
  };
}
