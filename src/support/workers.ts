/**
 * Heavy work off the event loop. A task is a named function of plain data; buffers named in `transfer` move without
 * a copy. Implementations: a pool of worker threads, and an inline one for tests and the simulation.
 */
export interface Workers {
  /**
   * Runs `task` with `input`; rejects with what the task threw, its `code` kept. Once `signal` aborts, it rejects with the signal's
   * reason as soon as nothing of the task runs any more: it may be cut off anywhere.
   */
  run<Input, Output>(
    task: string,
    input: Input,
    transfer?: readonly ArrayBuffer[],
    signal?: AbortSignal,
  ): Promise<Output>;
  /** Waits for running tasks and ends the threads. */
  close(): Promise<void>;
}

/** What a worker can do: task name to function. The second part of a result lists the buffers to move back. */
export type WorkerTasks = Readonly<
  Record<
    string,
    (input: never) => Promise<{ readonly output: unknown; readonly transfer: readonly ArrayBuffer[] }>
  >
>;
