/** Properties of collections, databases, fields and indexes, altered as the official client does it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { createItems, DIM, item, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';

const properties = async (client: MilvusClient, collection_name: string) => {
  const { properties: pairs } = await succeed(client.describeCollection({ collection_name }));
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
};

const paramsOf = async (client: MilvusClient, collection_name: string, name: string) => {
  const { schema } = await succeed(client.describeCollection({ collection_name }));
  const field = schema.fields.find((each) => each.name === name);
  return Object.fromEntries((field?.type_params ?? []).map(({ key, value }) => [key, String(value)]));
};

describe('altering what describes a collection', () => {
  const fixture = sharedServer();

  test('collection properties are set, described, deleted and restored; unknown ones of the system and wrong values are refused by name', async () => {
    const { client } = fixture;
    const collection_name = 'props';
    await createItems(client, collection_name);
    await succeed(
      client.alterCollectionProperties({
        collection_name,
        properties: {
          'collection.ttl.seconds': 86_400,
          allow_insert_auto_id: true,
          timezone: 'Asia/Tokyo',
          team: 'search',
        },
      }),
    );
    const wanted = {
      'collection.ttl.seconds': '86400',
      allow_insert_auto_id: 'true',
      timezone: 'Asia/Tokyo',
      team: 'search',
    };
    assert.deepEqual(await properties(client, collection_name), wanted);
    await succeed(client.dropCollectionProperties({ collection_name, properties: ['team'] }));
    const { team: _, ...left } = wanted;
    assert.deepEqual(await properties(client, collection_name), left);
    const illegal = (set: Record<string, string>, words: string) =>
      refused(client.alterCollectionProperties({ collection_name, properties: set }), {
        code: 1100,
        words,
        legacy: 'IllegalArgument',
      });
    await illegal({ 'collection.ttl.seconds': '-5' }, 'collection.ttl.seconds');
    await illegal({ 'collection.shards.num': '2' }, 'collection.shards.num');
    await illegal({ timezone: 'Moon/Sea' }, 'timezone');
    await illegal({ 'partitionkey.isolation': 'true' }, 'no partition key field is set');
    await refused(
      client.alterCollectionProperties({ collection_name, properties: { 'mmap.enabled': true } }),
      {
        code: 104,
        words: 'can not alter mmap properties',
      },
    );
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(
      client.alterCollectionProperties({ collection_name, properties: { 'mmap.enabled': true } }),
    );
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'kept' }));
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 'kept',
      target_collection_name: 'props2',
    });
    assert.deepEqual(await properties(client, 'props2'), { ...left, 'mmap.enabled': 'true' });
  });

  test('description and consistency level are altered through their properties', async () => {
    const { client } = fixture;
    const collection_name = 'described';
    await createItems(client, collection_name);
    const before = await succeed(client.describeCollection({ collection_name }));
    await succeed(
      client.alterCollectionProperties({
        collection_name,
        properties: { 'collection.description': 'of things', consistency_level: 'Eventually' },
      }),
    );
    const after = await succeed(client.describeCollection({ collection_name }));
    assert.equal(after.schema.description, 'of things');
    assert.equal(String(after.consistency_level), 'Eventually');
    assert.ok(BigInt(after.update_timestamp ?? 0) > BigInt(before.update_timestamp ?? 0));
  });

  test('max_length and max_capacity of a field grow, at once and in a restored collection; other parameters are refused by name', async () => {
    const { client } = fixture;
    const collection_name = 'fields';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'name', data_type: DataType.VarChar, max_length: 4 },
          { name: 'tags', data_type: DataType.Array, element_type: DataType.Int64, max_capacity: 2 },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      }),
    );
    const row = { id: 1, name: 'a long name', tags: [1, 2, 3], vector: item(1).vector };
    await refused(client.insert({ collection_name, data: [row] }), { code: 1100, words: 'name' });
    await succeed(
      client.alterCollectionFieldProperties({
        collection_name,
        field_name: 'name',
        properties: { max_length: 16 },
      }),
    );
    await succeed(
      client.alterCollectionFieldProperties({
        collection_name,
        field_name: 'tags',
        properties: { max_capacity: 3 },
      }),
    );
    await succeed(client.insert({ collection_name, data: [row] }));
    assert.equal((await paramsOf(client, collection_name, 'name'))['max_length'], '16');
    assert.equal((await paramsOf(client, collection_name, 'tags'))['max_capacity'], '3');
    const alter = (field_name: string, set: Record<string, number | string>, code: number, words: string) =>
      refused(client.alterCollectionFieldProperties({ collection_name, field_name, properties: set }), {
        code,
        words,
      });
    await alter('name', { max_length: 8 }, 1100, 'only grow');
    await alter('name', { max_length: 70_000 }, 1100, 'maximum length');
    await alter('id', { max_length: 8 }, 1100, 'non-string');
    await alter('vector', { dim: 16 }, 1100, 'dim does not allow update');
    await alter('none', { max_length: 8 }, 65_535, 'field not found');
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'kept' }));
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 'kept',
      target_collection_name: 'fields2',
    });
    assert.equal((await paramsOf(client, 'fields2', 'name'))['max_length'], '16');
  });

  test('of an index mmap is altered while its collection is released, and nothing else', async () => {
    const { client } = fixture;
    const collection_name = 'indexed';
    await createItems(client, collection_name);
    const alter = (params: Record<string, boolean | number>) =>
      client.alterIndexProperties({ collection_name, index_name: 'vector', params });
    await refused(alter({ 'mmap.enabled': true }), { code: 104, words: 'loaded collection' });
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(alter({ 'mmap.enabled': true }));
    await refused(alter({ M: 4 }), { code: 1100, words: 'M is not a configable index property' });
    const described = await succeed(client.describeIndex({ collection_name }));
    const params = described.index_descriptions[0]?.params ?? [];
    assert.equal(params.find(({ key }) => key === 'mmap.enabled')?.value, 'true');
    await succeed(
      client.dropIndexProperties({ collection_name, index_name: 'vector', properties: ['mmap.enabled'] }),
    );
    const again = await succeed(client.describeIndex({ collection_name }));
    assert.ok(!again.index_descriptions[0]?.params.some(({ key }) => key === 'mmap.enabled'));
  });

  test('properties of a database are set, described, deleted, outlive kill -9, and bound its collections', async () => {
    await withServer(async (server) => {
      const db_name = 'shop';
      await succeed(server.client.createDatabase({ db_name }));
      await succeed(
        server.client.alterDatabase({
          db_name,
          properties: { 'database.max.collections': 1, timezone: 'Europe/Paris' },
        }),
      );
      await server.restart('kill');
      const { client } = server;
      const described = await succeed(client.describeDatabase({ db_name }));
      assert.deepEqual(Object.fromEntries(described.properties.map(({ key, value }) => [key, value])), {
        'database.max.collections': '1',
        timezone: 'Europe/Paris',
      });
      const create = (collection_name: string) =>
        client.createCollection({ collection_name, db_name, dimension: 4 });
      await succeed(create('one'));
      await assert.rejects(create('two'), { reason: 'exceeded the limit number of collections[limit=1]' });
      await succeed(client.dropDatabaseProperties({ db_name, properties: ['database.max.collections'] }));
      await succeed(create('two'));
      await refused(client.alterDatabase({ db_name, properties: { 'database.force.deny.writing': true } }), {
        code: 1100,
        words: 'database.force.deny.writing',
      });
    });
  });
});
