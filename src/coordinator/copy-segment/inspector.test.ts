import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { copySegmentExecutor } from '../../datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../datanode/datanode.ts';
import type { JobId, NodeId, TaskId } from '../../model/ids.ts';
import { silentLog } from '../../support/log.ts';
import { ObjectRemover } from '../gc/remover.ts';
import type { RunningAttempt, Scheduler, SchedulerStats, SchedulerTask } from '../scheduler/task.ts';
import { defaultSnapshotLimits } from '../snapshot/limits.ts';
import { pins } from '../snapshot/record.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import { CopySegmentInspector } from './inspector.ts';
import { type CopyJob, copyJobs } from './job.ts';
import { CopyMeta } from './meta.ts';
import { SnapshotSource } from './source.ts';
import { copyTasks } from './task.ts';

const to = (name: string) => ({ database: '', name });
const jobOf = (world: World, jobId: JobId): CopyJob | undefined => world.catalog.get(copyJobs, jobId);
const isTidy = (world: World, jobId: JobId): boolean => {
  const job = jobOf(world, jobId);
  return job !== undefined && 'isTidy' in job && job.isTidy;
};

class RecordingScheduler implements Scheduler {
  readonly enqueued: (readonly [TaskId, RunningAttempt | undefined])[] = [];
  readonly cancelled: TaskId[] = [];
  cancelling: Promise<void> = Promise.resolve();

  enqueue({ taskId }: SchedulerTask, running?: RunningAttempt): void {
    this.enqueued.push([taskId, running]);
  }
  cancel(taskId: TaskId): Promise<void> {
    this.cancelled.push(taskId);
    return this.cancelling;
  }
  canEverTake(): boolean {
    return true;
  }
  known(): number {
    return this.enqueued.length;
  }
  stats(): SchedulerStats {
    return { waiting: { restore: 0, flush: 0, index: 0, compaction: 0 }, nodes: [] };
  }
}

/** Jobs and tasks as a catalog may bring them back after a restart: in no order of theirs. */
class ShuffledMeta extends CopyMeta {
  override jobs(): Iterable<CopyJob> {
    return [...super.jobs()].reverse();
  }
  override tasksIn(...of: Parameters<CopyMeta['tasksIn']>): ReturnType<CopyMeta['tasksIn']> {
    return super.tasksIn(...of).toReversed();
  }
}

/** A further inspector over the world's catalog, as of a process that has just begun; nobody runs its passes but the test. */
function beside(world: World) {
  const { catalog, disk } = world;
  const scheduler = new RecordingScheduler();
  const store = disk.store();
  const inspector = new CopySegmentInspector({
    catalog,
    meta: new ShuffledMeta(catalog, disk.clock),
    source: new SnapshotSource(catalog, store, 4),
    limits: defaultSnapshotLimits,
    scheduler,
    loads: world.loads,
    remover: new ObjectRemover(store, { require: () => Promise.resolve() }),
    clock: disk.clock,
    log: silentLog,
  });
  return { scheduler, inspector };
}

/** Holds back copies of keys that hold `part`. */
function holdCopies(world: World, part: string) {
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  const keys: string[] = [];
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  memoryStore.copy = async (from, ...rest) => {
    if (from.includes(part)) {
      keys.push(from);
      await gate;
    }
    return copy(from, ...rest);
  };
  return { keys, open };
}

test('after a restart running attempts go back to the scheduler to be asked for, pending tasks are enqueued, older jobs first', async () => {
  const world = await World.withRows(6, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const hold = holdCopies(world, 'rows');
  const jobIds = [await world.restore('snap', to('x')), await world.restore('snap', to('y'))];
  const inState = (state: string) =>
    jobIds.flatMap((id) => world.catalog.find(copyTasks, 'jobState', `${id}/${state}`));
  await until(() => inState('in-progress').length === 4 && inState('pending').length === 8, 'at work');
  const { scheduler, inspector } = beside(world);
  inspector.reload();
  const running = { nodeId: world.node.nodeId, attempt: 1 };
  assert.deepEqual(
    scheduler.enqueued,
    inState('in-progress').map(({ taskId }) => [taskId, running]),
  );
  scheduler.enqueued.length = 0;
  await inspector.pass();
  assert.deepEqual(
    scheduler.enqueued,
    inState('pending').map(({ taskId }) => [taskId, undefined]),
  );
  assert.deepEqual(
    scheduler.enqueued.map(([taskId]) => taskId),
    scheduler.enqueued.map(([taskId]) => taskId).toSorted((a, b) => (a < b ? -1 : 1)),
  );
  hold.open();
  for (const jobId of jobIds) await world.ended(jobId);
  await world.stop();
});

test('each pending task is handed to the scheduler once, however many passes see it', async () => {
  const world = await World.withRows(6, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  await world.loseNode();
  const { scheduler, inspector } = beside(world);
  const jobId = await world.restore();
  await until(() => jobOf(world, jobId)?.state === 'executing', 'executing');
  for (let i = 0; i < 5; i++) {
    await inspector.pass();
    await world.disk.clock.advance(3000);
  }
  assert.equal(scheduler.enqueued.length, 6);
  world.cluster.join(world.node);
  await world.ended(jobId);
  await world.stop();
});

test('clearing waits for the nodes, then takes objects, then the records that named them, the mark of the job last', async () => {
  const world = await World.withRows(4, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const hold = holdCopies(world, 'stats');
  const jobId = await world.restore();
  const { collectionId } = world.find(target);
  await until(() => hold.keys.length >= 4, 'copying');
  assert.ok((await world.disk.keys(`segments/${collectionId}/`)).length > 0);
  const order: string[] = [];
  const note = (what: string) => order.at(-1) === what || order.push(what);
  const { memoryStore } = world.disk;
  const remove = memoryStore.delete.bind(memoryStore);
  memoryStore.delete = (key) => {
    note('objects');
    return remove(key);
  };
  const drop = world.node.drop.bind(world.node);
  world.node.drop = async (...args) => {
    await drop(...args);
    if (jobOf(world, jobId)?.state === 'failed') note('nodes');
  };
  world.catalog.onChange((changes) => {
    for (const { table, was, is } of changes)
      if (table === segments && is === undefined) note('segments');
      else if (table === copyJobs && (is as CopyJob).state === 'failed')
        note((was as CopyJob).state === 'failed' ? 'mark' : 'end');
  });
  const cancelled = world.service.cancelRestore(jobId);
  await settle();
  assert.deepEqual(order, ['end']);
  hold.open();
  assert.equal(await cancelled, true);
  assert.deepEqual(order, ['end', 'nodes', 'objects', 'segments', 'mark']);
  assert.deepEqual(await world.disk.keys(`segments/${collectionId}/`), []);
  for (const table of [partitions, indexes])
    assert.deepEqual(world.catalog.find(table as typeof indexes, 'collection', collectionId), []);
  await world.assertClean();
  await world.stop();
});

test('a failed job is kept beyond its retention while a node still works on it', async () => {
  const world = await World.withRows(3, { jobRetentionMs: 60_000 });
  await world.create();
  const hold = holdCopies(world, 'rows');
  const jobId = await world.restore();
  await until(() => hold.keys.length > 0, 'copying');
  const cancelled = world.service.cancelRestore(jobId, 'not needed');
  await settle();
  await world.disk.clock.advance(600_000);
  assert.deepEqual([jobOf(world, jobId)?.state, isTidy(world, jobId)], ['failed', false]);
  assert.equal(world.has(target), false);
  hold.open();
  assert.equal(await cancelled, true);
  await settle();
  assert.equal(jobOf(world, jobId), undefined);
  await world.assertClean();
  await world.stop();
});

test('a failed job is kept beyond its retention until the last object and segment of its target are gone, and clearing is tried until they are', async () => {
  const world = await World.withRows(4, { maxSegmentsPerCopyTask: 1, jobRetentionMs: 60_000 });
  await world.create();
  const hold = holdCopies(world, 'deletes');
  const jobId = await world.restore();
  const { collectionId } = world.find(target);
  await until(() => hold.keys.length > 0, 'copying');
  let refused = 0;
  world.disk.failDelete = (key) => key.startsWith(`segments/${collectionId}/`) && ++refused > 0;
  const cancelled = world.service.cancelRestore(jobId);
  hold.open();
  await cancelled;
  await world.disk.clock.advance(600_000);
  assert.ok(refused > 2, `${refused} tries`);
  assert.deepEqual([jobOf(world, jobId)?.state, isTidy(world, jobId)], ['failed', false]);
  assert.ok(world.catalog.find(segments, 'collection', collectionId).length > 0);
  world.disk.failDelete = () => false;
  await world.disk.clock.advance(10_000);
  assert.equal(jobOf(world, jobId), undefined);
  await world.assertClean();
  await world.stop();
});

test('segments that tasks had completed go with a failed job as well: nothing of any task is left', async () => {
  const world = await World.withRows(6, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const last = world.catalog.find(segments, 'collection', world.find(source).collectionId).at(-1);
  const key = last?.files[0]?.key ?? '';
  await world.disk.memoryStore.delete(key);
  const hold = holdCopies(world, key);
  const jobId = await world.restore();
  const { collectionId } = world.find(target);
  const completed = () => world.catalog.find(copyTasks, 'jobState', `${jobId}/completed`).length;
  await until(() => completed() === 5, 'five of six tasks');
  assert.ok((await world.disk.keys(`segments/${collectionId}/`)).length >= 20);
  hold.open();
  assert.equal((await world.ended(jobId)).state, 'failed');
  assert.deepEqual(await world.disk.keys(`segments/${collectionId}/`), []);
  assert.deepEqual(world.catalog.find(segments, 'collection', collectionId), []);
  assert.deepEqual([world.catalog.count(pins), world.catalog.count(copyTasks)], [0, 0]);
  assert.equal(world.has(target), false);
  await world.stop();
});

test('the sweep of the inspector is the reaper: a process that begins clears every failed job, a few at a time', async () => {
  let world = await World.withRows(3);
  await world.create();
  await world.loseNode();
  const jobIds: JobId[] = [];
  for (let i = 0; i < 20; i++) jobIds.push(await world.restore('snap', to(`x${i}`)));
  await until(() => jobIds.every((id) => jobOf(world, id)?.state === 'executing'), 'executing');
  const { memoryStore } = world.disk;
  const list = memoryStore.list.bind(memoryStore);
  let isDead = true;
  const running = { now: 0, most: 0 };
  memoryStore.list = async function* (prefix) {
    if (!prefix.startsWith('segments/') || prefix === 'segments/') return yield* list(prefix);
    if (isDead) throw new Error('the process is about to die');
    running.most = Math.max(running.most, ++running.now);
    await settle(3);
    running.now--;
    yield* list(prefix);
  };
  for (const jobId of jobIds) await world.service.cancelRestore(jobId);
  assert.equal(jobIds.filter((id) => isTidy(world, id)).length, 0);
  await world.stop();
  isDead = false;
  world = await World.open(world.disk);
  await until(() => jobIds.every((id) => isTidy(world, id)), 'cleared');
  assert.ok(running.most >= 2 && running.most <= 8, `${running.most} at once`);
  for (const table of [segments, collections, partitions, indexes])
    for (const { collectionId } of world.catalog.all(table as typeof segments))
      assert.equal(collectionId, world.find(source).collectionId);
  await world.assertClean();
  await world.stop();
});

test('W29: a late drop of a lost attempt deletes nothing of what a newer attempt has written', async () => {
  const world = await World.withRows(3);
  await world.create();
  const hold = holdCopies(world, 'stats');
  const jobId = await world.restore();
  await until(() => hold.keys.length > 0, 'copying');
  const [task] = world.catalog.find(copyTasks, 'jobState', `${jobId}/in-progress`);
  assert.ok(task);
  const late = world.node;
  world.cluster.leave(late.nodeId);
  const fresh = new LocalDataNode({
    nodeId: 2n as NodeId,
    slots: 4,
    log: silentLog,
    executors: { 'copy-segment': copySegmentExecutor(world.disk.store(), { filesAtOnce: 4 }) },
  });
  world.cluster.join(fresh);
  const deleted: string[] = [];
  const { memoryStore } = world.disk;
  const remove = memoryStore.delete.bind(memoryStore);
  memoryStore.delete = (key) => {
    deleted.push(key);
    return remove(key);
  };
  await settle();
  await world.disk.clock.advance(3000);
  hold.open();
  assert.equal((await world.ended(jobId)).state, 'completed');
  await late.drop(task.taskId, task.attempt);
  await late.drop(task.taskId, task.attempt + 7);
  assert.deepEqual(deleted, []);
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await fresh.close();
  await world.stop();
});
