import { assert } from './assert.ts';
import type { Workers, WorkerTasks } from './workers.ts';

/** Runs every task on the calling thread, for tests and the simulation. */
export const inlineWorkers = (tasks: WorkerTasks): Workers => ({
  async run<Input, Output>(name: string, input: Input): Promise<Output> {
    const task = tasks[name];
    assert(task !== undefined, `no task '${name}'`);
    return (await task(input as never)).output as Output;
  },
  close: () => Promise.resolve(),
});
