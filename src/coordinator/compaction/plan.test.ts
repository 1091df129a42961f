import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentFile, SegmentRecord } from '../../model/records.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { SLICE } from '../../support/slices.ts';
import { type CompactionPlan, type PlanInput, type Policy, planCompaction, planSteps } from './plan.ts';

const MB = 1024 * 1024;
const automatic: Policy = {
  maxSizeBytes: 100 * MB,
  smallBytes: 50 * MB,
  minSegments: 4,
  maxSegments: 30,
  minDeleteSegments: 10,
  deleteRatio: 0.2,
  mergesRows: true,
  isThorough: false,
};
const thorough: Policy = {
  ...automatic,
  minSegments: 2,
  minDeleteSegments: 2,
  deleteRatio: 0,
  isThorough: true,
};

const never = () => false;
const input = (segments: readonly SegmentRecord[], more: Partial<PlanInput> = {}): PlanInput => ({
  segments,
  log: [],
  policy: automatic,
  isProtected: never,
  isBusy: never,
  isResting: never,
  isRead: never,
  examinedWith: () => 0,
  ...more,
});

const fileOf = (kind: SegmentFile['kind'], sizeBytes: number): SegmentFile => ({
  kind,
  key: kind,
  sizeBytes,
  crc32: 1,
  etag: '',
});

let nextId = 1n;
const place = { collectionId: 1n as CollectionId, partitionId: 1n as PartitionId, channel: 'c0' };
const rows = (of: Partial<SegmentRecord> & { sizeMb?: number } = {}): SegmentRecord => {
  const segmentId = nextId++ as SegmentId;
  const { sizeMb = 1, ...given } = of;
  const minTs = given.minTs ?? ((segmentId * 10n) as HybridTime);
  return {
    ...place,
    segmentId,
    level: 'L1',
    state: 'flushed',
    rowCount: 100,
    minTs,
    maxTs: (minTs + 5n) as HybridTime,
    files: [fileOf('rows', sizeMb * MB)],
    indexes: [],
    ...given,
  };
};
const deletes = (of: Partial<SegmentRecord> = {}): SegmentRecord =>
  rows({ level: 'L0', partitionId: ALL_PARTITIONS, files: [fileOf('deletes', 1000)], rowCount: 10, ...of });
const many = (count: number, of: Parameters<typeof rows>[0] = {}) =>
  Array.from({ length: count }, () => rows(of));
const ts = (at: number) => BigInt(at) as HybridTime;
const kinds = (plans: readonly CompactionPlan[]) =>
  plans.map(({ kind, sources }) => `${kind} ${sources.length}`);

test('a plan over 100,000 segments is made in steps, of which each asks about some thousand segments at most', () => {
  const large = rows({ sizeMb: 60 });
  const records = Array.from({ length: 100_000 }, (_, i) =>
    i % 10 === 0 ? rows() : { ...large, segmentId: nextId++ as SegmentId },
  );
  const killing = deletes({ minTs: ts(1), maxTs: (nextId * 10n + 10n) as HybridTime, rowCount: 10_000_000 });
  let asked = 0;
  let most = 0;
  const count = <T>(answer: T) => {
    asked++;
    return answer;
  };
  const steps = planSteps(
    input([...records, killing], {
      isProtected: () => count(false),
      examinedWith: () => count(0),
      isBusy: () => count(false),
    }),
  );
  let number = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) {
    most = Math.max(most, asked);
    asked = 0;
    number++;
  }
  assert.ok(number > 4 * (records.length / SLICE), `${number} steps`);
  assert.ok(most <= 3 * SLICE, `${most} questions in one step`);
  const { plans } = step.value;
  const merges = plans.filter(({ kind }) => kind === 'merge').length;
  assert.deepEqual([merges, plans.length - merges], [Math.ceil(10_000 / 30), 90_000]);
});

test('as many small segments of one partition and channel as the threshold says are merged, fewer are not', () => {
  assert.deepEqual(kinds(planCompaction(input(many(3))).plans), []);
  assert.deepEqual(kinds(planCompaction(input(many(4))).plans), ['merge 4']);
  const apart = [...many(3), ...many(3, { channel: 'c1' }), ...many(3, { partitionId: 2n as PartitionId })];
  assert.deepEqual(kinds(planCompaction(input(apart)).plans), []);
});

test('few segments are merged when they fill one', () => {
  assert.deepEqual(kinds(planCompaction(input(many(3, { sizeMb: 45 }))).plans), ['merge 2']);
});

test('a large segment is not written again for a few small ones', () => {
  const large = rows({ sizeMb: 40 });
  const { plans } = planCompaction(input([large, ...many(4)]));
  assert.deepEqual(kinds(plans), ['merge 4']);
  assert.ok(plans.every(({ sources }) => !sources.includes(large)));
  assert.deepEqual(kinds(planCompaction(input([large, ...many(4)], { policy: thorough })).plans), [
    'merge 5',
  ]);
});

test('what is not small is not merged, and no merge is larger than the limit in bytes or segments', () => {
  assert.deepEqual(kinds(planCompaction(input(many(5, { sizeMb: 50 }))).plans), []);
  assert.deepEqual(kinds(planCompaction(input(many(64))).plans), ['merge 30', 'merge 30', 'merge 4']);
});

test('a merge applies the deletes that can kill, and its bound is below every delete that is not in a file', () => {
  const sources = many(4, { minTs: ts(1000) });
  const early = deletes({ minTs: ts(900), maxTs: ts(1000) });
  const late = deletes({ minTs: ts(1500), maxTs: ts(2000) });
  const growing = deletes({ state: 'growing', minTs: ts(0), maxTs: ts(0) });
  const log = [{ ...growing, minTs: ts(1800), maxTs: ts(2500) } as unknown as LogSegment];
  const [plan] = planCompaction(input([...sources, early, late, growing], { log })).plans;
  assert.ok(plan?.kind === 'merge');
  assert.deepEqual(plan.deletes, [late]);
  assert.equal(plan.deletesAppliedTs, 1799n);
  const [without] = planCompaction(input([...sources, early, late])).plans;
  assert.ok(without?.kind === 'merge');
  assert.equal(without.deletesAppliedTs, 2000n);
});

test('a segment with many deletes not applied is rewritten when enough of its rows are dead', () => {
  const one = rows({ minTs: ts(100), rowCount: 100 });
  const few = deletes({ minTs: ts(200), maxTs: ts(201), rowCount: 19 });
  const enough = deletes({ minTs: ts(200), maxTs: ts(201), rowCount: 20 });
  assert.deepEqual(planCompaction(input([one, few])).plans, []);
  const [plan] = planCompaction(input([one, enough])).plans;
  assert.ok(plan?.kind === 'purge');
  assert.equal(plan.minKilled, 20);
  assert.deepEqual(planCompaction(input([{ ...one, deletesAppliedTs: ts(201) }, enough])).plans, []);
});

test('a segment examined in vain is examined again when its deletes have doubled', () => {
  const one = rows({ minTs: ts(100), rowCount: 100 });
  const of = (rowCount: number) => deletes({ minTs: ts(200), maxTs: ts(201), rowCount });
  const examined = { examinedWith: () => 30 };
  assert.deepEqual(planCompaction(input([one, of(59)], examined)).plans, []);
  assert.deepEqual(kinds(planCompaction(input([one, of(60)], examined)).plans), ['purge 1']);
});

test('deletes that outnumber the rows are worth rewriting for one dead row', () => {
  const one = rows({ minTs: ts(100), rowCount: 100 });
  const [plan] = planCompaction(input([one, deletes({ minTs: ts(1), maxTs: ts(300), rowCount: 100 })])).plans;
  assert.ok(plan?.kind === 'purge');
  assert.equal(plan.minKilled, 1);
});

test('delete segments of one channel and partition scope are merged, protected and read ones stay', () => {
  const holder = rows({ minTs: ts(1), rowCount: 100_000 });
  const all = Array.from({ length: 12 }, () => deletes());
  const other = deletes({ partitionId: 1n as PartitionId });
  assert.deepEqual(kinds(planCompaction(input([holder, ...all, other])).plans), ['merge-deletes 12']);
  const isRead = (id: SegmentId) => id === all[0]!.segmentId;
  const isProtected = (id: SegmentId) => id === all[1]!.segmentId;
  assert.deepEqual(kinds(planCompaction(input([holder, ...all], { isRead, isProtected })).plans), [
    'merge-deletes 10',
  ]);
});

test('deletes are dropped when no segment of any state can hold a row they kill', () => {
  const gone = deletes({ minTs: ts(10), maxTs: ts(50) });
  const retiredWith = (...others: SegmentRecord[]) =>
    planCompaction(input([gone, ...others])).retired.length === 1;
  assert.ok(retiredWith());
  assert.ok(retiredWith(rows({ minTs: ts(50) })));
  assert.ok(!retiredWith(rows({ minTs: ts(49) })));
  assert.ok(retiredWith(rows({ minTs: ts(1), deletesAppliedTs: ts(50) })));
  assert.ok(retiredWith(rows({ minTs: ts(1), state: 'dropped' })));
  assert.ok(retiredWith(rows({ minTs: ts(1), channel: 'c1' })));
  assert.ok(!retiredWith(rows({ minTs: ts(1), state: 'sealed' })));
  assert.ok(!retiredWith(rows({ minTs: ts(60), state: 'writing' })));
  assert.ok(!retiredWith(rows({ minTs: ts(0), state: 'growing' })));
  const mine = { ...gone, partitionId: 1n as PartitionId };
  const elsewhere = rows({ minTs: ts(1), partitionId: 2n as PartitionId });
  assert.equal(planCompaction(input([mine, elsewhere])).retired.length, 1);
});

test('nothing is planned while a restore fills or tidies the collection', () => {
  const targets = many(8, { restoreJobId: 5n as never });
  assert.deepEqual(planCompaction(input([...targets, ...many(8)])).plans, []);
});

// A small model: rows and deletes of two channels and two partitions, segments that grow, are sealed, flushed and compacted.

interface Item {
  readonly key: number;
  readonly ts: bigint;
}
interface Model {
  record: SegmentRecord;
  items: Item[];
  isInLog: boolean;
}
type Step =
  | { do: 'insert' | 'delete'; key: number; channel: number; partition: number; everywhere: boolean }
  | { do: 'seal' | 'flush' | 'release' | 'land' | 'protect'; at: number }
  | { do: 'plan'; isManual: boolean }
  | { do: 'finish'; at: number };

const mostlyFirst = fc.constantFrom(0, 0, 0, 1);
const moved = <What extends Extract<Step, { at: number }>['do']>(...what: What[]) =>
  fc.record({ do: fc.constantFrom(...what), at: fc.nat(30) });
const written = <What extends 'insert' | 'delete'>(what: What) =>
  fc.record({
    do: fc.constant(what),
    key: fc.nat(2),
    channel: mostlyFirst,
    partition: mostlyFirst,
    everywhere: fc.boolean(),
  });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: written('insert') },
  { weight: 4, arbitrary: written('delete') },
  { weight: 5, arbitrary: moved('land') },
  { weight: 2, arbitrary: moved('seal', 'flush', 'release') },
  { weight: 1, arbitrary: moved('protect') },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('plan' as const), isManual: fc.boolean() }) },
  { weight: 4, arbitrary: moved('finish') },
);

const covers = (scope: PartitionId, partitionId: PartitionId) =>
  scope === ALL_PARTITIONS || scope === partitionId;

class World {
  readonly models: Model[] = [];
  readonly truth: (Item & { channel: string; partitionId: PartitionId; dead: boolean })[] = [];
  readonly protectedIds = new Set<SegmentId>();
  readonly open: CompactionPlan[] = [];
  #ts = 100n;
  #id = 1n;

  run(step: Step): void {
    switch (step.do) {
      case 'insert':
      case 'delete':
        this.#write(step);
        break;
      case 'plan':
        this.#plan(step.isManual ? thorough : { ...automatic, minSegments: 2, minDeleteSegments: 2 });
        break;
      case 'finish':
        this.#finish(this.open[step.at % this.open.length]);
        break;
      case 'land':
        this.#land(step.at);
        break;
      default:
        this.#move(step.do, step.at);
    }
    this.#check();
  }

  #write({ do: what, key, channel, partition, everywhere }: Extract<Step, { key: number }>): void {
    const item = { key, ts: ++this.#ts };
    const own = BigInt(partition + 1) as PartitionId;
    const partitionId = what === 'delete' && everywhere ? ALL_PARTITIONS : own;
    const level = what === 'insert' ? 'L1' : 'L0';
    const at = { channel: `c${channel}`, partitionId, level } as const;
    let model = this.models.find(
      ({ record }) =>
        record.state === 'growing' &&
        record.channel === at.channel &&
        record.partitionId === partitionId &&
        record.level === level,
    );
    if (model === undefined) {
      const record = rows({
        ...at,
        segmentId: this.#id++ as SegmentId,
        state: 'growing',
        rowCount: 0,
        minTs: ts(0),
        maxTs: ts(0),
        files: [],
      });
      model = { record, items: [], isInLog: true };
      this.models.push(model);
    }
    model.items.push(item);
    if (level === 'L1') this.truth.push({ ...item, channel: at.channel, partitionId, dead: false });
    else
      for (const row of this.truth)
        if (row.key === key && row.channel === at.channel && covers(partitionId, row.partitionId))
          row.dead = true;
  }

  /** As the streaming node: a segment is flushed only once sealed, and in the log until it is released. */
  #move(what: 'seal' | 'flush' | 'release' | 'protect', at: number): void {
    const from = { seal: 'growing', flush: 'sealed', release: 'flushed', protect: 'flushed' }[what];
    const meant = this.models.filter(
      ({ record, isInLog }) => record.state === from && (what !== 'release' || isInLog),
    );
    const model = meant[at % meant.length];
    if (model === undefined) return;
    if (what === 'protect') this.protectedIds.add(model.record.segmentId);
    else if (what === 'release') model.isInLog = false;
    else if (what === 'seal') model.record = { ...model.record, state: 'sealed', ...timesOf(model.items) };
    else model.record = { ...model.record, state: 'flushed', files: filesFor(model) };
  }

  /** All the way, at once. */
  #land(at: number): void {
    const growing = this.models.filter(({ record }) => record.state === 'growing');
    const model = growing[at % growing.length];
    if (model === undefined) return;
    model.isInLog = false;
    model.record = { ...model.record, state: 'flushed', ...timesOf(model.items), files: filesFor(model) };
  }

  #plan(policy: Policy): void {
    const busy = new Set(this.open.flatMap(({ sources }) => sources.map(({ segmentId }) => segmentId)));
    const read = new Set(
      this.open.flatMap((plan) =>
        plan.kind === 'merge-deletes' ? [] : plan.deletes.map((d) => d.segmentId),
      ),
    );
    const { plans, retired } = planCompaction(
      input(
        this.models.map(({ record }) => record),
        {
          policy,
          log: this.models
            .filter(({ isInLog }) => isInLog)
            .map(({ record, items }) => ({ ...record, ...timesOf(items) }) as unknown as LogSegment),
          isProtected: (id) => this.protectedIds.has(id),
          isBusy: (id) => busy.has(id),
          isRead: (id) => read.has(id),
        },
      ),
    );
    for (const plan of plans) this.#checkPlan(plan, busy, policy);
    for (const record of retired) {
      assert.ok(!this.protectedIds.has(record.segmentId) && !busy.has(record.segmentId));
      this.#drop(record.segmentId);
    }
    this.open.push(...plans);
  }

  #checkPlan(
    { kind, sources, channel, partitionId }: CompactionPlan,
    busy: ReadonlySet<SegmentId>,
    policy: Policy,
  ): void {
    for (const source of sources) {
      const model = this.models.find(({ record }) => record === source);
      assert.ok(model !== undefined && !model.isInLog, 'never a segment of the log');
      assert.ok(source.state === 'flushed' && source.restoreJobId === undefined);
      assert.ok(!this.protectedIds.has(source.segmentId), 'never of a protected segment');
      assert.ok(!busy.has(source.segmentId), 'never one of another plan');
      assert.ok(source.channel === channel && source.partitionId === partitionId);
      assert.equal(source.level, kind === 'merge-deletes' ? 'L0' : 'L1');
    }
    assert.ok(sources.length <= policy.maxSegments && sources.length >= (kind === 'purge' ? 1 : 2));
    assert.equal(new Set(sources).size, sources.length);
  }

  #finish(plan: CompactionPlan | undefined): void {
    if (plan === undefined) return;
    this.open.splice(this.open.indexOf(plan), 1);
    if (plan.sources.some(({ segmentId }) => this.protectedIds.has(segmentId))) return;
    const items = plan.sources.flatMap(({ segmentId }) => this.#itemsOf(segmentId));
    const { channel, partitionId } = plan;
    if (plan.kind === 'merge-deletes') {
      const newest = new Map(
        items.toSorted((a, b) => (a.ts < b.ts ? -1 : 1)).map((item) => [item.key, item]),
      );
      this.#replace(plan, { channel, partitionId, level: 'L0' }, [...newest.values()]);
      return;
    }
    const kills = plan.deletes.flatMap(({ segmentId }) => this.#itemsOf(segmentId));
    const left = items.filter((row) => !kills.some((kill) => kill.key === row.key && row.ts < kill.ts));
    const { deletesAppliedTs } = plan;
    const [only] = plan.sources;
    if (plan.kind === 'purge' && items.length - left.length < plan.minKilled) {
      const model = this.models.find(({ record }) => record.segmentId === only?.segmentId);
      if (left.length === items.length && model !== undefined)
        model.record = { ...model.record, deletesAppliedTs };
    } else this.#replace(plan, { channel, partitionId, level: 'L1', deletesAppliedTs }, left);
  }

  #replace(plan: CompactionPlan, of: Partial<SegmentRecord>, items: Item[]): void {
    for (const { segmentId } of plan.sources) this.#drop(segmentId);
    if (items.length === 0) return;
    const record = rows({ ...of, segmentId: this.#id++ as SegmentId, ...timesOf(items) });
    const model = { record, items, isInLog: false };
    model.record = { ...record, files: filesFor(model) };
    this.models.push(model);
  }

  #itemsOf = (segmentId: SegmentId) =>
    this.models.find(({ record }) => record.segmentId === segmentId)!.items;

  #drop(segmentId: SegmentId): void {
    const model = this.models.find(({ record }) => record.segmentId === segmentId)!;
    model.record = { ...model.record, state: 'dropped' };
  }

  /** What a reader of everything sees is what was written and not deleted: no row lost, doubled or come back. */
  #check(): void {
    const living = this.models.filter(({ record }) => record.state !== 'dropped');
    const kills = living.filter(({ record }) => record.level === 'L0');
    const seen = living
      .filter(({ record }) => record.level === 'L1')
      .flatMap(({ record, items }) =>
        items.filter(
          (row) =>
            !kills.some(
              (kill) =>
                kill.record.channel === record.channel &&
                covers(kill.record.partitionId, record.partitionId) &&
                kill.items.some(({ key, ts: at }) => key === row.key && row.ts < at),
            ),
        ),
      );
    const expected = this.truth.filter(({ dead }) => !dead).map(({ ts: at }) => at);
    assert.deepEqual(seen.map(({ ts: at }) => at).sort(), expected.sort());
  }
}

const timesOf = (items: readonly Item[]) => {
  const times = items.map(({ ts: at }) => at).sort((a, b) => (a < b ? -1 : 1));
  return { rowCount: items.length, minTs: times[0] as HybridTime, maxTs: times.at(-1) as HybridTime };
};
const filesFor = ({ record, items }: Model) => [
  fileOf(record.level === 'L1' ? 'rows' : 'deletes', items.length * 100),
];

test('whatever is merged, purged and retired in whatever order, exactly the rows that were not deleted are seen', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const world = new World();
      for (const each of steps) world.run(each);
    }),
    { seed: 7, numRuns: 500 },
  );
});

test('sizes of merges are bounded', () => {
  const segment = fc.record({
    sizeMb: fc.integer({ min: 0, max: 1200 }).map((tenths) => tenths / 10),
    minTs: fc.bigInt(1n, 1000n),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 80 }), fc.boolean(), (list, isManual) => {
      const records = list.map(({ sizeMb, minTs }) => rows({ sizeMb, minTs: minTs as HybridTime }));
      for (const { sources } of planCompaction(input(records, { policy: isManual ? thorough : automatic }))
        .plans) {
        const bytes = sources.map(({ files }) => files[0]!.sizeBytes);
        assert.ok(bytes.reduce((a, b) => a + b) <= automatic.maxSizeBytes);
        assert.ok(bytes.every((size) => size < automatic.smallBytes));
        assert.ok(sources.length <= automatic.maxSegments);
      }
    }),
    { seed: 3 },
  );
});

test('a segment is rewritten when all of it has expired, or more of it than is worth it; never for less', () => {
  const span = (minTs: bigint, maxTs: bigint) =>
    rows({ minTs: minTs as HybridTime, maxTs: maxTs as HybridTime, sizeMb: 60 });
  const [all, half, few, none] = [span(1n, 100n), span(51n, 150n), span(91n, 190n), span(101n, 200n)];
  const expired = [{ after: 0n as HybridTime, upTo: 100n as HybridTime }];
  const of = (more: Partial<PlanInput>) =>
    planCompaction(input([all, half, few, none], { expired, ...more })).plans.map((plan) =>
      plan.kind === 'purge' ? [plan.sources[0], plan.minKilled, plan.unapplied, plan.expired] : plan.kind,
    );
  assert.deepEqual(of({}), [
    [all, 20, 100, expired],
    [half, 20, 50, expired],
  ]);
  assert.deepEqual(of({ expired: [] }), []);
  // Looked at, and found to have fewer: again when twice as much may have gone, and in any case when all has.
  assert.deepEqual(
    of({ examinedWith: () => 40 }).map(([segment]) => segment),
    [all],
  );
  assert.deepEqual(of({ isProtected: () => true }), []);
  assert.deepEqual(
    of({ policy: thorough }).map(([segment]) => segment),
    [all, half, few],
  );
});

test('a merge leaves out what has expired', () => {
  const expired = [{ after: 0n as HybridTime, upTo: 5n as HybridTime }];
  const plans = planCompaction(input([rows(), rows(), rows(), rows()], { expired })).plans;
  assert.deepEqual(
    plans.map((plan) => [plan.kind, 'expired' in plan && plan.expired]),
    [['merge', expired]],
  );
});
