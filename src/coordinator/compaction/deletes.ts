/** Pure: what the delete segments of a channel say of its rows. */
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { eachStep, type Steps, sortSteps } from '../../support/slices.ts';

type InLog = ReadonlyMap<SegmentId, LogSegment>;

export const max = <T extends bigint>(a: T, b: T): T => (a > b ? a : b);
export const min = <T extends bigint>(a: T, b: T): T => (a < b ? a : b);
export const covers = (deletes: { readonly partitionId: PartitionId }, partitionId: PartitionId): boolean =>
  deletes.partitionId === ALL_PARTITIONS || deletes.partitionId === partitionId;

/** No delete at or before this kills a row of the segment. */
export const boundOf = ({ minTs, deletesAppliedTs }: SegmentRecord): HybridTime =>
  deletesAppliedTs === undefined ? minTs : max(minTs, deletesAppliedTs);

/**
 * A timestamp such that every delete at or before it stands in a flushed segment. Deletes on their way to the log are later
 * than all that were flushed: a flush waits for what was written before it.
 */
export function knownDeletesTs(covering: readonly SegmentRecord[], inLog: InLog): HybridTime {
  let known = 0n;
  for (const { state, maxTs } of covering) if (state === 'flushed') known = max(known, maxTs as bigint);
  for (const { segmentId, state, minTs } of covering) {
    if (state !== 'growing' && state !== 'sealed') continue;
    const first = inLog.get(segmentId)?.minTs ?? minTs;
    // 0: nothing of it has arrived yet; what will is later than all that is flushed.
    if (first > 0n) known = min(known, first - 1n);
  }
  return known as HybridTime;
}

/** Delete segments by their last delete, so that asking for those after a time costs no walk over all. */
export class LatestFirst {
  readonly #byTime: readonly SegmentRecord[];
  /** Deletes in the first n segments. */
  readonly #sums: readonly number[];
  readonly #lists = new Map<number, readonly SegmentRecord[]>();

  private constructor(byTime: readonly SegmentRecord[]) {
    this.#byTime = byTime;
    let sum = 0;
    this.#sums = [0, ...byTime.map(({ rowCount }) => (sum += rowCount))];
  }

  static *of(deletes: readonly SegmentRecord[]): Steps<LatestFirst> {
    return new LatestFirst(
      yield* sortSteps(deletes, (a, b) => (a.maxTs > b.maxTs ? -1 : a.maxTs < b.maxTs ? 1 : 0)),
    );
  }

  /** Those with a delete later than `bound`. Many plans have the same ones, and then share the list. */
  after(bound: HybridTime): readonly SegmentRecord[] {
    const count = this.#countAfter(bound);
    let listed = this.#lists.get(count);
    if (listed === undefined) {
      listed = this.#byTime.slice(0, count);
      this.#lists.set(count, listed);
    }
    return listed;
  }

  /** All that `after` has ever told. */
  get told(): readonly SegmentRecord[] {
    return this.#byTime.slice(0, Math.max(0, ...this.#lists.keys()));
  }

  /** How many deletes they hold. */
  sumAfter(bound: HybridTime): number {
    return this.#sums[this.#countAfter(bound)] ?? 0;
  }

  #countAfter(bound: HybridTime): number {
    let [from, to] = [0, this.#byTime.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#byTime[middle]?.maxTs ?? 0n) > bound) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/**
 * Whether deletes can kill nothing any more: no segment of rows of their scope, in whatever state, can hold a row before their last one.
 * Told every living segment of rows of one channel.
 */
export class Retirement {
  readonly #inLog: InLog;
  readonly #bounds = new Map<PartitionId, HybridTime>();
  #lowest: HybridTime | undefined;

  constructor(inLog: InLog) {
    this.#inLog = inLog;
  }

  add(rows: SegmentRecord): void {
    const bound = rowsBound(rows, this.#inLog.get(rows.segmentId));
    const present = this.#bounds.get(rows.partitionId);
    if (present === undefined || bound < present) this.#bounds.set(rows.partitionId, bound);
    if (this.#lowest === undefined || bound < this.#lowest) this.#lowest = bound;
  }

  isOver({ partitionId, maxTs }: SegmentRecord): boolean {
    const bound = partitionId === ALL_PARTITIONS ? this.#lowest : this.#bounds.get(partitionId);
    return bound === undefined || bound >= maxTs;
  }
}

/** 0: not known. */
function rowsBound(segment: SegmentRecord, inLog: LogSegment | undefined): HybridTime {
  if (segment.state === 'flushed') return boundOf(segment);
  if (segment.state === 'writing') return 0n as HybridTime;
  return inLog?.minTs ?? segment.minTs;
}

/** Of `deletes`, records as they are now, those that are over; looks once at every record of the collection. */
export function stillOver(
  deletes: readonly SegmentRecord[],
  all: Iterable<SegmentRecord>,
  log: readonly LogSegment[],
): readonly SegmentRecord[] {
  const inLog = new Map(log.map((segment) => [segment.segmentId, segment]));
  const channels = new Map(deletes.map(({ channel }) => [channel, new Retirement(inLog)]));
  for (const segment of all) {
    if (segment.state === 'dropped') continue;
    // Until a restore is tidied its rows may be there and its deletes not yet.
    if (segment.restoreJobId !== undefined) return [];
    if (segment.level === 'L1') channels.get(segment.channel)?.add(segment);
  }
  return deletes.filter(
    (segment) => !inLog.has(segment.segmentId) && channels.get(segment.channel)?.isOver(segment) === true,
  );
}

/** Of every living segment of rows. */
export function* retirementOf(rows: readonly SegmentRecord[], inLog: InLog): Steps<Retirement> {
  const retirement = new Retirement(inLog);
  yield* eachStep(rows, (segment) => retirement.add(segment));
  return retirement;
}
