import type { Random } from './random.ts';

export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** How long to wait before attempt `attempt` (1 = the first repeat): doubling, capped, with up to 20 % taken off by chance. */
export function backoffMs(attempt: number, { baseMs, maxMs }: Backoff, random: Random): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full * (1 - 0.2 * random.next()));
}
