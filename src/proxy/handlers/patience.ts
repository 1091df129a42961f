import type { CollectionName } from '../../coordinator/api.ts';
import { messageOf } from '../../errors/db-error.ts';
import type { CallContext } from '../context.ts';

/**
 * Waits for `work` up to `limits.loadAnswerMs`: what is small is done when the call returns, what is large goes on past the deadlines of
 * clients. A failure after the answer is logged.
 */
export async function untilPatienceEnds(
  { clock, limits, log }: Pick<CallContext, 'clock' | 'limits' | 'log'>,
  lateFailure: string,
  at: CollectionName,
  work: () => Promise<void>,
): Promise<void> {
  const patience = new AbortController();
  let isAnswered = false;
  const working = work().then(
    () => patience.abort(),
    (error: unknown) => {
      patience.abort();
      if (!isAnswered) throw error;
      log.warn(lateFailure, { ...at, error: messageOf(error) });
    },
  );
  const waited = clock.sleep(limits.loadAnswerMs, patience.signal).catch(() => working);
  await Promise.race([working, waited]);
  isAnswered = true;
}
