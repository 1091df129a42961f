import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, books, field, named, settle, startWorld } from '../../../tests/control/world.ts';
import { MAX_FIELDS, withField } from './schema.ts';

const nullable = (name: string) => field(name, { dataType: 'Int64', nullable: true });

test('added fields get ids that no field ever had, stand before $meta, and raise the version; racing ones all stand', async () => {
  const world = await startWorld();
  await world.coordinator.createCollection(
    asked('books', { schema: { ...asked('books').schema, enableDynamicField: true } }),
  );
  const at = named('books');
  const before = world.coordinator.describeCollection(at).collection.schema;
  await Promise.all(['a', 'b', 'c'].map((name) => world.coordinator.addField(at, nullable(name))));
  await assert.rejects(world.coordinator.addField(at, nullable('b')), /duplicate field name: b/);
  const { coordinator } = await world.restart();
  const { schema, updatedTs = 0n, createdTs } = coordinator.describeCollection(at).collection;
  const added = schema.fields.slice(before.fields.length - 1, -1);
  assert.deepEqual(added.map(({ name }) => name).sort(), ['a', 'b', 'c']);
  assert.equal(new Set(schema.fields.map(({ fieldId }) => fieldId)).size, before.fields.length + 3);
  assert.ok(added.every(({ fieldId }) => before.fields.every((old) => old.fieldId < fieldId)));
  assert.deepEqual([schema.fields.at(-1)?.name, schema.version], ['$meta', before.version + 3]);
  assert.ok(updatedTs > createdTs);
  await coordinator.close();
});

test('readers of a loaded collection know an added field before the call returns', async () => {
  const world = await startWorld();
  const { collectionId } = await books(world);
  const at = named('books');
  await world.coordinator.load(at);
  await settle();
  await world.coordinator.addField(at, nullable('stars'));
  assert.ok(world.queries.views.get(collectionId)?.schema.fields.some(({ name }) => name === 'stars'));
  await world.coordinator.close();
});

test('a schema takes no more fields than a collection can be created with', () => {
  let { schema } = asked('books');
  for (let n = schema.fields.length; n < MAX_FIELDS; n++) schema = withField(schema, nullable(`f${n}`));
  assert.throws(() => withField(schema, nullable('one_more')), /reached the maximum value 64/);
});
