import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { Catalog } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import { DbError } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import { IDENTITY_KEY, snapshotMetadataKey } from '../../storage/keys.ts';
import { MemoryStore } from '../../storage/memory.ts';
import { silentLog } from '../../support/log.ts';
import { seededRandom } from '../../support/random.ts';
import { coreTables, segments } from '../tables.ts';
import { SnapshotReferences } from './meta.ts';
import { pins, snapshots } from './record.ts';

const A = 1n as CollectionId;
const B = 2n as CollectionId;
const NEVER = 0;
const snapshotOf = (id: number) => BigInt(id) as SnapshotId;
const segmentsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => BigInt(from + i) as SegmentId);
const buildsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => BigInt(1_000_000 + from + i) as BuildId);

async function index() {
  const clock = new ManualClock();
  const catalog = await Catalog.open({
    kv: new MemoryKv(),
    tables: [...coreTables, snapshots, pins],
    highWater: () => 0n,
  });
  const store = new MemoryStore(() => 0);
  const references = new SnapshotReferences({ catalog, store, clock, log: silentLog, loadTimeoutMs: 1000 });
  const add = async (id: number, collectionId: CollectionId, ids: readonly SegmentId[], untilMs = NEVER) => {
    const builds = ids.map((segmentId) => (segmentId + 1_000_000n) as BuildId);
    references.begin({ snapshotId: snapshotOf(id), collectionId, compactionProtectedUntilMs: untilMs });
    await references.add(snapshotOf(id), ids, builds);
  };
  return { references, clock, add };
}

test('W19: adding or removing one of many snapshots costs as many operations as that one has segments and builds', async () => {
  const { references, add } = await index();
  for (let id = 1; id <= 50; id++) await add(id, A, segmentsOf(id * 10, 1000));
  const cost = async (work: () => Promise<void>) => {
    const before = references.operations;
    await work();
    return references.operations - before;
  };
  assert.equal(await cost(() => add(99, A, segmentsOf(5, 3))), 6);
  assert.equal(await cost(() => references.remove(snapshotOf(99))), 6);
  assert.equal(await cost(() => references.remove(snapshotOf(7))), 2000);
  assert.equal(await cost(() => references.remove(snapshotOf(7))), 0);
});

test('I7: the index answers what the snapshots hold, through any order of creates and drops', async () => {
  const { references, add } = await index();
  const random = seededRandom(11);
  const held = new Map<number, { readonly collectionId: CollectionId; readonly ids: readonly SegmentId[] }>();
  for (let step = 0; step < 200; step++) {
    const id = 1 + random.below(12);
    if (held.delete(id)) await references.remove(snapshotOf(id));
    else {
      const collectionId = id % 2 === 0 ? A : B;
      const first = id % 2 === 0 ? 100 : 500;
      const ids = segmentsOf(first, 20).filter(() => random.below(3) > 0);
      held.set(id, { collectionId, ids: ids.toReversed() });
      await add(id, collectionId, ids.toReversed());
    }
    for (const segmentId of [...segmentsOf(98, 24), ...segmentsOf(498, 24)]) {
      const collectionId = segmentId < 400n ? A : B;
      const holders = [...held].filter(([, { ids }]) => ids.includes(segmentId)).map(([n]) => snapshotOf(n));
      const buildId = (segmentId + 1_000_000n) as BuildId;
      assert.deepEqual(references.snapshotsOf(collectionId, segmentId).toSorted(), holders.toSorted());
      assert.equal(references.countOf(segmentId), holders.length);
      assert.equal(references.buildCountOf(buildId), holders.length);
      assert.equal(references.isSegmentReferenced(collectionId, segmentId), holders.length > 0);
      assert.equal(references.isBuildReferenced(collectionId, buildId), holders.length > 0);
    }
  }
});

test('adding 100,000 segments lets others run, and keeps everything of the collection until it is done; so does removing', async () => {
  const { references } = await index();
  const [first] = segmentsOf(1, 1);
  const stranger = 77_777_777n as SegmentId;
  references.begin({ snapshotId: snapshotOf(1), collectionId: A, compactionProtectedUntilMs: NEVER });
  let turns = 0;
  let isDone = false;
  const watch = async (work: Promise<void>, check: () => void) => {
    isDone = false;
    turns = 0;
    const ended = work.then(() => {
      isDone = true;
    });
    while (!isDone) {
      check();
      await new Promise<void>((done) => setImmediate(done));
      turns++;
    }
    await ended;
    assert.ok(turns > 40, `${turns} turns`);
  };
  await watch(references.add(snapshotOf(1), segmentsOf(1, 100_000), buildsOf(1, 100_000)), () => {
    assert.equal(references.isSegmentReferenced(A, first!), true);
    assert.equal(references.isSegmentReferenced(A, stranger), !isDone);
    assert.equal(references.isSegmentReferenced(B, stranger), false);
  });
  assert.equal(references.isSegmentReferenced(A, stranger), false);
  assert.deepEqual(references.unknown, []);
  await watch(references.remove(snapshotOf(1)), () =>
    assert.deepEqual(references.snapshotsOf(A, 100_000n as SegmentId), []),
  );
  for (const id of [1n, 5000n, 100_000n])
    assert.equal(references.isSegmentReferenced(A, id as SegmentId), false);
});

test('a snapshot that is removed while its references are counted leaves none', async () => {
  for (const turnsBefore of [0, 1, 3, 9, 20]) {
    const { references, add } = await index();
    const adding = add(1, A, segmentsOf(1, 20_000));
    await settle(turnsBefore);
    await references.remove(snapshotOf(1));
    await adding;
    assert.equal(references.isSegmentReferenced(A, 1n as SegmentId), false);
    assert.equal(references.isSegmentReferenced(A, 20_000n as SegmentId), false);
    assert.equal(references.unknownCollections.size, 0);
  }
});

test('compaction protection holds for the segments of the snapshot, until its time is over, and goes with the snapshot', async () => {
  const { references, clock, add } = await index();
  const untilMs = clock.nowMs() + 60_000;
  await add(1, A, segmentsOf(1, 3), untilMs);
  await add(2, A, segmentsOf(3, 3));
  const isProtected = (id: bigint, collectionId = A) => references.isProtected(collectionId, id as SegmentId);
  assert.deepEqual(
    [1n, 2n, 3n, 4n].map((id) => isProtected(id)),
    [true, true, true, false],
  );
  assert.equal(isProtected(1n, B), false);
  await clock.advance(59_999);
  assert.equal(isProtected(1n), true);
  await clock.advance(1);
  assert.equal(isProtected(1n), false);
  await add(3, A, segmentsOf(1, 3), clock.nowMs() + 1000);
  assert.equal(isProtected(1n), true);
  await references.remove(snapshotOf(3));
  assert.equal(isProtected(1n), false);
});

test('compaction protection of a snapshot that is being captured or not loaded covers its whole collection', async () => {
  const { references, clock } = await index();
  const compactionProtectedUntilMs = clock.nowMs() + 1000;
  references.begin({ snapshotId: snapshotOf(1), collectionId: A, compactionProtectedUntilMs });
  const isProtected = (id: bigint, collectionId = A) => references.isProtected(collectionId, id as SegmentId);
  assert.deepEqual([isProtected(5n), isProtected(5n, B)], [true, false]);
  await clock.advance(1000);
  assert.equal(isProtected(5n), false);
  assert.equal(references.isSegmentReferenced(A, 5n as SegmentId), true);
});

const protectedFor = (seconds: number) => ({
  at: source,
  name: 'snap',
  description: '',
  compactionProtectionSeconds: seconds,
});

test('compaction protection survives a restart, whether its metadata can be read or not', async () => {
  let world = await World.withRows(1);
  const [segment] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const { collectionId, segmentId } = segment!;
  const snapshotId = await world.service.createSnapshot(protectedFor(3600));
  const later = 123_456n as SegmentId;
  assert.deepEqual(
    [segmentId, later].map((id) => world.service.isProtected(collectionId, id)),
    [true, false],
  );
  world = await world.restart();
  await settle();
  assert.deepEqual(
    [segmentId, later].map((id) => world.service.isProtected(collectionId, id)),
    [true, false],
  );
  await world.disk.memoryStore.delete(snapshotMetadataKey(collectionId, snapshotId));
  world = await world.restart();
  await settle();
  assert.deepEqual(
    [segmentId, later].map((id) => world.service.isProtected(collectionId, id)),
    [true, true],
  );
  await world.disk.clock.jump(3_600_000);
  assert.equal(world.service.isProtected(collectionId, segmentId), false);
  await world.stop();
});

test('W18: one unreadable metadata keeps only its collection, is named with its reason, and recovers by itself', async () => {
  let world = await World.withRows(2);
  const other = await world.addCollection('other', 1);
  const broken = await world.create('broken');
  await world.create('good');
  const { collectionId } = world.find(source);
  const key = snapshotMetadataKey(collectionId, broken);
  const bytes = await world.disk.memoryStore.get(key);
  await world.disk.memoryStore.delete(key);
  world = await world.restart();
  await settle();
  const { service } = world;
  const stranger = 123_456n as SegmentId;
  const needed = () =>
    [collectionId, other.collectionId].map((id) => service.isSegmentReferenced(id, stranger));
  assert.deepEqual(needed(), [true, false]);
  assert.deepEqual(service.snapshotStats(), { snapshots: 2, pins: 0, referencesNotLoaded: 1 });
  const [trouble, ...more] = service.troubles();
  assert.deepEqual(more, []);
  assert.match(
    trouble ?? '',
    /snapshot 'broken' \(\d+\) of collection 'words' \(\d+\) are not loaded.*missing/,
  );
  await world.disk.memoryStore.put(key, bytes);
  await world.disk.clock.advance(59_000);
  assert.deepEqual(needed(), [true, false]);
  await world.disk.clock.advance(2_000);
  await settle();
  assert.deepEqual(needed(), [false, false]);
  assert.deepEqual([service.troubles(), service.snapshotStats().referencesNotLoaded], [[], 0]);
  await world.stop();
});

test('a snapshot that was damaged counts as not loaded until its metadata is what was written', async () => {
  let world = await World.withRows(1);
  const snapshotId = await world.create();
  const key = snapshotMetadataKey(world.find(source).collectionId, snapshotId);
  const bytes = await world.disk.memoryStore.get(key);
  const damaged = bytes.slice();
  damaged[20] = (damaged[20] ?? 0) ^ 1;
  await world.disk.memoryStore.put(key, damaged);
  world = await world.restart();
  await settle();
  assert.match(world.service.troubles()[0] ?? '', /size or checksum differ/);
  await world.service.dropSnapshot(source, 'snap');
  assert.deepEqual([world.service.troubles(), world.service.snapshotStats().referencesNotLoaded], [[], 0]);
  await world.stop();
});

test('a read of references that hangs is given up, does not hold up the others, and is tried again', async () => {
  let world = await World.withRows(1);
  const hanging = await world.create('hanging');
  await world.create('good');
  const { collectionId } = world.find(source);
  const key = snapshotMetadataKey(collectionId, hanging);
  const { memoryStore } = world.disk;
  const read = memoryStore.get.bind(memoryStore);
  let reads = 0;
  memoryStore.get = (wanted) => {
    if (wanted !== key || ++reads > 2) return read(wanted);
    return new Promise(() => undefined);
  };
  world = await world.restart();
  await settle();
  assert.equal(world.service.snapshotStats().referencesNotLoaded, 1);
  assert.deepEqual(world.service.troubles(), []);
  await world.disk.clock.advance(30_000);
  assert.match(world.service.troubles()[0] ?? '', /'hanging'.*takes longer than 30000 ms/);
  await world.disk.clock.advance(60_000);
  assert.equal(reads, 2);
  await world.disk.clock.advance(91_000);
  await until(() => world.service.snapshotStats().referencesNotLoaded === 0, 'loaded');
  assert.equal(reads, 3);
  assert.deepEqual(world.service.troubles(), []);
  await world.stop();
});

test('reads that never come back are bounded, and a stop does not wait for them', async () => {
  let world = await World.withRows(1);
  await world.create();
  const { memoryStore } = world.disk;
  const read = memoryStore.get.bind(memoryStore);
  let reads = 0;
  memoryStore.get = (key) => {
    if (key === IDENTITY_KEY) return read(key);
    reads++;
    return new Promise(() => undefined);
  };
  world = await world.restart();
  for (let i = 0; i < 20; i++) await world.disk.clock.advance(60_000);
  assert.equal(reads, 4);
  memoryStore.get = () => Promise.reject(new DbError('storage-failed', 'down'));
  await world.stop();
  memoryStore.get = read;
  const again = await World.open(world.disk);
  await settle();
  assert.equal(again.service.snapshotStats().referencesNotLoaded, 0);
  await again.stop();
});

test('a start does not wait for references: until they are read, everything of collections with snapshots is kept', async () => {
  const first = await World.withRows(1);
  await first.create();
  const other = await first.addCollection('other', 1);
  const { collectionId } = first.find(source);
  await first.stop();
  const { memoryStore } = first.disk;
  const read = memoryStore.get.bind(memoryStore);
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  memoryStore.get = async (key) => {
    await gate;
    return read(key);
  };
  const world = await World.open(first.disk);
  const stranger = 123_456n as SegmentId;
  assert.equal(world.service.isSegmentReferenced(collectionId, stranger), true);
  assert.equal(world.service.isSegmentReferenced(other.collectionId, stranger), false);
  go();
  await settle();
  assert.equal(world.service.isSegmentReferenced(collectionId, stranger), false);
  await world.stop();
});
