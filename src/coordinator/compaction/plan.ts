/**
 * Pure: what to compact in one collection. A row is dead when a delete of its key, in its channel and partition, is strictly later. What
 * must hold of every plan: its sources are flushed, out of the log, and neither protected nor in another plan; those of rows are of one
 * partition and channel; its bound (`deletesAppliedTs`) lies below every delete that no flushed segment holds yet.
 */
import type { TimeRange } from '../../model/expiry.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { PartitionId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { atOnce, eachStep, filterSteps, SLICE, type Steps, sortSteps } from '../../support/slices.ts';
import { boundOf, covers, knownDeletesTs, LatestFirst, max, min, retirementOf } from './deletes.ts';
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
  /** Rows of these timestamps go, too. */
  readonly expired: readonly TimeRange[];
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
  /** Every record of the collection, whatever its state; without those of dropped partitions. */
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
  /** What has expired now. Absent: nothing does. */
  readonly expired?: readonly TimeRange[];
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

/** Merges of some dozen segments each. */
const PLANS_PER_STEP = 64;

const NOTHING = { isProtected: false, isWaiting: false, isResting: false };

const bytesOf = (segment: SegmentRecord, kind: 'rows' | 'deletes'): number =>
  segment.files.reduce((sum, file) => sum + (file.kind === kind ? file.sizeBytes : 0), 0);
const byTime = (a: SegmentRecord, b: SegmentRecord): number =>
  a.minTs < b.minTs || (a.minTs === b.minTs && a.segmentId < b.segmentId) ? -1 : 1;
/** `planSteps`, all at once. */
export const planCompaction = (input: PlanInput): Planned => atOnce(planSteps(input));

/**
 * Segments and log are those of one moment; everything else may be asked at any step. What ends meanwhile takes segments away: whoever
 * starts a plan looks whether its segments are still there.
 */
export function* planSteps(input: PlanInput): Steps<Planned> {
  const channels = new Map<string, Channel>();
  let isRestoring = false;
  yield* eachStep(input.segments, (segment) => {
    if (segment.state === 'dropped') return;
    isRestoring ||= segment.restoreJobId !== undefined;
    addTo(channelOf(channels, segment.channel), segment);
  });
  // Until a restore is tidied its rows may be there and its deletes not yet.
  if (isRestoring) return { ...NOTHING, plans: [], retired: [], isWaiting: true };
  const found: Found = { ...NOTHING, plans: [], retired: [] };
  const inLog = new Map(input.log.map((segment) => [segment.segmentId, segment]));
  for (const channel of channels.values()) yield* planChannel(channel, inLog, input, found);
  return found;
}

/** The living segments of a channel. */
interface Channel {
  readonly rows: SegmentRecord[];
  readonly deletes: SegmentRecord[];
  /** Of the rows those that are flushed. */
  readonly byPartition: Map<PartitionId, { readonly flushed: SegmentRecord[]; totalRows: number }>;
  hasWriting: boolean;
}

function channelOf(channels: Map<string, Channel>, name: string): Channel {
  let channel = channels.get(name);
  if (channel === undefined) {
    channel = { rows: [], deletes: [], byPartition: new Map(), hasWriting: false };
    channels.set(name, channel);
  }
  return channel;
}

function addTo(channel: Channel, segment: SegmentRecord): void {
  const { level, state, partitionId, rowCount } = segment;
  channel.hasWriting ||= state === 'writing';
  (level === 'L0' ? channel.deletes : channel.rows).push(segment);
  if (level === 'L0' || state !== 'flushed') return;
  const present = channel.byPartition.get(partitionId);
  if (present === undefined)
    channel.byPartition.set(partitionId, { flushed: [segment], totalRows: rowCount });
  else {
    present.flushed.push(segment);
    present.totalRows += rowCount;
  }
}

interface Found {
  readonly plans: CompactionPlan[];
  readonly retired: SegmentRecord[];
  isProtected: boolean;
  isWaiting: boolean;
  isResting: boolean;
}

function* planChannel(
  channel: Channel,
  inLog: ReadonlyMap<SegmentId, LogSegment>,
  input: PlanInput,
  found: Found,
): Steps<void> {
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
  found.isWaiting ||= channel.hasWriting;
  /** By the plans of rows. */
  const read = new Set<SegmentRecord>();
  let looked = 0;
  for (const [partitionId, { flushed, totalRows }] of channel.byPartition) {
    looked += flushed.length + channel.deletes.length;
    if (looked > SLICE) {
      looked = 0;
      yield;
    }
    const covering = channel.deletes.filter((segment) => covers(segment, partitionId));
    if (covering.some(({ segmentId }) => input.isBusy(segmentId))) found.isWaiting = true;
    else {
      const deletes = yield* LatestFirst.of(covering.filter(({ state }) => state === 'flushed'));
      const known = knownDeletesTs(covering, inLog);
      const free = yield* filterSteps(flushed, mayTake);
      yield* planRows(free, { totalRows, deletes, known }, input, found.plans);
      for (const segment of deletes.told) read.add(segment);
    }
  }
  const deletes = yield* filterSteps(
    channel.deletes,
    (s) => s.state === 'flushed' && mayTake(s) && !input.isRead(s.segmentId),
  );
  const retirement = yield* retirementOf(channel.rows, inLog);
  const standing: SegmentRecord[] = [];
  for (const segment of deletes) (retirement.isOver(segment) ? found.retired : standing).push(segment);
  let isBusyWithRows = found.plans.length > before;
  yield* eachStep(channel.rows, ({ segmentId }) => {
    isBusyWithRows ||= input.isBusy(segmentId);
  });
  if (input.policy.isThorough && isBusyWithRows) found.isWaiting = true;
  else
    found.plans.push(
      ...(yield* planDeletes(
        standing.filter((segment) => !read.has(segment)),
        input.policy,
      )),
    );
}

interface RowsContext {
  /** Flushed rows of partition and channel: how many. */
  readonly totalRows: number;
  readonly deletes: LatestFirst;
  readonly known: HybridTime;
}

function* planRows(
  free: readonly SegmentRecord[],
  of: RowsContext,
  input: PlanInput,
  plans: CompactionPlan[],
): Steps<void> {
  const { policy } = input;
  const small = policy.mergesRows
    ? yield* filterSteps(free, (segment) => bytesOf(segment, 'rows') < policy.smallBytes)
    : [];
  const groups = yield* groupsOf(yield* sortSteps(small, byTime), (segment) => bytesOf(segment, 'rows'), {
    ...policy,
    isBalanced: !policy.isThorough,
  });
  const merged = new Set<SegmentRecord>();
  yield* eachStep(
    groups,
    (sources) => {
      for (const segment of sources) merged.add(segment);
      plans.push(planOf('merge', sources, of, { minKilled: 0, input }));
    },
    PLANS_PER_STEP,
  );
  yield* eachStep(free, (segment) => {
    if (!merged.has(segment) && isWorthExamining(segment, of, input))
      plans.push(planOf('purge', [segment], of, { minKilled: minKilledOf(segment, of, policy), input }));
  });
}

function planOf(
  kind: RowsPlan['kind'],
  sources: readonly SegmentRecord[],
  of: RowsContext,
  { minKilled, input }: { readonly minKilled: number; readonly input: PlanInput },
): RowsPlan {
  const { expired = [] } = input;
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
    unapplied: of.deletes.sumAfter(bound) + expiredRows(sources, expired),
    expired,
  };
}

/** How many have expired, if they were written evenly. All of them exactly when all have. */
function expiredRows(sources: readonly SegmentRecord[], expired: readonly TimeRange[]): number {
  let rows = 0;
  for (const { minTs, maxTs, rowCount } of sources)
    for (const { after, upTo } of expired) {
      const [first, last] = [max((after + 1n) as HybridTime, minTs), min(upTo, maxTs)];
      if (first > last) continue;
      const share = Number(last - first + 1n) / Number(maxTs - minTs + 1n);
      rows +=
        first === minTs && last === maxTs ? rowCount : Math.min(rowCount - 1, Math.floor(share * rowCount));
    }
  return rows;
}

/** Where deletes outnumber the rows, getting rid of them is worth rewriting a segment for any row. */
function minKilledOf(segment: SegmentRecord, { deletes, totalRows }: RowsContext, policy: Policy): number {
  if (policy.isThorough || deletes.sumAfter(boundOf(segment)) >= totalRows) return 1;
  return Math.max(1, Math.ceil(policy.deleteRatio * segment.rowCount));
}

function isWorthExamining(
  segment: SegmentRecord,
  { deletes, totalRows }: RowsContext,
  { policy, examinedWith, expired = [] }: PlanInput,
): boolean {
  const gone = expiredRows([segment], expired);
  if (gone > 0 && gone === segment.rowCount) return true;
  const unapplied = deletes.sumAfter(boundOf(segment)) + gone;
  if (unapplied === 0) return false;
  if (policy.isThorough) return examinedWith(segment.segmentId) === 0;
  if (gone > policy.deleteRatio * segment.rowCount && unapplied >= 2 * examinedWith(segment.segmentId))
    return true;
  return unapplied >= policy.deleteRatio * totalRows && unapplied >= 2 * examinedWith(segment.segmentId);
}

/** `free`: no plan of rows is about to read them. */
function* planDeletes(free: readonly SegmentRecord[], policy: Policy): Steps<readonly DeletesPlan[]> {
  const plans: DeletesPlan[] = [];
  for (const ofScope of groupBy(free, ({ partitionId }) => partitionId).values()) {
    const ordered = yield* sortSteps(ofScope, byTime);
    const groups = yield* groupsOf(ordered, (segment) => bytesOf(segment, 'deletes'), {
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
