import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  asked,
  books,
  field,
  named,
  schemaOf,
  settle,
  startWorld,
  type World,
} from '../../../tests/control/world.ts';
import { put } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { CollectionId, JobId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { collections, segments } from '../tables.ts';

function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

async function flush(world: World, collectionId: CollectionId): Promise<void> {
  const waiting = world.flusher.flushAll(collectionId);
  await settle();
  await world.scheduler.run();
  await waiting;
  await settle();
}

test('a load needs an index on every vector field', async () => {
  const { coordinator, queries } = await startWorld();
  const schema = schemaOf(field('vec2', { dataType: 'FloatVector', dim: 2 }));
  await coordinator.createCollection(asked('books', { schema }));
  await coordinator.createIndex(named('books'), 'vec', '', {});
  await assert.rejects(
    coordinator.load(named('books')),
    (e) => isDbError(e, 'index-not-found') && e.message.includes('vec2'),
  );
  assert.deepEqual(coordinator.loadState(named('books')), { state: 'not-load', progress: 0 });
  assert.deepEqual(coordinator.loadState(named('nothing')), { state: 'not-exist', progress: 0 });
  await coordinator.createIndex(named('books'), 'vec2', '', {});
  await coordinator.load(named('books'));
  await coordinator.load(named('books'));
  assert.equal(queries.calls.length, 1, 'the second load says nothing new');
  assert.deepEqual(coordinator.loadState(named('books')), { state: 'loaded', progress: 100 });
  await coordinator.close();
});

test('while it loads a collection is loading, and never at 100', async () => {
  const world = await startWorld();
  const { at } = await books(world);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = world.coordinator.load(at);
  await settle();
  const { state, progress } = world.coordinator.loadState(at);
  assert.ok(state === 'loading' && progress < 100);
  gate.resolve();
  await loading;
  assert.equal(world.coordinator.loadState(at).state, 'loaded');
  await world.coordinator.close();
});

test('a reader sees every row exactly once while segments go from the log to files', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  await world.coordinator.load(at);
  const released = world.log.release.bind(world.log);
  world.log.release = async (ids) => {
    assert.equal(world.queries.rowsOf(collectionId), 12, 'before the log forgets');
    await released(ids);
    assert.equal(world.queries.rowsOf(collectionId), 12, 'after the log has forgotten');
  };
  await world.log.rows(collectionId, partitionId, 7);
  await flush(world, collectionId);
  assert.equal(world.queries.rowsOf(collectionId), 12);
  assert.equal(world.log.segments().length, 0);
  await world.coordinator.close();
});

test('a segment flushed while the collection loads is not forgotten before the reader has it', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = world.coordinator.load(at);
  await settle();
  await flush(world, collectionId);
  assert.deepEqual(world.log.released, []);
  gate.resolve();
  await loading;
  await settle();
  assert.equal(world.queries.rowsOf(collectionId), 5);
  assert.equal(world.log.released.length, 1);
  await world.coordinator.close();
});

test('changes that come while a view is on its way go together in the next one', async () => {
  const world = await startWorld();
  const { collectionId, at } = await books(world);
  await world.coordinator.load(at);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  world.queries.calls.length = 0;
  for (const name of ['a', 'b', 'c', 'd']) await world.coordinator.createPartition(at, name);
  gate.resolve();
  await settle();
  assert.deepEqual(world.queries.calls, [`update ${collectionId}`, `update ${collectionId}`]);
  assert.equal(world.queries.views.get(collectionId)?.partitionIds.length, 5);
  await world.coordinator.renameCollection(at, 'novels', '');
  await settle();
  assert.equal(world.queries.calls.length, 2, 'a rename alters no view');
  await world.coordinator.close();
});

test('a compaction that replaces thirty segments in one commit is one view', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  const { catalog } = world.foundations;
  await world.log.rows(collectionId, partitionId, 1);
  await flush(world, collectionId);
  const [first] = catalog.find(segments, 'collection', collectionId);
  assert.ok(first);
  const more = Array.from(
    { length: 29 },
    (_, i): SegmentRecord => ({
      ...first,
      segmentId: BigInt(9_000_000 + i) as SegmentId,
    }),
  );
  await catalog.commitSure(more.map((record) => put(segments, record, undefined)));
  const output: SegmentRecord = {
    ...first,
    segmentId: 9_900_000n as SegmentId,
    rowCount: 30,
    state: 'writing',
  };
  await catalog.commitSure([put(segments, output, undefined)]);
  await world.coordinator.load(at);
  await settle();
  assert.equal(world.queries.rowsOf(collectionId), 30);
  world.queries.calls.length = 0;
  await catalog.commitSure([
    ...[first, ...more].map((record) => put(segments, { ...record, state: 'dropped' } as const, record)),
    put(segments, { ...output, state: 'flushed' }, output),
  ]);
  await settle();
  assert.deepEqual(world.queries.calls, [`update ${collectionId}`]);
  const view = world.queries.views.get(collectionId);
  assert.deepEqual(
    view?.segments.map(({ segmentId }) => segmentId),
    [output.segmentId],
  );
  assert.deepEqual(view?.unflushed, []);
  assert.equal(world.queries.rowsOf(collectionId), 30);
  await world.coordinator.close();
});

test('a view names what the log still holds', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 1);
  await world.coordinator.load(at);
  const growing = world.foundations.catalog
    .find(segments, 'collection', collectionId)
    .filter(({ state }) => state === 'growing');
  assert.deepEqual(
    world.queries.views.get(collectionId)?.unflushed,
    growing.map(({ segmentId }) => segmentId),
  );
  assert.equal(growing.length, 1);
  await flush(world, collectionId);
  assert.deepEqual(world.queries.views.get(collectionId)?.unflushed, []);
  await world.coordinator.close();
});

test('loaded collections are loaded again after a restart, released ones are not', async () => {
  const world = await startWorld();
  const { collectionId, at } = await books(world);
  await world.coordinator.load(at);
  const again = await world.restart();
  await settle();
  assert.equal(again.coordinator.loadState(at).state, 'loaded');
  assert.ok(again.queries.views.has(collectionId));
  await again.coordinator.release(at);
  assert.equal(again.coordinator.loadState(at).state, 'not-load');
  assert.ok(!again.queries.views.has(collectionId));
  const third = await again.restart();
  await settle();
  assert.equal(third.coordinator.loadState(at).state, 'not-load');
  await third.coordinator.close();
});

test('a load is remembered from its beginning: a stop in the middle does not take it back', async () => {
  const world = await startWorld();
  const { at, collectionId } = await books(world);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = world.coordinator.load(at);
  await settle();
  assert.equal(world.foundations.catalog.get(collections, collectionId)?.load, 'loaded');
  assert.equal(world.coordinator.loadState(at).state, 'loading');
  const restarting = world.restart();
  await settle();
  gate.resolve();
  await Promise.allSettled([loading]);
  const again = await restarting;
  await settle();
  assert.equal(again.coordinator.loadState(at).state, 'loaded');
  await again.coordinator.close();
});

test('a load that misses a segment which was replaced while it read goes on with what took its place', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  const { catalog } = world.foundations;
  await world.log.rows(collectionId, partitionId, 5);
  await flush(world, collectionId);
  const [source] = catalog.find(segments, 'collection', collectionId);
  assert.ok(source);
  const output: SegmentRecord = { ...source, segmentId: 9_900_000n as SegmentId, state: 'writing' };
  await catalog.commitSure([put(segments, output, undefined)]);
  const missing = new DbError('object-not-found', 'a file of the source');
  world.queries.gate = async () => {
    world.queries.gate = () => Promise.resolve();
    await catalog.commitSure([
      put(segments, { ...source, state: 'dropped' }, source),
      put(segments, { ...output, state: 'flushed' }, output),
    ]);
    throw missing;
  };
  await world.coordinator.load(at);
  assert.deepEqual(
    world.queries.views.get(collectionId)?.segments.map(({ segmentId }) => segmentId),
    [output.segmentId],
  );
  world.queries.gate = () => Promise.reject(missing);
  await world.coordinator.release(at);
  await assert.rejects(world.coordinator.load(at), (e) => isDbError(e, 'object-not-found'));
  await world.coordinator.close();
});

test('a load that fails leaves the collection unloaded and says why; a view that fails is sent again', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  world.queries.gate = () => Promise.reject(new DbError('storage-failed', 'disk'));
  await assert.rejects(world.coordinator.load(at), (e) => isDbError(e, 'storage-failed'));
  assert.equal(world.coordinator.loadState(at).state, 'not-load');
  world.queries.gate = () => Promise.resolve();
  await world.coordinator.load(at);
  await world.log.rows(collectionId, partitionId, 5);
  world.queries.gate = () => Promise.reject(new DbError('storage-failed', 'disk'));
  await flush(world, collectionId);
  assert.equal(
    world.log.released.length,
    1,
    'the reader has the rows in memory: it does not keep the log from being cut',
  );
  assert.match(world.coordinator.health().reasons.join(), /load of collection/);
  world.queries.gate = () => Promise.resolve();
  await world.tick();
  await world.tick();
  assert.equal(world.queries.rowsOf(collectionId), 5);
  assert.equal(world.coordinator.health().isHealthy, true);
  await world.coordinator.close();
});

test('segments of a restore are in no view and no count before its job is completed', async () => {
  const world = await startWorld();
  const { coordinator, foundations, gate } = world;
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 5);
  await flush(world, collectionId);
  const [was] = foundations.catalog.find(segments, 'collection', collectionId);
  assert.ok(was);
  const hidden: SegmentRecord = { ...was, segmentId: 9_000_000n as SegmentId, restoreJobId: 77n as JobId };
  gate.running.set(77n as JobId, 10);
  await foundations.catalog.commitSure([put(segments, hidden, undefined)]);
  await coordinator.load(at);
  assert.equal(world.queries.rowsOf(collectionId), 5);
  assert.equal(coordinator.rowCount(collectionId), 5);
  assert.equal(coordinator.listSegments(at).length, 1);
  assert.equal(coordinator.describeIndexes(at, '')[0]?.totalRows, 5);
  gate.running.clear();
  const { restoreJobId: _, ...tidied } = hidden;
  await foundations.catalog.commitSure([put(segments, tidied, hidden)]);
  await settle();
  assert.equal(world.queries.rowsOf(collectionId), 10);
  assert.equal(coordinator.rowCount(collectionId), 10);
  await coordinator.close();
});

test('a release while it loads ends the load with an error, and nothing stays loaded', async () => {
  const world = await startWorld();
  const { at, collectionId } = await books(world);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = assert.rejects(world.coordinator.load(at), (e) => isDbError(e, 'collection-not-loaded'));
  await settle();
  const releasing = world.coordinator.release(at);
  await settle();
  assert.ok(
    world.queries.calls.includes(`release ${collectionId}`),
    'it does not wait for the end of the load',
  );
  gate.resolve();
  await Promise.all([loading, releasing]);
  await settle();
  assert.equal(world.coordinator.loadState(at).state, 'not-load');
  assert.ok(!world.queries.views.has(collectionId));
  await world.coordinator.close();
});

test('a release whose load ends while the reader lets go of the collection is a release', async () => {
  const world = await startWorld();
  const { at, collectionId } = await books(world);
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const release = world.queries.release.bind(world.queries);
  world.queries.release = async (id) => {
    gate.resolve();
    await settle();
    await release(id);
  };
  const loading = assert.rejects(world.coordinator.load(at), (e) => isDbError(e, 'collection-not-loaded'));
  await settle();
  await world.coordinator.release(at);
  await loading;
  assert.equal(world.coordinator.loadState(at).state, 'not-load');
  assert.ok(!world.queries.views.has(collectionId));
  await world.coordinator.close();
});

test('however a release and a load meet, the catalog says loaded exactly when the collection is', async () => {
  const world = await startWorld();
  const { at, collectionId } = await books(world);
  const { coordinator, foundations, queries } = world;
  const steps = async (count: number) => {
    for (let i = 0; i < count; i++) await Promise.resolve();
  };
  const agree = (where: string) => {
    const isLoaded = foundations.catalog.get(collections, collectionId)?.load === 'loaded';
    assert.equal(coordinator.loadState(at).state === 'loaded', isLoaded, where);
    assert.equal(queries.views.has(collectionId), isLoaded, where);
  };
  for (let apart = 0; apart < 30; apart++) {
    const loading = coordinator.load(at);
    await steps(apart);
    await Promise.allSettled([loading, coordinator.release(at)]);
    await settle();
    agree(`load, release after ${apart}`);
    assert.equal(coordinator.loadState(at).state, 'not-load');
    await coordinator.load(at);
    const releasing = coordinator.release(at);
    await steps(apart);
    await Promise.allSettled([releasing, coordinator.load(at)]);
    await settle();
    agree(`release, load after ${apart}`);
    await coordinator.release(at);
  }
  await coordinator.close();
});

/** Rows of a collection that a job is still filling, and an index. */
async function restoring(world: World) {
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 7);
  await flush(world, collectionId);
  const { catalog } = world.foundations;
  const restoreJobId = 9n as JobId;
  for (const was of catalog.find(segments, 'collection', collectionId))
    await catalog.commitSure([put(segments, { ...was, restoreJobId }, was)]);
  const collection = catalog.get(collections, collectionId)!;
  await catalog.commitSure([put(collections, { ...collection, restoreJobId }, collection)]);
  world.gate.running.set(restoreJobId, 99);
  return { collectionId, at, restoreJobId };
}

test('a target of a restore is loaded ahead with every row, while nobody else may load it', async () => {
  const world = await startWorld();
  const { collectionId, at, restoreJobId } = await restoring(world);
  await assert.rejects(world.coordinator.load(at), (e) => isDbError(e, 'collection-on-recovering'));
  assert.equal(world.loads.isLoadedAhead(collectionId), false);
  world.queries.gate = () => Promise.reject(new DbError('resource-exhausted', 'no memory'));
  await assert.rejects(world.loads.loadAhead(collectionId), /no memory/);
  assert.equal(world.loads.isLoadedAhead(collectionId), false);
  world.queries.gate = () => Promise.resolve();
  await world.loads.loadAhead(collectionId);
  await world.loads.loadAhead(collectionId);
  assert.deepEqual([world.loads.isLoadedAhead(collectionId), world.queries.rowsOf(collectionId)], [true, 7]);
  assert.equal(world.coordinator.describeCollection(at).collection.load, 'none');
  // Published by one commit: what is told of it afterwards shows the same rows.
  const { catalog } = world.foundations;
  world.gate.running.delete(restoreJobId);
  const was = catalog.get(collections, collectionId)!;
  await catalog.commitSure([put(collections, { ...was, load: 'loaded' }, was)]);
  assert.deepEqual(world.coordinator.loadState(at), { state: 'loaded', progress: 100 });
  for (const segment of catalog.find(segments, 'collection', collectionId)) {
    const { restoreJobId: _, ...is } = segment;
    await catalog.commitSure([put(segments, is, segment)]);
  }
  await settle();
  assert.equal(world.queries.rowsOf(collectionId), 7);
  assert.equal(world.queries.calls.filter((call) => call.startsWith('load')).length, 2);
  await world.coordinator.close();
});

test('what was loaded ahead and is not published after all is released; a load under way ends', async () => {
  const world = await startWorld();
  const { collectionId } = await restoring(world);
  await world.loads.loadAhead(collectionId);
  await world.loads.dropAhead(collectionId);
  await world.loads.dropAhead(collectionId);
  assert.equal(world.loads.isLoadedAhead(collectionId), false);
  assert.throws(
    () => world.queries.rowsOf(collectionId),
    (e) => isDbError(e, 'collection-not-loaded'),
  );
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = world.loads.loadAhead(collectionId);
  const dropped = world.loads.dropAhead(collectionId);
  gate.resolve();
  await assert.rejects(loading, /was released while it was loading/);
  await dropped;
  assert.equal(world.queries.views.size, 0);
  await assert.rejects(world.loads.loadAhead(99n as CollectionId), (e) =>
    isDbError(e, 'collection-not-found'),
  );
  await world.coordinator.close();
});

test('a target without an index on its vectors is not loaded ahead', async () => {
  const world = await startWorld();
  const { collectionId } = await world.coordinator.createCollection(asked('bare'));
  await assert.rejects(world.loads.loadAhead(collectionId), (e) => isDbError(e, 'index-not-found'));
  assert.equal(world.loads.isLoadedAhead(collectionId), false);
  await world.coordinator.close();
});

test('only what is loaded is in the view: a partition at a time, deletes always; a restart sends the same', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.coordinator.createPartition(at, 'p');
  const other = world.coordinator
    .describeCollection(at)
    .partitions.find(({ name }) => name === 'p')!.partitionId;
  await world.log.rows(collectionId, partitionId, 5);
  await world.log.rows(collectionId, other, 7);
  await flush(world, collectionId);
  await world.coordinator.load(at, [other]);
  const view = () => world.queries.views.get(collectionId)!;
  const rows = () => view().segments.reduce((sum, { rowCount }) => sum + rowCount, 0);
  assert.deepEqual([view().loadedPartitionIds, rows()], [[other], 7]);
  const state = (ids?: (typeof other)[]) => world.coordinator.loadState(at, ids).state;
  assert.deepEqual(
    [state(), state([other]), state([partitionId]), state([partitionId, other])],
    ['loaded', 'loaded', 'not-load', 'not-load'],
  );
  const gate = deferred();
  world.queries.gate = () => gate.promise;
  const loading = world.coordinator.load(at, [partitionId]);
  await settle();
  assert.deepEqual([state(), state([other]), state([partitionId])], ['loaded', 'loaded', 'loading']);
  gate.resolve();
  await loading;
  assert.deepEqual([view().loadedPartitionIds, rows()], [[partitionId, other], 12]);
  await world.coordinator.release(at, [other]);
  assert.deepEqual([view().loadedPartitionIds, rows(), state([other])], [[partitionId], 5, 'not-load']);
  await world.coordinator.load(at);
  assert.deepEqual([view().loadedPartitionIds, rows()], [undefined, 12]);
  await world.coordinator.release(at, [other]);
  await world.coordinator.createPartition(at, 'later');
  await settle();
  assert.equal(view().loadedPartitionIds?.length, 2, 'one that is created later is loaded');
  await world.coordinator.release(at, [partitionId]);
  const later = world.coordinator.describeCollection(at).partitions.find(({ name }) => name === 'later')!;
  await world.coordinator.release(at, [later.partitionId]);
  assert.deepEqual([state(), world.queries.views.has(collectionId)], ['not-load', false]);
  await world.coordinator.close();
});
