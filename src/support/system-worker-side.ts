/** The thread's half of `ThreadWorkers`. */
import { parentPort } from 'node:worker_threads';
import { isDbError, messageOf } from '../errors/db-error.ts';
import { assert } from './assert.ts';
import type { WorkerTasks } from './workers.ts';

export interface TaskMessage {
  readonly task: string;
  readonly input: unknown;
}

export type TaskAnswer =
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly code: string | undefined; readonly message: string };

/** Answers tasks one after another until the thread is ended. */
export function serveTasks(tasks: WorkerTasks): void {
  const port = parentPort;
  assert(port !== null, 'serveTasks runs in a worker thread');
  port.on('message', ({ task, input }: TaskMessage) => {
    void runTask(tasks, task, input).then(({ answer, transfer }) => port.postMessage(answer, [...transfer]));
  });
}

async function runTask(
  tasks: WorkerTasks,
  name: string,
  input: unknown,
): Promise<{ readonly answer: TaskAnswer; readonly transfer: readonly ArrayBuffer[] }> {
  try {
    const task = tasks[name];
    assert(task !== undefined, `no task '${name}'`);
    const { output, transfer } = await task(input as never);
    return { answer: { kind: 'done', output }, transfer };
  } catch (error) {
    const code = isDbError(error) ? error.code : undefined;
    return { answer: { kind: 'failed', code, message: messageOf(error) }, transfer: [] };
  }
}
