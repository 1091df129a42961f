/**
 * A pool of worker threads. A thread runs one task at a time; tasks wait in the order they came, no more than `maxQueued` of
 * them. Threads are started when there is work and ended when there has been none for `idleMs`. A thread that dies takes its
 * one task with it (`internal`); the next task gets a new thread. So does a task that is cut off: a thread cannot be interrupted
 * in any other way than by ending it.
 */
import { type ResourceLimits, type Transferable, Worker } from 'node:worker_threads';
import { DbError, messageOf } from '../errors/db-error.ts';
import type { Clock } from './clock.ts';
import { receiveError, type TaskReply, type TaskRequest } from './worker-protocol.ts';
import type { Workers } from './workers.ts';

export interface ThreadWorkersOptions {
  /** The script of a thread; it calls `serveTasks`. */
  readonly script: URL;
  /** Handed to each thread as `workerData`. */
  readonly workerData?: unknown;
  readonly maxThreads: number;
  /** Tasks that may wait; beyond that a task is refused with `resource-exhausted`. */
  readonly maxQueued: number;
  readonly idleMs: number;
  readonly clock: Clock;
  /** Memory a thread may use before it is ended. */
  readonly resourceLimits?: ResourceLimits;
}

interface Task {
  readonly request: TaskRequest;
  readonly transfer: readonly ArrayBuffer[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
  /** Ends the wait after which an idle thread is ended. */
  idle: AbortController | undefined;
  isEnding: boolean;
  /** Why it is ending, when it failed. */
  failure: unknown;
  readonly exited: Promise<void>;
}

/** Options of this process that a thread takes over. Others are refused by threads when the program did not come from a file. */
const execArgv = process.execArgv.filter((option) => option === '--enable-source-maps');

/** Worker threads as `Workers`. */
export class ThreadWorkers implements Workers {
  readonly #options: ThreadWorkersOptions;
  readonly #threads = new Set<Thread>();
  readonly #queue: Task[] = [];
  #isClosed = false;

  constructor(options: ThreadWorkersOptions) {
    this.#options = options;
  }

  /** Threads that live now. */
  get threadCount(): number {
    return this.#threads.size;
  }

  /** Buffers in `transfer` are gone when the task starts, and are not handed back when it fails. */
  async run<Input, Output>(
    task: string,
    input: Input,
    transfer: readonly ArrayBuffer[] = [],
    signal?: AbortSignal,
  ): Promise<Output> {
    if (this.#isClosed) throw new DbError('cancelled', `worker task '${task}': the workers are closed`);
    signal?.throwIfAborted();
    let onAbort: () => void = () => undefined;
    try {
      return await new Promise<Output>((resolve, reject) => {
        const entry: Task = {
          request: { task, input },
          transfer,
          signal,
          resolve: resolve as (output: unknown) => void,
          reject,
        };
        onAbort = () => this.#cutOff(entry);
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#enqueue(entry);
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #enqueue(task: Task): void {
    const { maxQueued } = this.#options;
    this.#queue.push(task);
    this.#dispatch();
    if (this.#queue.length <= maxQueued) return;
    this.#queue.pop();
    task.reject(
      new DbError('resource-exhausted', `worker task '${task.request.task}': ${maxQueued} tasks are waiting`),
    );
  }

  /** A waiting task goes at once, a running one takes its thread with it. */
  #cutOff(task: Task): void {
    const at = this.#queue.indexOf(task);
    if (at >= 0) {
      this.#queue.splice(at, 1);
      task.reject(task.signal?.reason);
      return;
    }
    for (const thread of this.#threads) if (thread.task === task) this.#end(thread);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { request, reject } of this.#queue.splice(0))
      reject(new DbError('cancelled', `worker task '${request.task}': the workers are closed`));
    for (const thread of this.#threads) if (thread.task === undefined) this.#end(thread);
    await Promise.all([...this.#threads].map(({ exited }) => exited));
  }

  #dispatch(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const thread =
        [...this.#threads].find(({ task, idle }) => task === undefined && idle !== undefined) ??
        this.#start();
      if (thread === undefined) return;
      this.#queue.shift();
      this.#give(thread, next);
    }
  }

  #start(): Thread | undefined {
    const { script, workerData, maxThreads, resourceLimits } = this.#options;
    if (this.#threads.size >= maxThreads) return undefined;
    const worker = new Worker(script, { workerData, execArgv, ...(resourceLimits && { resourceLimits }) });
    let onExit: () => void = () => undefined;
    const thread: Thread = {
      worker,
      task: undefined,
      idle: undefined,
      isEnding: false,
      failure: undefined,
      exited: new Promise<void>((resolve) => {
        onExit = resolve;
      }),
    };
    this.#threads.add(thread);
    worker.on('message', (reply: TaskReply) => this.#onReply(thread, reply));
    worker.on('messageerror', (error) => this.#onBroken(thread, error));
    worker.on('error', (error) => {
      thread.failure = error;
    });
    worker.on('exit', (code) => {
      this.#onExit(thread, code);
      onExit();
    });
    return thread;
  }

  #give(thread: Thread, task: Task): void {
    thread.idle?.abort();
    thread.idle = undefined;
    try {
      thread.worker.postMessage(task.request, task.transfer as readonly Transferable[]);
    } catch (error) {
      task.reject(error);
      this.#rest(thread);
      return;
    }
    thread.task = task;
    thread.worker.ref();
  }

  #onReply(thread: Thread, reply: TaskReply): void {
    const { task } = thread;
    thread.task = undefined;
    if (reply.kind === 'done') task?.resolve(reply.output);
    else task?.reject(receiveError(task.request.task, reply.error));
    this.#rest(thread);
    this.#dispatch();
  }

  /** An answer that cannot be read: what the thread holds is unknown. */
  #onBroken(thread: Thread, error: unknown): void {
    thread.failure = error;
    this.#end(thread);
  }

  #onExit(thread: Thread, exitCode: number): void {
    thread.idle?.abort();
    this.#threads.delete(thread);
    const { task, failure } = thread;
    const why = failure === undefined ? `exit code ${exitCode}` : messageOf(failure);
    if (task?.signal?.aborted) task.reject(task.signal.reason);
    else
      task?.reject(
        new DbError('internal', `worker task '${task.request.task}': its thread ended: ${why}`, {
          cause: failure,
        }),
      );
    if (!this.#isClosed) this.#dispatch();
  }

  /** A thread without work does not keep the process alive, and is ended after a while. */
  #rest(thread: Thread): void {
    if (thread.isEnding) return;
    thread.worker.unref();
    if (this.#isClosed) {
      this.#end(thread);
      return;
    }
    const idle = new AbortController();
    thread.idle = idle;
    this.#options.clock.sleep(this.#options.idleMs, idle.signal).then(
      () => {
        if (thread.idle === idle) this.#end(thread);
      },
      () => undefined,
    );
  }

  #end(thread: Thread): void {
    thread.isEnding = true;
    thread.idle?.abort();
    thread.idle = undefined;
    thread.worker.ref();
    void thread.worker.terminate();
  }
}
