import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, field, named, schemaOf, startWorld } from '../../../tests/control/world.ts';
import { isDbError } from '../../errors/db-error.ts';

const set = (properties: Record<string, string>) => ({ set: properties, unset: [] });
const unset = (...keys: string[]) => ({ set: {}, unset: keys });

const text = schemaOf(
  field('title', { dataType: 'VarChar', maxLength: 10, typeParams: { max_length: '10' } }),
  field('tags', { dataType: 'Array', elementType: 'VarChar', maxLength: 4, maxCapacity: 2, typeParams: {} }),
);

test('a change of a collection is refused as a whole, by the name of what is wrong with it', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books', { schema: text }));
  const before = coordinator.describeCollection(named('books')).collection;
  const wrong: readonly [ReturnType<typeof set>, RegExp][] = [
    [set({}), /no properties/],
    [{ set: { a: 'b' }, unset: ['c'] as never }, /cannot provide both/],
    [set({ 'collection.ttl.seconds': 'soon' }), /collection\.ttl\.seconds \(soon\) is out of range/],
    [set({ 'collection.ttl.seconds': '3155760001' }), /out of range/],
    [set({ a: 'b', 'collection.autocompaction.enabled': 'yes' }), /must be true or false/],
    [set({ 'collection.insertRate.max.mb': '' }), /must be a number/],
    [set({ 'tidemark.restoring_job_id': '7' }), /tidemark\.restoring_job_id is not a property/],
    [set({ consistency_level: 'Perfect' }), /consistency_level \(Perfect\) is unknown/],
    [set({ 'partitionkey.isolation': 'true' }), /no partition key field/],
  ];
  for (const [change, words] of wrong)
    await assert.rejects(coordinator.alterCollection(named('books'), change), words);
  await assert.rejects(
    coordinator.createCollection(asked('films', { properties: { 'collection.ttl.seconds': '-2' } })),
    /out of range/,
  );
  assert.equal(coordinator.describeCollection(named('books')).collection, before);
  await coordinator.close();
});

test('concurrent changes of one collection all stand', async () => {
  const world = await startWorld();
  await world.coordinator.createCollection(asked('books', { schema: text }));
  const at = named('books');
  await Promise.all([
    ...Array.from({ length: 8 }, (_, n) => world.coordinator.alterCollection(at, set({ [`k${n}`]: 'v' }))),
    world.coordinator.alterField(at, 'title', set({ max_length: '20' })),
    world.coordinator.alterField(at, 'tags', set({ max_capacity: '9', max_length: '8' })),
    world.coordinator.createPartition(at, 'red'),
  ]);
  await world.coordinator.alterCollection(at, unset('k0', 'never'));
  const { coordinator } = await world.restart();
  const { collection, partitions } = coordinator.describeCollection(at);
  assert.deepEqual(Object.keys(collection.properties).sort(), ['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7']);
  const [title, tags] = ['title', 'tags'].map((name) =>
    collection.schema.fields.find((f) => f.name === name),
  );
  assert.deepEqual([title?.maxLength, title?.typeParams], [20, { max_length: '20' }]);
  assert.deepEqual([tags?.maxLength, tags?.maxCapacity], [8, 9]);
  assert.deepEqual([partitions.length, collection.schema.version], [2, text.version + 2]);
  await coordinator.close();
});

test('the dynamic field is turned on once, off, and on again: each time with an id of its own', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books', { schema: text }));
  const at = named('books');
  await coordinator.alterCollection(at, set({ 'dynamicfield.enabled': 'true' }));
  await coordinator.alterCollection(at, set({ 'dynamicfield.enabled': 'True' }));
  const { schema, properties } = coordinator.describeCollection(at).collection;
  assert.deepEqual([schema.enableDynamicField, properties], [true, {}]);
  assert.deepEqual(schema.fields.map(({ fieldId, name }) => [fieldId, name]).at(-1), [104, '$meta']);
  await assert.rejects(
    coordinator.alterCollection(at, unset('dynamicfield.enabled')),
    /by setting dynamicfield.enabled to false/,
  );
  for (const [value, isOn, lastId] of [
    ['false', false, 103],
    ['False', false, 103],
    ['true', true, 105],
  ] as const) {
    await coordinator.alterCollection(at, set({ 'dynamicfield.enabled': value }));
    const is = coordinator.describeCollection(at).collection.schema;
    assert.deepEqual([is.enableDynamicField, is.fields.at(-1)?.fieldId], [isOn, lastId]);
  }
  await coordinator.close();
});

test('an index that is not there, or of a loaded collection, is not altered', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books'));
  const at = named('books');
  await assert.rejects(coordinator.alterIndex(at, 'vec', set({ 'mmap.enabled': 'true' })), (error) =>
    isDbError(error, 'index-not-found'),
  );
  await coordinator.createIndex(at, 'vec', '', { index_type: 'FLAT', metric_type: 'L2' });
  await coordinator.alterIndex(at, 'vec', set({ 'mmap.enabled': 'true' }));
  assert.equal(coordinator.describeIndexes(at, '')[0]?.index.params['mmap.enabled'], 'true');
  await coordinator.load(at);
  await assert.rejects(coordinator.alterIndex(at, 'vec', unset('mmap.enabled')), (error) =>
    isDbError(error, 'collection-loaded'),
  );
  await coordinator.close();
});
