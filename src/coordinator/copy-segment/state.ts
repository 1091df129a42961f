/** The two machines of the copy engine, side by side. */
import { defineMachine } from '../../support/machine.ts';

/** completed is the commit point of a restore; completed and failed jobs stay listed until their retention is over. */
export type CopyJobState = 'pending' | 'executing' | 'completed' | 'failed';
export type CopyJobEvent = 'execute' | 'complete' | 'fail';

// biome-ignore format: read down the columns.
export const copyJobMachine = defineMachine<CopyJobState, CopyJobEvent>('copy job', {
  'pending':   { execute: 'executing', complete: 'completed', fail: 'failed' },
  'executing': { execute: null,        complete: 'completed', fail: 'failed' },
  'completed': { execute: null,        complete: null,        fail: null },
  'failed':    { execute: null,        complete: null,        fail: null },
});

export type CopyTaskState = 'pending' | 'in-progress' | 'completed' | 'failed';
export type CopyTaskEvent = 'dispatch' | 'requeue' | 'complete' | 'fail';

// biome-ignore format: read down the columns.
export const copyTaskMachine = defineMachine<CopyTaskState, CopyTaskEvent>('copy task', {
  'pending':     { dispatch: 'in-progress', requeue: null,      complete: null,        fail: 'failed' },
  'in-progress': { dispatch: null,          requeue: 'pending', complete: 'completed', fail: 'failed' },
  'completed':   { dispatch: null,          requeue: null,      complete: null,        fail: null },
  'failed':      { dispatch: null,          requeue: null,      complete: null,        fail: null },
});
