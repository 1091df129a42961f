import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Disk } from '../../../tests/heart/disk.ts';
import { settle } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put, remove } from '../../catalog/catalog.ts';
import { type ErrorName, errorCodes } from '../../errors/codes.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { PinId, SegmentId } from '../../model/ids.ts';
import { snapshotMetadataKey } from '../../storage/keys.ts';
import { collections, partitions, segments } from '../tables.ts';
import { pins, snapshots } from './record.ts';

const refused = (code: ErrorName, words: string) => (error: unknown) => {
  assert.ok(isDbError(error, code), `${error}`);
  assert.ok(error.message.includes(words), error.message);
  return true;
};
const blank = { at: source, name: 'snap', description: '', compactionProtectionSeconds: 0 };
const nowhere = { database: '', name: '' };
const elsewhere = { database: '', name: 'other' };

test('the calls refuse in the codes and words clients compare', async () => {
  const world = await World.withRows(1);
  const { service } = world;
  await world.create();
  const invalid = 'parameter-invalid';
  type Row = readonly [() => unknown, ErrorName, string];
  const rows: readonly Row[] = [
    [() => service.createSnapshot({ ...blank, name: ' ' }), invalid, 'snapshot name should be not empty'],
    [() => service.dropSnapshot(source, ''), invalid, 'snapshot name should be not empty'],
    [() => service.describeSnapshot(source, ''), invalid, 'snapshot name should be not empty'],
    [() => service.pinSnapshot(source, '', 0), invalid, 'snapshot name should be not empty'],
    [() => world.restore(''), invalid, 'snapshot name should be not empty'],
    [() => service.createSnapshot({ ...blank, name: '1a' }), invalid, 'first character'],
    [() => service.createSnapshot({ ...blank, name: 'a b' }), invalid, 'can only contain'],
    [
      () => service.createSnapshot({ ...blank, name: 'a'.repeat(256) }),
      invalid,
      'must be not greater than limit',
    ],
    [
      () => service.createSnapshot({ ...blank, at: elsewhere }),
      'collection-not-found',
      'collection not found',
    ],
    [() => service.createSnapshot(blank), invalid, 'already exists'],
    [
      () => service.createSnapshot({ ...blank, compactionProtectionSeconds: -1 }),
      invalid,
      'compaction_protection_seconds must be non-negative',
    ],
    [
      () => service.createSnapshot({ ...blank, compactionProtectionSeconds: 604_801 }),
      invalid,
      'must not exceed 604800',
    ],
    [() => service.dropSnapshot(nowhere, 'snap'), invalid, 'collection_name is required for'],
    [() => service.describeSnapshot(nowhere, 'snap'), invalid, 'collection_name is required for'],
    [() => service.listSnapshots(nowhere), invalid, 'collection_name is required for'],
    [() => service.pinSnapshot(nowhere, 'snap', 0), invalid, 'collection_name is required for'],
    [
      () => service.restoreSnapshot({ source: nowhere, name: 'snap', target }),
      invalid,
      'collection_name is required for restore snapshot',
    ],
    [() => service.describeSnapshot(source, 'none'), 'snapshot-not-found', 'not found'],
    [() => service.pinSnapshot(source, 'none', 0), 'snapshot-not-found', 'not found'],
    [() => world.restore('none'), 'snapshot-not-found', 'not found'],
    [() => service.listSnapshots(elsewhere), 'collection-not-found', 'collection not found'],
    [() => world.restore('snap', source), 'collection-duplicate', 'duplicate collection'],
    [
      () => world.restore('snap', nowhere),
      invalid,
      'target_collection_name is required for restore snapshot',
    ],
    [() => service.restoreState(99n as never), 'job-not-found', 'not found'],
    [() => service.pinSnapshot(source, 'snap', -1), invalid, 'ttl_seconds must be non-negative'],
    [() => service.pinSnapshot(source, 'snap', 2_592_001), invalid, 'ttl_seconds exceeds maximum of 2592000'],
    [() => service.unpinSnapshot(0n as PinId), invalid, 'pin_id is required for unpin snapshot data'],
  ];
  for (const [act, code, words] of rows) await assert.rejects(async () => act(), refused(code, words), words);
  assert.deepEqual(
    [errorCodes['snapshot-pinned'].wire, errorCodes['collection-duplicate'].wire],
    [2601, 65535],
  );
  await service.dropSnapshot(source, 'none');
  await service.unpinSnapshot(99n as PinId);
  await world.stop();
});

test('a snapshot shows what was there at its time, and nothing later', async () => {
  const world = await World.withRows(2);
  const [partition] = world.catalog.find(partitions, 'collection', world.find(source).collectionId);
  world.onFlush = async () => {
    await world.addSegment(world.find(source), partition!.partitionId, 'flushed by the create');
  };
  await world.create('first');
  world.onFlush = () => Promise.resolve();
  const before = await world.content(source);
  await world.addSegment(world.find(source), partition!.partitionId, 'later');
  const info = world.service.describeSnapshot(source, 'first');
  assert.deepEqual(
    [info.segmentCount, info.rowCount, info.partitionNames, info.collectionName],
    [3, 30, ['_default', 'old'], 'words'],
  );
  assert.ok(info.createTs > 0n && info.location !== '' && info.sizeBytes > 0);
  await world.create('a_second');
  assert.deepEqual(world.service.listSnapshots(source), ['first', 'a_second']);
  await world.ended(await world.restore('first'));
  assert.deepEqual(await world.content(target), before);
  await world.stop();
});

test('segments that are not flushed, empty, or dropped do not enter a snapshot (R03)', async () => {
  const world = await World.withRows(1);
  const [whole] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const odd = [
    { state: 'growing', rowCount: 0, minTs: 0n as HybridTime, maxTs: 0n as HybridTime, files: [] },
    { state: 'flushed', rowCount: 0, files: [] },
    { state: 'dropped', droppedAtMs: 0 },
    { state: 'flushed', restoreJobId: (await world.ids.next()) as never },
  ] as const;
  for (const change of odd)
    await world.catalog.commitSure([
      put(segments, { ...whole!, segmentId: await world.ids.next<SegmentId>(), ...change }, undefined),
    ]);
  await world.create();
  // The last belongs to a job nobody remembers any more: it was completed.
  assert.equal(world.service.describeSnapshot(source, 'snap').segmentCount, 2);
  await world.stop();
});

test('R13: of two creates of one name exactly one wins', async () => {
  const world = await World.withRows(1);
  const outcomes = await Promise.allSettled([world.create(), world.create(), world.create()]);
  assert.deepEqual(outcomes.map((o) => o.status).sort(), ['fulfilled', 'rejected', 'rejected']);
  assert.deepEqual(world.service.listSnapshots(source), ['snap']);
  await world.assertClean();
  await world.stop();
});

test('R13: a create that races the drop of its collection ends, and leaves nothing', async () => {
  const world = await World.withRows(2);
  world.onFlush = () => world.dropCollection(source);
  await assert.rejects(world.create(), refused('collection-not-found', 'collection not found'));
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  assert.deepEqual([await world.disk.keys(), world.catalog.count(segments)], [[], 0]);
  await world.stop();
});

test('R13: wherever the drop of the collection falls into a create, the snapshot goes with it', async () => {
  for (let turns = 0; turns < 30; turns++) {
    const world = await World.withRows(1);
    const created = world.create().then(
      () => 'created',
      () => 'refused',
    );
    for (let i = 0; i < turns; i++) await Promise.resolve();
    await world.dropCollection(source);
    await created;
    await world.disk.clock.jump(4 * 3_600_000);
    await world.service.collector.pass();
    assert.deepEqual(
      [await world.disk.keys(), world.catalog.count(snapshots), world.catalog.count(segments)],
      [[], 0, 0],
      `${turns} turns`,
    );
    await world.stop();
  }
});

test('R13: a drop that is only just before the commit of the snapshot wins', async () => {
  const world = await World.withRows(1);
  const { memoryStore } = world.disk;
  const write = memoryStore.put.bind(memoryStore);
  let dropped: Promise<unknown> | undefined;
  memoryStore.put = async (key, bytes) => {
    const result = await write(key, bytes);
    if (key.endsWith('.json')) dropped = world.catalog.commit([remove(collections, world.find(source))]);
    return result;
  };
  await assert.rejects(world.create(), refused('collection-not-found', 'collection not found'));
  assert.equal(await dropped, 'committed');
  assert.deepEqual([world.catalog.count(snapshots), await world.disk.keys('snapshots/')], [0, []]);
  await world.stop();
});

test('R25: a pinned snapshot is not dropped, pins end by release and by time, and survive a restart', async () => {
  let world = await World.withRows(1);
  await world.create();
  const forever = await world.service.pinSnapshot(source, 'snap', 0);
  await world.service.pinSnapshot(source, 'snap', 60);
  world = await world.restart();
  await assert.rejects(
    world.service.dropSnapshot(source, 'snap'),
    refused('snapshot-pinned', 'active pins exist'),
  );
  await world.service.unpinSnapshot(forever);
  await assert.rejects(world.service.dropSnapshot(source, 'snap'), refused('snapshot-pinned', 'active pins'));
  await world.disk.clock.advance(61_000);
  await world.service.dropSnapshot(source, 'snap');
  assert.deepEqual([world.catalog.count(pins), world.catalog.count(snapshots)], [0, 0]);
  await world.stop();
});

test('I5: of a pin and a drop that race exactly one wins', async () => {
  for (const dropFirst of [true, false]) {
    const world = await World.withRows(1);
    await world.create();
    const drop = () => world.service.dropSnapshot(source, 'snap');
    const pin = () => world.service.pinSnapshot(source, 'snap', 0);
    const [first, second] = await Promise.allSettled(dropFirst ? [drop(), pin()] : [pin(), drop()]);
    assert.deepEqual([first?.status, second?.status], ['fulfilled', 'rejected']);
    assert.equal(world.catalog.count(pins), world.catalog.count(snapshots));
    await world.stop();
  }
});

test('the snapshots of a dropped collection go with it, a pinned one when its pin ends', async () => {
  const world = await World.withRows(2);
  await world.create('loose');
  await world.create('held');
  const pinId = await world.service.pinSnapshot(source, 'held', 0);
  await world.dropCollection(source);
  assert.deepEqual(
    [...world.catalog.all(snapshots)].map((s) => s.name),
    ['held'],
  );
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  assert.equal(world.catalog.count(segments), 2);
  await world.service.unpinSnapshot(pinId);
  await settle();
  assert.deepEqual([world.catalog.count(snapshots), await world.disk.keys()], [0, []]);
  await world.stop();
});

test('R24: a snapshot whose metadata is lost is still listed, keeps its collection from the collector only, and can be dropped', async () => {
  let world = await World.withRows(2);
  await world.addCollection('other', 1);
  await world.create('good');
  const broken = await world.create('broken');
  await world.disk.memoryStore.delete(snapshotMetadataKey(world.find(source).collectionId, broken));
  world = await world.restart();
  assert.deepEqual(world.service.listSnapshots(source), ['good', 'broken']);
  assert.equal(world.service.describeSnapshot(source, 'broken').rowCount, 20);
  await assert.rejects(world.restore('broken'), refused('object-not-found', 'metadata'));
  assert.equal(world.has(target), false);
  const { collectionId } = world.find(source);
  const other = world.find({ database: '', name: 'other' }).collectionId;
  const unknown = 123_456n as never;
  assert.equal(world.service.isSegmentReferenced(collectionId, unknown), true);
  assert.equal(world.service.isSegmentReferenced(other, unknown), false);
  await world.ended(await world.restore('good'));
  await world.service.dropSnapshot(source, 'broken');
  assert.equal(world.service.isSegmentReferenced(collectionId, unknown), false);
  const [kept] = world.catalog.find(segments, 'collection', collectionId);
  assert.equal(world.service.isSegmentReferenced(collectionId, kept!.segmentId), true);
  assert.equal(world.service.isBuildReferenced(collectionId, kept!.indexes[0]!.buildId), true);
  await world.stop();
});

test('dropping a snapshot while its objects cannot be deleted succeeds, and the collector finishes it', async () => {
  const world = await World.withRows(1);
  await world.create();
  world.disk.plan({ at: 1, kind: 'fail', effect: 'before', only: 'store' });
  await world.service.dropSnapshot(source, 'snap');
  assert.deepEqual(world.service.listSnapshots(source), []);
  assert.notDeepEqual(await world.disk.keys('snapshots/'), []);
  await world.create();
  await world.service.collector.pass();
  assert.equal((await world.disk.keys('snapshots/')).length, 2);
  await world.assertClean();
  await world.stop();
});

test('a drop waits only a short while for a store that takes long to delete, and what is left goes behind its back', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { memoryStore, clock } = world.disk;
  const remove = memoryStore.delete.bind(memoryStore);
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  memoryStore.delete = async (key) => {
    await gate;
    return remove(key);
  };
  let isOver = false;
  const dropping = world.service.dropSnapshot(source, 'snap').then(() => {
    isOver = true;
  });
  await settle();
  assert.equal(isOver, false);
  assert.deepEqual(world.service.listSnapshots(source), []);
  await clock.advance(50);
  await dropping;
  assert.equal((await world.disk.keys('snapshots/')).length, 2);
  await world.create();
  letGo();
  await settle();
  assert.equal((await world.disk.keys('snapshots/')).length, 2);
  await world.assertClean();
  await world.stop();
});

test('an empty collection has snapshots too', async () => {
  const world = await World.open(new Disk());
  await world.addCollection(source.name, 0);
  await world.create();
  const info = await world.ended(await world.restore());
  assert.deepEqual([info.state, info.progress, info.totalSegments], ['completed', 100, 0]);
  assert.deepEqual(await world.content(target), []);
  await world.assertClean();
  await world.stop();
});

test('a create of one segment costs two commits and two objects', async () => {
  const world = await World.withRows(1);
  await world.ids.next();
  const { commits, puts } = world.disk;
  await world.create();
  assert.deepEqual([world.disk.commits - commits, world.disk.puts - puts], [2, 2]);
  await world.stop();
});
