/**
 * Pure: what to compact in one collection. A row is dead when a delete of its key, in its channel and partition, is strictly later. What
 * must hold of every plan: its sources are flushed, out of the log, and neither protected nor in another plan; those of rows are of one
 * partition and channel; its bound (`deletesAppliedTs`) lies below every delete that no flushed segment holds yet.
 */
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { groupsOf } from './groups.ts';

interface InPlace {
  readonly channel: string;
  readonly partitionId: PartitionId;
  readonly sources: readonly SegmentRecord[];
}

/** Rows of the sources without those that `deletes` kill. `purge`: one source, rewritten when at least `minKilled` rows go. */
export interface RowsPlan extends InPlace {
  readonly kind: 'merge' | 'purge';
  readonly deletes: readonly SegmentRecord[];
  readonly minKilled: number;
  /** What may be said of the output: no delete at or before this kills a row of it. */
  readonly deletesAppliedTs: HybridTime;
  /** Deletes that may kill rows of the sources; what a purge without effect remembers. */
  readonly unapplied: number;
}
export interface DeletesPlan extends InPlace {
  readonly kind: 'merge-deletes';
}
export type CompactionPlan = RowsPlan | DeletesPlan;

export interface Policy {
  readonly maxSizeBytes: number;
  readonly smallBytes: number;
  readonly minSegments: number;
  readonly maxSegments: number;
  readonly minDeleteSegments: number;
  readonly deleteRatio: number;
  readonly mergesRows: boolean;
  /** Asked for by a user: everything that has any effect, whatever it costs; deletes are merged when nothing else is left. */
  readonly isThorough: boolean;
}

export interface PlanInput {
  /** Every record of the collection, whatever its state. */
  readonly segments: readonly SegmentRecord[];
  /** Of the collection. Read in the same synchronous step as `segments`. */
  readonly log: readonly LogSegment[];
  readonly policy: Policy;
  readonly isProtected: (segmentId: SegmentId) => boolean;
  /** Source of an open plan. */
  readonly isBusy: (segmentId: SegmentId) => boolean;
  /** Left alone for a while: a plan with it failed. */
  readonly isResting: (segmentId: SegmentId) => boolean;
  /** An open plan reads its deletes. */
  readonly isRead: (segmentId: SegmentId) => boolean;
  /** Deletes the segment was examined with and found not worth rewriting; 0: it was not. */
  readonly examinedWith: (segmentId: SegmentId) => number;
  /** Which segments a manual compaction is about. */
  readonly isMeant?: (segment: SegmentRecord) => boolean;
}

export interface Planned {
  readonly plans: readonly CompactionPlan[];
  /** Delete segments that kill nothing any more. */
  readonly retired: readonly SegmentRecord[];
  /** Something stays out because of a protection. */
  readonly isProtected: boolean;
  /** Something stays out because it is in the log or in another plan, or waits for an output: look again when that ends. */
  readonly isWaiting: boolean;
  /** Something stays out after a failure. */
  readonly isResting: boolean;
}

const NOTHING = { isProtected: false, isWaiting: false, isResting: false };

const bytesOf = (segment: SegmentRecord, kind: 'rows' | 'deletes'): number =>
  segment.files.reduce((sum, file) => sum + (file.kind === kind ? file.sizeBytes : 0), 0);
const byTime = (a: SegmentRecord, b: SegmentRecord): number =>
  a.minTs < b.minTs || (a.minTs === b.minTs && a.segmentId < b.segmentId) ? -1 : 1;
const max = <T extends bigint>(a: T, b: T): T => (a > b ? a : b);
const min = <T extends bigint>(a: T, b: T): T => (a < b ? a : b);
const covers = (deletes: { readonly partitionId: PartitionId }, partitionId: PartitionId): boolean =>
  deletes.partitionId === ALL_PARTITIONS || deletes.partitionId === partitionId;

/** No delete at or before this kills a row of the segment. */
const boundOf = ({ minTs, deletesAppliedTs }: SegmentRecord): HybridTime =>
  deletesAppliedTs === undefined ? minTs : max(minTs, deletesAppliedTs);

export function planCompaction(input: PlanInput): Planned {
  const living = input.segments.filter(({ state }) => state !== 'dropped');
  // Until a restore is tidied its rows may be there and its deletes not yet.
  if (living.some(({ restoreJobId }) => restoreJobId !== undefined))
    return { ...NOTHING, plans: [], retired: [], isWaiting: true };
  const found: Found = { ...NOTHING, plans: [], retired: [] };
  for (const ofChannel of groupBy(living, ({ channel }) => channel).values())
    planChannel(ofChannel, input, found);
  return found;
}

interface Found {
  readonly plans: CompactionPlan[];
  readonly retired: SegmentRecord[];
  isProtected: boolean;
  isWaiting: boolean;
  isResting: boolean;
}

function planChannel(ofChannel: readonly SegmentRecord[], input: PlanInput, found: Found): void {
  const rows = ofChannel.filter(({ level }) => level === 'L1');
  const flushed = ofChannel.filter(({ state }) => state === 'flushed');
  const inLog = new Map(input.log.map((segment) => [segment.segmentId, segment]));
  const mayTake = (segment: SegmentRecord): boolean => {
    if (input.isMeant?.(segment) === false) return false;
    const isProtected = input.isProtected(segment.segmentId);
    const isWaiting = inLog.has(segment.segmentId) || input.isBusy(segment.segmentId);
    found.isProtected ||= isProtected;
    found.isWaiting ||= isWaiting;
    const isResting = input.isResting(segment.segmentId);
    found.isResting ||= isResting;
    return !isProtected && !isWaiting && !isResting;
  };
  const before = found.plans.length;
  // What it will hold is not known yet, or its record is about to go.
  found.isWaiting ||= ofChannel.some(({ state }) => state === 'writing');
  const byPartition = groupBy(
    flushed.filter(({ level }) => level === 'L1'),
    ({ partitionId }) => partitionId,
  );
  for (const [partitionId, ofPartition] of byPartition) {
    const covering = ofChannel.filter((s) => s.level === 'L0' && covers(s, partitionId));
    if (covering.some(({ segmentId }) => input.isBusy(segmentId))) found.isWaiting = true;
    else {
      const deletes = new LatestFirst(covering.filter(({ state }) => state === 'flushed'));
      const known = knownDeletesTs(covering, inLog);
      const totalRows = ofPartition.reduce((sum, { rowCount }) => sum + rowCount, 0);
      found.plans.push(...planRows(ofPartition.filter(mayTake), { totalRows, deletes, known }, input));
    }
  }
  const deletes = flushed.filter((s) => s.level === 'L0' && mayTake(s) && !input.isRead(s.segmentId));
  const isRetired = retirement(rows, inLog);
  found.retired.push(...deletes.filter(isRetired));
  const isBusyWithRows = found.plans.length > before || rows.some((s) => input.isBusy(s.segmentId));
  if (input.policy.isThorough && isBusyWithRows) {
    found.isWaiting = true;
    return;
  }
  found.plans.push(
    ...planDeletes(
      deletes.filter((s) => !isRetired(s)),
      found.plans.slice(before),
      input.policy,
    ),
  );
}

/**
 * A timestamp such that every delete at or before it stands in a flushed segment. Deletes on their way to the log are later
 * than all that were flushed: a flush waits for what was written before it.
 */
function knownDeletesTs(
  covering: readonly SegmentRecord[],
  inLog: ReadonlyMap<SegmentId, LogSegment>,
): HybridTime {
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

interface RowsContext {
  /** Flushed rows of partition and channel: how many. */
  readonly totalRows: number;
  readonly deletes: LatestFirst;
  readonly known: HybridTime;
}

/** Delete segments by their last delete, so that asking for those after a time costs no walk over all. */
class LatestFirst {
  readonly #byTime: readonly SegmentRecord[];
  /** Deletes in the first n segments. */
  readonly #sums: readonly number[];

  constructor(deletes: readonly SegmentRecord[]) {
    this.#byTime = deletes.toSorted((a, b) => (a.maxTs > b.maxTs ? -1 : 1));
    let sum = 0;
    this.#sums = [0, ...this.#byTime.map(({ rowCount }) => (sum += rowCount))];
  }

  /** Those with a delete later than `bound`. */
  after(bound: HybridTime): readonly SegmentRecord[] {
    return this.#byTime.slice(0, this.#countAfter(bound));
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

function planRows(free: readonly SegmentRecord[], of: RowsContext, input: PlanInput): readonly RowsPlan[] {
  const { policy } = input;
  const small = policy.mergesRows
    ? free.filter((segment) => bytesOf(segment, 'rows') < policy.smallBytes).sort(byTime)
    : [];
  const groups = groupsOf(small, (segment) => bytesOf(segment, 'rows'), {
    ...policy,
    isBalanced: !policy.isThorough,
  });
  const merged = new Set(groups.flat());
  const purged = free.filter((segment) => !merged.has(segment) && isWorthExamining(segment, of, input));
  return [
    ...groups.map((sources) => planOf('merge', sources, of, 0)),
    ...purged.map((segment) => planOf('purge', [segment], of, minKilledOf(segment, of, policy))),
  ];
}

function planOf(
  kind: RowsPlan['kind'],
  sources: readonly SegmentRecord[],
  of: RowsContext,
  minKilled: number,
): RowsPlan {
  const { channel, partitionId } = sources[0] as SegmentRecord;
  const bound = sources.map(boundOf).reduce(min);
  return {
    kind,
    channel,
    partitionId,
    sources,
    deletes: of.deletes.after(bound),
    minKilled,
    deletesAppliedTs: max(of.known, bound),
    unapplied: of.deletes.sumAfter(bound),
  };
}

/** Where deletes outnumber the rows, getting rid of them is worth rewriting a segment for any row. */
function minKilledOf(segment: SegmentRecord, { deletes, totalRows }: RowsContext, policy: Policy): number {
  if (policy.isThorough || deletes.sumAfter(boundOf(segment)) >= totalRows) return 1;
  return Math.max(1, Math.ceil(policy.deleteRatio * segment.rowCount));
}

function isWorthExamining(
  segment: SegmentRecord,
  { deletes, totalRows }: RowsContext,
  { policy, examinedWith }: PlanInput,
): boolean {
  const unapplied = deletes.sumAfter(boundOf(segment));
  if (unapplied === 0) return false;
  if (policy.isThorough) return examinedWith(segment.segmentId) === 0;
  return unapplied >= policy.deleteRatio * totalRows && unapplied >= 2 * examinedWith(segment.segmentId);
}

/** Not of deletes that a plan of rows is about to read. */
function planDeletes(
  free: readonly SegmentRecord[],
  rowPlans: readonly CompactionPlan[],
  policy: Policy,
): readonly DeletesPlan[] {
  const read = new Set(rowPlans.flatMap((plan) => (plan.kind === 'merge-deletes' ? [] : plan.deletes)));
  const plans: DeletesPlan[] = [];
  const unread = free.filter((segment) => !read.has(segment));
  for (const ofScope of groupBy(unread, ({ partitionId }) => partitionId).values()) {
    const groups = groupsOf(ofScope.toSorted(byTime), (segment) => bytesOf(segment, 'deletes'), {
      ...policy,
      minSegments: policy.minDeleteSegments,
      isBalanced: !policy.isThorough,
    });
    for (const sources of groups) {
      const { channel, partitionId } = sources[0] as SegmentRecord;
      plans.push({ kind: 'merge-deletes', channel, partitionId, sources });
    }
  }
  return plans;
}

/** Whether no segment of rows in any state can hold a row that the deletes kill. `rows`: of the channel. */
function retirement(
  rows: readonly SegmentRecord[],
  inLog: ReadonlyMap<SegmentId, LogSegment>,
): (deletes: SegmentRecord) => boolean {
  const bounds = new Map<PartitionId, HybridTime>();
  for (const segment of rows) {
    const bound = rowsBound(segment, inLog.get(segment.segmentId));
    const present = bounds.get(segment.partitionId);
    bounds.set(segment.partitionId, present === undefined ? bound : min(present, bound));
  }
  return (deletes) =>
    [...bounds].every(([partitionId, bound]) => !covers(deletes, partitionId) || bound >= deletes.maxTs);
}

/** 0: not known. */
function rowsBound(segment: SegmentRecord, inLog: LogSegment | undefined): HybridTime {
  if (segment.state === 'flushed') return boundOf(segment);
  if (segment.state === 'writing') return 0n as HybridTime;
  return inLog?.minTs ?? segment.minTs;
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): ReadonlyMap<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
