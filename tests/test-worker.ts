/** The script of the threads in the tests of the worker pool. */
import { workerData } from 'node:worker_threads';
import { serveTasks } from '../src/support/worker-side.ts';
import { testTasks } from '../src/support/workers.suite.ts';

const wait = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

serveTasks({
  ...testTasks,
  data: () => Promise.resolve({ output: workerData as unknown, transfer: [] }),
  block: (ms: number) => {
    wait(ms);
    return Promise.resolve({ output: ms, transfer: [] });
  },
  exit: () => process.exit(3),
  crash: () => {
    setImmediate(() => {
      throw new Error('outside of any task');
    });
    return new Promise(() => undefined);
  },
  hoard: () => {
    const held: number[][] = [];
    for (;;) held.push(new Array<number>(100_000).fill(1.5));
  },
});
