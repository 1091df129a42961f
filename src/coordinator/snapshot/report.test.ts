import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { put, remove } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import { ALL_PARTITIONS, type SegmentId } from '../../model/ids.ts';
import { IDENTITY_KEY, snapshotManifestKey, snapshotMetadataKey } from '../../storage/keys.ts';
import type { SnapshotAt } from '../admin-api.ts';
import { collections, partitions, segments } from '../tables.ts';
import { readMetadata } from './reader.ts';
import { snapshots } from './record.ts';

const snap: SnapshotAt = { at: source, name: 'snap' };
const content = async (world: World, name = 'snap') => {
  const report = await world.service.snapshotReport({ at: source, name });
  assert.equal(report.damage, undefined);
  assert.ok(report.content);
  return { ...report.content, sizeBytes: report.sizeBytes };
};

test('describe accounts for rows, bytes, segments, partitions, indexes and schema of a snapshot', async () => {
  const world = await World.withRows(3);
  const { collectionId, schema } = world.find(source);
  const [whole] = world.catalog.find(segments, 'collection', collectionId);
  const deletes = {
    ...whole!,
    segmentId: await world.ids.next<SegmentId>(),
    level: 'L0' as const,
    rowCount: 4,
  };
  await world.catalog.commitSure([
    put(
      segments,
      { ...deletes, partitionId: ALL_PARTITIONS, files: [whole!.files[2]!], indexes: [] },
      undefined,
    ),
  ]);
  await world.service.createSnapshot({
    at: source,
    name: 'snap',
    description: 'before the change',
    compactionProtectionSeconds: 60,
  });
  const pinId = await world.service.pinSnapshot(source, 'snap', 30);
  const report = await world.service.snapshotReport(snap);
  const record = [...world.catalog.all(snapshots)][0]!;
  const nowMs = world.disk.clock.nowMs();
  assert.deepEqual(
    [report.name, report.description, report.databaseName, report.collectionName, report.collectionId],
    ['snap', 'before the change', 'default', 'words', collectionId],
  );
  assert.deepEqual([report.rowCount, report.segmentCount, report.protectedUntilMs], [30, 4, nowMs + 60_000]);
  assert.deepEqual([report.createdAtMs, report.location], [nowMs, record.metadataKey]);
  assert.deepEqual(report.pins, [
    {
      pinId,
      snapshotId: report.snapshotId,
      snapshotName: 'snap',
      databaseName: 'default',
      collectionName: 'words',
      owner: 'user',
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 30_000,
    },
  ]);
  const { partitions: parts, indexes, ...rest } = report.content!;
  assert.deepEqual([rest.schema, rest.shardsNum, rest.consistencyLevel], [schema, 2, 'Session']);
  assert.deepEqual(rest.properties, { 'collection.ttl.seconds': '60' });
  assert.deepEqual([rest.deleteCount, rest.fileCount], [4, 2 + 3 * 4]);
  assert.equal(rest.exclusiveBytes + rest.sharedBytes, await bytesOf(world));
  assert.deepEqual(
    parts.map(({ name, segmentCount, rowCount }) => [name, segmentCount, rowCount]),
    [
      ['_default', 2, 20],
      ['old', 1, 10],
      ['(all partitions)', 1, 0],
    ],
  );
  const indexBytes = world.catalog
    .find(segments, 'collection', collectionId)
    .flatMap((segment) => segment.indexes)
    .reduce((sum, { file }) => sum + file.sizeBytes, 0);
  assert.deepEqual(indexes, [
    {
      name: 'vector',
      fieldName: 'vector',
      params: { index_type: 'HNSW' },
      segmentCount: 3,
      sizeBytes: indexBytes,
    },
  ]);
  await world.stop();
});

/** Of everything that is stored. */
/** Of everything but the store's identity, which is nobody's. */
async function bytesOf(world: World): Promise<number> {
  let sum = 0;
  for await (const { key, sizeBytes } of world.disk.memoryStore.list(''))
    if (key !== IDENTITY_KEY) sum += sizeBytes;
  return sum;
}

test('bytes are exclusive when no live segment and no other snapshot needs them, and dropping the snapshot frees just those', async () => {
  const world = await World.withRows(3);
  await world.create();
  const before = await content(world);
  // Everything is live: only metadata and manifest are the snapshot's own.
  const record = [...world.catalog.all(snapshots)][0]!;
  assert.equal(before.exclusiveBytes, record.metadataSizeBytes + record.manifestSizeBytes);
  assert.equal(before.exclusiveBytes + before.sharedBytes, before.sizeBytes);
  await world.create('other');
  // One segment is compacted away, another loses its index and keeps its rows.
  const { collectionId } = world.find(source);
  const [a, b] = world.catalog.find(segments, 'collection', collectionId);
  await world.catalog.commitSure([
    put(segments, { ...a!, state: 'dropped', droppedAtMs: 0 }, a),
    put(segments, { ...b!, indexes: [] }, b),
  ]);
  assert.equal((await content(world)).exclusiveBytes, before.exclusiveBytes);
  await world.service.dropSnapshot(source, 'other');
  const after = await content(world);
  const gone = [...a!.files, a!.indexes[0]!.file, b!.indexes[0]!.file].reduce((n, f) => n + f.sizeBytes, 0);
  assert.equal(after.exclusiveBytes, before.exclusiveBytes + gone);
  const stored = await bytesOf(world);
  await world.service.dropSnapshot(source, 'snap');
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  assert.equal(stored - (await bytesOf(world)), after.exclusiveBytes);
  await world.stop();
});

test('W28: a partition that was dropped since is still shown by its name, and none without one', async () => {
  const world = await World.withRows(2);
  const { collectionId } = world.find(source);
  const dropOld = async () => {
    const old = world.catalog.find(partitions, 'collection', collectionId).find(({ name }) => name === 'old');
    if (old !== undefined) await world.catalog.commitSure([remove(partitions, old)]);
  };
  await world.create();
  await dropOld();
  assert.deepEqual(
    (await content(world)).partitions.map(({ name }) => name),
    ['_default', 'old'],
  );
  assert.deepEqual(world.service.describeSnapshot(source, 'snap').partitionNames, ['_default', 'old']);
  // Made while the partition's drop was half done: its segments are still there, and not in the snapshot.
  await world.create('later');
  assert.deepEqual(
    (await content(world, 'later')).partitions.map(({ name }) => name),
    ['_default'],
  );
  await world.stop();
});

test('R24: describe and list stay usable when the files of a snapshot are damaged: that one is shown as damaged with the reason', async () => {
  let world = await World.withRows(2);
  const { collectionId } = world.find(source);
  await world.create('good');
  const lost = await world.create('lost');
  const torn = await world.create('torn');
  const { memoryStore } = world.disk;
  const [metadata, manifest] = [
    snapshotMetadataKey(collectionId, lost),
    snapshotManifestKey(collectionId, torn, 0),
  ];
  await memoryStore.delete(metadata);
  const bytes = await memoryStore.get(manifest);
  await memoryStore.put(manifest, bytes.slice(0, -1));
  for (const [name, key] of [
    ['lost', metadata],
    ['torn', manifest],
  ] as const) {
    const report = await world.service.snapshotReport({ at: source, name });
    assert.ok(report.damage?.includes(key), report.damage);
    assert.deepEqual([report.content, report.rowCount, report.segmentCount], [undefined, 20, 2]);
  }
  const shown = () =>
    world.service.snapshotReports('', '').map(({ name, damage }) => [name, damage !== undefined]);
  const expected = [
    ['good', false],
    ['lost', true],
    ['torn', true],
  ];
  assert.deepEqual(shown(), expected);
  await content(world, 'good');
  assert.deepEqual(world.service.listSnapshots(source), ['good', 'lost', 'torn']);
  // After a restart a list knows what the reading of the references has found; a description finds the rest again.
  world = await world.restart();
  await settle();
  assert.deepEqual(shown(), [
    ['good', false],
    ['lost', true],
    ['torn', false],
  ]);
  await memoryStore.put(manifest, bytes);
  await content(world, 'torn');
  await world.service.dropSnapshot(source, 'lost');
  assert.deepEqual(shown(), [
    ['good', false],
    ['torn', false],
  ]);
  await world.stop();
});

test('a store that fails for now is no lasting damage', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { memoryStore } = world.disk;
  const inner = memoryStore.get.bind(memoryStore);
  memoryStore.get = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  const reading = world.service.snapshotReport(snap);
  for (let i = 0; i < 5; i++) await world.disk.clock.advance(2000);
  assert.equal((await reading).damage, 'EIO');
  memoryStore.get = inner;
  assert.equal(world.service.snapshotReports('', '')[0]?.damage, undefined);
  await content(world);
  await world.stop();
});

test('reports are listed by database and collection, oldest first, also of a collection that is gone', async () => {
  const world = await World.withRows(1);
  await world.create('b');
  await world.create('a');
  await world.addCollection('other', 1);
  await world.service.createSnapshot({
    at: { database: '', name: 'other' },
    name: 'c',
    description: '',
    compactionProtectionSeconds: 0,
  });
  const names = (database: string, collection: string) =>
    world.service.snapshotReports(database, collection).map(({ name }) => name);
  assert.deepEqual(names('', ''), ['b', 'a', 'c']);
  assert.deepEqual(names('default', 'words'), ['b', 'a']);
  assert.deepEqual(names('elsewhere', ''), []);
  const was = world.find(source);
  await world.catalog.commitSure([put(collections, { ...was, name: 'renamed' }, was)]);
  assert.deepEqual(names('', 'renamed'), ['b', 'a']);
  await world.service.pinSnapshot({ database: '', name: 'renamed' }, 'a', 0);
  await world.dropCollection({ database: '', name: 'renamed' });
  // Under the name it had when the snapshot was made.
  assert.deepEqual(names('', 'words'), ['a']);
  assert.equal((await world.service.snapshotReport({ at: source, name: 'a' })).content?.fileCount, 6);
  await assert.rejects(world.service.snapshotReport({ at: source, name: 'b' }), (e) =>
    isDbError(e, 'collection-not-found'),
  );
  await world.stop();
});

test('a snapshot that is dropped while it is described is not found, and not damaged', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { memoryStore } = world.disk;
  const inner = memoryStore.get.bind(memoryStore);
  memoryStore.get = async (key) => {
    await world.service.dropSnapshot(source, 'snap');
    return inner(key);
  };
  await assert.rejects(world.service.snapshotReport(snap), (e) => isDbError(e, 'snapshot-not-found'));
  await world.stop();
});

test('a description opens without reading manifests', async () => {
  const world = await World.withRows(3);
  await world.create();
  const { memoryStore } = world.disk;
  const inner = memoryStore.get.bind(memoryStore);
  const read: string[] = [];
  memoryStore.get = (key) => {
    assert.ok(!key.endsWith('.avro'), key);
    read.push(key);
    return inner(key);
  };
  const record = [...world.catalog.all(snapshots)][0]!;
  const metadata = await readMetadata(world.disk.store(), record);
  assert.equal(metadata.collection.name, 'words');
  assert.deepEqual(read, [record.metadataKey]);
  // The wire's description, and the list, need not even that.
  assert.equal(world.service.describeSnapshot(source, 'snap').segmentCount, 3);
  assert.equal(world.service.snapshotReports('', '').length, 1);
  assert.equal(read.length, 1);
  await world.stop();
});
