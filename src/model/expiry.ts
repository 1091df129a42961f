/**
 * Pure: when rows expire. A row's age is the time since it was written, without the pauses: what passed between a snapshot and its
 * restore. So a restored collection shows, at the moment of the call that restored it, the rows that were visible at the snapshot's
 * timestamp, and they have as long to live as they had then. Neither reads nor compactions decide anything that `expiredRanges` does not say.
 */
import { type HybridTime, hybridTime, physicalMs } from './hybrid-time.ts';
import type { Properties } from './records.ts';

/** Rows written up to `upTo` do not age for `ms`. */
export interface AgePause {
  readonly upTo: HybridTime;
  readonly ms: number;
}

export interface Expiry {
  readonly ttlMs: number;
  /** Ascending by `upTo`; each says all that its rows did not age, so `ms` falls. */
  readonly pauses: readonly AgePause[];
}

/** Timestamps from the one after `after` up to `upTo`. */
export interface TimeRange {
  readonly after: HybridTime;
  readonly upTo: HybridTime;
}

export const TTL_PROPERTY = 'collection.ttl.seconds';

/** Undefined: rows do not expire. */
export function expiryOf({
  properties,
  agePauses = [],
}: {
  readonly properties: Properties;
  readonly agePauses?: readonly AgePause[];
}): Expiry | undefined {
  const seconds = Number(properties[TTL_PROPERTY] ?? 0);
  return seconds > 0 ? { ttlMs: seconds * 1000, pauses: agePauses } : undefined;
}

const NEVER = 0n as HybridTime;

/** What has expired at `nowMs`, ascending: rows whose age is the time to live or more. */
export function expiredRanges({ ttlMs, pauses }: Expiry, nowMs: number): readonly TimeRange[] {
  const ranges: TimeRange[] = [];
  let after = NEVER;
  for (const { upTo, ms } of [...pauses, { upTo: undefined, ms: 0 }]) {
    const bornMs = nowMs - ttlMs - ms;
    const last = bornMs < 0 ? NEVER : ((hybridTime(bornMs + 1) - 1n) as HybridTime);
    const end = upTo === undefined || last < upTo ? last : upTo;
    if (end > after) ranges.push({ after, upTo: end });
    if (upTo !== undefined && upTo > after) after = upTo;
  }
  return ranges;
}

/** Restores of restores: from then on the oldest rows live longer rather than shorter. */
const MAX_PAUSES = 64;

/** Of a collection restored at `restoredTs`, `nowMs`, from a snapshot of `createTs`; every row of it is older than `restoredTs`. */
export function pausedAges(
  pauses: readonly AgePause[],
  createTs: HybridTime,
  restoredTs: HybridTime,
  nowMs: number,
): readonly AgePause[] {
  const ms = Math.max(0, nowMs - physicalMs(createTs));
  const all = [...pauses.map((each) => ({ ...each, ms: each.ms + ms })), { upTo: restoredTs, ms }];
  const surplus = all.length - MAX_PAUSES;
  const [first] = all;
  return surplus <= 0 || first === undefined
    ? all
    : all.slice(surplus).map((each, i) => (i === 0 ? { ...each, ms: first.ms } : each));
}
