import assert from 'node:assert/strict';
import { test } from 'node:test';
import { honestNode } from '../../../tests/control/fake-nodes.ts';
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
import type { NodeWork } from '../../datanode/api.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { CollectionId } from '../../model/ids.ts';
import type { Properties } from '../../model/records.ts';
import { indexes, segments } from '../tables.ts';

const failsWith = (code: ErrorName, words: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(words);

async function flush(world: World, collectionId: CollectionId): Promise<void> {
  const waiting = world.flusher.flushAll(collectionId);
  await settle();
  await world.scheduler.run();
  await waiting;
  await settle();
}

const builtOf = (world: World, collectionId: CollectionId) =>
  world.foundations.catalog.find(segments, 'collection', collectionId).flatMap((segment) => segment.indexes);

const progressOf = (world: World) => {
  const [info] = world.coordinator.describeIndexes(named('books'), '');
  return [info?.indexedRows, info?.totalRows, info?.state];
};

test('an index gets the name of its field, and its metric is made explicit', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books'));
  await coordinator.createIndex(named('books'), 'vec', '', { index_type: 'AUTOINDEX' });
  const [info] = coordinator.describeIndexes(named('books'), '');
  assert.deepEqual(
    [info?.index.name, info?.fieldName, info?.index.params],
    ['vec', 'vec', { index_type: 'AUTOINDEX', metric_type: 'COSINE' }],
  );
  assert.deepEqual([info?.totalRows, info?.indexedRows, info?.state], [0, 0, 'finished']);
  await coordinator.close();
});

test('the same index again is success; other parameters, a second index of a field, a name twice are refused', async () => {
  const { coordinator } = await startWorld();
  const schema = schemaOf(field('vec2', { dataType: 'FloatVector', dim: 2 }));
  await coordinator.createCollection(asked('books', { schema }));
  const at = named('books');
  const hnsw = { index_type: 'HNSW', metric_type: 'L2', params: '{"M":16,"efConstruction":100}' };
  await coordinator.createIndex(at, 'vec', 'i', hnsw);
  await coordinator.createIndex(at, 'vec', 'i', {
    index_type: 'HNSW',
    metric_type: 'L2',
    M: '16',
    efConstruction: '100',
  });
  await assert.rejects(
    coordinator.createIndex(at, 'vec', 'i', { ...hnsw, metric_type: 'IP' }),
    failsWith('index-duplicate', 'parameters are inconsistent'),
  );
  await assert.rejects(
    coordinator.createIndex(at, 'vec', 'j', hnsw),
    failsWith('index-duplicate', 'at most one distinct index'),
  );
  await assert.rejects(
    coordinator.createIndex(at, 'vec2', 'i', hnsw),
    failsWith('index-duplicate', 'parameters are inconsistent'),
  );
  assert.deepEqual(coordinator.describeIndexes(at, 'i')[0]?.index.params, hnsw);
  assert.equal(coordinator.describeIndexes(at, 'vec').length, 1);
  await coordinator.close();
});

test('of different indexes of one field created at once exactly one is made', async () => {
  const { coordinator, foundations } = await startWorld();
  await coordinator.createCollection(asked('books'));
  const results = await Promise.allSettled(
    ['L2', 'IP', 'COSINE'].map((metric_type) =>
      coordinator.createIndex(named('books'), 'vec', '', { index_type: 'HNSW', metric_type }),
    ),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(foundations.catalog.count(indexes), 1);
  await coordinator.close();
});

test('what an index cannot be is refused, each in its own words', async () => {
  const { coordinator, foundations } = await startWorld();
  await coordinator.createCollection(asked('books'));
  const table: readonly (readonly [string, Properties, ErrorName, string])[] = [
    ['nope', {}, 'index-invalid', 'non-exist field: nope'],
    ['vec', { index_type: 'HNWS' }, 'index-invalid', 'invalid index type: HNWS'],
    ['vec', { index_type: 'toString' }, 'index-invalid', 'invalid index type'],
    ['vec', { index_type: 'SPARSE_WAND' }, 'index-invalid', 'SPARSE_WAND is not supported'],
    ['vec', { index_type: 'GPU_CAGRA' }, 'unimplemented', 'GPU_CAGRA'],
    ['vec', { index_type: 'IVF_RABITQ' }, 'unimplemented', 'IVF_RABITQ'],
    ['vec', { index_type: 'STL_SORT' }, 'index-invalid', 'STL_SORT is not supported'],
    ['id', { index_type: 'HNSW' }, 'index-invalid', 'HNSW is not supported'],
    ['id', { index_type: 'INVERTED', json_path: 'a' }, 'index-invalid', 'json_path'],
    ['id', { index_type: 'BITMAP' }, 'index-invalid', 'create bitmap index on primary key not supported'],
    ['id', { index_type: 'Trie' }, 'index-invalid', 'TRIE are only supported on varchar field'],
    ['id', { index_type: 'RTREE' }, 'index-invalid', 'RTREE index can only be built on geometry field'],
    ['id', { index_type: 'NGRAM' }, 'unimplemented', 'NGRAM'],
    ['vec', { index_type: 'FLAT', metric_type: 'JACCARD' }, 'index-invalid', 'JACCARD'],
    ['vec', { index_type: 'HNSW', params: '{"M":1}' }, 'index-invalid', "'M'"],
    ['vec', { index_type: 'HNSW', M: '2049' }, 'index-invalid', "'M'"],
    ['vec', { index_type: 'HNSW', efConstruction: 'many' }, 'index-invalid', "'efConstruction'"],
    ['vec', { index_type: 'HNSW', params: '{' }, 'index-invalid', 'not JSON'],
    ['vec', { index_type: 'HNSW', params: '[1]' }, 'index-invalid', 'not a JSON object'],
  ];
  for (const [fieldName, params, code, words] of table)
    await assert.rejects(
      coordinator.createIndex(named('books'), fieldName, '', params),
      failsWith(code, words),
    );
  assert.equal(foundations.catalog.count(indexes), 0);
  await coordinator.close();
});

test('a scalar index is a definition without files: built at once, shown as given, dropped while loaded', async () => {
  const world = await startWorld();
  const { coordinator, log, scheduler } = world;
  const { collectionId, partitionId, at } = await books(world, { index_type: 'FLAT' });
  await coordinator.createIndex(at, 'id', 'by_id', { index_type: 'AUTOINDEX', metric_type: 'L2' });
  await log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await coordinator.load(at);
  await world.tick();
  assert.equal(scheduler.tasks.size, 0);
  const [shown] = coordinator.describeIndexes(at, 'by_id');
  assert.deepEqual(shown?.index.params, { index_type: 'AUTOINDEX' });
  assert.deepEqual([shown?.indexedRows, shown?.totalRows, shown?.state], [2000, 2000, 'finished']);
  await coordinator.dropIndex(at, '', 'by_id');
  assert.equal(coordinator.describeIndexes(at, '').length, 1);
  await coordinator.close();
});

test('rows that are there already are indexed when the index is created, and the reader is told', async () => {
  const world = await startWorld();
  const { coordinator, log, scheduler } = world;
  const { collectionId, partitionId, at } = await books(world, { index_type: 'FLAT' });
  await log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  assert.equal(scheduler.tasks.size, 0, 'FLAT needs no file');
  assert.deepEqual(progressOf(world), [2000, 2000, 'finished']);
  await coordinator.dropIndex(at, 'vec', '');
  await coordinator.createIndex(at, 'vec', '', { index_type: 'HNSW', params: '{"M":8}' });
  await coordinator.load(at);
  await world.tick();
  assert.deepEqual(progressOf(world), [0, 2000, 'in-progress']);
  await scheduler.run();
  await settle();
  assert.deepEqual(progressOf(world), [2000, 2000, 'finished']);
  const work = scheduler.sent.at(-1);
  assert.ok(work?.kind === 'build-index');
  assert.deepEqual(work.params, { index_type: 'HNSW', metric_type: 'COSINE', M: '8' });
  assert.equal(world.queries.views.get(collectionId)?.segments[0]?.indexes[0]?.kind, 'HNSW');
  await coordinator.close();
});

test('small segments, deletes and growing rows need no file', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 1023);
  await world.log.rows(collectionId, partitionId, 5000, 'L0');
  await flush(world, collectionId);
  await world.log.rows(collectionId, partitionId, 4000);
  await world.tick();
  const builds = [...world.scheduler.tasks.values()].filter(({ taskClass }) => taskClass === 'index');
  assert.deepEqual(builds, []);
  assert.deepEqual(progressOf(world), [1023, 1023, 'finished']);
  await world.coordinator.close();
});

test('a build that fails for now is sent again under a new build id, one that fails for good is reported', async () => {
  const world = await startWorld();
  const { scheduler, disk } = world;
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  scheduler.node = () => {
    throw new DbError('node-not-found', 'lost');
  };
  await scheduler.run();
  scheduler.node = honestNode(disk);
  await scheduler.run();
  const builds = scheduler.sent.filter((work) => work.kind === 'build-index');
  assert.equal(new Set(builds.map(({ buildId }) => buildId)).size, 2);
  assert.equal(builtOf(world, collectionId)[0]?.buildId, builds[1]?.buildId);
  await world.log.rows(collectionId, partitionId, 3000);
  await flush(world, collectionId);
  await world.tick();
  scheduler.node = () => {
    throw new DbError('data-integrity', 'bad rows');
  };
  await scheduler.run();
  assert.equal(scheduler.tasks.size, 0);
  assert.match(world.coordinator.health().reasons.join(), /index build .*bad rows/);
  assert.deepEqual(progressOf(world), [2000, 5000, 'in-progress']);
  await world.coordinator.close();
});

test('a build that failed for good is no trouble any more once a compaction has replaced its segment', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  world.scheduler.node = () => {
    throw new DbError('data-integrity', 'bad rows');
  };
  await world.scheduler.run();
  assert.match(world.coordinator.health().reasons.join(), /index build .*bad rows/);
  const { catalog } = world.foundations;
  const [segment] = catalog.find(segments, 'state', 'flushed');
  assert.ok(segment);
  await catalog.commitSure([put(segments, { ...segment, state: 'dropped', droppedAtMs: 1 }, segment)]);
  await world.tick();
  assert.deepEqual(world.coordinator.health().reasons, []);
  await world.coordinator.close();
});

test('a segment the node finds too small for a graph counts as indexed and is not built again and again', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  world.scheduler.node = () => ({ kind: 'build-index' });
  await world.tick();
  await world.scheduler.run();
  await world.coordinator.createPartition(named('books'), 'p');
  await world.tick();
  assert.equal(world.scheduler.tasks.size, 0);
  assert.deepEqual(progressOf(world), [2000, 2000, 'finished']);
  await world.coordinator.close();
});

test('an index dropped while it is built leaves no entry, and a new one is built for its own id', async () => {
  const world = await startWorld();
  const { coordinator, scheduler, disk } = world;
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  const honest = honestNode(disk);
  scheduler.node = async (work: NodeWork) => {
    await coordinator.dropIndex(at, '', 'vec');
    return honest(work);
  };
  const [task] = scheduler.tasks.values();
  await scheduler.run();
  assert.equal(scheduler.tasks.size, 0);
  assert.deepEqual(builtOf(world, collectionId), []);
  assert.throws(() => coordinator.describeIndexes(at, ''), failsWith('index-not-found', 'books'));
  await coordinator.createIndex(at, 'vec', '', { index_type: 'HNSW' });
  await world.tick();
  assert.notEqual([...scheduler.tasks.keys()][0], task?.taskId);
  scheduler.node = honest;
  await scheduler.run();
  const [index] = world.foundations.catalog.find(indexes, 'collection', collectionId);
  assert.deepEqual(
    builtOf(world, collectionId).map(({ indexId }) => indexId),
    [index?.indexId],
  );
  await coordinator.close();
});

test('an index dropped in the moment its file is committed leaves no entry', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  const honest = honestNode(world.disk);
  let dropping: Promise<void> | undefined;
  world.scheduler.node = (work: NodeWork) => {
    // Both commits are on their way before either is visible.
    queueMicrotask(() => {
      dropping = world.coordinator.dropIndex(at, 'vec', '');
    });
    return honest(work);
  };
  const seen: number[] = [];
  world.foundations.catalog.onChange(() => seen.push(builtOf(world, collectionId).length));
  await world.scheduler.run();
  await dropping;
  assert.ok(seen.length > 0 && seen.every((entries) => entries === 0));
  await world.coordinator.close();
});

test('a dropped index leaves the segments, also when the server stops right after the drop', async () => {
  const world = await startWorld();
  const { collectionId, partitionId, at } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  await world.scheduler.run();
  assert.equal(builtOf(world, collectionId).length, 1);
  world.kv.left = 1;
  await world.coordinator.dropIndex(at, 'vec', '');
  const after = await world.restart();
  await after.tick();
  assert.deepEqual(builtOf(after, collectionId), []);
  await after.coordinator.dropIndex(at, 'vec', '');
  await after.coordinator.close();
});

test('the index of a loaded collection is in use and cannot be dropped', async () => {
  const world = await startWorld();
  const { at } = await books(world);
  await world.coordinator.load(at);
  await assert.rejects(
    world.coordinator.dropIndex(at, 'vec', ''),
    failsWith('parameter-invalid', 'cannot be dropped on loaded collection'),
  );
  await world.coordinator.release(at);
  await world.coordinator.dropIndex(at, 'vec', '');
  await world.coordinator.close();
});

test('a restart builds what is still missing', async () => {
  const world = await startWorld();
  const { collectionId, partitionId } = await books(world);
  await world.log.rows(collectionId, partitionId, 2000);
  await flush(world, collectionId);
  await world.tick();
  const after = await world.restart();
  await after.tick();
  await after.scheduler.run();
  assert.equal(builtOf(after, collectionId).length, 1);
  await after.coordinator.close();
});
