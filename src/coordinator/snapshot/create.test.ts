import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put, remove } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { IndexId, SegmentId } from '../../model/ids.ts';
import { ALL_PARTITIONS } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { indexes, partitions, segments } from '../tables.ts';
import { readManifests, readMetadata } from './reader.ts';
import { pins, snapshots } from './record.ts';

const elsewhere = { database: '', name: 'other' };
const createIn = (world: World, at = source, name = 'snap') =>
  world.service.createSnapshot({ at, name, description: '', compactionProtectionSeconds: 0 });
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (isDbError(error) ? error.code : `${error}`),
  );

/** Work that waits until it is let go. */
function held() {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  return { gate, letGo };
}

async function objectsOf(world: World, name = 'snap') {
  const [record] = world.catalog.find(snapshots, 'name', `${world.find(source).collectionId}/${name}`);
  const metadata = await readMetadata(world.disk.memoryStore, record!);
  return { record: record!, metadata, segments: await readManifests(world.disk.memoryStore, metadata, 4) };
}

test('of many concurrent creates of one name exactly one wins, the others hear that it already exists', async () => {
  const world = await World.withRows(2);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => world.create()));
  const lost = outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason as DbError] : []));
  assert.equal(lost.length, 19);
  for (const { code, message } of lost)
    assert.deepEqual(
      [code, message],
      ['parameter-invalid', 'snapshot name snap already exists in collection words'],
    );
  assert.deepEqual(world.service.listSnapshots(source), ['snap']);
  await world.assertClean();
  await world.stop();
});

test('W17: a create that hangs in its flush or in the store delays no create, and no compaction, of another collection', async () => {
  const world = await World.withRows(1);
  await world.addCollection('other', 1);
  const { collectionId } = world.find(source);
  const other = world.find(elsewhere).collectionId;
  const flush = held();
  world.onFlush = (id) => (id === collectionId ? flush.gate : Promise.resolve());
  const slow = createIn(world);
  await settle();
  await createIn(world, elsewhere, 'first');
  assert.equal(await world.captureGate.replace(other, () => Promise.resolve('replaced')), 'replaced');
  const { memoryStore } = world.disk;
  const write = memoryStore.put.bind(memoryStore);
  const store = held();
  memoryStore.put = async (key, bytes) => {
    if (key.startsWith(`snapshots/${collectionId}/`)) await store.gate;
    return write(key, bytes);
  };
  flush.letGo();
  await settle();
  await createIn(world, elsewhere, 'second');
  assert.deepEqual(world.service.listSnapshots(elsewhere), ['first', 'second']);
  assert.deepEqual(world.service.listSnapshots(source), []);
  store.letGo();
  await slow;
  assert.deepEqual(world.service.listSnapshots(source), ['snap']);
  await world.stop();
});

test('no compaction replaces segments of the collection from before the seal until the references are noted', async () => {
  const world = await World.withRows(1);
  const { collectionId } = world.find(source);
  const [segment] = world.catalog.find(segments, 'collection', collectionId);
  const flush = held();
  world.onFlush = () => flush.gate;
  const creating = createIn(world);
  await settle();
  let seen: boolean | undefined;
  const replacing = world.captureGate.replace(collectionId, async () => {
    seen = world.service.isSegmentReferenced(collectionId, segment!.segmentId);
  });
  await settle();
  assert.equal(seen, undefined);
  flush.letGo();
  await Promise.all([creating, replacing]);
  assert.equal(seen, true);
  await world.stop();
});

test('W16: a permanent error in a create frees the name at once, leaves nothing, and is not tried again', async () => {
  const world = await World.withRows(1);
  let flushes = 0;
  world.onFlush = () => {
    flushes++;
    return Promise.reject(new DbError('data-integrity', 'segment 7 is neither flushed nor in the log'));
  };
  assert.equal(await outcomeOf(world.create()), 'data-integrity');
  await world.disk.clock.advance(3_600_000);
  assert.deepEqual([flushes, world.catalog.count(snapshots)], [1, 0]);
  await world.assertClean();
  world.onFlush = () => Promise.resolve();
  const { memoryStore } = world.disk;
  const write = memoryStore.put.bind(memoryStore);
  let puts = 0;
  memoryStore.put = (key, bytes) => {
    if (++puts === 2) return Promise.reject(new DbError('storage-failed', 'refused'));
    return write(key, bytes);
  };
  assert.equal(await outcomeOf(world.create()), 'storage-failed');
  await world.assertClean();
  const { collectionId } = world.find(source);
  assert.equal(world.service.isSegmentReferenced(collectionId, 123_456n as SegmentId), false);
  const [own] = world.catalog.find(segments, 'collection', collectionId);
  assert.equal(world.service.isSegmentReferenced(collectionId, own!.segmentId), false);
  assert.equal(await world.captureGate.replace(collectionId, () => Promise.resolve('free')), 'free');
  await world.create();
  await world.renameCollection(source, 'renamed');
  await world.dropCollection({ database: '', name: 'renamed' });
  assert.equal(world.catalog.count(snapshots), 0);
  await world.stop();
});

test('W22: a deletes file that cannot be captured fails the create, and no segment of deletes is left out', async () => {
  const world = await World.withRows(1);
  const { collectionId } = world.find(source);
  const [rows] = world.catalog.find(segments, 'collection', collectionId);
  const deletes: SegmentRecord = {
    ...rows!,
    segmentId: await world.ids.next<SegmentId>(),
    level: 'L0',
    partitionId: ALL_PARTITIONS,
    files: rows!.files.filter(({ kind }) => kind === 'deletes'),
    indexes: [],
  };
  await world.catalog.commitSure([put(segments, deletes, undefined)]);
  await world.create('with');
  const { segments: captured } = await objectsOf(world, 'with');
  assert.deepEqual(
    captured.map(({ level, files }) => [level, files.length]),
    [
      ['L1', 3],
      ['L0', 1],
    ],
  );
  const bare = { ...deletes, files: [] };
  await world.catalog.commitSure([put(segments, bare, deletes)]);
  await assert.rejects(
    world.create('without'),
    (e) =>
      isDbError(e, 'data-integrity') &&
      e.message.includes(`segment ${deletes.segmentId} has no deletes file`),
  );
  await world.catalog.commitSure([remove(segments, bare)]);
  world.onFlush = () => Promise.reject(new DbError('data-integrity', 'deletes could not be written'));
  assert.equal(await outcomeOf(world.create('failed')), 'data-integrity');
  assert.deepEqual(world.service.listSnapshots(source), ['with']);
  await world.stop();
});

test("W20: a restore's pin ends with its job, not with time: 40 days of waiting do not let the source go", async () => {
  const world = await World.withRows(1);
  await world.create();
  // No node takes the work: the job waits.
  await world.node.close();
  const jobId = await world.restore();
  await settle();
  const [pin] = [...world.catalog.all(pins)];
  assert.deepEqual([pin?.owner, pin?.expiresAtMs], [{ kind: 'restore', jobId }, undefined]);
  await world.disk.clock.jump(40 * 86_400_000);
  await world.service.collector.pass();
  await assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  assert.deepEqual(
    world.service.listPins().map(({ owner }) => owner),
    [`restore job ${jobId}`],
  );
  await world.service.cancelRestore(jobId);
  assert.deepEqual(world.service.listPins(), []);
  await world.service.dropSnapshot(source, 'snap');
  await world.stop();
});

/** Runs `change` at every moment of a create, and checks what came of both. */
async function atEveryMoment(
  change: (world: World) => Promise<void>,
  check: (world: World, created: string) => Promise<void>,
  leavesGarbage = false,
): Promise<void> {
  for (let turns = 0; turns < 40; turns++) {
    const world = await World.withRows(4);
    const created = outcomeOf(world.create());
    for (let i = 0; i < turns; i++) await Promise.resolve();
    await change(world);
    await check(world, await created);
    if (!leavesGarbage) await world.assertClean();
    await world.stop();
  }
}

test('wherever the drop of a partition falls into a create, the snapshot holds the partition with all its rows, or nothing of it', async () => {
  const seen = new Set<number>();
  await atEveryMoment(
    async (world) => {
      const { collectionId } = world.find(source);
      const old = world.catalog.find(partitions, 'collection', collectionId).find((p) => p.name === 'old');
      await world.catalog.commitSure([remove(partitions, old!)]);
      for (const was of world.catalog.find(segments, 'collection', collectionId))
        if (was.partitionId === old!.partitionId)
          await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 0 }, was)]);
    },
    async (world, created) => {
      assert.equal(created, 'done');
      const { metadata, segments: held } = await objectsOf(world);
      seen.add(metadata.partitions.length);
      assert.equal(held.length, 2 * metadata.partitions.length);
      const known = new Set(metadata.partitions.map(({ partitionId }) => partitionId));
      assert.ok(held.every(({ partitionId }) => known.has(partitionId)));
      await world.ended(await world.restore());
      assert.equal((await world.content(target)).length, held.length);
    },
  );
  assert.deepEqual([...seen].sort(), [1, 2]);
});

test('W28: a partition that was dropped since is described and restored under its name, never under an empty one', async () => {
  const world = await World.withRows(4);
  await createIn(world);
  const { collectionId } = world.find(source);
  const old = world.catalog.find(partitions, 'collection', collectionId).find((p) => p.name === 'old');
  await world.catalog.commitSure([remove(partitions, old!)]);
  for (const was of world.catalog.find(segments, 'collection', collectionId))
    if (was.partitionId === old!.partitionId)
      await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 0 }, was)]);
  assert.deepEqual(world.service.describeSnapshot(source, 'snap').partitionNames, ['_default', 'old']);
  await world.ended(await world.restore());
  const names = world.catalog.find(partitions, 'collection', world.find(target).collectionId);
  assert.deepEqual(names.map(({ name }) => name).sort(), ['_default', 'old']);
  await world.stop();
});

test('wherever a rename falls into a create, the snapshot is made once and found under the new name', async () => {
  await atEveryMoment(
    (world) => world.renameCollection(source, 'renamed'),
    async (world, created) => {
      const at = { database: '', name: 'renamed' };
      assert.equal(created, 'done');
      assert.deepEqual(world.service.listSnapshots(at), ['snap']);
      assert.equal(world.service.describeSnapshot(at, 'snap').collectionName, 'renamed');
      await world.renameCollection(at, source.name);
    },
  );
});

test('wherever an index is created or dropped during a create, the snapshot has it whole or not at all', async () => {
  const seen = new Set<string>();
  await atEveryMoment(
    async (world) => {
      const { collectionId } = world.find(source);
      const [old] = world.catalog.find(indexes, 'collection', collectionId);
      const fresh = { ...old!, indexId: 999_999n as IndexId, name: 'second' };
      await world.catalog.commitSure([remove(indexes, old!), put(indexes, fresh, undefined)]);
      for (const was of world.catalog.find(segments, 'collection', collectionId))
        await world.catalog.commitSure([put(segments, { ...was, indexes: [] }, was)]);
    },
    async (world, created) => {
      assert.equal(created, 'done');
      const { metadata, segments: held } = await objectsOf(world);
      seen.add(metadata.indexes.map(({ name }) => name).join());
      const known = new Set(metadata.indexes.map(({ indexId }) => indexId));
      for (const segment of held) assert.ok(segment.indexes.every(({ indexId }) => known.has(indexId)));
      // Files of the dropped index that only the snapshot names are still there.
      await world.ended(await world.restore());
      for (const { indexes: built } of held)
        for (const { file } of built) assert.ok(await world.disk.memoryStore.stat(file.key));
    },
    true,
  );
  assert.deepEqual([...seen].sort(), ['second', 'vector']);
});

test('what a compaction is still writing does not enter a snapshot', async () => {
  const world = await World.withRows(1);
  const [whole] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  await world.catalog.commitSure([
    put(segments, { ...whole!, segmentId: await world.ids.next<SegmentId>(), state: 'writing' }, undefined),
  ]);
  await world.create();
  assert.equal(world.service.describeSnapshot(source, 'snap').segmentCount, 1);
  await world.stop();
});

test('`snapshot.capture: flushed` seals and flushes nothing, and its time is one up to which everything is in it', async () => {
  const world = await World.withRows(2, { capture: 'flushed' });
  world.onFlush = () => Promise.reject(new DbError('internal', 'nobody asked for a flush'));
  const [first, second] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  world.flushedUpTo = () => first!.maxTs;
  await world.create();
  const { metadata, segments: held } = await objectsOf(world);
  assert.equal(metadata.snapshot.createTs, first!.maxTs);
  // Flushed later, and in it all the same.
  assert.deepEqual(
    held.map(({ segmentId }) => segmentId),
    [first!.segmentId, second!.segmentId],
  );
  assert.ok(second!.minTs > metadata.snapshot.createTs);
  await world.create('again');
  assert.deepEqual(world.service.listSnapshots(source), ['snap', 'again']);
  await world.ended(await world.restore());
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.stop();
});

test('describe and list stay usable when the files of one snapshot are damaged, and say nothing wrong of the others', async () => {
  let world = await World.withRows(2);
  const broken = await world.create('broken');
  await world.create('good');
  const described = world.service.describeSnapshot(source, 'broken');
  const { collectionId } = world.find(source);
  for (const key of await world.disk.keys(`snapshots/${collectionId}/`))
    if (key.includes(`${broken}`)) await world.disk.memoryStore.put(key, new Uint8Array([1, 2, 3]));
  world = await world.restart();
  await settle();
  assert.deepEqual(world.service.listSnapshots(source), ['broken', 'good']);
  assert.deepEqual(world.service.describeSnapshot(source, 'broken'), described);
  assert.equal(world.service.describeSnapshot(source, 'good').segmentCount, 2);
  assert.match(world.service.damageOf(broken) ?? '', /size or checksum differ/);
  const good = world.catalog.find(snapshots, 'name', `${collectionId}/good`)[0];
  assert.equal(world.service.damageOf(good!.snapshotId), undefined);
  await world.stop();
});

test('a create of 3,000 segments writes each once, in the order of ids, with sums that fit', async () => {
  const world = await World.withRows(1);
  const collection = world.find(source);
  const [model] = world.catalog.find(segments, 'collection', collection.collectionId);
  const made: SegmentRecord[] = [];
  // Higher ids first: the catalog's order is not that of ids.
  const firstId = await world.ids.range<SegmentId>(3000);
  for (let i = 2999; i > 0; i--)
    made.push({ ...model!, segmentId: (firstId + BigInt(i)) as SegmentId, rowCount: i });
  for (let at = 0; at < made.length; at += 100)
    await world.catalog.commitSure(
      made.slice(at, at + 100).map((segment) => put(segments, segment, undefined)),
    );
  await world.create();
  const { record, metadata, segments: held } = await objectsOf(world);
  assert.deepEqual(
    held.map(({ segmentId }) => segmentId),
    [model!.segmentId, ...made.map(({ segmentId }) => segmentId).reverse()],
  );
  assert.deepEqual(
    metadata.segmentIds,
    held.map(({ segmentId }) => segmentId),
  );
  const sizeOfOne = [...model!.files, ...model!.indexes.map(({ file }) => file)].reduce(
    (sum, file) => sum + file.sizeBytes,
    0,
  );
  assert.deepEqual(
    [record.segmentCount, record.rowCount, record.sizeBytes, record.manifestCount],
    [3000, 10 + (2999 * 3000) / 2, 3000 * sizeOfOne, 6],
  );
  await world.stop();
});

test('a snapshot whose collection is gone is remembered by the names of then', async () => {
  const world = await World.withRows(1);
  await world.create();
  await world.service.pinSnapshot(source, 'snap', 0, 'ada');
  await world.renameCollection(source, 'later');
  const names = () =>
    world.service.listPins().map(({ databaseName, collectionName }) => [databaseName, collectionName]);
  assert.deepEqual(names(), [['default', 'later']]);
  await world.dropCollection({ database: '', name: 'later' });
  assert.deepEqual(names(), [['default', 'words']]);
  await world.stop();
});
