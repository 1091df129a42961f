import { isDbError } from '../../errors/db-error.ts';
import { abortable } from '../../support/abort.ts';
import type { Clock } from '../../support/clock.ts';
import type { Random } from '../../support/random.ts';
import { type Backoff, backoffMs } from '../../support/retry.ts';

export const MAX_TRIES = 3;
export const tryBackoff: Backoff = { baseMs: 100, maxMs: 1000 };

/** Whether an object's own state answers, and not a store that fails for now. */
export const isDamage = (error: unknown): boolean =>
  isDbError(error, 'object-not-found') || isDbError(error, 'data-integrity');

/**
 * Runs `read` up to `MAX_TRIES` times while the store fails. What is missing or damaged is thrown at once, and the signal's reason
 * once it aborts, though the store may never answer.
 */
export async function withTries<T>(
  read: () => Promise<T>,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  signal: AbortSignal,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await abortable(read(), signal);
    } catch (error) {
      if (isDamage(error) || !isDbError(error) || !error.retriable || tries === MAX_TRIES) throw error;
      await clock.sleep(backoffMs(tries, tryBackoff, random), signal);
    }
  }
}
