import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source, target, World } from '../../../tests/heart/world.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { RestoreSnapshot } from '../api.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { pins } from '../snapshot/record.ts';
import { segments } from '../tables.ts';

const preview = (world: World, more: Partial<RestoreSnapshot> = {}, signal = new AbortController().signal) =>
  world.service.previewRestore({ source, name: 'snap', target, ...more }, signal);

test('a dry run tells what the restore then does, and makes no record', async () => {
  const world = await World.withRows(5);
  await world.create();
  world.disk.memoryStore.freeBytes = 2 ** 40;
  for (const partitions of [undefined, ['old']]) {
    const at = { database: '', name: `t${partitions?.length ?? 0}` };
    const more = { target: at, ...(partitions === undefined ? {} : { partitions }) };
    const { commits, puts } = world.disk;
    const told = await preview(world, more);
    assert.deepEqual([world.disk.commits, world.disk.puts], [commits, puts]);
    assert.equal(world.has(at), false);
    const jobId = await world.service.restoreSnapshot({ source, name: 'snap', ...more });
    const info = await world.ended(jobId);
    assert.equal(world.catalog.get(copyJobs, jobId)?.taskCount, told.taskCount);
    assert.deepEqual(
      [told.segmentCount, told.totalBytes, told.totalFiles, told.totalRows],
      [info.totalSegments, info.totalBytes, info.totalFiles, info.totalRows],
    );
    assert.deepEqual(
      [told.snapshotName, told.databaseName, told.collectionName, told.freeBytes, told.problems],
      ['snap', 'default', at.name, 2 ** 40, []],
    );
  }
  await world.stop();
});

test('a dry run says by which method bytes would travel: as the request, the configuration and the store have it', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { memoryStore } = world.disk;
  const method = async (mode?: 'shared' | 'physical') => {
    const told = await preview(world, mode === undefined ? {} : { mode });
    return `${told.mode} ${told.method}`;
  };
  memoryStore.shares = 'hard-link';
  assert.deepEqual(
    [await method(), await method('shared'), await method('physical')],
    ['shared hard-link', 'shared hard-link', 'physical stream'],
  );
  memoryStore.shares = 'none';
  assert.equal(await method('shared'), 'shared stream');
  await world.stop();
});

test('a dry run names every object that is missing or has another size, reads none, and lists a thousand at most', async () => {
  const world = await World.withRows(260);
  await world.create();
  const { memoryStore } = world.disk;
  const files = world.catalog
    .find(segments, 'collection', world.find(source).collectionId)
    .flatMap(({ files: own, indexes }) => [...own, ...indexes.map(({ file }) => file)]);
  const [short, gone] = [files[0]!, files[1]!];
  await memoryStore.put(short.key, new Uint8Array(3));
  await memoryStore.delete(gone.key);
  const get = memoryStore.get.bind(memoryStore);
  const read: string[] = [];
  memoryStore.get = (key) => {
    read.push(key);
    return get(key);
  };
  const { problems, problemCount } = await preview(world);
  assert.equal(problemCount, 2);
  assert.deepEqual(
    problems.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    [
      { key: short.key, detail: `has 3 bytes, ${short.sizeBytes} were written` },
      { key: gone.key, detail: 'is missing' },
    ].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  );
  assert.ok(read.every((key) => key.startsWith('snapshots/')));
  for (const { key } of files) await memoryStore.delete(key);
  const all = await preview(world);
  assert.deepEqual([all.problemCount, all.problems.length], [1040, 1000]);
  await world.stop();
});

test('a dry run ends between two objects when its caller goes, and asks the store for a few at once only', async () => {
  const world = await World.withRows(100);
  await world.create();
  const { memoryStore } = world.disk;
  const stat = memoryStore.stat.bind(memoryStore);
  const stop = new AbortController();
  let [running, most, asked] = [0, 0, 0];
  memoryStore.stat = async (key) => {
    most = Math.max(most, ++running);
    if (++asked === 50) stop.abort(new Error('gone'));
    const found = await stat(key);
    running--;
    return found;
  };
  await assert.rejects(preview(world, {}, stop.signal), { message: 'gone' });
  assert.ok(asked < 70 && most <= 8 && most > 1, `${asked} objects, ${most} at once`);
  await world.stop();
});

test('a dry run estimates from what restores have lately achieved, also after a restart; without any it does not', async () => {
  let world = await World.withRows(4);
  await world.create();
  assert.equal((await preview(world)).estimatedMs, undefined);
  const { memoryStore, clock } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    await clock.sleep(1000, new AbortController().signal);
    return copy(...args);
  };
  const { durationMs } = await world.ended(await world.restore());
  memoryStore.copy = copy;
  const again = { target: { database: '', name: 'again' } };
  const estimate = async (more: Partial<RestoreSnapshot> = {}) =>
    (await preview(world, { ...again, ...more })).estimatedMs;
  assert.equal(await estimate(), durationMs);
  assert.ok(Math.abs((await estimate({ partitions: ['old'] }))! - durationMs / 2) <= 1);
  assert.equal(await estimate({ mode: 'physical' }), undefined);
  world = await world.restart();
  assert.equal(await estimate(), durationMs);
  await world.stop();
});

test('a dry run of a snapshot with a damaged manifest says so', async () => {
  const world = await World.withRows(1);
  await world.create();
  for (const manifest of (await world.disk.keys('snapshots/')).filter((each) => each.endsWith('.avro')))
    await world.disk.memoryStore.put(manifest, new Uint8Array(5));
  await assert.rejects(preview(world), (error) => isDbError(error, 'data-integrity'));
  assert.equal(world.catalog.count(pins), 0);
  await world.stop();
});
