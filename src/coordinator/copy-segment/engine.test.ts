import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { copySegmentExecutor } from '../../datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../datanode/datanode.ts';
import { DbError } from '../../errors/db-error.ts';
import type { JobId, NodeId } from '../../model/ids.ts';
import { crc32 } from '../../support/crc32.ts';
import { silentLog } from '../../support/log.ts';
import { defaultSnapshotLimits } from '../snapshot/limits.ts';
import { partitions, segments } from '../tables.ts';
import { PLANNED_AHEAD } from './decide.ts';
import { SEGMENTS_PER_TURN } from './inspector.ts';
import { type CopyJob, copyJobs } from './job.ts';
import { copyTasks, slotsFor } from './task.ts';

const to = (name: string) => ({ database: '', name });

test('W1: a restore needs no tick: from call to completed without any time passing', async () => {
  const world = await World.withRows(3);
  await world.create();
  const startedMs = world.disk.clock.nowMs();
  const jobId = await world.restore();
  await until(() => world.service.restoreState(jobId).state === 'completed', 'completed');
  assert.equal(world.disk.clock.nowMs(), startedMs);
  await world.stop();
});

test('W2: ticks look at jobs that something is to be done for, and at no ended one before its retention is over', async () => {
  const world = await World.withRows(1);
  await world.create();
  const first = await world.ended(await world.restore());
  const record = world.catalog.get(copyJobs, first.jobId) as CopyJob & { readonly state: 'completed' };
  const looks = { jobs: 0 };
  const { endedAtMs } = record;
  for (let i = 1; i <= 1000; i++) {
    const job = { ...record, jobId: (record.jobId + 10_000n + BigInt(i)) as JobId };
    // Whoever decides about an ended job reads when it ended.
    Object.defineProperty(job, 'endedAtMs', {
      enumerable: true,
      get: () => {
        looks.jobs++;
        return endedAtMs;
      },
    });
    await world.catalog.commitSure([{ table: copyJobs, was: undefined, is: job }]);
  }
  await settle();
  looks.jobs = 0;
  const { commits } = world.disk;
  await world.disk.clock.advance(60_000);
  assert.deepEqual([looks.jobs, world.disk.commits], [0, commits]);
  await world.disk.clock.jump(10_800_000);
  for (let i = 0; i < 400 && world.catalog.count(copyJobs) > 0; i++) await settle();
  assert.equal(world.catalog.count(copyJobs), 0);
  await world.stop();
});

test('W13: a copy task costs slots by its bytes and by its files, and never more than a node should give', () => {
  const limits = { ...defaultSnapshotLimits, bytesPerSlot: 100, filesPerSlot: 10, maxSlotsPerCopyTask: 4 };
  const slots = (bytes: number, files: number) => slotsFor({ bytes, files }, limits);
  assert.deepEqual(
    [
      slots(0, 1),
      slots(100, 10),
      slots(101, 1),
      slots(1, 11),
      slots(250, 35),
      slots(9999, 1),
      slots(0, 9999),
    ],
    [1, 1, 2, 2, 4, 4, 4],
  );
});

test('W5: the timeout counts time without progress, and not time in the queue', async () => {
  const world = await World.withRows(4, { jobTimeoutMs: 60_000, maxSegmentsPerCopyTask: 4 });
  await world.create();
  const { clock, memoryStore } = world.disk;
  await world.loseNode();
  const jobId = await world.restore();
  await settle();
  await clock.advance(10 * 60_000);
  assert.equal(world.service.restoreState(jobId).state, 'executing');
  let pauseMs = 50_000;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    await clock.sleep(pauseMs, new AbortController().signal);
    return copy(...args);
  };
  world.cluster.join(world.node);
  await settle();
  // Sixteen files, four at once, 50 s each: longer than the timeout, but never without progress for as long.
  await clock.advance(3.5 * 50_000);
  assert.equal(world.service.restoreState(jobId).state, 'executing');
  assert.equal((await world.ended(jobId)).state, 'completed');
  pauseMs = 200_000;
  const stuck = await world.restore('snap', to('stuck'));
  await until(() => world.service.restoreState(stuck).tasks.running === 1, 'at work');
  await clock.advance(59_000);
  assert.equal(world.service.restoreState(stuck).state, 'executing');
  await clock.advance(5000);
  assert.deepEqual(
    [world.service.restoreState(stuck).state, world.service.restoreState(stuck).reason],
    ['failed', 'timeout: no progress for 60000 ms'],
  );
  await clock.advance(200_000);
  await world.stop();
});

test('jobs and tasks are removed after retention only, and only when their segments are gone and no node is assigned', async () => {
  const world = await World.withRows(4);
  await world.create();
  const { clock, memoryStore } = world.disk;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let copies = 0;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    const result = await copy(...args);
    if (++copies === 4) await held;
    return result;
  };
  const jobId = await world.restore();
  await until(() => copies >= 4, 'copying');
  const cancelled = world.service.cancelRestore(jobId);
  const ofJob = () =>
    [...world.catalog.all(segments)].filter(({ restoreJobId }) => restoreJobId === jobId).length;
  // A node is still assigned: nothing of the job goes, however old it is.
  await settle();
  await clock.jump(2 * 10_800_000);
  assert.deepEqual([world.catalog.count(copyTasks), ofJob()], [2, 4]);
  assert.equal(world.service.restoreState(jobId).state, 'failed');
  // The node has let go, but its objects cannot be deleted: segments, tasks and job stay.
  world.disk.failDelete = (key) => key.startsWith('segments/');
  release();
  await cancelled;
  await clock.jump(2 * 10_800_000);
  assert.deepEqual([world.catalog.count(copyTasks), ofJob()], [2, 4]);
  assert.equal(world.service.restoreState(jobId).state, 'failed');
  world.disk.failDelete = () => false;
  await clock.advance(10_000);
  assert.deepEqual([world.catalog.count(copyTasks), ofJob()], [0, 0]);
  await clock.advance(10_000);
  assert.equal(world.catalog.count(copyJobs), 0);
  await world.assertClean();
  // And a young one is kept, although nothing is left of it.
  const young = await world.restore('snap', to('young'));
  await world.ended(young);
  await clock.advance(10_000_000);
  assert.equal(world.service.restoreState(young).state, 'completed');
  await world.stop();
});

test('of a large job a bounded number of tasks is written and queued ahead of the nodes, each with its targets, and all of them in the end', async () => {
  const world = await World.withRows(0, { maxSegmentsPerCopyTask: 1 });
  const collection = world.find(source);
  const [partition] = [...world.catalog.all(partitions)];
  for (let i = 0; i < 1500; i++) await world.addSegment(collection, partition!.partitionId, `${i}`);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore();
  await until(() => world.scheduler.known(jobId) > 0, 'queued');
  await settle();
  const written = world.catalog.count(copyTasks);
  assert.ok(written >= PLANNED_AHEAD.max && written <= PLANNED_AHEAD.max + 64, `${written} tasks`);
  const targets = () => [...world.catalog.all(segments)].filter(({ restoreJobId }) => restoreJobId === jobId);
  assert.deepEqual([targets().length, world.scheduler.known(jobId)], [written, written]);
  assert.equal(world.service.restoreState(jobId).tasks.queued, 1500);
  assert.equal(world.service.copySegmentStats().tasks.pending, 1500);
  let most = 0;
  world.catalog.onChange(() => {
    most = Math.max(most, world.catalog.countOf(copyTasks, 'jobState', `${jobId}/pending`));
  });
  world.cluster.join(world.node);
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.tasks.completed], ['completed', 1500]);
  assert.ok(most <= PLANNED_AHEAD.max + 64, `${most} tasks waited`);
  assert.equal(world.scheduler.known(jobId), 0);
  await world.stop();
});

test('a job of many segments is dispatched and taken back in turns of bounded length, whatever slots the nodes have', async () => {
  const world = await World.withRows(0, { maxSegmentsPerCopyTask: 1 });
  const collection = world.find(source);
  const [partition] = [...world.catalog.all(partitions)];
  for (let i = 0; i < 300; i++) await world.addSegment(collection, partition!.partitionId, `${i}`);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore();
  await until(() => world.scheduler.known(jobId) > 0, 'queued');
  await settle();
  let [turn, isOver] = [0, false];
  const nextTurn = () => {
    turn++;
    if (!isOver) setImmediate(nextTurn);
  };
  nextTurn();
  const work = new Map<number, number>();
  const { catalog } = world;
  const commit = catalog.commit.bind(catalog);
  catalog.commit = (changes) => {
    const moves = changes.filter(
      ({ table, was, is }) => table === copyTasks && was !== undefined && is !== undefined,
    );
    work.set(turn, (work.get(turn) ?? 0) + moves.length);
    return commit(changes);
  };
  const node = new LocalDataNode({
    nodeId: 2n as NodeId,
    slots: 1000,
    log: silentLog,
    executors: { 'copy-segment': copySegmentExecutor(world.disk.store(), { filesAtOnce: 4 }) },
  });
  world.cluster.join(node);
  assert.equal((await world.ended(jobId)).state, 'completed');
  isOver = true;
  const all = [...work.values()];
  assert.equal(
    all.reduce((sum, moves) => sum + moves, 0),
    600,
  );
  // A turn of the engine may lie in two of the test.
  assert.ok(Math.max(...all) <= 2 * SEGMENTS_PER_TURN, `${Math.max(...all)} in one turn`);
  await world.stop();
});

/** Counts what is begun to be copied although it was begun before. */
function countTwice(world: World) {
  const { memoryStore } = world.disk;
  const begun = new Map<string, number>();
  const state = { deaths: 0, begunFiles: 0, twice: [] as number[], largest: 0 };
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (from, to, options) => {
    const { sizeBytes } = options;
    const there = await memoryStore.get(to).catch(() => undefined);
    if (there !== undefined && crc32(there) === options.crc32) return copy(from, to, options);
    if (begun.has(to)) state.twice.push(sizeBytes);
    begun.set(to, sizeBytes);
    state.begunFiles++;
    state.largest = Math.max(state.largest, sizeBytes);
    // Half of it is written; then the rest, if nobody died meanwhile.
    const { deaths } = state;
    await settle(2);
    if (state.deaths > deaths) throw new DbError('storage-failed', 'died in the middle of a file');
    return copy(from, to, options);
  };
  return state;
}

/** Files of one task copied at once, times tasks at once. */
const WORKERS = 4 * 4;

for (const what of ['coordinator', 'data node'] as const)
  test(`Resume: whenever the ${what} is lost, bytes copied twice are less than one file per worker, and what is there and right is not copied again`, async () => {
    let isOver = false;
    let allTwice = 0;
    for (let at = 1; !isOver; at++) {
      let world = await World.withRows(6);
      await world.create();
      const before = await world.content(source);
      const counted = countTwice(world);
      const jobId = await world.restore();
      isOver = await until(() => counted.begunFiles >= at, 'files').then(
        () => false,
        () => true,
      );
      counted.deaths++;
      if (what === 'coordinator') {
        // From here on the store answers nobody of the old process.
        world.disk.plan({ at: 1, kind: 'crash', effect: 'before', only: 'store' });
        world = await world.restart();
      } else {
        const second = new LocalDataNode({
          nodeId: 2n as NodeId,
          slots: 4,
          log: silentLog,
          executors: { 'copy-segment': copySegmentExecutor(world.disk.store(), { filesAtOnce: 4 }) },
        });
        world.cluster.leave(world.node.nodeId);
        await world.node.close();
        world.cluster.join(second);
      }
      const info = await world.ended(jobId);
      assert.equal(info.state, 'completed');
      assert.deepEqual(await world.content(target), before);
      assert.ok(counted.twice.length < WORKERS, `${counted.twice.length} files twice after ${at}`);
      allTwice += counted.twice.length;
      const bytes = counted.twice.reduce((sum, size) => sum + size, 0);
      assert.ok(bytes < WORKERS * counted.largest, `${bytes} bytes twice after ${at}`);
      assert.equal(counted.begunFiles - counted.twice.length, info.totalFiles);
      await world.assertClean();
      await world.stop();
      if (at > 24) isOver = true;
    }
    assert.ok(allTwice > 0, 'somebody died in the middle of a file');
  });
