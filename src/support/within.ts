import type { Clock } from './clock.ts';

/** `work`, waited for no longer than `ms`: then what `late` says, or throws, and what becomes of `work` is not asked any more. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>, late: () => T): Promise<T> {
  const timer = new AbortController();
  // Called off: there is an answer.
  const patience = clock.sleep(ms, timer.signal).then(late, () => work);
  return Promise.race([work, patience]).finally(() => timer.abort());
}
