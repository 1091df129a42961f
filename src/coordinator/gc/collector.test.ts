import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault } from '../../../tests/heart/disk.ts';
import { settle } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put, remove } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import {
  deletesKey,
  IDENTITY_KEY,
  indexKey,
  rowsKey,
  snapshotManifestKey,
  snapshotMetadataKey,
} from '../../storage/keys.ts';
import type { ListedObject } from '../../storage/object-store.ts';
import type { GarbageVerdict } from '../admin-api.ts';
import { readManifests, readMetadata } from '../snapshot/reader.ts';
import { snapshots } from '../snapshot/record.ts';
import { allFiles } from '../snapshot/segment.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';

const HOUR = 3_600_000;
/** Longer than every tolerance. */
const QUIET = 25 * HOUR;
const VECTOR = 101 as FieldId;
const bytes = Uint8Array.of(1, 2, 3);
const never = () => new AbortController().signal;
const NO_TOLERANCE = { dropToleranceMs: 0, missingToleranceMs: 0, gcIntervalMs: 10_000 * HOUR };
const foreign = ['backup/2026/rows.parquet', 'segments/notes.txt', 'snapshots/1/metadata/old.json'];

async function planned(world: World): Promise<GarbageVerdict[]> {
  const verdicts: GarbageVerdict[] = [];
  for await (const verdict of world.service.planGarbage(never())) verdicts.push(verdict);
  return verdicts;
}

const collect = (world: World) => world.service.collectGarbage(never());

async function temporaries(world: World): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of world.disk.memoryStore.listTemporary()) names.push(name);
  return names;
}

/** What live segments and committed snapshots name, read from records and the snapshots' own objects. */
async function referenced({ catalog, disk }: World): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const segment of catalog.find(segments, 'state', 'flushed'))
    for (const { key } of allFiles(segment)) keys.add(key);
  for (const record of catalog.find(snapshots, 'state', 'committed')) {
    const metadata = await readMetadata(disk.memoryStore, record);
    keys.add(record.metadataKey);
    for (const { key } of metadata.manifests) keys.add(key);
    for (const segment of await readManifests(disk.memoryStore, metadata, 4))
      for (const { key } of allFiles(segment)) keys.add(key);
  }
  return keys;
}

/** Passes run when a test asks for them. */
const LIMITS = { gcIntervalMs: 10_000 * HOUR };

/** Everything that a pass may meet, in one storage. `source` keeps two segments, a dropped one that snapshot `snap` needs, and one without. */
async function littered(): Promise<World> {
  const world = await World.withRows(4, LIMITS);
  const { memoryStore } = world.disk;
  const store = (key: string) => memoryStore.put(key, bytes);
  await world.create('snap');
  await world.create('left');
  const [left] = [...world.catalog.all(snapshots)].filter(({ name }) => name === 'left');
  await world.catalog.commitSure([put(snapshots, { ...left!, state: 'pending', metadataKey: '' }, left)]);
  await world.create('going');
  world.disk.failDelete = () => true;
  await world.service.dropSnapshot(source, 'going');
  world.disk.failDelete = () => false;
  const collection = world.find(source);
  const { collectionId } = collection;
  const [first, second, third] = world.catalog.find(segments, 'collection', collectionId);
  const droppedAtMs = world.disk.clock.nowMs();
  await world.catalog.commitSure([put(segments, { ...first!, state: 'dropped', droppedAtMs }, first)]);
  const later = await world.addSegment(collection, second!.partitionId, 'later');
  await world.catalog.commitSure([put(segments, { ...later, state: 'dropped', droppedAtMs }, later)]);
  const gone = { ...later, segmentId: (await world.ids.next()) as SegmentId, droppedAtMs };
  await world.catalog.commitSure([
    put(segments, { ...gone, state: 'dropped', files: [], indexes: [] }, undefined),
  ]);
  // Left by attempts that lost, or that nobody remembers.
  await store(indexKey(third!, VECTOR, 77n as BuildId));
  await store(indexKey(first!, VECTOR, 78n as BuildId));
  await store(deletesKey({ ...later, partitionId: 999n as PartitionId }));
  await store(rowsKey({ collectionId, partitionId: 1n as PartitionId, segmentId: 888n as SegmentId }));
  await store(snapshotMetadataKey(collectionId, 777n as SnapshotId));
  await store(snapshotManifestKey(collectionId, 777n as SnapshotId, 0));
  for (const key of foreign) await store(key);
  memoryStore.leaveTemporary('w-1/1', 10);
  // A drop that got no further than its first commit; a snapshot of it is not pinned.
  const vanishing = await world.addCollection('vanishing', 2);
  await world.service.createSnapshot({
    at: { database: '', name: 'vanishing' },
    name: 'orphaned',
    description: '',
    compactionProtectionSeconds: 0,
  });
  await world.catalog.commitSure([remove(collections, vanishing)]);
  return world;
}

const stored = async (world: World) => ({
  keys: await world.disk.keys(),
  temporaries: await temporaries(world),
  segments: [...world.catalog.all(segments)].map(({ segmentId, state }) => `${segmentId} ${state}`).sort(),
  snapshots: [...world.catalog.all(snapshots)].map(({ name, state }) => `${name} ${state}`).sort(),
});

test('after quiet, storage is what is referenced and what is younger than grace: segments, delete files, index builds, pending and deleting snapshots, vanished collections, temporary files', async () => {
  const world = await littered();
  await collect(world);
  const afterFirst = await world.disk.keys();
  for (const key of await referenced(world)) assert.ok(afterFirst.includes(key), key);
  await world.disk.clock.jump(QUIET);
  const young = rowsKey({
    collectionId: 5n as CollectionId,
    partitionId: 6n as PartitionId,
    segmentId: 7n as SegmentId,
  });
  await world.disk.memoryStore.put(young, bytes);
  world.disk.memoryStore.leaveTemporary('w-2/1', 10);
  await collect(world);
  const expected = new Set([...(await referenced(world)), ...foreign, young]);
  assert.deepEqual(new Set(await world.disk.keys()), expected);
  assert.deepEqual(await temporaries(world), ['w-2/1']);
  await world.disk.clock.jump(QUIET);
  const { deletedObjects, keptObjects } = await collect(world);
  expected.delete(young);
  assert.deepEqual(new Set(await world.disk.keys()), expected);
  assert.deepEqual(await temporaries(world), []);
  assert.deepEqual([deletedObjects, keptObjects], [2, expected.size + 1]);
  // Of the records only those are left that have objects: three live segments, and the dropped one that `snap` needs.
  const { segments: records, snapshots: names } = await stored(world);
  assert.deepEqual([records.length, names], [4, ['snap committed']]);
  await world.service.dropSnapshot(source, 'snap');
  await collect(world);
  assert.equal(world.catalog.find(segments, 'state', 'dropped').length, 0);
  assert.deepEqual(new Set(await world.disk.keys()), new Set([...(await referenced(world)), ...foreign]));
  await world.stop();
});

test('a dry run changes nothing and says, object by object, what the pass after it does', async () => {
  const world = await littered();
  for (const ageMs of [0, QUIET]) {
    await world.disk.clock.jump(ageMs);
    const { commits } = world.disk;
    const before = await stored(world);
    const plan = await planned(world);
    assert.deepEqual([await stored(world), world.disk.commits], [before, commits]);
    const result = await collect(world);
    const after = await stored(world);
    const isDeleted = (key: string) => plan.some((line) => line.key === key && line.verdict === 'delete');
    assert.deepEqual(
      after.keys,
      before.keys.filter((key) => !isDeleted(key)),
    );
    assert.deepEqual(
      after.temporaries,
      before.temporaries.filter((name) => !isDeleted(`.tmp/${name}`)),
    );
    const records = plan.filter(({ key }) => key.startsWith('record:'));
    assert.equal(
      records.filter(({ key }) => key.startsWith('record:segment/')).length,
      before.segments.length - after.segments.length,
    );
    assert.equal(
      records.filter(({ key }) => key.startsWith('record:snapshot/')).length,
      before.snapshots.length - after.snapshots.length,
    );
    const objects = plan.filter(({ key }) => !key.startsWith('record:'));
    const sum = (verdict: string) =>
      objects
        .filter((line) => line.verdict === verdict)
        .reduce((bytesOf, { sizeBytes }) => bytesOf + sizeBytes, 0);
    assert.deepEqual(result, {
      deletedObjects: objects.filter(({ verdict }) => verdict === 'delete').length,
      deletedBytes: sum('delete'),
      keptObjects: objects.filter(({ verdict }) => verdict === 'keep').length,
      keptBytes: sum('keep'),
    });
    assert.ok(objects.every(({ reason, detail }) => reason !== '' && detail !== ''));
    const keysInOrder = objects.map(({ key }) => key).filter((key) => !key.startsWith('.tmp/'));
    assert.deepEqual(keysInOrder, keysInOrder.toSorted());
    if (ageMs > 0)
      assert.deepEqual(
        new Set(plan.map(({ reason }) => reason)),
        new Set(['live', 'snapshot', 'dropped', 'stray', 'orphan', 'foreign', 'identity', 'temporary']),
      );
  }
  await world.stop();
});

for (const [kind, effect] of [
  ['crash', 'before'],
  ['crash', 'after'],
  ['fail', 'before'],
  ['fail', 'after'],
] as const)
  test(`${kind} ${effect} any call of a pass, then another pass: the same end`, async () => {
    const end = async (fault: Fault | undefined) => {
      let world = await littered();
      await world.disk.clock.jump(QUIET);
      world.disk.plan(fault);
      await collect(world).catch(() => undefined);
      const { hit } = world.disk;
      if (kind === 'crash') world = await world.restart();
      else world.disk.plan(undefined);
      await collect(world);
      // What vanished was dropped only by the pass.
      await world.disk.clock.jump(QUIET);
      await collect(world);
      await world.stop();
      return { hit, stored: await stored(world) };
    };
    const expected = await end(undefined);
    let at = 1;
    // A catalog commit of unknown outcome ends the process; it does not just fail.
    const only = kind === 'fail' ? ({ only: 'store' } as const) : {};
    for (; ; at++) {
      const { hit, stored: found } = await end({ at, kind, effect, ...only });
      assert.deepEqual(found, expected.stored, `call ${at}`);
      if (!hit) break;
    }
    assert.ok(at > 20, `${at} calls`);
  });

test('listings that are behind cost nothing that is needed, no object counts as missing for them, and later passes come to the same end', async () => {
  const list = async (world: World) => {
    const listed: ListedObject[] = [];
    for await (const entry of world.disk.memoryStore.list('')) listed.push(entry);
    return listed;
  };
  const end = async (behind: readonly ((was: readonly ListedObject[]) => readonly ListedObject[])[]) => {
    const world = await littered();
    await world.disk.clock.jump(QUIET);
    const { memoryStore } = world.disk;
    const [listing, was] = [memoryStore.list.bind(memoryStore), await list(world)];
    for (const shown of behind) {
      memoryStore.list = async function* (prefix) {
        await Promise.resolve();
        yield* shown(was).filter(({ key }) => key.startsWith(prefix));
      };
      await collect(world);
      memoryStore.list = listing;
      for (const key of await referenced(world)) assert.ok(await memoryStore.stat(key), key);
      assert.deepEqual(world.service.troubles(), []);
    }
    for (let pass = 0; pass < 3; pass++) {
      await collect(world);
      await world.disk.clock.jump(QUIET);
    }
    await world.stop();
    return stored(world);
  };
  const expected = await end([]);
  const [none, all] = [() => [], (was: readonly ListedObject[]) => was];
  const everySecond = (odd: number) => (was: readonly ListedObject[]) => was.filter((_, i) => i % 2 === odd);
  for (const behind of [[none], [all, all], [everySecond(0), everySecond(1), all], [none, all]])
    assert.deepEqual(await end(behind), expected);
});

test('one object that cannot be deleted does not keep the others, and its record stays', async () => {
  const world = await littered();
  await world.disk.clock.jump(QUIET);
  const plan = (await planned(world)).filter(
    ({ key, verdict }) => verdict === 'delete' && !key.includes(':'),
  );
  const before = await stored(world);
  world.disk.failDelete = (key) => key.endsWith('rows.parquet');
  await assert.rejects(collect(world), /injected/);
  const after = await stored(world);
  const stuck = plan.filter(({ key }) => key.endsWith('rows.parquet')).map(({ key }) => key);
  assert.ok(stuck.length > 0);
  for (const key of stuck) assert.ok(after.keys.includes(key), key);
  assert.equal(before.keys.length - after.keys.length, plan.length - stuck.length - 1);
  for (const record of world.catalog.find(segments, 'state', 'dropped'))
    assert.ok(
      after.keys.some((key) => key.includes(`/${record.segmentId}/`)),
      String(record.segmentId),
    );
  world.disk.failDelete = () => false;
  await collect(world);
  const left = await world.disk.keys();
  assert.deepEqual(
    left.filter((key) => stuck.includes(key)),
    [],
  );
  await world.stop();
});

test('W21: a storage error while a snapshot is removed keeps its record for the next round, and nothing leaks', async () => {
  const world = await World.withRows(3);
  await world.create();
  world.disk.failDelete = (key) => key.endsWith('.avro');
  await world.service.dropSnapshot(source, 'snap');
  await collect(world).catch(() => undefined);
  assert.deepEqual(
    [...world.catalog.all(snapshots)].map(({ state }) => state),
    ['deleting'],
  );
  assert.equal((await world.disk.keys('snapshots/')).length, 1);
  world.disk.failDelete = () => false;
  await collect(world);
  assert.equal(world.catalog.count(snapshots), 0);
  assert.deepEqual(await world.disk.keys('snapshots/'), []);
  await world.assertClean();
  await world.stop();
});

test('a snapshot created while a pass runs keeps what it captured, wherever the pass stands', async () => {
  for (let turns = 0; turns < 30; turns++) {
    const world = await littered();
    await world.disk.clock.jump(QUIET);
    const before = await world.content(source);
    const pass = collect(world);
    for (let i = 0; i < turns; i++) await Promise.resolve();
    await world.create('during');
    await pass;
    await collect(world);
    const all = new Set(await world.disk.keys());
    for (const key of await referenced(world)) assert.ok(all.has(key), `${turns}: ${key}`);
    await world.ended(await world.restore('during'));
    assert.deepEqual(await world.content(target), before);
    await world.stop();
  }
});

test('passes that never end, without any tolerance, take nothing from a restore that runs', async () => {
  const world = await World.withRows(5, NO_TOLERANCE);
  await world.create();
  const before = await world.content(source);
  const jobId = await world.restore();
  for (let i = 0; i < 60; i++) {
    await collect(world);
    await settle(1);
    if (i % 10 === 9) await world.disk.clock.advance(500);
  }
  await world.ended(jobId);
  await collect(world);
  assert.deepEqual(await world.content(target), before);
  await world.assertClean();
  await world.stop();
});

test('files of a restore that waits for its node are kept, though its segments list none', async () => {
  const world = await World.withRows(3, NO_TOLERANCE);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore();
  await settle();
  const [one] = world.catalog.find(segments, 'collection', world.find(target).collectionId);
  assert.deepEqual(one?.files, []);
  await world.disk.memoryStore.put(rowsKey(one!), bytes);
  await collect(world);
  const [line] = (await planned(world)).filter(({ key }) => key === rowsKey(one!));
  assert.deepEqual(
    [line?.verdict, line?.reason, line?.detail],
    ['keep', 'restoring', `restore job ${jobId}`],
  );
  await world.service.cancelRestore(jobId);
  await collect(world);
  await world.assertClean();
  await world.stop();
});

test('the output of a compaction is kept while it is written, and goes when the compaction is given up', async () => {
  const world = await World.withRows(2, NO_TOLERANCE);
  const [like] = world.catalog.all(segments);
  const segmentId = await world.ids.next<SegmentId>();
  const writing = { ...like!, segmentId, state: 'writing', files: [], indexes: [] } as const;
  await world.catalog.commitSure([put(segments, writing, undefined)]);
  await world.disk.memoryStore.put(rowsKey(writing), bytes);
  await collect(world);
  assert.ok((await world.disk.keys()).includes(rowsKey(writing)));
  const droppedAtMs = world.disk.clock.nowMs();
  await world.catalog.commitSure([put(segments, { ...writing, state: 'dropped', droppedAtMs }, writing)]);
  await collect(world);
  await world.assertClean();
  assert.equal(world.catalog.get(segments, segmentId), undefined);
  await world.stop();
});

test('a dry run says of each record that goes why', async () => {
  const world = await littered();
  await world.disk.clock.jump(QUIET);
  const records = async () =>
    (await planned(world))
      .filter(({ key }) => key.startsWith('record:'))
      .map(({ key, verdict, reason, detail }) => `${key.split('/')[0]} ${verdict} ${reason} ${detail}`)
      .map((line) => line.replace(/\d+/g, '#'))
      .sort();
  assert.deepEqual(await records(), [
    'record:segment delete dropped segment # was dropped',
    'record:segment delete dropped segment # was dropped',
    "record:snapshot delete abandoned snapshot 'left'",
    "record:snapshot delete deleting-snapshot snapshot 'going'",
    "record:snapshot delete deleting-snapshot snapshot 'orphaned'",
  ]);
  await collect(world);
  assert.deepEqual(await records(), []);
  await world.stop();
});

test('a dry run names the snapshots that need a file, and no longer one that outlived its collection', async () => {
  const world = await World.withRows(1, LIMITS);
  for (const name of ['a', 'b']) await world.create(name);
  const [segment] = world.catalog.all(segments);
  await world.catalog.commitSure([put(segments, { ...segment!, state: 'dropped', droppedAtMs: 0 }, segment)]);
  const details = async () =>
    new Set(
      (await planned(world))
        .filter(({ key }) => key.startsWith('segments/'))
        .map(({ reason, detail }) => `${reason} ${detail}`),
    );
  assert.deepEqual(await details(), new Set(["snapshot needed by snapshot 'a', snapshot 'b'"]));
  await world.service.dropSnapshot(source, 'b');
  assert.deepEqual(await details(), new Set(["snapshot needed by snapshot 'a'"]));
  await world.catalog.commitSure([remove(collections, world.find(source))]);
  assert.deepEqual(await details(), new Set([`dropped segment ${segment!.segmentId} was dropped`]));
  await world.stop();
});

test('a start removes the partitions and indexes of collections that are not there, and no others', async () => {
  let world = await World.withRows(1, LIMITS);
  const { collectionId: gone } = await world.addCollection('gone', 1);
  const { collectionId } = world.find(source);
  const of = (id: CollectionId) =>
    [partitions, indexes].map(
      (table) => world.catalog.find(table as typeof indexes, 'collection', id).length,
    );
  await world.catalog.commitSure([remove(collections, world.find({ database: '', name: 'gone' }))]);
  assert.deepEqual(
    [of(gone), of(collectionId)],
    [
      [2, 1],
      [2, 1],
    ],
  );
  world = await world.restart(LIMITS);
  assert.deepEqual(
    [of(gone), of(collectionId)],
    [
      [0, 0],
      [2, 1],
    ],
  );
  await world.stop();
});

test('a dry run foresees that a snapshot nobody can read or use any more keeps nothing, unless it is pinned', async () => {
  for (const isPinned of [false, true]) {
    let world = await World.withRows(1, LIMITS);
    for (const name of ['a', 'b']) await world.create(name);
    if (isPinned) await world.service.pinSnapshot(source, 'b', 1_000_000);
    const [was] = world.catalog.all(segments);
    await world.catalog.commitSure([put(segments, { ...was!, state: 'dropped', droppedAtMs: 0 }, was)]);
    for (const { metadataKey } of world.catalog.all(snapshots))
      await world.disk.memoryStore.delete(metadataKey);
    world = await world.restart(LIMITS);
    await world.catalog.commitSure([remove(collections, world.find(source))]);
    const lines = (await planned(world)).filter(({ key }) => key.startsWith('segments/'));
    assert.deepEqual(
      new Set(lines.map(({ reason }) => reason)),
      new Set([isPinned ? 'references-not-loaded' : 'dropped']),
    );
    await world.stop();
  }
});

test('the record of a dropped segment stays while an object of it does', async () => {
  const world = await World.withRows(2, NO_TOLERANCE);
  const [segment] = world.catalog.all(segments);
  const { segmentId } = segment!;
  await world.catalog.commitSure([put(segments, { ...segment!, state: 'dropped', droppedAtMs: 0 }, segment)]);
  world.building.add(segmentId);
  const isListed = async () => (await planned(world)).some(({ key }) => key.startsWith('record:'));
  assert.equal(await isListed(), false);
  await collect(world);
  assert.equal(world.catalog.get(segments, segmentId)?.state, 'dropped');
  world.building.clear();
  assert.equal(await isListed(), true);
  await collect(world);
  assert.equal(world.catalog.get(segments, segmentId), undefined);
  await world.stop();
});

test('the last pass is one that went to its end', async () => {
  const world = await littered();
  await world.disk.clock.jump(QUIET);
  const before = world.service.collector.last;
  const stop = new AbortController();
  world.disk.failDelete = () => {
    stop.abort();
    return false;
  };
  await world.service.collectGarbage(stop.signal);
  assert.deepEqual(world.service.collector.last, before);
  world.disk.failDelete = () => false;
  const result = await collect(world);
  assert.deepEqual(world.service.collector.last, { ...result, endedAtMs: world.disk.clock.nowMs() });
  await world.stop();
});

test('a dry run that is called off ends', async () => {
  const world = await littered();
  const stop = new AbortController();
  const keys: string[] = [];
  for await (const { key } of world.service.planGarbage(stop.signal)) {
    keys.push(key);
    if (keys.length === 3) stop.abort();
  }
  assert.equal(keys.length, 3);
  await world.stop();
});

test('what came to be needed after it was listed is kept', async () => {
  const world = await World.withRows(1, NO_TOLERANCE);
  const [segment] = world.catalog.all(segments);
  const key = indexKey(segment!, VECTOR, 99n as BuildId);
  const { memoryStore } = world.disk;
  await memoryStore.put(key, bytes);
  const list = memoryStore.list.bind(memoryStore);
  memoryStore.list = async function* (prefix) {
    yield* list(prefix);
    world.building.add(segment!.segmentId);
  };
  const { deletedObjects, keptObjects } = await collect(world);
  memoryStore.list = list;
  const keys = await world.disk.keys();
  assert.ok(keys.includes(key));
  // The marker is not among the keys.
  assert.deepEqual([deletedObjects, keptObjects], [0, keys.length + 1]);
  await world.stop();
});

test('a pass gives up when more than a hundred objects cannot be deleted, and the next one goes on', async () => {
  for (const [count, expected] of [
    [100, /^injected fault$/],
    [101, /gives up: 101 objects could not be deleted: injected fault/],
  ] as const) {
    const world = await World.withRows(1, NO_TOLERANCE);
    for (let n = 0; n < count; n++) {
      const segmentId = BigInt(1000 + n) as SegmentId;
      const place = { collectionId: 1n as CollectionId, partitionId: 1n as PartitionId, segmentId };
      await world.disk.memoryStore.put(rowsKey(place), bytes);
    }
    world.disk.failDelete = () => true;
    await assert.rejects(
      collect(world),
      (error) => isDbError(error, 'storage-failed') && expected.test(error.message),
    );
    world.disk.failDelete = () => false;
    assert.equal((await collect(world)).deletedObjects, count);
    await world.assertClean();
    await world.stop();
  }
});

test('a pass that hears that the store is not its own ends there', async () => {
  const world = await World.withRows(1, NO_TOLERANCE);
  for (let n = 0; n < 100; n++) {
    const segmentId = BigInt(1000 + n) as SegmentId;
    const place = { collectionId: 1n as CollectionId, partitionId: 1n as PartitionId, segmentId };
    await world.disk.memoryStore.put(rowsKey(place), bytes);
  }
  let deletes = 0;
  world.disk.failDelete = () => {
    deletes++;
    throw new DbError('store-mismatch', 'the store of another catalog');
  };
  await assert.rejects(collect(world), (error) => isDbError(error, 'store-mismatch'));
  assert.ok(deletes < 50, `${deletes} deletes tried`);
  world.disk.failDelete = () => false;
  assert.equal((await collect(world)).deletedObjects, 100);
  await world.stop();
});

test('an index file of a segment is kept while one is built, and goes when it came to nothing', async () => {
  const world = await World.withRows(1, NO_TOLERANCE);
  const [segment] = world.catalog.all(segments);
  const key = indexKey(segment!, VECTOR, 99n as BuildId);
  await world.disk.memoryStore.put(key, bytes);
  world.building.add(segment!.segmentId);
  await collect(world);
  assert.ok((await world.disk.keys()).includes(key));
  world.building.clear();
  await collect(world);
  await world.assertClean();
  await world.stop();
});

test('what a create has written is kept until it ends, without any tolerance', async () => {
  const world = await World.withRows(2, NO_TOLERANCE);
  const { memoryStore } = world.disk;
  const before = await world.content(source);
  const write = memoryStore.put.bind(memoryStore);
  let goOn: () => void = () => undefined;
  memoryStore.put = async (key, content) => {
    // The last object of a create.
    if (key.includes('/metadata/'))
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    return write(key, content);
  };
  const created = world.create();
  await settle();
  const written = await world.disk.keys('snapshots/');
  assert.equal(written.length, 1);
  await collect(world);
  assert.deepEqual(await world.disk.keys('snapshots/'), written);
  const lines = (await planned(world)).filter(({ key }) => key.startsWith('snapshots/'));
  assert.deepEqual(
    lines.map(({ verdict, reason }) => `${verdict} ${reason}`),
    ['keep pending-snapshot'],
  );
  goOn();
  await created;
  await collect(world);
  await world.ended(await world.restore());
  assert.deepEqual(await world.content(target), before);
  await world.stop();
});

test('garbage in a restored collection goes while its job is still listed', async () => {
  const world = await World.withRows(2, NO_TOLERANCE);
  await world.create();
  const jobId = await world.restore();
  await world.ended(jobId);
  const { collectionId } = world.find(target);
  const stray = rowsKey({ collectionId, partitionId: 1n as PartitionId, segmentId: 888n as SegmentId });
  await world.disk.memoryStore.put(stray, bytes);
  await collect(world);
  assert.equal(world.service.restoreState(jobId).state, 'completed');
  assert.ok(!(await world.disk.keys()).includes(stray));
  await world.assertClean();
  await world.stop();
});

test('dropped segments without an object leave the catalog, however many', async () => {
  const world = await World.withRows(1, NO_TOLERANCE);
  const [like] = world.catalog.all(segments);
  for (let n = 0; n < 700; n++) {
    const segmentId = await world.ids.next<SegmentId>();
    const record = { ...like!, segmentId, state: 'dropped', droppedAtMs: 0, files: [], indexes: [] } as const;
    await world.catalog.commitSure([put(segments, record, undefined)]);
  }
  const { commits } = world.disk;
  await collect(world);
  assert.equal(world.catalog.count(segments), 1);
  assert.ok(world.disk.commits - commits < 20, 'many records go in one commit');
  await world.stop();
});

test('while what a snapshot needs is not known its collection is kept entirely, and no other one', async () => {
  let world = await World.withRows(2, LIMITS);
  await world.create();
  await world.addCollection('other', 1);
  for (const was of [...world.catalog.all(segments)])
    await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 0 }, was)]);
  const [record] = world.catalog.all(snapshots);
  const metadata = await world.disk.memoryStore.get(record!.metadataKey);
  await world.disk.memoryStore.delete(record!.metadataKey);
  world = await world.restart(LIMITS);
  await world.disk.clock.jump(QUIET);
  await collect(world);
  const of = (name: string) =>
    world.catalog.find(segments, 'collection', world.find({ database: '', name }).collectionId);
  assert.deepEqual([of('words').length, of('other').length], [2, 0]);
  const kept = (await planned(world)).filter(({ key }) => key.startsWith('segments/'));
  assert.deepEqual(new Set(kept.map(({ reason }) => reason)), new Set(['references-not-loaded']));
  await world.disk.memoryStore.put(record!.metadataKey, metadata);
  await collect(world);
  const now = (await planned(world)).filter(({ key }) => key.startsWith('segments/'));
  assert.deepEqual(new Set(now.map(({ reason }) => reason)), new Set(['snapshot']));
  await world.stop();
});

test('one pass runs at a time, and whoever asks while one runs gets one of its own', async () => {
  const world = await littered();
  await world.disk.clock.jump(QUIET);
  const [first, second] = await Promise.all([collect(world), collect(world)]);
  assert.ok(first.deletedObjects > 10);
  assert.deepEqual([second.deletedObjects, second.keptObjects], [0, first.keptObjects]);
  await world.stop();
});

test('a pass that is called off ends between two objects, and the next one goes on', async () => {
  const world = await littered();
  for (let n = 1n; n <= 40n; n++) {
    const place = {
      collectionId: 1n as CollectionId,
      partitionId: 1n as PartitionId,
      segmentId: n as SegmentId,
    };
    await world.disk.memoryStore.put(rowsKey(place), bytes);
  }
  await world.disk.clock.jump(QUIET);
  const stop = new AbortController();
  world.disk.failDelete = () => {
    stop.abort();
    return false;
  };
  const { deletedObjects } = await world.service.collectGarbage(stop.signal);
  world.disk.failDelete = () => false;
  const rest = await collect(world);
  assert.ok(
    deletedObjects < 20 && rest.deletedObjects > 20,
    `${deletedObjects}, then ${rest.deletedObjects}`,
  );
  assert.deepEqual(
    (await planned(world)).filter(({ verdict }) => verdict === 'delete'),
    [],
  );
  await world.stop();
});

test('a creation that takes too long is reported, and not deleted', async () => {
  const world = await World.withRows(1, LIMITS);
  let goOn: () => void = () => undefined;
  world.onFlush = () =>
    new Promise((resolve) => {
      goOn = resolve;
    });
  const created = world.create();
  await settle();
  await world.disk.clock.jump(HOUR);
  assert.deepEqual(world.service.troubles(), []);
  await world.disk.clock.jump(1);
  assert.match(
    world.service.troubles().join(),
    /snapshot 'snap' of collection \d+ has been pending since 20/,
  );
  await collect(world);
  goOn();
  await created;
  assert.deepEqual([world.service.listSnapshots(source), world.service.troubles()], [['snap'], []]);
  await world.stop();
});

test('the marker of the store is never deleted', async () => {
  const world = await World.withRows(1, NO_TOLERANCE);
  await world.dropCollection(source);
  await collect(world);
  assert.deepEqual(await world.disk.keys(), []);
  assert.ok(await world.disk.memoryStore.stat(IDENTITY_KEY));
  await world.stop();
});
