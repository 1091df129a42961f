import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentRecord, SegmentState } from '../../model/records.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { type CompactionPlan, type PlanInput, type Policy, planCompaction } from './plan.ts';

const policy: Policy = {
  maxSizeBytes: 1000,
  smallBytes: 500,
  minSegments: 3,
  maxSegments: 6,
  minDeleteSegments: 3,
  deleteRatio: 0.2,
  mergesRows: true,
  isThorough: false,
};
const thorough: Policy = {
  ...policy,
  minSegments: 2,
  minDeleteSegments: 2,
  deleteRatio: 0,
  isThorough: true,
};

type Known = SegmentRecord & {
  readonly isProtected: boolean;
  readonly isBusy: boolean;
  readonly isResting: boolean;
  readonly isRead: boolean;
  readonly isInLog: boolean;
};

/** Of ten flags one is set. */
const seldom = fc.nat(9).map((n) => n === 0);
const states = fc.constantFrom<SegmentState>(
  'flushed',
  'flushed',
  'flushed',
  'flushed',
  'growing',
  'sealed',
  'writing',
  'dropped',
);
const record = fc.record({
  isDeletes: fc.nat(2).map((n) => n === 0),
  state: states,
  partition: fc.constantFrom(1n, 2n, ALL_PARTITIONS as bigint),
  channel: fc.constantFrom('c0', 'c0', 'c1'),
  size: fc.integer({ min: 1, max: 700 }),
  minTs: fc.integer({ min: 1, max: 500 }),
  length: fc.nat(100),
  rowCount: fc.integer({ min: 1, max: 200 }),
  isProtected: seldom,
  isBusy: seldom,
  isResting: seldom,
  isRead: seldom,
  isInLog: seldom,
});
const segments = fc.array(record, { maxLength: 40, size: 'max' }).map((all) =>
  all.map(
    ({ isDeletes, partition, size, minTs, length, ...more }, n) =>
      ({
        ...more,
        segmentId: BigInt(n + 1) as SegmentId,
        collectionId: 1n as CollectionId,
        partitionId: (isDeletes ? partition : partition === ALL_PARTITIONS ? 1n : partition) as PartitionId,
        level: isDeletes ? 'L0' : 'L1',
        minTs: BigInt(minTs) as HybridTime,
        maxTs: BigInt(minTs + length) as HybridTime,
        files: [{ kind: isDeletes ? 'deletes' : 'rows', key: 'k', sizeBytes: size, crc32: 1, etag: '' }],
        indexes: [],
        isInLog: more.isInLog || more.state === 'growing' || more.state === 'sealed',
      }) as Known,
  ),
);

const inputOf = (
  all: readonly Known[],
  isManual: boolean,
  examined: ReadonlyMap<SegmentId, number> = new Map(),
): PlanInput => {
  const byId = new Map(all.map((each) => [each.segmentId, each]));
  const is = (flag: 'isProtected' | 'isBusy' | 'isResting' | 'isRead') => (id: SegmentId) =>
    byId.get(id)?.[flag] === true;
  return {
    segments: all,
    log: all
      .filter(({ isInLog }) => isInLog)
      .map(
        (each) =>
          ({
            ...each,
            sealed: each.state !== 'growing',
            sizeBytes: 1,
            openedAtMs: 0,
            positions: [],
          }) as unknown as LogSegment,
      ),
    policy: isManual ? thorough : policy,
    isProtected: is('isProtected'),
    isBusy: is('isBusy'),
    isResting: is('isResting'),
    isRead: is('isRead'),
    examinedWith: (id) => examined.get(id) ?? 0,
  };
};
const least = <T extends bigint>(a: T, b: T): T => (a < b ? a : b);
const most = <T extends bigint>(a: T, b: T): T => (a < b ? b : a);
const sizeOf = ({ files }: SegmentRecord): number => files[0]?.sizeBytes ?? 0;

function checkPlan(plan: CompactionPlan, all: readonly Known[], isManual: boolean): void {
  const limits = isManual ? thorough : policy;
  for (const { partitionId, channel, level } of plan.sources) {
    assert.deepEqual([partitionId, channel], [plan.partitionId, plan.channel]);
    assert.equal(level, plan.kind === 'merge-deletes' ? 'L0' : 'L1');
  }
  if (plan.kind === 'purge') assert.equal(plan.sources.length, 1);
  else {
    assert.ok(plan.sources.length >= 2 && plan.sources.length <= limits.maxSegments);
    assert.ok(plan.sources.reduce((sum, each) => sum + sizeOf(each), 0) <= limits.maxSizeBytes);
    if (plan.kind === 'merge') assert.ok(plan.sources.every((each) => sizeOf(each) < limits.smallBytes));
  }
  if (plan.kind === 'merge-deletes') return;
  for (const each of plan.deletes) {
    assert.ok(each.level === 'L0' && each.state === 'flushed' && each.channel === plan.channel);
    assert.ok(each.partitionId === ALL_PARTITIONS || each.partitionId === plan.partitionId);
  }
  // Its bound lies below every delete that no flushed segment holds, as far as its own rows may be killed by it.
  // A delete at or before a row's own time kills nothing.
  const own = plan.sources
    .map(({ deletesAppliedTs, minTs }) => most<bigint>(deletesAppliedTs ?? 0n, minTs))
    .reduce(least);
  for (const each of all) {
    const mayKill = each.level === 'L0' && each.channel === plan.channel && each.state !== 'dropped';
    const covers = each.partitionId === ALL_PARTITIONS || each.partitionId === plan.partitionId;
    const isUnknown = each.state === 'growing' || each.state === 'sealed';
    if (mayKill && covers && isUnknown && plan.deletesAppliedTs > own)
      assert.ok(plan.deletesAppliedTs < each.minTs);
  }
}

test('whatever a collection holds: no plan has a protected segment, one of the log or one that is busy or rests; every segment is in one plan at most', () => {
  let made = 0;
  fc.assert(
    fc.property(segments, fc.boolean(), (all, isManual) => {
      const { plans, retired } = planCompaction(inputOf(all, isManual));
      made += plans.length;
      const taken = new Set<SegmentId>();
      const takes = (each: SegmentRecord) => {
        const known = each as Known;
        assert.ok(!taken.has(each.segmentId), 'a segment is in two plans');
        taken.add(each.segmentId);
        assert.equal(each.state, 'flushed');
        assert.ok(!known.isProtected && !known.isBusy && !known.isResting && !known.isInLog);
      };
      for (const plan of plans) {
        for (const each of plan.sources) takes(each);
        checkPlan(plan, all, isManual);
      }
      for (const each of retired) {
        takes(each);
        assert.ok(each.level === 'L0' && !(each as Known).isRead);
      }
      assert.deepEqual(planCompaction(inputOf(all, isManual)), planCompaction(inputOf(all, isManual)));
    }),
    { seed: 1, numRuns: 800 },
  );
  assert.ok(made > 500, `${made} plans`);
});

test('planning again while the plans are under way plans none of their segments again, and a collection in which all of them ended comes to rest', () => {
  let nextId = 1000n;
  fc.assert(
    fc.property(segments, fc.boolean(), (given, isManual) => {
      let all: Known[] = given.map((each) => ({
        ...each,
        isProtected: false,
        isBusy: false,
        isResting: false,
        isRead: false,
      }));
      /** Purges in vain, as they are remembered. */
      const examined = new Map<SegmentId, number>();
      for (let round = 0; ; round++) {
        assert.ok(round < 30, 'it never comes to rest');
        const { plans, retired } = planCompaction(inputOf(all, isManual, examined));
        if (plans.length === 0 && retired.length === 0) break;
        const sources = new Set(plans.flatMap((plan) => plan.sources));
        const read = new Set(plans.flatMap((plan) => (plan.kind === 'merge-deletes' ? [] : plan.deletes)));
        const under = all.map((each) => ({ ...each, isBusy: sources.has(each), isRead: read.has(each) }));
        for (const { sources: again } of planCompaction(inputOf(under, isManual, examined)).plans)
          for (const each of again)
            assert.ok(![...sources].some(({ segmentId }) => segmentId === each.segmentId));
        // A purge finds no row to remove, which is remembered; the others put one segment in place of theirs.
        for (const plan of plans)
          if (plan.kind === 'purge') {
            for (const each of plan.sources) sources.delete(each);
            examined.set(plan.sources[0]!.segmentId, plan.unapplied);
          }
        all = all.filter((each) => !sources.has(each) && !retired.includes(each));
        for (const plan of plans) {
          if (plan.kind === 'purge') continue;
          const [first] = plan.sources as readonly Known[];
          const sum = (of: (each: SegmentRecord) => number) =>
            plan.sources.reduce((total, each) => total + of(each), 0);
          all.push({
            ...(first as Known),
            segmentId: nextId++ as SegmentId,
            rowCount: sum(({ rowCount }) => rowCount),
            minTs: plan.sources.map(({ minTs }) => minTs).reduce(least),
            maxTs: plan.sources.map(({ maxTs }) => maxTs).reduce(most),
            files: [{ ...(first as Known).files[0]!, sizeBytes: sum(sizeOf) }],
            ...(plan.kind === 'merge-deletes' ? {} : { deletesAppliedTs: plan.deletesAppliedTs }),
          });
        }
      }
    }),
    { seed: 2, numRuns: 250 },
  );
});
