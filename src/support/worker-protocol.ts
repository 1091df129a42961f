/** What passes between a pool and its threads. An error keeps its code and message; anything without a code is `internal`. */

import { type ErrorName, errorCodes } from '../errors/codes.ts';
import { DbError, messageOf } from '../errors/db-error.ts';
import { assert } from './assert.ts';
import type { WorkerTasks } from './workers.ts';

export interface TaskRequest {
  readonly task: string;
  readonly input: unknown;
}

export interface SentError {
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string | undefined;
}

export type TaskReply =
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly error: SentError };

export const sendError = (error: unknown): SentError => ({
  code: error instanceof DbError ? error.code : undefined,
  message: messageOf(error),
  stack: error instanceof Error ? error.stack : undefined,
});

/** The error on this side of the thread; where it was thrown stands in its cause. */
export function receiveError(task: string, { code, message, stack }: SentError): DbError {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  return isErrorName(code)
    ? new DbError(code, message, { cause })
    : new DbError('internal', `worker task '${task}': ${message}`, { cause });
}

const isErrorName = (code: string | undefined): code is ErrorName =>
  code !== undefined && Object.hasOwn(errorCodes, code);

/** The function behind a name. A name that is not there is a fault of ours. */
export function taskOf(
  tasks: WorkerTasks,
  name: string,
): (input: unknown) => ReturnType<WorkerTasks[string]> {
  assert(Object.hasOwn(tasks, name), `no worker task '${name}'`);
  return tasks[name] as unknown as (input: unknown) => ReturnType<WorkerTasks[string]>;
}
