import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { DbError, isDbError } from '../errors/db-error.ts';
import type { Clock } from './clock.ts';
import { inlineWorkers } from './inline-workers.ts';
import { ThreadWorkers, type ThreadWorkersOptions } from './system-workers.ts';
import { testTasks, workersSuite } from './workers.suite.ts';

const script = new URL('../../tests/test-worker.js', import.meta.url);

/** Sleeps end when the test says so. */
class HandClock implements Clock {
  readonly #sleepers = new Set<() => void>();
  nowMs(): number {
    return 0;
  }
  monotonicMs(): number {
    return this.nowMs();
  }
  sleep(_ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.add(resolve);
      signal.addEventListener('abort', () => {
        this.#sleepers.delete(resolve);
        reject(signal.reason as Error);
      });
    });
  }
  get sleeping(): number {
    return this.#sleepers.size;
  }
  wakeAll(): void {
    for (const wake of this.#sleepers) wake();
    this.#sleepers.clear();
  }
}

const pool = (options: Partial<ThreadWorkersOptions> = {}) =>
  new ThreadWorkers({
    script,
    maxThreads: 2,
    maxQueued: 100,
    idleMs: 1000,
    clock: new HandClock(),
    ...options,
  });

workersSuite('inline', () => inlineWorkers(testTasks));
workersSuite('threads', () => pool());

const fails = (pattern: RegExp) => (error: unknown) =>
  isDbError(error, 'internal') && pattern.test(error.message);

describe('thread workers', () => {
  test('threads start with the first task, no more than allowed, and tasks run in the order they came', async () => {
    const workers = pool({ maxThreads: 1 });
    assert.equal(workers.threadCount, 0);
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        await workers.run('echo', i);
        order.push(i);
      }),
    );
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(workers.threadCount, 1);
    await workers.close();
    assert.equal(workers.threadCount, 0);
  });

  test('one thread is enough for tasks that come one after the other', async () => {
    const workers = pool({ maxThreads: 4 });
    for (let i = 0; i < 5; i++) await workers.run('echo', i);
    assert.equal(workers.threadCount, 1);
    await workers.close();
  });

  test('the thread gets its data', async () => {
    const workers = pool({ workerData: { root: 'x' } });
    assert.deepEqual(await workers.run('data', 0), { root: 'x' });
    await workers.close();
  });

  test('a full queue refuses, and takes tasks again later', async () => {
    const workers = pool({ maxThreads: 1, maxQueued: 2 });
    const accepted = [1, 2, 3].map((n) => workers.run('echo', n));
    await assert.rejects(workers.run('echo', 4), (error) => isDbError(error, 'resource-exhausted'));
    assert.deepEqual(await Promise.all(accepted), [1, 2, 3]);
    assert.equal(await workers.run('echo', 5), 5);
    await workers.close();
  });

  test('a thread without work is ended after the idle time, one with work is not', async () => {
    const clock = new HandClock();
    const workers = pool({ clock, maxThreads: 1 });
    await workers.run('echo', 1);
    assert.equal(clock.sleeping, 1);
    const running = workers.run('echo', 2);
    assert.equal(clock.sleeping, 0);
    await running;
    clock.wakeAll();
    while (workers.threadCount > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(await workers.run('echo', 3), 3);
    await workers.close();
    assert.equal(clock.sleeping, 0);
  });

  for (const [task, why] of [
    ['exit', /'exit': its thread ended: exit code 3/],
    ['crash', /'crash': its thread ended: outside of any task/],
    ['hoard', /'hoard': its thread ended: .*memory/],
  ] as const)
    test(`a thread that dies (${task}) fails its own task only; the others run on`, async () => {
      const workers = pool({ maxThreads: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
      const outcomes = await Promise.allSettled([
        workers.run('echo', 1),
        workers.run(task, 0),
        workers.run('echo', 2),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) =>
          outcome.status === 'fulfilled' ? outcome.value : fails(why)(outcome.reason),
        ),
        [1, true, 2],
      );
      await workers.close();
    });

  test('a script that cannot be loaded fails every task and ends', async () => {
    const workers = pool({ script: new URL('./no-such-script.js', import.meta.url) });
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => workers.run('echo', n)));
    for (const outcome of outcomes)
      assert.ok(outcome.status === 'rejected' && fails(/ended/)(outcome.reason));
    await workers.close();
  });

  test('close waits for the running task and refuses the waiting ones', async () => {
    const workers = pool({ maxThreads: 1 });
    const running = workers.run('block', 20);
    const waiting = workers.run('echo', 1);
    const refused = assert.rejects(waiting, (error) => isDbError(error, 'cancelled'));
    await workers.close();
    assert.equal(await running, 20);
    await refused;
  });

  test('an aborted task is cut off, waiting or running; those behind it get a new thread', async () => {
    const workers = pool({ maxThreads: 1 });
    const reason = new DbError('cancelled', 'not wanted any more');
    await workers.run('echo', 0);
    const [first, second] = [new AbortController(), new AbortController()];
    const running = workers.run('block', 3_600_000, [], first.signal);
    const waiting = workers.run('block', 3_600_000, [], second.signal);
    const behind = workers.run('echo', 'x');
    second.abort(reason);
    await assert.rejects(waiting, reason);
    assert.equal(workers.threadCount, 1);
    first.abort(reason);
    await assert.rejects(running, reason);
    assert.equal(await behind, 'x');
    await workers.close();
  });

  test('idle threads do not keep the process alive; a running task does', () => {
    const from = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const program = `
      const { ThreadWorkers } = await import(${from('./system-workers.js')});
      const { backgroundClock } = await import(${from('./system-clock.js')});
      const workers = new ThreadWorkers({ script: new URL(${JSON.stringify(script.href)}), maxThreads: 2, maxQueued: 9,
        idleMs: 60_000, clock: backgroundClock });
      workers.run('block', 30).then((ms) => console.log('done', ms));`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.deepEqual({ stdout, stderr, status }, { stdout: 'done 30\n', stderr: '', status: 0 });
  });
});
