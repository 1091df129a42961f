import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, field, named, schemaOf, startWorld } from '../../../tests/control/world.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { isDbError } from '../../errors/db-error.ts';
import { partitions } from '../tables.ts';

const keyed = schemaOf(field('color', { dataType: 'VarChar', maxLength: 10, isPartitionKey: true }));
const failsWith = (code: ErrorName, words: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(words);

test('a partition key gives a collection 16 partitions or as many as asked, whole or not at all after a crash at any commit', async () => {
  for (const [numPartitions, count] of [
    [undefined, 16],
    [1, 1],
    [1024, 1024],
  ] as const)
    for (let left = 0; ; left++) {
      const world = await startWorld();
      world.kv.left = left;
      const request = asked('books', {
        schema: keyed,
        ...(numPartitions === undefined ? {} : { numPartitions }),
      });
      const outcome = await world.coordinator.createCollection(request).then(
        () => 'done',
        () => 'failed',
      );
      const isDone = outcome === 'done' && world.kv.left > 0;
      const again = await world.restart();
      const listed = again.coordinator.listCollections('');
      const names = listed[0]?.partitions.map(({ name }) => name) ?? [];
      assert.ok(names.length === 0 || names.length === count);
      assert.equal(again.foundations.catalog.count(partitions), names.length);
      if (names.length > 0)
        assert.deepEqual(new Set(names), new Set(Array.from({ length: count }, (_, n) => `_default_${n}`)));
      await again.coordinator.close();
      if (isDone) break;
    }
});

test('creating a keyed collection again with the same number of partitions is success, with another it is not', async () => {
  const { coordinator, foundations } = await startWorld();
  const first = await coordinator.createCollection(asked('books', { schema: keyed, numPartitions: 300 }));
  const again = await coordinator.createCollection(asked('books', { schema: keyed, numPartitions: 300 }));
  assert.equal(again.collectionId, first.collectionId);
  await assert.rejects(
    coordinator.createCollection(asked('books', { schema: keyed, numPartitions: 200 })),
    failsWith('collection-duplicate', 'different parameters'),
  );
  assert.equal(foundations.catalog.count(partitions), 300);
  await coordinator.close();
});

test('partitions of a keyed collection are not made or dropped by hand, and a wrong key is refused', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(
    asked('books', { schema: keyed, properties: { 'partitionkey.isolation': 'true' } }),
  );
  await assert.rejects(
    coordinator.createPartition(named('books'), 'red'),
    failsWith('partition-key-mode', 'disable create partition'),
  );
  await assert.rejects(
    coordinator.dropPartition(named('books'), '_default_1'),
    failsWith('partition-key-mode', 'disable drop partition'),
  );
  const refused = (schema: typeof keyed, words: string, numPartitions?: number) =>
    assert.rejects(
      coordinator.createCollection(
        asked('films', { schema, ...(numPartitions === undefined ? {} : { numPartitions }) }),
      ),
      failsWith('parameter-invalid', words),
    );
  const key = (more: object) => field('k', { dataType: 'Int64', isPartitionKey: true, ...more });
  await refused(schemaOf(key({}), { ...key({}), name: 'l' }), 'more than one partition key');
  await refused(schemaOf(key({ dataType: 'Int8' })), 'should be Int64 or VarChar');
  await refused(schemaOf(key({ nullable: true })), 'not support nullable');
  await refused(keyed, 'exceeds max configuration', 1025);
  await refused(schemaOf(), 'only be specified with partition key', 4);
  await refused(schemaOf(field('c', { dataType: 'JSON', isClusteringKey: true })), 'clustering key');
  await assert.rejects(
    coordinator.createCollection(asked('films', { properties: { 'partitionkey.isolation': 'true' } })),
    failsWith('parameter-invalid', 'no partition key field is set'),
  );
  await coordinator.close();
});
