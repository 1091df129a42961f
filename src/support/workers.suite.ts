/** What every `Workers` must do with `testTasks`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DbError, isDbError } from '../errors/db-error.ts';
import type { Workers, WorkerTasks } from './workers.ts';

/** The tasks of the suite; the thread's script serves them too. */
export const testTasks: WorkerTasks = {
  double: (input: Float32Array<ArrayBuffer>) => {
    const output = input.map((x) => 2 * x);
    return Promise.resolve({ output, transfer: [output.buffer] });
  },
  echo: (input: unknown) => Promise.resolve({ output: input, transfer: [] }),
  missing: (key: string) => Promise.reject(new DbError('object-not-found', `object '${key}' is missing`)),
  broken: () => Promise.reject(new TypeError('x is not a function')),
  unsendable: () => Promise.resolve({ output: () => 1, transfer: [] }),
};

/** Runs the suite; `open` gives workers that know `testTasks`. */
export function workersSuite(name: string, open: () => Workers): void {
  const withWorkers = (title: string, body: (workers: Workers) => Promise<void>) =>
    test(title, async () => {
      const workers = open();
      try {
        await body(workers);
      } finally {
        await workers.close();
      }
    });

  describe(`workers: ${name}`, () => {
    withWorkers('buffers move there and back without a copy', async (workers) => {
      const input = Float32Array.of(1, 2.5, -3);
      const output = await workers.run<Float32Array, Float32Array>('double', input, [input.buffer]);
      assert.deepEqual(output, Float32Array.of(2, 5, -6));
      assert.equal(input.length, 0);
    });

    withWorkers('without a transfer the input stays', async (workers) => {
      const input = Float32Array.of(1);
      await workers.run('double', input);
      assert.deepEqual(input, Float32Array.of(1));
    });

    withWorkers('plain data passes, and shared memory stays shared', async (workers) => {
      const shared = new SharedArrayBuffer(8);
      const output = await workers.run<object, { id: bigint; shared: SharedArrayBuffer }>('echo', {
        id: 5n,
        shared,
      });
      assert.equal(output.id, 5n);
      new Uint8Array(shared)[0] = 7;
      assert.equal(new Uint8Array(output.shared)[0], 7);
    });

    withWorkers('an error keeps its code and message', async (workers) => {
      await assert.rejects(
        workers.run('missing', 'a/b'),
        (error) => isDbError(error, 'object-not-found') && error.message === "object 'a/b' is missing",
      );
    });

    withWorkers(
      'an error without a code is internal, names the task and keeps where it was thrown',
      async (workers) => {
        await assert.rejects(workers.run('broken', 0), (error) => {
          assert.ok(isDbError(error, 'internal'));
          assert.match(error.message, /'broken': x is not a function/);
          assert.match((error.cause as Error).stack ?? '', /workers\.suite/);
          return true;
        });
      },
    );

    withWorkers(
      'an unknown task and an output that cannot be sent are internal, and the next task runs',
      async (workers) => {
        await assert.rejects(workers.run('toString', 0), /no worker task 'toString'/);
        await assert.rejects(workers.run('unsendable', 0), (error) => isDbError(error, 'internal'));
        await assert.rejects(
          workers.run('echo', () => 1),
          { name: 'DataCloneError' },
        );
        assert.equal(await workers.run('echo', 3), 3);
      },
    );

    withWorkers(
      'an aborted task rejects with the reason of its signal, and the next one runs',
      async (workers) => {
        const reason = new DbError('cancelled', 'not wanted any more');
        const early = AbortSignal.abort(reason);
        await assert.rejects(workers.run('echo', 1, [], early), reason);
        const stop = new AbortController();
        const running = workers.run('echo', 1, [], stop.signal);
        stop.abort(reason);
        await assert.rejects(running, reason);
        assert.equal(await workers.run('echo', 2, [], new AbortController().signal), 2);
      },
    );

    withWorkers('close waits for what runs and refuses what comes later', async (workers) => {
      const running = workers.run('echo', 'x');
      const closing = workers.close();
      assert.equal(await running, 'x');
      await closing;
      await workers.close();
      await assert.rejects(workers.run('echo', 1), (error) => isDbError(error, 'cancelled'));
    });
  });
}
