import assert from 'node:assert/strict';
import { test } from 'node:test';
import { honestNode } from '../../../tests/control/fake-nodes.ts';
import { books, settle, startWorld, type World } from '../../../tests/control/world.ts';
import type { NodeWork } from '../../datanode/api.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import { ALL_PARTITIONS, type SegmentId } from '../../model/ids.ts';
import { collections, segments } from '../tables.ts';
import { defaultSealLimits } from './seal-policy.ts';
import { segmentMachine } from './state.ts';

const stateOf = (world: World, segmentId: SegmentId) =>
  world.foundations.catalog.get(segments, segmentId)?.state;

/** Lets `work` get as far as it can, then runs what it queued. */
async function through<T>(world: World, work: Promise<T>): Promise<T> {
  await settle();
  await world.scheduler.run();
  const result = await work;
  await settle();
  return result;
}

test('a segment only goes forward: growing, sealed, flushed, and dropped from anywhere', () => {
  assert.deepEqual(segmentMachine.table, {
    growing: { seal: 'sealed', flush: null, drop: 'dropped' },
    sealed: { seal: null, flush: 'flushed', drop: 'dropped' },
    writing: { seal: null, flush: 'flushed', drop: 'dropped' },
    flushed: { seal: null, flush: null, drop: 'dropped' },
    dropped: { seal: null, flush: null, drop: null },
  });
});

test('a flush seals at once, answers what it sealed, and the log forgets it when the files are there', async () => {
  const world = await startWorld();
  const { coordinator, log, foundations } = world;
  const { collectionId, partitionId } = await books(world);
  const segmentId = await log.rows(collectionId, partitionId, 5);
  assert.equal(stateOf(world, segmentId), 'growing');
  const flushed = await coordinator.flush(collectionId);
  assert.deepEqual(flushed.sealedIds, [segmentId]);
  assert.deepEqual(flushed.flushedIds, []);
  const sealed = foundations.catalog.get(segments, segmentId);
  assert.deepEqual([sealed?.state, sealed?.rowCount], ['sealed', 5]);
  assert.ok(sealed && sealed.minTs > 0n && sealed.maxTs <= flushed.sealTs);
  assert.equal(coordinator.isFlushed([segmentId]), false);
  assert.deepEqual(log.released, []);
  await world.scheduler.run();
  await settle();
  assert.equal(coordinator.isFlushed([segmentId]), true);
  assert.equal(foundations.catalog.get(segments, segmentId)?.files.length, 1);
  assert.deepEqual(log.released, [segmentId]);
  assert.deepEqual((await coordinator.flush(collectionId)).flushedIds, [segmentId]);
  await coordinator.close();
});

test('flushAll answers T once every row up to T is flushed, deletes too, and later rows are in other segments', async () => {
  const world = await startWorld();
  const { log, flusher, foundations } = world;
  const { collectionId, partitionId } = await books(world);
  const rows = await log.rows(collectionId, partitionId, 5);
  const deletes = await log.rows(collectionId, ALL_PARTITIONS, 2, 'L0');
  const waiting = flusher.flushAll(collectionId);
  await settle();
  const later = await log.rows(collectionId, partitionId, 7);
  await world.scheduler.run();
  const sealTs = await waiting;
  assert.notEqual(later, rows);
  assert.equal(stateOf(world, later), 'growing');
  for (const segmentId of [rows, deletes]) {
    const record = foundations.catalog.get(segments, segmentId);
    assert.equal(record?.state, 'flushed');
    assert.ok(record && record.maxTs <= sealTs);
  }
  assert.equal(world.coordinator.rowCount(collectionId), 12);
  await world.coordinator.close();
});

test('flushing nothing answers a timestamp, and segments that never got a row are forgotten', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  const empty = await world.log.open(collectionId, partitionId);
  const sealTs = await world.flusher.flushAll(collectionId);
  assert.ok(sealTs > 0n);
  assert.equal(stateOf(world, empty), undefined);
  assert.equal(world.coordinator.isFlushed([empty]), true);
  await world.coordinator.close();
});

test('two flushes at once wait for the same files and queue them once', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  await through(
    world,
    Promise.all([world.flusher.flushAll(collectionId), world.flusher.flushAll(collectionId)]),
  );
  assert.equal(world.scheduler.sent.length, 1);
  await world.coordinator.close();
});

test('a flush that fails is tried again until it succeeds, and meanwhile the log keeps the rows', async () => {
  const world = await startWorld();
  const { scheduler, log, coordinator, disk } = world;
  const { collectionId, partitionId } = await books(world);
  const segmentId = await log.rows(collectionId, partitionId, 5);
  scheduler.node = () => {
    throw new DbError('storage-full', 'no space left');
  };
  const waiting = world.flusher.flushAll(collectionId);
  const refused = assert.rejects(waiting, (error) => isDbError(error, 'storage-full'));
  await settle();
  for (let attempt = 1; attempt <= 4; attempt++) await scheduler.run();
  await refused;
  assert.deepEqual([stateOf(world, segmentId), log.released], ['sealed', []]);
  assert.match(coordinator.health().reasons.join(), /storage-full: .*no space left/);
  scheduler.node = honestNode(disk);
  await through(world, world.flusher.flushAll(collectionId));
  assert.deepEqual([stateOf(world, segmentId), log.released], ['flushed', [segmentId]]);
  assert.deepEqual(coordinator.health(), { isHealthy: true, reasons: [] });
  await coordinator.close();
});

test('files with other rows than the log are not believed', async () => {
  const world = await startWorld();
  const { scheduler, disk } = world;
  const { collectionId, partitionId } = await books(world);
  const segmentId = await world.log.rows(collectionId, partitionId, 5);
  scheduler.node = () => ({ kind: 'flush', rowCount: 4, files: [] });
  const refused = assert.rejects(world.flusher.flushAll(collectionId), (e) => isDbError(e, 'data-integrity'));
  await settle();
  await scheduler.run();
  await refused;
  assert.deepEqual([stateOf(world, segmentId), world.log.released], ['sealed', []]);
  scheduler.node = honestNode(disk);
  await scheduler.run();
  assert.equal(stateOf(world, segmentId), 'flushed');
  await world.coordinator.close();
});

test('after a restart what the log holds is flushed again, empty segments are gone, and lost ones are reported', async () => {
  let world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  const sealed = await world.log.rows(collectionId, partitionId, 5);
  await world.coordinator.flush(collectionId);
  const growing = await world.log.rows(collectionId, partitionId, 3);
  const empty = await world.log.open(collectionId, ALL_PARTITIONS, 'L0');
  world = await world.restart();
  assert.deepEqual(
    [stateOf(world, sealed), stateOf(world, growing), stateOf(world, empty)],
    ['sealed', 'sealed', undefined],
  );
  assert.equal(world.coordinator.rowCount(collectionId), 8);
  await world.scheduler.run();
  await settle();
  assert.deepEqual([stateOf(world, sealed), stateOf(world, growing)], ['flushed', 'flushed']);
  assert.deepEqual([...world.log.released].sort(), [sealed, growing].sort());
  const last = await world.log.rows(collectionId, partitionId, 1);
  await world.coordinator.flush(collectionId);
  world.disk.records.length = 0;
  world = await world.restart();
  assert.match(world.coordinator.health().reasons.join(), new RegExp(`segment ${last} is neither flushed`));
  await assert.rejects(world.flusher.flushAll(collectionId), (e) => isDbError(e, 'data-integrity'));
  await world.coordinator.close();
});

test('timestamps and ids go on above everything a crashed process handed out', async () => {
  let world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  world.clock.ms += 86_400_000;
  await world.log.rows(collectionId, partitionId, 1);
  const inLog = world.foundations.time.last;
  const id = await world.coordinator.allocateIds(10);
  world = await world.restart();
  assert.ok((await world.coordinator.timestamp()) > inLog);
  assert.ok((await world.coordinator.allocateIds(1)) >= id + 10n);
  world.clock.ms += 2 * 86_400_000;
  const inCatalog = await world.coordinator.timestamp();
  await world.coordinator.createPartition(at, 'p');
  world = await world.restart();
  assert.ok((await world.coordinator.timestamp()) > inCatalog);
  // The clock of this start is behind the one before: what was told and nothing written for is passed over all the same.
  world.clock.ms += 3_600_000;
  const told = await world.coordinator.timestamp();
  world.clock.ms -= 3_600_000;
  world = await world.restart();
  assert.ok((await world.coordinator.timestamp()) > told);
  world.clock.ms += 3_600_000;
  const { sealTs } = await world.coordinator.flush(collectionId);
  world.clock.ms -= 3_600_000;
  world = await world.restart();
  assert.ok((await world.coordinator.timestamp()) > sealTs);
  await world.coordinator.close();
});

test('a collection dropped while it is flushed ends the wait, and its files are not committed', async () => {
  const world = await startWorld();
  const { scheduler, coordinator, disk } = world;
  const { collectionId, partitionId, at } = await books(world);
  const segmentId = await world.log.rows(collectionId, partitionId, 5);
  const honest = honestNode(disk);
  scheduler.node = async (work: NodeWork) => {
    await coordinator.dropCollection(at);
    return honest(work);
  };
  const gone = assert.rejects(world.flusher.flushAll(collectionId), (e) =>
    isDbError(e, 'collection-not-found'),
  );
  await settle();
  await scheduler.run();
  await gone;
  assert.equal(stateOf(world, segmentId), 'dropped');
  assert.equal(scheduler.tasks.size, 0);
  await coordinator.close();
});

test('a flush that finds its rows gone from the log because of a drop is no failure of storage', async () => {
  const world = await startWorld();
  const { scheduler, coordinator } = world;
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  let dropped = Promise.resolve();
  scheduler.node = async () => {
    dropped = coordinator.dropCollection(at);
    while (world.foundations.catalog.get(collections, collectionId) !== undefined) await Promise.resolve();
    throw new DbError('object-not-found', 'a log file is missing');
  };
  const gone = assert.rejects(world.flusher.flushAll(collectionId), (e) =>
    isDbError(e, 'collection-not-found'),
  );
  await settle();
  await scheduler.run();
  await gone;
  await dropped;
  await coordinator.close();
});

test('the seal policy seals in the background, without anybody asking', async () => {
  const world = await startWorld({ limits: { seal: { ...defaultSealLimits, maxSizeBytes: 500 } } });
  const { collectionId, partitionId } = await books(world);
  world.log.openedAtMs = world.clock.ms;
  const small = await world.log.rows(collectionId, partitionId, 4);
  await world.tick();
  assert.equal(stateOf(world, small), 'growing');
  await world.log.rows(collectionId, partitionId, 1);
  await world.tick();
  assert.equal(stateOf(world, small), 'sealed');
  await world.coordinator.close();
});

test('a stop ends the wait for a flush with an error that says when to come back', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  const waiting = assert.rejects(world.flusher.flushAll(collectionId), (e) =>
    isDbError(e, 'service-unavailable'),
  );
  await settle();
  await world.coordinator.close();
  await waiting;
  await assert.rejects(world.coordinator.flush(collectionId), (e) => isDbError(e, 'service-unavailable'));
  assert.equal(world.coordinator.health().isHealthy, false);
});
