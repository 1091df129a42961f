/**
 * Which deletes a collection may forget. A delete is needed as long as rows may still be loaded that it kills; the catalog keeps its
 * L0 segment exactly as long as a live segment may hold such a row, until then it stands in the applied view or in the log.
 */
import type { PartitionId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { DeleteScope } from '../segment/delete-map.ts';
import type { LogDeletes } from './log-contents.ts';

/** Deletes of one channel and partition scope that are still needed. */
export interface Remaining {
  /** None is older. */
  readonly minTs: bigint;
  readonly count: number;
}

/** By channel and partition scope. */
export type RemainingDeletes = ReadonlyMap<string, Remaining>;

const keyOf = (channel: string, partitionId: PartitionId): string => `${partitionId} ${channel}`;

export function remainingDeletes(
  files: Iterable<SegmentRecord>,
  log: Iterable<LogDeletes>,
): RemainingDeletes {
  const remaining = new Map<string, Remaining>();
  const add = (channel: string, partitionId: PartitionId, minTs: bigint, count: number) => {
    const key = keyOf(channel, partitionId);
    const before = remaining.get(key);
    remaining.set(key, {
      minTs: before === undefined || minTs < before.minTs ? minTs : before.minTs,
      count: count + (before?.count ?? 0),
    });
  };
  for (const { channel, partitionId, minTs, rowCount } of files) add(channel, partitionId, minTs, rowCount);
  for (const { channel, partitionId, minTs, count } of log) add(channel, partitionId, minTs, count);
  return remaining;
}

/** Memory stays below 5/4 of what is needed, and what is walked is in proportion to what goes. */
const isWorthIt = (size: number, needed: number): boolean => 4 * size > 5 * needed;

/**
 * Pure: the scopes of a channel to prune, and the timestamp before which nothing is needed. Deletes that come later are younger
 * than all that are here.
 */
export function prunable(
  channel: string,
  scopes: readonly DeleteScope[],
  remaining: RemainingDeletes,
): readonly { readonly partitionId: PartitionId; readonly before: bigint }[] {
  return scopes.flatMap(({ partitionId, size, minTs, maxTs }) => {
    const needed = remaining.get(keyOf(channel, partitionId));
    const before = needed === undefined || needed.minTs > maxTs ? maxTs + 1n : needed.minTs;
    return before > minTs && isWorthIt(size, needed?.count ?? 0) ? [{ partitionId, before }] : [];
  });
}
