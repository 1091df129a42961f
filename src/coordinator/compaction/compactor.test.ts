import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RowFiles } from '../../../tests/control/row-files.ts';
import {
  books,
  named,
  settle,
  startWorld,
  type World,
  type WorldOptions,
} from '../../../tests/control/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { CollectionId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { ManualCompaction } from '../api.ts';
import { indexes, segments } from '../tables.ts';
import { defaultCompactionLimits } from './limits.ts';

const failsWith = (code: ErrorName, words: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(words);

interface Stage {
  readonly world: World;
  readonly files: RowFiles;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
}

const manualOnly = { compaction: { ...defaultCompactionLimits, isAutomatic: false } };

async function stage(options: WorldOptions = {}): Promise<Stage> {
  const world = await startWorld(options);
  const files = new RowFiles();
  world.scheduler.node = files.node(world);
  return { world, files, ...(await books(world)) };
}

/** Writes and flushes, as far as the log's release. */
async function flushed(of: Stage, keys: readonly number[], level: SegmentRecord['level'] = 'L1') {
  const segmentId = await of.files.write(of.world, of, keys, level);
  const waiting = of.world.flusher.flushAll(of.collectionId);
  await settle();
  await of.world.scheduler.run();
  await waiting;
  await settle();
  return segmentId;
}

/** Rounds of background loops and data nodes until nothing moves any more. */
async function run({ scheduler }: World, rounds = 8): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await settle();
    await scheduler.run();
  }
  await settle();
}

const recordsOf = ({ world, collectionId }: Stage, state: SegmentRecord['state'] = 'flushed') =>
  world.foundations.catalog.find(segments, 'collection', collectionId).filter((s) => s.state === state);
const idsOf = (records: readonly SegmentRecord[]) =>
  records.map(({ segmentId }) => segmentId).sort((a, b) => (a < b ? -1 : 1));
const rowsOf = (of: Stage) => recordsOf(of).filter(({ level }) => level === 'L1');

function checkRows(of: Stage): void {
  assert.deepEqual(of.files.visible(of.world, of.collectionId), of.files.expected());
}

const all = ({ collectionId }: Stage): ManualCompaction => ({ collectionId, isDeletesOnly: false });

test('small segments of many flushes become one by themselves: same rows, fewer segments', async () => {
  const of = await stage();
  for (let i = 0; i < 4; i++) await flushed(of, [10 * i, 10 * i + 1]);
  await run(of.world);
  assert.equal(rowsOf(of).length, 1);
  assert.equal(recordsOf(of, 'dropped').length, 4);
  assert.ok(recordsOf(of, 'dropped').every(({ droppedAtMs }) => droppedAtMs === of.world.clock.ms));
  assert.equal(of.world.coordinator.rowCount(of.collectionId), 8);
  checkRows(of);
  await of.world.coordinator.close();
});

test('deleted rows are removed by a manual compaction, and then the deletes themselves', async () => {
  const of = await stage({ limits: manualOnly });
  await flushed(of, [1, 2, 3]);
  await flushed(of, [4, 5]);
  await flushed(of, [2, 5], 'L0');
  await flushed(of, [2, 6]);
  await flushed(of, [3], 'L0');
  const { compactionId, plans } = await of.world.coordinator.compact(all(of));
  assert.equal(plans.length, 1);
  assert.equal(of.world.coordinator.compactionState(compactionId).state, 'executing');
  await run(of.world);
  const done = of.world.coordinator.compactionState(compactionId);
  assert.equal(done.state, 'completed');
  assert.deepEqual(
    done.plans.map(({ state, target }) => [state, target]),
    [['completed', idsOf(rowsOf(of))[0]]],
  );
  assert.equal(recordsOf(of).length, 1, 'no delete segment is left');
  const stats = { running: 0, completed: 1, failed: 0, rowsRemoved: 3 };
  assert.deepEqual(of.world.coordinator.compactionStats(), stats);
  assert.equal(of.world.coordinator.rowCount(of.collectionId), 4);
  checkRows(of);
  await of.world.coordinator.close();
});

test('a segment that loses all its rows leaves nothing', async () => {
  const of = await stage({ limits: manualOnly });
  await flushed(of, [1, 2]);
  await flushed(of, [1, 2], 'L0');
  const { compactionId } = await of.world.coordinator.compact(all(of));
  await run(of.world);
  const { state, plans } = of.world.coordinator.compactionState(compactionId);
  assert.equal(state, 'completed');
  assert.equal(plans[0]?.target, undefined);
  assert.deepEqual(recordsOf(of), []);
  assert.deepEqual(recordsOf(of, 'writing'), []);
  await of.world.coordinator.close();
});

test('deletes that kill no row of a segment are noted, and dropped without writing anything', async () => {
  const of = await stage({ limits: manualOnly });
  await flushed(of, [1, 2]);
  await flushed(of, [7], 'L0');
  const before = rowsOf(of)[0]?.files;
  await of.world.coordinator.compact(all(of));
  await run(of.world);
  assert.equal(recordsOf(of).length, 1);
  assert.equal(rowsOf(of)[0]?.files, before);
  checkRows(of);
  await of.world.coordinator.close();
});

test('a compaction is never of a protected segment, and comes back to it when the protection has ended', async () => {
  const of = await stage();
  for (let i = 0; i < 3; i++) of.world.protectedIds.add(await flushed(of, [i]));
  await flushed(of, [8]);
  await flushed(of, [1], 'L0');
  const before = idsOf(recordsOf(of));
  const { compactionId } = await of.world.coordinator.compact({
    ...all(of),
    segmentIds: [...of.world.protectedIds],
  });
  await run(of.world);
  assert.equal(of.world.coordinator.compactionState(compactionId).state, 'completed');
  assert.deepEqual(idsOf(recordsOf(of)), before);
  of.world.protectedIds.clear();
  of.world.clock.ms += defaultCompactionLimits.tickMs;
  await of.world.tick();
  await run(of.world);
  assert.equal(rowsOf(of).length, 1);
  checkRows(of);
  await of.world.coordinator.close();
});

test('R21: a segment protected while a node compacts it stays; what was written is dropped', async () => {
  const of = await stage();
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  const before = idsOf(rowsOf(of));
  const node = of.files.node(of.world);
  of.world.scheduler.node = (work: NodeWork) => {
    if (work.kind === 'compact') of.world.protectedIds.add(before[0]!);
    return node(work);
  };
  await run(of.world);
  assert.deepEqual(idsOf(rowsOf(of)), before);
  assert.deepEqual(recordsOf(of, 'writing'), []);
  assert.equal(recordsOf(of, 'dropped').length, 1);
  checkRows(of);
  await of.world.coordinator.close();
});

test('no segment is replaced while a snapshot captures the collection, other work goes on', async () => {
  const of = await stage();
  let end = () => {};
  const capture = of.world.captureGate.capture(
    of.collectionId,
    () => new Promise<void>((done) => (end = done)),
  );
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  await run(of.world);
  assert.equal(rowsOf(of).length, 4);
  assert.equal(recordsOf(of, 'writing').length, 1, 'it is written and waits');
  end();
  await capture;
  await run(of.world);
  assert.equal(rowsOf(of).length, 1);
  await of.world.coordinator.close();
});

test('a source that gets an index meanwhile is still replaced; the output has its index before anybody sees it', async () => {
  const of = await stage({ limits: { minRowsToIndex: 4 } });
  const { catalog } = of.world.foundations;
  const seen: boolean[] = [];
  catalog.onChange((changes) => {
    for (const { table, is } of changes)
      if (
        table === segments &&
        (is as SegmentRecord).state === 'flushed' &&
        (is as SegmentRecord).rowCount === 16
      )
        seen.push((is as SegmentRecord).indexes.length === 1);
  });
  const node = of.files.node(of.world);
  let isFirst = true;
  of.world.scheduler.node = async (work: NodeWork) => {
    // The sources' builds end while the merge runs.
    if (work.kind === 'compact' && isFirst) {
      isFirst = false;
      await of.world.scheduler.run();
    }
    return node(work);
  };
  for (let i = 0; i < 4; i++) {
    await of.files.write(of.world, of, [i, i + 10, i + 20, i + 30]);
    const waiting = of.world.flusher.flushAll(of.collectionId);
    await settle();
    for (const task of [...of.world.scheduler.tasks.values()])
      if (task.taskClass === 'flush') await of.world.scheduler.run();
    await waiting;
  }
  await run(of.world, 12);
  assert.equal(rowsOf(of).length, 1);
  assert.deepEqual(seen, [true]);
  checkRows(of);
  await of.world.coordinator.close();
});

test('a build that fails does not stop the compaction', async () => {
  const of = await stage({ limits: { minRowsToIndex: 4 } });
  const node = of.files.node(of.world);
  of.world.scheduler.node = (work: NodeWork) => {
    if (work.kind === 'build-index') throw new DbError('storage-failed', 'for now');
    return node(work);
  };
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  await run(of.world);
  assert.deepEqual(
    rowsOf(of).map(({ rowCount, indexes: built }) => [rowCount, built.length]),
    [[4, 0]],
  );
  of.world.scheduler.node = node;
  await run(of.world);
  assert.equal(rowsOf(of)[0]?.indexes.length, 1, 'built afterwards, as for any flushed segment');
  await of.world.coordinator.close();
});

test('an index build that failed for good is no trouble any more once its segment was compacted away', async () => {
  const of = await stage({ limits: { minRowsToIndex: 2 } });
  const node = of.files.node(of.world);
  const { coordinator, scheduler } = of.world;
  scheduler.node = (work: NodeWork) => {
    if (work.kind === 'build-index' && work.rowCount === 2) throw new DbError('data-integrity', 'bad rows');
    return node(work);
  };
  for (let i = 0; i < 3; i++) await flushed(of, [10 * i, 10 * i + 1]);
  await run(of.world);
  assert.match(coordinator.health().reasons.join(), /index build .*bad rows/);
  await flushed(of, [30, 31]);
  await run(of.world);
  assert.deepEqual(
    rowsOf(of).map(({ rowCount, indexes: built }) => [rowCount, built.length]),
    [[8, 1]],
  );
  assert.deepEqual(coordinator.health().reasons, []);
  await coordinator.close();
});

test('an index dropped while the output waits for it leaves no entry', async () => {
  const of = await stage({ limits: { minRowsToIndex: 4 } });
  let end = () => {};
  const capture = of.world.captureGate.capture(
    of.collectionId,
    () => new Promise<void>((done) => (end = done)),
  );
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  await run(of.world);
  assert.equal(recordsOf(of, 'writing')[0]?.indexes.length, 1);
  await of.world.coordinator.dropIndex(named('books'), 'vec', '');
  end();
  await capture;
  await run(of.world);
  assert.deepEqual(
    rowsOf(of).map((segment) => segment.indexes),
    [[]],
  );
  assert.deepEqual(of.world.foundations.catalog.find(indexes, 'collection', of.collectionId), []);
  await of.world.coordinator.close();
});

for (const moment of ['before a node works', 'while a node works', 'while the hand-over waits'] as const)
  test(`a collection dropped ${moment} leaves no segment and no compaction`, async () => {
    const of = await stage();
    const drop = () => of.world.coordinator.dropCollection(named('books'));
    let end = () => {};
    let capture: Promise<void> | undefined;
    for (let i = 0; i < 4; i++) await flushed(of, [i]);
    await settle();
    assert.equal(of.world.scheduler.tasks.size, 1);
    const node = of.files.node(of.world);
    if (moment === 'before a node works') await drop();
    else if (moment === 'while a node works')
      of.world.scheduler.node = async (work: NodeWork) => {
        await drop();
        return node(work);
      };
    else
      capture = of.world.captureGate.capture(
        of.collectionId,
        () => new Promise<void>((done) => (end = done)),
      );
    await run(of.world);
    if (capture !== undefined) await drop();
    end();
    await capture;
    await run(of.world);
    for (const state of ['flushed', 'writing', 'growing', 'sealed'] as const)
      assert.deepEqual(recordsOf(of, state), []);
    assert.equal(of.world.scheduler.tasks.size, 0);
    assert.deepEqual(of.world.coordinator.health(), { isHealthy: true, reasons: [] });
    await of.world.coordinator.close();
  });

test('a partition dropped while its segments are compacted stays dropped', async () => {
  const of = await stage();
  await of.world.coordinator.createPartition(named('books'), 'p');
  const info = of.world.coordinator.describeCollection(named('books'));
  const partitionId = info.partitions.find(({ name }) => name === 'p')!.partitionId;
  for (let i = 0; i < 4; i++) await flushed({ ...of, partitionId }, [i]);
  await settle();
  const node = of.files.node(of.world);
  of.world.scheduler.node = async (work: NodeWork) => {
    await of.world.coordinator.dropPartition(named('books'), 'p');
    return node(work);
  };
  await run(of.world);
  assert.deepEqual([...recordsOf(of), ...recordsOf(of, 'writing')], []);
  assert.equal(of.world.scheduler.tasks.size, 0);
  await of.world.coordinator.close();
});

test('a missing object fails the plan, is named in health, and is not tried again before a long back-off', async () => {
  const of = await stage();
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  const lost = rowsOf(of)[1]!.files[0]!.key;
  const kept = of.files.files.get(lost)!;
  of.files.files.delete(lost);
  await run(of.world);
  assert.equal(rowsOf(of).length, 4);
  assert.ok(of.world.coordinator.health().reasons.some((reason) => reason.includes('object-not-found')));
  assert.ok(
    of.world.coordinator.health().reasons.some((reason) => reason.includes(`${rowsOf(of)[1]!.segmentId}`)),
  );
  const sent = of.world.scheduler.sent.length;
  await of.world.tick();
  await run(of.world);
  assert.equal(of.world.scheduler.sent.length, sent);
  of.files.files.set(lost, kept);
  of.world.clock.ms += defaultCompactionLimits.retryAfterMs;
  await of.world.tick();
  await run(of.world);
  assert.equal(rowsOf(of).length, 1);
  assert.deepEqual(of.world.coordinator.health(), { isHealthy: true, reasons: [] });
  await of.world.coordinator.close();
});

test('a plan that cannot begin is not planned again and again', async () => {
  const of = await stage();
  const { ids } = of.world.foundations;
  const next = ids.next.bind(ids);
  let refused = 0;
  for (let i = 0; i < 4; i++) {
    const segmentId = await flushed(of, [i]);
    of.world.protectedIds.add(segmentId);
  }
  of.world.protectedIds.clear();
  ids.next = () => {
    const isEndless = ++refused > 100;
    return isEndless
      ? new Promise(() => undefined)
      : Promise.reject(new DbError('storage-failed', 'no space is left'));
  };
  of.world.clock.ms += defaultCompactionLimits.tickMs;
  await of.world.tick();
  for (let i = 0; i < 5; i++) await run(of.world);
  assert.equal(refused, 1);
  assert.ok(of.world.coordinator.health().reasons.some((reason) => reason.includes('no space is left')));
  ids.next = next;
  of.world.clock.ms += defaultCompactionLimits.retryAfterMs;
  await of.world.tick();
  await run(of.world);
  assert.equal(rowsOf(of).length, 1);
  assert.deepEqual(of.world.coordinator.health(), { isHealthy: true, reasons: [] });
  await of.world.coordinator.close();
});

test('segments of a partition whose drop is not finished are not planned again and again', async () => {
  const of = await stage();
  const { coordinator, log } = of.world;
  await coordinator.createPartition(named('books'), 'p');
  const info = coordinator.describeCollection(named('books'));
  const partitionId = info.partitions.find(({ name }) => name === 'p')!.partitionId;
  for (let i = 0; i < 3; i++) await flushed({ ...of, partitionId }, [i]);
  const drop = log.drop.bind(log);
  log.drop = () => Promise.reject(new DbError('storage-failed', 'the log cannot be cut'));
  await flushed({ ...of, partitionId }, [3]);
  await coordinator.dropPartition(named('books'), 'p').catch(() => undefined);
  await run(of.world);
  assert.equal(rowsOf(of).length, 4, 'still there');
  assert.ok(coordinator.compactionStats().failed <= 1);
  log.drop = drop;
  await of.world.tick();
  await run(of.world);
  assert.deepEqual(recordsOf(of), []);
  await coordinator.close();
});

test('deletes that were left for the rows of a partition whose drop is not finished are retired, not looked at again and again', async () => {
  const of = await stage();
  const { coordinator, log } = of.world;
  await coordinator.createPartition(named('books'), 'p');
  const info = coordinator.describeCollection(named('books'));
  const partitionId = info.partitions.find(({ name }) => name === 'p')!.partitionId;
  await flushed({ ...of, partitionId }, [1]);
  await flushed(of, [2], 'L0');
  assert.equal(recordsOf(of).length, 2, 'the deletes may kill rows of p');
  const [drop, segmentsOf] = [log.drop.bind(log), log.segments.bind(log)];
  let looks = 0;
  log.segments = () => {
    // Or a red test would never end.
    if (++looks > 1000) of.world.coordinator.close().catch(() => undefined);
    return segmentsOf();
  };
  log.drop = () => Promise.reject(new DbError('storage-failed', 'the log cannot be cut'));
  await coordinator.dropPartition(named('books'), 'p').catch(() => undefined);
  await run(of.world);
  assert.ok(looks < 100, `${looks} looks`);
  assert.deepEqual(
    recordsOf(of).map(({ level }) => level),
    ['L1'],
  );
  log.drop = drop;
  await of.world.tick();
  await run(of.world);
  assert.deepEqual(recordsOf(of), []);
  await coordinator.close();
});

test('a failure that has passed is no trouble any more, whether its segments are compacted then or left as they are', async () => {
  const of = await stage();
  const { coordinator, clock } = of.world;
  await flushed(of, [1, 2, 3]);
  const kept = new Map(of.files.files);
  of.files.files.clear();
  await flushed(of, [8, 9], 'L0');
  await run(of.world);
  assert.match(coordinator.health().reasons.join(), /compaction \(purge\)/);
  for (const [key, items] of kept) of.files.files.set(key, items);
  clock.ms += defaultCompactionLimits.retryAfterMs;
  await of.world.tick();
  await run(of.world);
  assert.equal(coordinator.compactionStats().completed, 1, 'no row is dead');
  assert.deepEqual(coordinator.health().reasons, []);
  await flushed(of, [4]);
  await flushed(of, [5]);
  await flushed(of, [6]);
  const lost = rowsOf(of).at(-1)!;
  of.files.files.delete(lost.files[0]!.key);
  await run(of.world);
  assert.match(coordinator.health().reasons.join(), /compaction \(merge\)/);
  await of.world.coordinator.compact({ ...all(of), segmentIds: idsOf(rowsOf(of)).slice(0, 3) });
  clock.ms += defaultCompactionLimits.retryAfterMs;
  await of.world.tick();
  await run(of.world);
  assert.deepEqual(idsOf(rowsOf(of))[0], lost.segmentId, 'nothing is to be done with it alone');
  assert.deepEqual(coordinator.health().reasons, []);
  await coordinator.close();
});

test('an answer that cannot be true changes nothing', async () => {
  const of = await stage();
  const node = of.files.node(of.world);
  of.world.scheduler.node = async (work: NodeWork) => {
    const output = await node(work);
    if (output.kind !== 'compact' || output.segment === undefined) return output;
    return { ...output, segment: { ...output.segment, rowCount: output.segment.rowCount - 1 } };
  };
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  await run(of.world);
  assert.equal(rowsOf(of).length, 4);
  assert.deepEqual(recordsOf(of, 'writing'), []);
  assert.ok(of.world.coordinator.health().reasons.some((reason) => reason.includes('data-integrity')));
  await of.world.coordinator.close();
});

test('a failed attempt is made again into another segment', async () => {
  const of = await stage();
  const node = of.files.node(of.world);
  const places = new Set<bigint>();
  of.world.scheduler.node = (work: NodeWork) => {
    if (work.kind !== 'compact') return node(work);
    places.add(work.place.segmentId);
    if (places.size < 3) throw new DbError('node-not-found', 'lost');
    return node(work);
  };
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  await run(of.world);
  assert.equal(places.size, 3);
  assert.deepEqual(idsOf(rowsOf(of)), [[...places][2]]);
  assert.deepEqual(recordsOf(of, 'writing'), []);
  await of.world.coordinator.close();
});

test('a crash between any two catalog calls of a compaction neither loses nor doubles a row', async () => {
  let crashes = 0;
  for (let left = 0; ; left++) {
    const of = await stage({ limits: { minRowsToIndex: 4 } });
    for (let i = 0; i < 4; i++) {
      await flushed(of, [i, 20 + i]);
      await flushed(of, [i], 'L0');
    }
    of.world.kv.left = left;
    await run(of.world).catch(() => undefined);
    checkRows(of);
    const isDead = of.world.kv.left < 0;
    const world = await of.world.restart();
    world.scheduler.node = of.files.node(world);
    const after = { ...of, world };
    assert.deepEqual(recordsOf(after, 'writing'), [], 'half-written outputs are dropped at start');
    checkRows(after);
    await run(world, 12);
    checkRows(after);
    assert.equal(rowsOf(after).length, 1);
    await world.coordinator.close();
    if (!isDead) break;
    crashes++;
  }
  assert.ok(crashes >= 4, `${crashes}`);
});

test('segments that the log still holds are not compacted, and are as soon as it has let go of them', async () => {
  const of = await stage({ limits: manualOnly });
  await of.world.coordinator.load(named('books'));
  let open = () => {};
  const closed = new Promise<void>((done) => (open = done));
  await flushed(of, [1]);
  of.world.queries.gate = () => closed;
  await flushed(of, [2]);
  assert.equal(of.world.log.segments().length, 1);
  const { compactionId, plans } = await of.world.coordinator.compact(all(of));
  assert.deepEqual(plans, []);
  await run(of.world);
  assert.equal(of.world.coordinator.compactionState(compactionId).state, 'executing');
  open();
  of.world.queries.gate = () => Promise.resolve();
  await run(of.world);
  assert.equal(of.world.coordinator.compactionState(compactionId).state, 'completed');
  assert.equal(rowsOf(of).length, 1);
  assert.equal(of.world.queries.rowsOf(of.collectionId), 2);
  await of.world.coordinator.close();
});

test('a manual compaction keeps to what it is asked: partition, segments, deletes only', async () => {
  const of = await stage({ limits: manualOnly });
  const ids = [await flushed(of, [1]), await flushed(of, [2]), await flushed(of, [3])];
  const { compactionId } = await of.world.coordinator.compact({ ...all(of), segmentIds: ids.slice(0, 2) });
  await run(of.world);
  const [plan] = of.world.coordinator.compactionState(compactionId).plans;
  assert.deepEqual(plan?.sources, ids.slice(0, 2));
  assert.equal(rowsOf(of).length, 2);
  await flushed(of, [1], 'L0');
  await of.world.coordinator.compact({ ...all(of), isDeletesOnly: true });
  await run(of.world);
  assert.equal(recordsOf(of).length, 2, 'nothing merged, the deletes applied and gone');
  checkRows(of);
  const refused = (more: Partial<ManualCompaction>) => of.world.coordinator.compact({ ...all(of), ...more });
  await assert.rejects(refused({ partitionId: 4n as never }), failsWith('partition-not-found', '4'));
  await assert.rejects(refused({ channel: 'none' }), failsWith('parameter-invalid', 'no channel none'));
  await assert.rejects(
    refused({ segmentIds: [4n as never] }),
    failsWith('parameter-invalid', 'no segment 4'),
  );
  await assert.rejects(refused({ targetSizeBytes: 2 ** 20 }), failsWith('parameter-invalid', 'target size'));
  await assert.rejects(refused({ collectionId: 4n as never }), failsWith('collection-not-found', '4'));
  await of.world.coordinator.close();
});

test('a manual compaction ends although segments keep being flushed', async () => {
  const of = await stage({ limits: manualOnly });
  await flushed(of, [1]);
  await flushed(of, [2]);
  const { compactionId } = await of.world.coordinator.compact(all(of));
  for (let i = 0; i < 5; i++) await flushed(of, [10 + i]);
  const { state, plans } = of.world.coordinator.compactionState(compactionId);
  assert.equal(state, 'completed');
  assert.equal(plans.length, 1);
  assert.equal(rowsOf(of).length, 6, 'what came later is not part of it');
  checkRows(of);
  await of.world.coordinator.close();
});

test('a manual compaction whose plan failed is completed, and says so of the plan', async () => {
  const of = await stage({ limits: manualOnly });
  await flushed(of, [1]);
  await flushed(of, [2]);
  of.files.files.clear();
  const { compactionId } = await of.world.coordinator.compact(all(of));
  await run(of.world);
  const { state, plans } = of.world.coordinator.compactionState(compactionId);
  assert.equal(state, 'completed');
  assert.deepEqual(
    plans.map((plan) => plan.state),
    ['failed'],
  );
  assert.ok(plans[0]?.reason.includes('object-not-found'));
  await of.world.coordinator.close();
});

test('an unknown compaction is named so; nothing to compact is a compaction without plans, listed for three hours', async () => {
  const of = await stage();
  assert.throws(
    () => of.world.coordinator.compactionState(1n as never),
    failsWith('compaction-not-found', '=1'),
  );
  const { compactionId, state, plans } = await of.world.coordinator.compact(all(of));
  assert.deepEqual([state, plans], ['completed', []]);
  of.world.clock.ms += defaultCompactionLimits.retentionMs;
  await of.world.tick();
  assert.throws(
    () => of.world.coordinator.compactionState(compactionId),
    failsWith('compaction-not-found', ''),
  );
  await of.world.coordinator.close();
});

test('compaction can be switched off, by itself and altogether, and for one collection', async () => {
  const off = await stage({ limits: { compaction: { ...defaultCompactionLimits, isEnabled: false } } });
  for (let i = 0; i < 4; i++) await flushed(off, [i]);
  await run(off.world);
  assert.equal(rowsOf(off).length, 4);
  await assert.rejects(off.world.coordinator.compact(all(off)), failsWith('unimplemented', 'switched off'));
  await off.world.coordinator.close();
  const manual = await stage({ limits: manualOnly });
  for (let i = 0; i < 4; i++) await flushed(manual, [i]);
  await run(manual.world);
  assert.equal(rowsOf(manual).length, 4);
  await manual.world.coordinator.close();
});

test('no more plans are open than the limit says, and all are carried out in the end', async () => {
  const limits = { compaction: { ...defaultCompactionLimits, maxOpenPlans: 1, maxSegments: 2 } };
  const of = await stage({ limits: { compaction: { ...limits.compaction, isAutomatic: false } } });
  for (let i = 0; i < 5; i++) await flushed(of, [i]);
  const { compactionId } = await of.world.coordinator.compact(all(of));
  for (let i = 0; i < 12; i++) {
    await run(of.world, 1);
    const open = [...of.world.scheduler.tasks.values()].filter(({ taskClass }) => taskClass === 'compaction');
    assert.ok(open.length <= 1);
  }
  assert.equal(rowsOf(of).length, 1);
  assert.equal(of.world.coordinator.compactionState(compactionId).state, 'completed');
  checkRows(of);
  await of.world.coordinator.close();
});

/** As many full segments beside the collection's own as make its planning take several turns. */
async function filledUp({ world, collectionId, partitionId }: Stage, count: number): Promise<void> {
  const { catalog, ids } = world.foundations;
  const [model] = catalog.find(segments, 'collection', collectionId);
  const first = await ids.range<SegmentId>(count);
  const full = model!.files.map((file) => ({ ...file, sizeBytes: defaultCompactionLimits.maxSizeBytes }));
  for (let from = 0; from < count; from += 100)
    await catalog.commitSure(
      Array.from({ length: 100 }, (_, i) => {
        const segmentId = (first + BigInt(from + i)) as SegmentId;
        return put(segments, { ...model!, segmentId, partitionId, files: full }, undefined);
      }),
    );
}

test('what ends while a large collection is planned in turns is in no plan that starts; the rest is', async () => {
  const of = await stage({ limits: manualOnly });
  for (let i = 0; i < 4; i++) await flushed(of, [i]);
  const [gone, ...left] = rowsOf(of);
  await filledUp(of, 6000);
  const { catalog } = of.world.foundations;
  const { log } = of.world;
  const look = log.segments.bind(log);
  let dropping: Promise<unknown> | undefined;
  log.segments = () => {
    dropping ??= catalog.commit([put(segments, { ...gone!, state: 'dropped', droppedAtMs: 1 }, gone)]);
    return look();
  };
  const { compactionId } = await of.world.coordinator.compact(all(of));
  assert.equal(await dropping, 'committed');
  await run(of.world, 30);
  const { state, plans } = of.world.coordinator.compactionState(compactionId);
  assert.deepEqual([state, plans.map((plan) => plan.state)], ['completed', ['completed']]);
  assert.deepEqual(new Set(plans[0]?.sources), new Set(idsOf(left)));
  await of.world.coordinator.close();
});
