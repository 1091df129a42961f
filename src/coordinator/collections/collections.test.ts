import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, books, field, named, schemaOf, settle, startWorld } from '../../../tests/control/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';

const failsWith = (code: ErrorName, words: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(words);

test('the default database exists from the first start on, once, with id 1', async () => {
  const world = await startWorld();
  assert.deepEqual(
    world.coordinator.listDatabases().map(({ databaseId, name }) => [databaseId, name]),
    [[1n, 'default']],
  );
  const again = await world.restart();
  assert.equal(again.coordinator.listDatabases().length, 1);
  assert.equal(again.coordinator.describeDatabase('').name, 'default');
  await assert.rejects(
    again.coordinator.dropDatabase('default'),
    failsWith('parameter-invalid', 'can not drop'),
  );
  await again.coordinator.close();
});

test('a database with collections is not dropped, an empty one is, an unknown one is no error', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createDatabase('shop', { a: 'b' });
  await assert.rejects(
    coordinator.createDatabase('shop', {}),
    failsWith('parameter-invalid', 'already exist'),
  );
  await coordinator.createCollection(asked('books', { database: 'shop' }));
  await assert.rejects(coordinator.dropDatabase('shop'), failsWith('database-not-empty', 'not empty'));
  await coordinator.dropCollection(named('books', 'shop'));
  await coordinator.dropDatabase('shop');
  await coordinator.dropDatabase('shop');
  assert.throws(() => coordinator.describeDatabase('shop'), failsWith('database-not-found', 'shop'));
  await coordinator.close();
});

test('of many databases of one name created at once exactly one is made', async () => {
  const { coordinator } = await startWorld();
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => coordinator.createDatabase('shop', {})),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(coordinator.listDatabases().length, 2);
  await coordinator.close();
});

test('a collection gets field ids from 100, $meta last, one channel per shard and its default partition', async () => {
  const { coordinator } = await startWorld();
  const schema = {
    ...schemaOf(field('title', { dataType: 'VarChar', maxLength: 10 })),
    enableDynamicField: true,
  };
  const { collectionId } = await coordinator.createCollection(asked('books', { schema, shardsNum: 2 }));
  const { collection, partitions: made, databaseName } = coordinator.describeCollection(named('books'));
  assert.deepEqual(
    collection.schema.fields.map(({ fieldId, name }) => [fieldId, name]),
    [
      [100, 'id'],
      [101, 'vec'],
      [102, 'title'],
      [103, '$meta'],
    ],
  );
  assert.deepEqual(collection.channels, [
    `tidemark-dml_0_${collectionId}v0`,
    `tidemark-dml_1_${collectionId}v1`,
  ]);
  assert.deepEqual(
    made.map(({ name }) => name),
    ['_default'],
  );
  assert.equal(databaseName, 'default');
  assert.equal(coordinator.describeCollectionById(collectionId).collection.name, 'books');
  await coordinator.close();
});

test('a struct array gets an id, its fields the next ones, after the other fields and before $meta', async () => {
  const { coordinator } = await startWorld();
  const list = (name: string) =>
    field(name, { dataType: 'Array', elementType: 'Int64', maxCapacity: 4, structFieldId: 0 as never });
  const struct = (name: string) => ({
    fieldId: 0 as never,
    name,
    description: '',
    maxCapacity: 4,
    nullable: false,
    typeParams: {},
  });
  const schema = {
    ...schemaOf(
      list('a[n]'),
      list('b[n]'),
      field('title', { dataType: 'VarChar', maxLength: 10 }),
      list('b[m]'),
    ),
    structs: [struct('a'), struct('b')],
    enableDynamicField: true,
  };
  await coordinator.createCollection(asked('structs', { schema }));
  const { schema: made } = coordinator.describeCollection(named('structs')).collection;
  assert.deepEqual(
    made.fields.map(({ fieldId, name, structFieldId }) => [fieldId, name, structFieldId]),
    [
      [100, 'id', undefined],
      [101, 'vec', undefined],
      [102, 'title', undefined],
      [104, 'a[n]', 103],
      [106, 'b[n]', 105],
      [107, 'b[m]', 105],
      [108, '$meta', undefined],
    ],
  );
  assert.deepEqual(
    made.structs?.map(({ fieldId, name }) => [fieldId, name]),
    [
      [103, 'a'],
      [105, 'b'],
    ],
  );
  for (const structs of [[struct('a')], [struct('a'), struct('b'), struct('c')]])
    await assert.rejects(
      coordinator.createCollection(asked('odd', { schema: { ...schema, structs } })),
      /struct array/,
    );
  await coordinator.close();
});

test('a schema that cannot be served is refused', async () => {
  const { coordinator } = await startWorld();
  const refused = async (words: string, ...fields: Parameters<typeof field>[]) => {
    const schema = { ...schemaOf(), fields: fields.map((args) => field(...args)) };
    await assert.rejects(
      coordinator.createCollection(asked('books', { schema })),
      failsWith('parameter-invalid', words),
    );
  };
  const id: Parameters<typeof field> = ['id', { isPrimaryKey: true }];
  const vec: Parameters<typeof field> = ['vec', { dataType: 'FloatVector', dim: 4 }];
  await refused('invalid dimension: 0', id, ['vec', { dataType: 'FloatVector', dim: 0 }]);
  await refused('primary key is not specified', vec);
  await refused('more than one primary key', id, ['id2', { isPrimaryKey: true }], vec);
  await refused('duplicated field name: vec', id, vec, vec);
  await refused('does not contain vector', id);
  await refused('data type of primary key', ['id', { isPrimaryKey: true, dataType: 'Float' }], vec);
  await refused('maximum length', id, vec, ['t', { dataType: 'VarChar' }]);
  await refused('maximum capacity', id, vec, ['t', { dataType: 'Array', elementType: 'Int8' }]);
  for (const shardsNum of [0, 17, 1.5])
    await assert.rejects(
      coordinator.createCollection(asked('books', { shardsNum })),
      failsWith('parameter-invalid', 'shards'),
    );
  await assert.rejects(
    coordinator.createCollection(asked('1x')),
    failsWith('parameter-invalid', 'first character'),
  );
  assert.deepEqual(coordinator.listCollections(''), []);
  await coordinator.close();
});

test('creating the same collection again is success, a different one of that name is refused', async () => {
  const { coordinator } = await startWorld();
  const first = await coordinator.createCollection(asked('books'));
  assert.equal((await coordinator.createCollection(asked('books'))).collectionId, first.collectionId);
  for (const more of [
    { schema: schemaOf(field('n', { defaultValue: 1n })) },
    { shardsNum: 2 },
    { properties: { 'collection.ttl.seconds': '5' } },
  ])
    await assert.rejects(
      coordinator.createCollection(asked('books', more)),
      failsWith('collection-duplicate', 'create duplicate collection with different parameters'),
    );
  await coordinator.close();
});

test('of different collections of one name created at once exactly one is made, with one partition', async () => {
  const { coordinator, foundations } = await startWorld();
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) => coordinator.createCollection(asked('books', { shardsNum: n + 1 }))),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(foundations.catalog.count(collections), 1);
  assert.equal(foundations.catalog.count(partitions), 1);
  await coordinator.close();
});

test('a collection created while its database is dropped is either in a living database or not there', async () => {
  const { coordinator, foundations } = await startWorld();
  await coordinator.createDatabase('shop', {});
  const [created, dropped] = await Promise.allSettled([
    coordinator.createCollection(asked('books', { database: 'shop' })),
    coordinator.dropDatabase('shop'),
  ]);
  assert.notEqual(created.status, dropped.status);
  assert.equal(foundations.catalog.count(collections), created.status === 'fulfilled' ? 1 : 0);
  await coordinator.close();
});

test('what does not exist is named in the words clients look for', async () => {
  const { coordinator } = await startWorld();
  for (const words of ["can't find collection", 'collection not found'])
    assert.throws(
      () => coordinator.describeCollection(named('books')),
      failsWith('collection-not-found', words),
    );
  assert.throws(
    () => coordinator.describeCollection(named('books', 'x')),
    failsWith('database-not-found', 'x'),
  );
  await coordinator.dropCollection(named('books'));
  await coordinator.close();
});

test('a rename keeps the collection, frees the old name, reaches another database that is not full, and never takes a name', async () => {
  const { coordinator } = await startWorld();
  const { collectionId } = await coordinator.createCollection(asked('books'));
  await coordinator.createCollection(asked('papers'));
  await coordinator.createDatabase('shop', {});
  await assert.rejects(
    coordinator.renameCollection(named('books'), 'papers', ''),
    failsWith('collection-duplicate', 'duplicated new collection name'),
  );
  await coordinator.renameCollection(named('books'), 'novels', 'shop');
  assert.equal(coordinator.describeCollection(named('novels', 'shop')).collection.collectionId, collectionId);
  assert.throws(
    () => coordinator.describeCollection(named('books')),
    failsWith('collection-not-found', 'books'),
  );
  await coordinator.createCollection(asked('books'));
  await assert.rejects(
    coordinator.renameCollection(named('books'), 'x', 'nowhere'),
    failsWith('database-not-found', 'nowhere'),
  );
  await coordinator.createDatabase('full', { 'database.max.collections': '0' });
  await assert.rejects(
    coordinator.renameCollection(named('books'), 'x', 'full'),
    failsWith('resource-exhausted', 'limit=0'),
  );
  await coordinator.close();
});

test('of two collections renamed to one name at once exactly one gets it', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books'));
  await coordinator.createCollection(asked('papers'));
  const results = await Promise.allSettled(
    ['books', 'papers'].map((name) => coordinator.renameCollection(named(name), 'novels', '')),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(
    coordinator.listCollections('').filter(({ collection }) => collection.name === 'novels').length,
    1,
  );
  await coordinator.close();
});

test('partitions are created once, dropped with what is in them, and the default one never', async () => {
  const world = await startWorld();
  const { coordinator, log, foundations, scheduler } = world;
  const { collectionId, partitionId, at } = await books(world);
  await Promise.all([1, 2, 3].map(() => coordinator.createPartition(at, 'old')));
  const [, old] = coordinator.describeCollection(at).partitions;
  assert.equal(coordinator.describeCollection(at).partitions.length, 2);
  assert.ok(old);
  await log.rows(collectionId, partitionId, 3);
  const gone = await log.rows(collectionId, old.partitionId, 4);
  const flushing = world.flusher.flushAll(collectionId);
  await settle();
  await scheduler.run();
  await flushing;
  assert.equal(coordinator.rowCount(collectionId), 7);
  assert.equal(coordinator.rowCount(collectionId, old.partitionId), 4);
  await coordinator.dropPartition(at, 'old');
  await coordinator.dropPartition(at, 'old');
  assert.equal(coordinator.rowCount(collectionId), 3);
  const dropped = foundations.catalog.get(segments, gone);
  assert.deepEqual([dropped?.state, dropped?.droppedAtMs], ['dropped', world.clock.ms]);
  assert.ok(log.dropped.includes(`${collectionId}/${old.partitionId}`));
  await assert.rejects(log.rows(collectionId, old.partitionId, 1), failsWith('partition-not-found', ''));
  await assert.rejects(
    coordinator.dropPartition(at, '_default'),
    failsWith('parameter-invalid', 'default partition'),
  );
  await coordinator.close();
});

test('a drop takes partitions, indexes, segments, readers and snapshots with it', async () => {
  const world = await startWorld();
  const { coordinator, log, foundations, queries, cascaded } = world;
  const { collectionId, partitionId, at } = await books(world);
  const segmentId = await log.rows(collectionId, partitionId, 5);
  await coordinator.load(at);
  await coordinator.flush(collectionId);
  assert.equal(world.scheduler.tasks.size, 1);
  await coordinator.dropCollection(at);
  assert.equal(world.scheduler.tasks.size, 0);
  const { catalog } = foundations;
  assert.deepEqual(
    [catalog.count(collections), catalog.count(partitions), catalog.count(indexes)],
    [0, 0, 0],
  );
  assert.equal(catalog.get(segments, segmentId)?.state, 'dropped');
  assert.equal(queries.views.size, 0);
  assert.deepEqual(cascaded, [collectionId]);
  await assert.rejects(log.rows(collectionId, partitionId, 1), failsWith('collection-not-found', ''));
  assert.deepEqual(coordinator.health(), { isHealthy: true, reasons: [] });
  await coordinator.close();
});

test('a drop that was cut short at any commit is finished at the next start', async () => {
  for (let survived = 0; ; survived++) {
    const world = await startWorld();
    const { collectionId, partitionId, at } = await books(world);
    await world.coordinator.createPartition(at, 'more');
    for (let i = 0; i < 130; i++) {
      await world.log.rows(collectionId, partitionId, 1);
      await world.log.seal(collectionId);
    }
    world.kv.left = survived;
    const outcome = await world.coordinator.dropCollection(at).then(
      () => 'dropped',
      () => 'failed',
    );
    const isWhole = world.coordinator.health().isHealthy;
    const after = await world.restart();
    const { catalog } = after.foundations;
    if (outcome === 'failed') assert.equal(catalog.count(collections), 1, `commits: ${survived}`);
    else {
      assert.deepEqual(
        [catalog.count(collections), catalog.count(indexes), catalog.count(partitions)],
        [0, 0, 0],
      );
      assert.ok([...catalog.all(segments)].every(({ state }) => state === 'dropped'));
      assert.equal(catalog.count(segments), 130);
      assert.deepEqual([...world.cascaded, ...after.cascaded].slice(-1), [collectionId]);
    }
    await after.coordinator.close();
    if (outcome === 'dropped' && isWhole) {
      assert.ok(survived >= 5, `${survived} commits`);
      break;
    }
  }
});

test('a collection that a restore fills is described, and every other use names the job and its progress', async () => {
  const world = await startWorld();
  const { coordinator, foundations, gate } = world;
  const { at, collectionId } = await books(world);
  const was = foundations.catalog.get(collections, collectionId);
  assert.ok(was);
  const jobId = 77n as JobId;
  gate.running.set(jobId, 45);
  await foundations.catalog.commitSure([put(collections, { ...was, restoreJobId: jobId }, was)]);
  assert.equal(coordinator.describeCollection(at).restoringJobId, jobId);
  const recovering = failsWith('collection-on-recovering', 'job 77 is at 45 %');
  assert.throws(() => coordinator.requireReady(at), recovering);
  await assert.rejects(coordinator.load(at), recovering);
  await assert.rejects(coordinator.createPartition(at, 'p'), recovering);
  await assert.rejects(coordinator.createIndex(at, 'vec', '', {}), recovering);
  await assert.rejects(coordinator.renameCollection(at, 'x', ''), recovering);
  await assert.rejects(coordinator.createCollection(asked('books')), recovering);
  gate.running.delete(jobId);
  // From the commit that completes the job, not only once the record is tidied.
  assert.equal(coordinator.requireReady(at).collection.restoreJobId, jobId);
  assert.equal(coordinator.describeCollection(at).restoringJobId, undefined);
  await coordinator.close();
});

test('creating what already exists is success after a restart, too', async () => {
  const bare = (entries: Record<string, string>) => Object.assign(Object.create(null), entries);
  const request = () => ({
    ...asked('books', {
      schema: schemaOf(
        field('title', { dataType: 'VarChar', maxLength: 10, typeParams: bare({ max_length: '10' }) }),
      ),
    }),
    properties: bare({ a: 'b' }),
  });
  const world = await startWorld();
  const { collectionId } = await world.coordinator.createCollection(request());
  const again = await world.restart();
  assert.equal((await again.coordinator.createCollection(request())).collectionId, collectionId);
  await again.coordinator.close();
});
