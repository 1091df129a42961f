import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { DatabaseId, FieldId } from '../../model/ids.ts';
import type { Properties } from '../../model/records.ts';
import type { RestoreSnapshot } from '../api.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { pins } from '../snapshot/record.ts';
import { databases, indexes, partitions, segments } from '../tables.ts';
import { SPARE_BYTES } from './admission.ts';

const request = (more: Partial<RestoreSnapshot> = {}): RestoreSnapshot => ({
  source,
  name: 'snap',
  target,
  ...more,
});
const is =
  (code: ErrorName, ...words: readonly string[]) =>
  (error: unknown) => {
    assert.ok(isDbError(error, code), `${error}`);
    for (const word of words) assert.ok(error.message.includes(word), error.message);
    return true;
  };

async function addDatabase(world: World, properties: Properties = {}): Promise<void> {
  const createdTs = world.time.next();
  await world.catalog.commitSure([
    put(databases, { databaseId: 2n as DatabaseId, name: 'db2', properties, createdTs }, undefined),
  ]);
}

/** Refused, by a restore and by its preview, and nothing was written anywhere. */
async function refused(
  world: World,
  asked: RestoreSnapshot,
  code: ErrorName,
  ...words: readonly string[]
): Promise<void> {
  const { commits, puts } = world.disk;
  const { signal } = new AbortController();
  await assert.rejects(async () => world.service.restoreSnapshot(asked), is(code, ...words));
  await assert.rejects(async () => world.service.previewRestore(asked, signal), is(code, ...words));
  assert.deepEqual([world.disk.commits, world.disk.puts], [commits, puts]);
}

test('every check comes before anything is created: name, target, alias clash, database, partitions', async () => {
  const world = await World.withRows(2);
  await world.create();
  world.aliases.set('other_words', source.name);
  await refused(world, request({ name: '' }), 'parameter-invalid');
  await refused(world, request({ name: 'nope' }), 'snapshot-not-found', "'nope'");
  await refused(world, request({ source: { database: '', name: 'nope' } }), 'collection-not-found');
  await refused(world, request({ source: { database: '', name: '' } }), 'parameter-invalid');
  await refused(world, request({ target: { database: '', name: '' } }), 'parameter-invalid', 'target');
  await refused(world, request({ target: source }), 'collection-duplicate', 'duplicate collection');
  const alias = { database: 'default', name: 'other_words' };
  await refused(world, request({ target: alias }), 'collection-duplicate', 'alias', `'${source.name}'`);
  await refused(world, request({ target: { database: 'db9', name: 'x' } }), 'database-not-found', 'db9');
  await refused(world, request({ partitions: [] }), 'parameter-invalid', 'no partition');
  await refused(world, request({ partitions: ['old', 'nope'] }), 'partition-not-found', 'nope');
  assert.equal(world.catalog.count(copyJobs) + world.catalog.count(pins), 0);
  await world.assertClean();
  await world.stop();
});

test('a database that has as many collections as it may takes no restore', async () => {
  const world = await World.withRows(1);
  await world.create();
  await addDatabase(world, { 'database.max.collections': '0' });
  const full = request({ target: { database: 'db2', name: 'x' } });
  await refused(world, full, 'resource-exhausted', 'limit=0');
  await world.assertClean();
  await world.stop();
});

test('a snapshot with an index of a field that its schema does not have is refused before anything is created', async () => {
  const world = await World.withRows(1);
  const [index] = world.catalog.find(indexes, 'collection', world.find(source).collectionId);
  await world.catalog.commitSure([put(indexes, { ...index!, fieldId: 999 as FieldId }, index)]);
  await world.create();
  await refused(world, request(), 'data-integrity', "index 'vector'", '999');
  await world.stop();
});

test('without a data node that can ever take its tasks a restore is refused as resource-exhausted, unless it has none', async () => {
  const world = await World.withRows(1);
  await world.create();
  world.cluster.leave(world.node.nodeId);
  await refused(world, request(), 'resource-exhausted', 'no data node', '1 slots');
  await world.addCollection('empty', 0);
  const empty = { database: '', name: 'empty' };
  await world.service.createSnapshot({
    at: empty,
    name: 'snap',
    description: '',
    compactionProtectionSeconds: 0,
  });
  const jobId = await world.service.restoreSnapshot(request({ source: empty }));
  assert.equal((await world.ended(jobId)).state, 'completed');
  await world.stop();
});

test('a node with fewer slots than a task asks for takes it with all it has', async () => {
  const world = await World.withRows(2, { bytesPerSlot: 1, maxSlotsPerCopyTask: 64 });
  await world.create();
  assert.equal((await world.ended(await world.restore())).state, 'completed');
  await world.stop();
});

test('a physical restore that does not fit the free disk is refused as storage-full with needed and free bytes', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { totalBytes } = await world.ended(await world.restore());
  const { memoryStore } = world.disk;
  const again = request({ target: { database: '', name: 'again' }, mode: 'physical' });
  memoryStore.freeBytes = totalBytes + SPARE_BYTES - 1;
  await refused(world, again, 'storage-full', `${totalBytes} bytes`, `${memoryStore.freeBytes} are free`);
  memoryStore.freeBytes++;
  assert.equal((await world.ended(await world.service.restoreSnapshot(again))).state, 'completed');
  await world.assertClean();
  await world.stop();
});

test('a shared restore needs room only where the store cannot share', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { memoryStore } = world.disk;
  memoryStore.freeBytes = 5;
  memoryStore.shares = 'none';
  await refused(world, request({ mode: 'shared' }), 'storage-full', '5 are free');
  memoryStore.shares = 'clone';
  assert.equal((await world.ended(await world.restore())).state, 'completed');
  await world.stop();
});

test('room that restores under way have yet to fill is not promised twice', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { totalBytes } = await world.ended(await world.restore());
  world.disk.memoryStore.shares = 'none';
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let held = 0;
  memoryStore.copy = (...args) => {
    held++;
    return gate.then(() => copy(...args));
  };
  const waiting = await world.restore('snap', { database: '', name: 'waiting' });
  await until(() => held > 0, 'copying');
  await settle();
  world.disk.memoryStore.freeBytes = 2 * totalBytes + SPARE_BYTES - 1;
  const [second, third] = ['second', 'third'].map((name) => request({ target: { database: '', name } }));
  await refused(world, second!, 'storage-full', `${totalBytes} are other restores'`);
  open();
  await world.ended(waiting);
  assert.equal((await world.ended(await world.service.restoreSnapshot(third!))).state, 'completed');
  await world.stop();
});

test('a restore into another database: the same rows, under the same name', async () => {
  const world = await World.withRows(3);
  await addDatabase(world);
  await world.create();
  const there = { database: 'db2', name: source.name };
  const info = await world.ended(await world.restore('snap', there));
  assert.deepEqual([info.state, info.databaseName, info.collectionName], ['completed', 'db2', source.name]);
  assert.deepEqual(await world.content(there), await world.content(source));
  assert.equal(world.find(there).databaseId, 2n);
  await world.assertClean();
  await world.stop();
});

test('the target keeps field ids, partitions, indexes (same names and parameters, new ids), properties, consistency level, shards', async () => {
  const world = await World.withRows(3);
  await world.create();
  await world.ended(await world.restore());
  const [from, to] = [world.find(source), world.find(target)];
  assert.deepEqual(
    to.schema.fields.map(({ fieldId, name }) => [fieldId, name]),
    from.schema.fields.map(({ fieldId, name }) => [fieldId, name]),
  );
  for (const key of ['schema', 'properties', 'consistencyLevel', 'shardsNum'] as const)
    assert.deepEqual(to[key], from[key]);
  assert.equal(to.channels.length, from.channels.length);
  for (const table of [partitions, indexes]) {
    const of = (id: bigint) => world.catalog.find(table as typeof indexes, 'collection', id);
    const [was, now] = [of(from.collectionId), of(to.collectionId)];
    assert.ok(now.length > 0);
    assert.deepEqual(
      now.map(({ name, params, fieldId }) => [name, params, fieldId]),
      was.map(({ name, params, fieldId }) => [name, params, fieldId]),
    );
  }
  const ids = (id: bigint) => [
    id,
    ...world.catalog.find(partitions, 'collection', id).map(({ partitionId }) => partitionId),
    ...world.catalog.find(indexes, 'collection', id).map(({ indexId }) => indexId),
    ...world.catalog.find(segments, 'collection', id).map(({ segmentId }) => segmentId),
  ];
  const before = new Set<bigint>(ids(from.collectionId));
  assert.ok(ids(to.collectionId).every((id) => !before.has(id)));
  await world.stop();
});

test('the snapshot is pinned from admission to the end', async () => {
  const world = await World.withRows(2);
  await world.create();
  const seen: string[] = [];
  world.catalog.onChange((changes) => {
    const job = changes.find(({ table }) => table === copyJobs)?.is as { state: string } | undefined;
    if (job !== undefined) seen.push(`${job.state} ${world.catalog.count(pins)}`);
  });
  await world.ended(await world.restore());
  assert.deepEqual(
    [...new Set(seen)].filter((line) => !line.startsWith('executing')),
    ['pending 1', 'completed 0'],
  );
  assert.ok(seen.filter((line) => line.startsWith('executing')).every((line) => line === 'executing 1'));
  await world.stop();
});

test('a job keeps the copy mode it was asked with, over a restart with another configuration', async () => {
  let world = await World.withRows(2, { copyMode: 'shared' });
  await world.create();
  const modes: string[] = [];
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = (from, to, options) => {
    modes.push(`${to.split('/')[1]} ${options.mode}`);
    return copy(from, to, options);
  };
  const asked = await world.service.restoreSnapshot(request({ mode: 'physical' }));
  await world.loseNode();
  const configured = await world.restore('snap', { database: '', name: 'configured' });
  world = await world.restart({ copyMode: 'physical' });
  const jobs = await Promise.all([world.ended(asked), world.ended(configured)]);
  assert.ok(jobs.every(({ state }) => state === 'completed'));
  const [mine, other] = [world.find(target), world.find({ database: '', name: 'configured' })];
  assert.deepEqual(
    [...new Set(modes)].sort(),
    [`${mine.collectionId} physical`, `${other.collectionId} shared`].sort(),
  );
  await world.stop();
});
