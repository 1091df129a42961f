/** What the script of a worker thread runs. */
import { parentPort } from 'node:worker_threads';
import { present } from './assert.ts';
import { sendError, type TaskReply, type TaskRequest, taskOf } from './worker-protocol.ts';
import type { WorkerTasks } from './workers.ts';

/** Answers the tasks of the pool that started this thread, one after the other, until the thread is ended. */
export function serveTasks(tasks: WorkerTasks): void {
  const port = present(parentPort, 'the port of a worker thread');
  const reply = (message: TaskReply, transfer: readonly ArrayBuffer[] = []) =>
    port.postMessage(message, transfer);
  const answer = async ({ task, input }: TaskRequest): Promise<void> => {
    try {
      const { output, transfer } = await taskOf(tasks, task)(input);
      reply({ kind: 'done', output }, transfer);
    } catch (error) {
      reply({ kind: 'failed', error: sendError(error) });
    }
  };
  port.on('message', (request: TaskRequest) => void answer(request));
}
