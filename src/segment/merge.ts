/** Which rows die and in which order the others stand: the decisions of a compaction, without any file. */
import type { TimeRange } from '../model/expiry.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { PartitionId } from '../model/ids.ts';
import { DeleteMap } from './delete-map.ts';
import type { KeyColumn } from './key-column.ts';
import { sourceOf } from './pick-rows.ts';
import { Runs } from './runs.ts';

/** Rows or deletes: a key and a timestamp each. */
export interface KeyedTimes {
  readonly keys: KeyColumn;
  readonly timestamps: BigInt64Array;
}

/** What the deletes cover was decided before: here they have one scope. */
const SCOPE = 0n as PartitionId;

const timeOf = (timestamps: BigInt64Array, row: number): HybridTime => (timestamps[row] ?? 0n) as HybridTime;

/** The newest delete of every key, of those that are wanted. */
export function newestDeletes(
  batches: readonly KeyedTimes[],
  isWanted: (keys: KeyColumn, at: number, ts: HybridTime) => boolean = () => true,
): DeleteMap {
  const newest = new DeleteMap();
  for (const { keys, timestamps } of batches)
    for (let at = 0; at < timestamps.length; at++) {
      const ts = timeOf(timestamps, at);
      if (isWanted(keys, at, ts)) newest.put(SCOPE, keys, at, ts);
    }
  return newest;
}

export interface Killed {
  readonly count: number;
  /** 1 for a row that dies. */
  readonly dead: Uint8Array;
}

/** Rows strictly older than the newest delete of their key. */
export function killedRows({ keys, timestamps }: KeyedTimes, newest: DeleteMap): Killed {
  const dead = new Uint8Array(timestamps.length);
  const { maxTs } = newest;
  let count = 0;
  for (let row = 0; row < timestamps.length; row++) {
    const ts = timeOf(timestamps, row);
    if (ts >= maxTs || ts >= newest.get(SCOPE, keys, row)) continue;
    dead[row] = 1;
    count++;
  }
  return { count, dead };
}

/** These rows and those of the timestamps that have expired. */
export function withExpired(
  killed: Killed,
  timestamps: BigInt64Array,
  expired: readonly TimeRange[],
): Killed {
  const { dead } = killed;
  let { count } = killed;
  for (const { after, upTo } of expired)
    for (let row = 0; row < timestamps.length; row++) {
      const ts = timeOf(timestamps, row);
      if (ts <= after || ts > upTo || dead[row] === 1) continue;
      dead[row] = 1;
      count++;
    }
  return { count, dead };
}

/** The first row of every key, in the order of `runs`; the rows of one key have one timestamp. */
export function firstOfEachKey(sources: readonly KeyedTimes[], runs: Runs): Runs {
  const seen = new DeleteMap();
  const first = new Runs();
  runs.each((source, from, to) => {
    const { keys, timestamps } = sourceOf(sources, source);
    for (let row = from; row < to; row++) {
      if (seen.put(SCOPE, keys, row, timeOf(timestamps, row))) first.add(source, row, row + 1);
    }
  });
  return first;
}

/** Walks the rows of one source that are left, oldest first, equal ones in their order. */
class Cursor {
  readonly source: number;
  readonly #timestamps: BigInt64Array;
  readonly #dead: Uint8Array;
  /** Absent: the rows stand in the order of time. */
  readonly #order: Uint32Array | undefined;
  #at = -1;
  row = 0;
  ts = 0n;

  constructor(source: number, timestamps: BigInt64Array, dead: Uint8Array) {
    this.source = source;
    this.#timestamps = timestamps;
    this.#dead = dead;
    this.#order = orderOf(timestamps);
  }

  /** Whether there is one more row. */
  advance(): boolean {
    while (++this.#at < this.#dead.length) {
      this.row = this.#order?.[this.#at] ?? this.#at;
      if (this.#dead[this.row] === 1) continue;
      this.ts = timeOf(this.#timestamps, this.row);
      return true;
    }
    return false;
  }

  isBefore(other: Cursor): boolean {
    return this.ts < other.ts || (this.ts === other.ts && this.source < other.source);
  }
}

/** Undefined when the timestamps never fall, as they do not in the order of the log. */
function orderOf(timestamps: BigInt64Array): Uint32Array | undefined {
  if (timestamps.every((ts, row) => row === 0 || timeOf(timestamps, row - 1) <= ts)) return undefined;
  return Uint32Array.from(timestamps, (_, row) => row).sort((a, b) => {
    const [left, right] = [timeOf(timestamps, a), timeOf(timestamps, b)];
    if (left === right) return a - b;
    return left < right ? -1 : 1;
  });
}

/** Rows that are left in the order of (timestamp, source, row). */
export function mergeByTime(sources: readonly BigInt64Array[], killed: readonly Killed[]): Runs {
  const runs = new Runs();
  /** In the order of their next rows. */
  const heads: Cursor[] = [];
  sources.forEach((timestamps, source) => {
    const cursor = new Cursor(source, timestamps, sourceOf(killed, source).dead);
    if (cursor.advance()) insert(heads, cursor);
  });
  for (let first = heads.shift(); first !== undefined; first = heads.shift()) {
    const [second] = heads;
    let hasMore = true;
    while (hasMore && (second === undefined || first.isBefore(second))) {
      runs.add(first.source, first.row, first.row + 1);
      hasMore = first.advance();
    }
    if (hasMore) insert(heads, first);
  }
  return runs;
}

function insert(heads: Cursor[], cursor: Cursor): void {
  let from = 0;
  let to = heads.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (heads[middle]?.isBefore(cursor) === true) from = middle + 1;
    else to = middle;
  }
  heads.splice(from, 0, cursor);
}

/** Timestamps of the first and the last picked row; `runs` are in the order of time and not empty. */
export function timeRange(
  sources: readonly BigInt64Array[],
  runs: Runs,
): { readonly minTs: HybridTime; readonly maxTs: HybridTime } {
  let minTs: HybridTime | undefined;
  let maxTs = 0n as HybridTime;
  runs.each((source, from, to) => {
    const timestamps = sourceOf(sources, source);
    minTs ??= timeOf(timestamps, from);
    maxTs = timeOf(timestamps, to - 1);
  });
  return { minTs: minTs ?? maxTs, maxTs };
}
