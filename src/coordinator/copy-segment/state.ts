/** The machines of the copy engine, side by side. */
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

/**
 * The names of an in-place restore, within its job: copying while that is open, swapped by the commit that completes it. swapped: the
 * old collection is kept. confirmed: it is dropped, or there was none any more. reverted: it has its name back.
 */
export type SwapStage = 'copying' | 'swapped' | 'confirmed' | 'reverted';
export type SwapEvent = 'swap' | 'take' | 'confirm' | 'revert';

// biome-ignore format: read down the columns.
export const swapMachine = defineMachine<SwapStage, SwapEvent>('swap', {
  'copying':   { swap: 'swapped', take: 'confirmed', confirm: null,        revert: null },
  'swapped':   { swap: null,      take: null,        confirm: 'confirmed', revert: 'reverted' },
  'confirmed': { swap: null,      take: null,        confirm: null,        revert: null },
  'reverted':  { swap: null,      take: null,        confirm: null,        revert: null },
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
