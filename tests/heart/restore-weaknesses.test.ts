/** Weaknesses of restores elsewhere, each shown to be absent from the call to the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { segments } from '../../src/coordinator/tables.ts';
import { DbError, isDbError } from '../../src/errors/db-error.ts';
import type { JobId } from '../../src/model/ids.ts';
import { settle, until } from './manual-clock.ts';
import { source, target, World } from './world.ts';

async function prepared(segmentCount: number): Promise<World> {
  const world = await World.withRows(segmentCount);
  await world.create();
  return world;
}

/** Copies of keys that hold `part` fail as `fails` says. */
function failing(world: World, part: string, fails: () => boolean): void {
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = (from, to, options) => {
    if (from.includes(part) && fails()) return Promise.reject(new DbError('storage-failed', 'down'));
    return copy(from, to, options);
  };
}

test('W3: a copy that fails for now costs an attempt of its task, not the restore', async () => {
  const world = await prepared(6);
  let left = 5;
  failing(world, 'stats', () => left-- > 0);
  const attempts = new Set<number>();
  world.catalog.onChange(() => {
    for (const { attempt } of world.catalog.all(copyTasks)) attempts.add(attempt);
  });
  const info = await world.ended(await world.restore());
  assert.deepEqual([info.state, info.reason], ['completed', '']);
  assert.ok(attempts.has(2));
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('W4: a node that answers no question about its tasks fails no restore', async () => {
  const world = await prepared(4);
  let asked = 0;
  world.node.query = () => {
    asked++;
    return Promise.reject(new DbError('service-unavailable', 'no answer'));
  };
  let isHeld = true;
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (from, to, options) => {
    while (isHeld) await world.disk.clock.sleep(1000, new AbortController().signal);
    return copy(from, to, options);
  };
  const jobId = await world.restore();
  for (let i = 0; i < 60; i++) await world.disk.clock.advance(1000);
  assert.ok(asked > 3, `asked ${asked} times`);
  assert.equal(world.service.restoreState(jobId).state, 'executing');
  isHeld = false;
  assert.equal((await world.ended(jobId)).state, 'completed');
  await world.assertClean();
  await world.stop();
});

test('W6: a restore whose process died while its tasks were written is not stuck: the next one writes those that are missing', async () => {
  for (let at = 1; at <= 6; at++) {
    let world = await prepared(150);
    world.disk.plan({ kind: 'crash', effect: 'after', only: 'kv', at });
    const jobId = await world.restore().catch(() => undefined);
    if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
    world = await world.restart();
    const [job] = world.catalog.all(copyJobs);
    const info = await world.ended(job?.jobId ?? (await world.restore()));
    assert.deepEqual([info.state, info.totalSegments], ['completed', 150]);
    await world.assertClean();
    await world.stop();
  }
});

test('W7: a process that dies right after the commit of completion leaves a target that is whole, one that dies before it nothing to see', async () => {
  for (const state of ['executing', 'completed'] as const) {
    let world = await prepared(7);
    const { disk } = world;
    let isReached = false;
    world.catalog.onChange(() => {
      const [job] = world.catalog.all(copyJobs);
      const done = world.catalog.find(copyTasks, 'jobState', `${job?.jobId}/completed`).length;
      if (job?.state !== state || (state === 'executing' && done < 2) || isReached) return;
      isReached = true;
      disk.plan({ kind: 'crash', effect: 'before', at: 1 });
    });
    const jobId = await world.restore();
    await world.ended(jobId).catch(() => undefined);
    assert.ok(isReached);
    await world.stop();
    disk.plan(undefined);
    world = await World.open(disk);
    const rows = (await world.content(target)).length;
    const expected = world.catalog.get(copyJobs, jobId)?.state === 'completed' ? 7 : 0;
    assert.equal(rows, expected);
    assert.equal((await world.ended(jobId)).state, 'completed');
    assert.deepEqual(await world.content(target), await world.content(source));
    await world.assertClean();
    await world.stop();
  }
});

async function failedByOne(segmentCount: number): Promise<{ world: World; jobId: JobId; key: string }> {
  const world = await prepared(segmentCount);
  const { collectionId } = world.find(source);
  const key = world.catalog.find(segments, 'collection', collectionId).at(-1)?.files[0]?.key ?? '';
  const { memoryStore } = world.disk;
  const bytes = await memoryStore.get(key);
  bytes[0] = (bytes[0] as number) ^ 1;
  await memoryStore.put(key, bytes);
  const copy = memoryStore.copy.bind(memoryStore);
  let isHeld = true;
  memoryStore.copy = async (from, to, options) => {
    while (from === key && isHeld) await settle(1);
    return copy(from, to, options);
  };
  const jobId = await world.restore();
  const tasks = Math.ceil(segmentCount / 2);
  await until(
    () => world.catalog.find(copyTasks, 'jobState', `${jobId}/completed`).length === tasks - 1,
    'all but one done',
  );
  isHeld = false;
  return { world, jobId, key };
}

test('W8: what the other tasks of a failed restore have completed goes with it, and the job is forgotten in its time', async () => {
  const { world, jobId } = await failedByOne(6);
  assert.equal((await world.ended(jobId)).state, 'failed');
  const { collectionId } = world.find(source);
  for (const segment of world.catalog.all(segments)) assert.equal(segment.collectionId, collectionId);
  assert.equal(world.catalog.count(copyTasks), 0);
  const left = await world.disk.keys('segments/');
  assert.ok(
    left.every((key) => key.startsWith(`segments/${collectionId}/`)),
    left.join(', '),
  );
  await world.disk.clock.jump(4 * 3_600_000);
  await settle();
  assert.throws(
    () => world.service.restoreState(jobId),
    (error) => isDbError(error, 'job-not-found'),
  );
  await world.assertClean();
  await world.stop();
});

test('W15: a restore of many tasks reads each manifest once', async () => {
  const world = await World.withRows(40, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const { memoryStore } = world.disk;
  const get = memoryStore.get.bind(memoryStore);
  const read: string[] = [];
  memoryStore.get = (key) => {
    if (key.startsWith('snapshots/')) read.push(key);
    return get(key);
  };
  const info = await world.ended(await world.restore());
  assert.deepEqual([info.state, info.totalSegments], ['completed', 40]);
  assert.equal(new Set(read).size, read.length, read.join(', '));
  await world.stop();
});

test('W23: a byte that has changed in one object fails the restore, which names it; nothing of it is completed', async () => {
  const { world, jobId, key } = await failedByOne(4);
  const info = await world.ended(jobId);
  assert.equal(info.state, 'failed');
  assert.ok(info.reason.includes(key), info.reason);
  assert.equal(world.has(target), false);
  await world.stop();
});
