/** Weaknesses of restores known from elsewhere, each shown absent under its number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { PartitionId } from '../../model/ids.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { copyTasks } from '../copy-segment/task.ts';
import { pins } from '../snapshot/record.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';

test('W9: a failed restore leaves no empty target: its name is free at once, and the same restore works again', async () => {
  const world = await World.withRows(4);
  await world.create();
  const [segment] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const { key } = segment!.files[0]!;
  const bytes = await world.disk.memoryStore.get(key);
  await world.disk.memoryStore.delete(key);
  const jobId = await world.restore();
  await until(() => !world.has(target), 'failed');
  // In the commit that failed the job, before anything was cleared.
  const again = world.restore();
  assert.equal(world.service.restoreState(jobId).state, 'failed');
  await world.ended(await again);
  await world.ended(jobId);
  assert.equal(world.has(target), false);
  await world.disk.memoryStore.put(key, bytes);
  assert.equal((await world.ended(await world.restore())).state, 'completed');
  await world.assertClean();
  await world.stop();
});

async function withPartitions(count: number): Promise<World> {
  const world = await World.withRows(1);
  const { collectionId } = world.find(source);
  for (let i = 0; i < count; i++) {
    const partitionId = await world.ids.next<PartitionId>();
    const createdTs = world.time.next();
    const record = { partitionId, collectionId, name: `p${i}`, createdTs };
    await world.catalog.commitSure([put(partitions, record, undefined)]);
  }
  await world.create();
  return world;
}

test('W10: a restore whose partitions cannot all be written leaves no collection, partition, index, job or pin', async () => {
  const tables = [collections, partitions, indexes, copyJobs, pins, segments];
  for (let failing = 1; failing <= 8; failing++) {
    let world = await withPartitions(600);
    const counts = () => tables.map((table) => world.catalog.count(table as typeof pins));
    const before = counts();
    world.disk.plan({ at: failing, kind: 'crash', effect: 'before', only: 'kv' });
    const started = await world.restore().then(
      () => true,
      () => false,
    );
    world = await world.restart();
    if (started) {
      for (const { jobId } of world.service.listRestoreJobs('', '')) await world.ended(jobId);
      assert.ok(failing > 3);
    } else assert.deepEqual(counts(), before);
    await world.assertClean();
    await world.stop();
  }
});

test('W10: a restore that is refused after its first partitions were written takes them back', async () => {
  const world = await withPartitions(600);
  const before = [world.catalog.count(partitions), world.catalog.count(indexes)];
  let isTaken = false;
  world.catalog.onChange((changes) => {
    if (isTaken || !changes.some(({ table, was }) => table === partitions && was === undefined)) return;
    isTaken = true;
    void world.renameCollection(source, target.name);
  });
  await assert.rejects(world.restore());
  assert.deepEqual([world.catalog.count(partitions), world.catalog.count(indexes)], before);
  assert.equal(world.catalog.count(copyJobs) + world.catalog.count(pins), 0);
  await world.assertClean();
  await world.stop();
});

test('W11: a segment that has gone from the collection since the snapshot is restored, none is skipped', async () => {
  const world = await World.withRows(4);
  await world.create();
  const before = await world.content(source);
  for (const was of world.catalog.find(segments, 'collection', world.find(source).collectionId).slice(0, 3))
    await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 1 }, was)]);
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  assert.equal((await world.content(source)).length, 1);
  const info = await world.ended(await world.restore());
  assert.deepEqual([info.state, info.totalSegments], ['completed', 4]);
  assert.deepEqual(await world.content(target), before);
  await world.stop();
});

/** Counts how many calls of a kind run at once. */
function watched<A extends unknown[], R>(call: (...args: A) => Promise<R>) {
  const seen = { running: 0, most: 0, calls: 0 };
  const counted = async (...args: A): Promise<R> => {
    seen.calls++;
    seen.most = Math.max(seen.most, ++seen.running);
    await settle(2);
    try {
      return await call(...args);
    } finally {
      seen.running--;
    }
  };
  return { seen, counted };
}

test('W12: manifests are read side by side, once, and the files of a segment are copied side by side', async () => {
  const world = await World.withRows(0, { maxSegmentsPerCopyTask: 100 });
  const [partition] = world.catalog.find(partitions, 'collection', world.find(source).collectionId);
  for (let i = 0; i < 1100; i++) await world.addSegment(world.find(source), partition!.partitionId, `${i}`);
  await world.create();
  const { memoryStore } = world.disk;
  const get = memoryStore.get.bind(memoryStore);
  const reads = watched(get);
  const copies = watched(memoryStore.copy.bind(memoryStore));
  memoryStore.get = (key) => (key.endsWith('.avro') ? reads.counted(key) : get(key));
  memoryStore.copy = copies.counted;
  assert.equal((await world.ended(await world.restore())).state, 'completed');
  assert.deepEqual([reads.seen.most, reads.seen.calls], [3, 3]);
  assert.ok(copies.seen.most >= 3, `${copies.seen.most} copies at once`);
  await world.stop();
});

test('W13: tasks are cut by bytes and files, not by count alone, and large ones take more of a node', async () => {
  const world = await World.withRows(0, {
    maxSegmentsPerCopyTask: 100,
    maxBytesPerCopyTask: 1800,
    bytesPerSlot: 500,
  });
  const [partition] = world.catalog.find(partitions, 'collection', world.find(source).collectionId);
  const add = (text: string) => world.addSegment(world.find(source), partition!.partitionId, text);
  for (let i = 0; i < 6; i++) await add('x'.repeat(600));
  for (let i = 0; i < 12; i++) await add('y');
  await world.create();
  const slots: number[] = [];
  const enqueue = world.scheduler.enqueue.bind(world.scheduler);
  world.scheduler.enqueue = (task, running) => {
    slots.push(task.slots);
    enqueue(task, running);
  };
  await world.loseNode();
  const jobId = await world.restore();
  await until(() => world.catalog.count(copyTasks) > 6, 'tasks');
  const ranges = world.catalog.find(copyTasks, 'job', jobId).map(({ range }) => range);
  assert.deepEqual(
    ranges.map(({ segmentCount }) => segmentCount),
    [1, 1, 1, 1, 1, 1, 12],
  );
  await until(() => slots.length === 7, 'enqueued');
  assert.deepEqual(slots.toSorted(), [1, 4, 4, 4, 4, 4, 4]);
  world.cluster.join(world.node);
  assert.equal((await world.ended(jobId)).state, 'completed');
  await world.stop();
});
