import { Worker } from 'node:worker_threads';
import type { ErrorName } from '../errors/codes.ts';
import { DbError } from '../errors/db-error.ts';
import type { Clock } from './clock.ts';
import type { TaskAnswer, TaskMessage } from './system-worker-side.ts';
import type { Workers } from './workers.ts';

export interface ThreadWorkersOptions {
  /** The worker script; it calls `serveTasks`. */
  readonly url: URL;
  readonly workerData: unknown;
  readonly maxThreads: number;
  /** A thread without work is ended after this. */
  readonly idleMs: number;
  readonly clock: Clock;
  /** Tasks that may wait; further ones are refused with `resource-exhausted`. */
  readonly maxQueued?: number;
}

interface Job {
  readonly message: TaskMessage;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (output: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  idle: AbortController;
}

const MAX_QUEUED = 10_000;

/**
 * A pool of worker threads, started when there is work and ended when there is none for a while. A thread that dies takes only its
 * own task with it (`internal`). Idle threads do not keep the process alive.
 */
export class ThreadWorkers implements Workers {
  readonly #options: ThreadWorkersOptions;
  readonly #threads = new Set<Thread>();
  readonly #queue: Job[] = [];
  readonly #ending = new Set<Promise<unknown>>();
  #drained: (() => void) | undefined;
  #isClosed = false;

  constructor(options: ThreadWorkersOptions) {
    this.#options = options;
  }

  run<Input, Output>(task: string, input: Input, transfer: readonly ArrayBuffer[] = []): Promise<Output> {
    if (this.#isClosed) return Promise.reject(new DbError('service-unavailable', 'the server is stopping'));
    if (this.#queue.length >= (this.#options.maxQueued ?? MAX_QUEUED))
      return Promise.reject(new DbError('resource-exhausted', `${this.#queue.length} worker tasks are waiting`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ message: { task, input }, transfer, resolve, reject });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#queue.length > 0 || [...this.#threads].some(({ job }) => job !== undefined))
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    for (const thread of this.#threads) this.#end(thread);
    await Promise.all(this.#ending);
  }

  #assign(): void {
    for (let job = this.#queue[0]; job !== undefined; job = this.#queue[0]) {
      const thread = [...this.#threads].find((candidate) => candidate.job === undefined) ?? this.#start();
      if (thread === undefined) return;
      this.#queue.shift();
      thread.idle.abort();
      thread.job = job;
      thread.worker.ref();
      try {
        thread.worker.postMessage(job.message, [...job.transfer]);
      } catch (error) {
        this.#settle(thread, { kind: 'failed', code: undefined, message: String(error) });
      }
    }
    if (this.#drained !== undefined && ![...this.#threads].some(({ job }) => job !== undefined)) this.#drained();
  }

  #start(): Thread | undefined {
    const { url, workerData, maxThreads } = this.#options;
    if (this.#threads.size >= maxThreads) return undefined;
    const worker = new Worker(url, { workerData });
    const thread: Thread = { worker, job: undefined, idle: new AbortController() };
    worker.on('message', (answer: TaskAnswer) => this.#settle(thread, answer));
    worker.on('error', (error) => this.#lost(thread, error));
    worker.on('exit', () => this.#lost(thread, new Error('the thread has ended')));
    this.#threads.add(thread);
    return thread;
  }

  #settle(thread: Thread, answer: TaskAnswer): void {
    const { job } = thread;
    if (job === undefined) return;
    thread.job = undefined;
    thread.worker.unref();
    this.#endWhenIdle(thread);
    if (answer.kind === 'done') job.resolve(answer.output as never);
    else job.reject(new DbError((answer.code ?? 'internal') as ErrorName, answer.message));
    this.#assign();
  }

  #lost(thread: Thread, cause: Error): void {
    if (!this.#threads.delete(thread)) return;
    thread.idle.abort();
    thread.job?.reject(new DbError('internal', `a worker thread died: ${cause.message}`, { cause }));
    thread.job = undefined;
    this.#assign();
  }

  #endWhenIdle(thread: Thread): void {
    thread.idle = new AbortController();
    const { clock, idleMs } = this.#options;
    clock.sleep(idleMs, thread.idle.signal).then(
      () => this.#end(thread),
      () => undefined,
    );
  }

  #end(thread: Thread): void {
    if (!this.#threads.delete(thread)) return;
    thread.idle.abort();
    const ended = thread.worker.terminate();
    this.#ending.add(ended);
    void ended.then(() => this.#ending.delete(ended));
  }
}
