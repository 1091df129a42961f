import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../connections.ts';
import { createItems, flush, item, load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';

const items = (count: number, from = 0) => Array.from({ length: count }, (_, i) => item(from + i));

describe('collections, databases and partitions', () => {
  const fixture = sharedServer();

  test('a new client learns the version, the health and its name', async () => {
    const { client } = fixture;
    assert.match((await client.getVersion()).version, /^3\.\d+\.\d+/);
    const health = await client.checkHealth();
    assert.deepEqual([health.isHealthy, health.reasons], [true, []]);
  });

  test('createCollection with a dimension only is indexed, loaded and takes dynamic fields', async () => {
    const { client } = fixture;
    await succeed(client.createCollection({ collection_name: 'simple', dimension: 2 }));
    assert.equal(
      (await succeed(client.getLoadState({ collection_name: 'simple' }))).state,
      'LoadStateLoaded',
    );
    await succeed(
      client.insert({ collection_name: 'simple', data: [{ id: 1, vector: [1, 0], colour: 'red' }] }),
    );
    const { results } = await succeed(
      client.search({ collection_name: 'simple', data: [1, 0], limit: 1, output_fields: ['colour'] }),
    );
    assert.deepEqual(results, [{ id: '1', score: 1, colour: 'red' }]);
    const described = await succeed(client.describeIndex({ collection_name: 'simple' }));
    const params = Object.fromEntries(
      described.index_descriptions[0]!.params.map(({ key, value }) => [key, value]),
    );
    assert.equal(params['metric_type'], 'COSINE');
  });

  test('createCollection with index_params in one call', async () => {
    const { client } = fixture;
    await succeed(
      client.createCollection({
        collection_name: 'in_one',
        fields: [
          { name: 'id', data_type: DataType.VarChar, max_length: 10, is_primary_key: true },
          { name: 'v', data_type: DataType.FloatVector, dim: 2 },
        ],
        index_params: [
          { field_name: 'v', index_type: 'HNSW', metric_type: 'IP', params: { M: 8, efConstruction: 64 } },
        ],
      }),
    );
    assert.equal(
      (await succeed(client.getLoadState({ collection_name: 'in_one' }))).state,
      'LoadStateLoaded',
    );
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name: 'in_one' }));
    assert.equal(index_descriptions[0]!.index_name, 'v');
  });

  test('describeCollection shows every field, setting and property as it was given', async () => {
    const { client } = fixture;
    await succeed(
      client.createCollection({
        collection_name: 'described',
        description: 'what it is for',
        fields: [
          {
            name: 'id',
            data_type: DataType.Int64,
            is_primary_key: true,
            autoID: true,
            description: 'the key',
          },
          {
            name: 'text',
            data_type: DataType.VarChar,
            max_length: 33,
            nullable: true,
            default_value: 'none',
          },
          {
            name: 'list',
            data_type: DataType.Array,
            element_type: DataType.VarChar,
            max_capacity: 5,
            max_length: 7,
          },
          { name: 'meta', data_type: DataType.JSON, nullable: true },
          { name: 'v', data_type: DataType.FloatVector, dim: 4 },
        ],
        enable_dynamic_field: true,
        shards_num: 2,
        consistency_level: 'Eventually',
        properties: { 'collection.ttl.seconds': 0, 'my.own': 'yes' },
      }),
    );
    const { schema, ...answer } = await succeed(client.describeCollection({ collection_name: 'described' }));
    assert.equal(schema.description, 'what it is for');
    assert.equal(schema.enable_dynamic_field, true);
    assert.deepEqual(
      schema.fields.map((field) => [
        field.fieldID,
        field.name,
        field.data_type,
        field.is_primary_key,
        field.autoID,
        field.nullable,
        field.description,
        field.element_type,
        Object.fromEntries(field.type_params.map(({ key, value }) => [key, value])),
      ]),
      [
        ['100', 'id', 'Int64', true, true, false, 'the key', 'None', {}],
        ['101', 'text', 'VarChar', false, false, true, '', 'None', { max_length: '33' }],
        ['102', 'list', 'Array', false, false, false, '', 'VarChar', { max_capacity: '5', max_length: '7' }],
        ['103', 'meta', 'JSON', false, false, true, '', 'None', {}],
        ['104', 'v', 'FloatVector', false, false, false, '', 'None', { dim: '4' }],
      ],
    );
    assert.deepEqual(schema.fields[1]?.default_value, 'none');
    assert.equal(answer.shards_num, 2);
    assert.equal(answer.consistency_level, 'Eventually');
    assert.equal(answer.db_name, 'default');
    assert.equal(answer.virtual_channel_names.length, 2);
    assert.ok(BigInt(answer.created_timestamp) > 0n && Number(answer.created_utc_timestamp) > 0);
    assert.deepEqual(Object.fromEntries(answer.properties.map(({ key, value }) => [key, value])), {
      'collection.ttl.seconds': '0',
      'my.own': 'yes',
    });
  });

  test('has, show, rename, drop; the name is free again at once', async () => {
    const { client } = fixture;
    await createItems(client, 'first');
    await succeed(client.insert({ collection_name: 'first', data: items(3) }));
    const has = async (collection_name: string) =>
      (await succeed(client.hasCollection({ collection_name }))).value;
    assert.deepEqual([await has('first'), await has('second')], [true, false]);
    await succeed(client.renameCollection({ collection_name: 'first', new_collection_name: 'second' }));
    assert.deepEqual([await has('first'), await has('second')], [false, true]);
    assert.equal((await succeed(client.count({ collection_name: 'second' }))).data, 3);
    const shown = await succeed(client.showCollections());
    assert.ok(shown.data.some(({ name }) => name === 'second'));
    await refused(client.renameCollection({ collection_name: 'second', new_collection_name: 'simple' }), {
      code: 65535,
      words: 'duplicate',
    });
    await succeed(client.dropCollection({ collection_name: 'second' }));
    assert.equal(await has('second'), false);
    await refused(client.describeCollection({ collection_name: 'second' }), {
      code: 100,
      words: "can't find collection",
      legacy: 'UnexpectedError',
    });
    await createItems(client, 'second');
    assert.equal((await succeed(client.count({ collection_name: 'second' }))).data, 0);
  });

  test('creating the same collection again is success, another one of its name is not', async () => {
    const { client } = fixture;
    await createItems(client, 'same');
    await createItems(client, 'same');
    // The client throws the status of a failed creation.
    const other = client.createCollection({
      collection_name: 'same',
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: 3 },
      ],
    });
    await assert.rejects(other, { code: 65535, reason: /duplicate collection/ });
  });

  test('load and release: states, progress, and reads of a collection that is not loaded', async () => {
    const { client } = fixture;
    const collection_name = 'loading';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(20) }));
    const state = async () => (await succeed(client.getLoadState({ collection_name }))).state;
    const progress = async () => (await succeed(client.getLoadingProgress({ collection_name }))).progress;
    assert.deepEqual([await state(), await progress()], ['LoadStateLoaded', '100']);
    await succeed(client.releaseCollection({ collection_name }));
    assert.equal(await state(), 'LoadStateNotLoad');
    await refused(client.query({ collection_name, filter: 'id > 0', limit: 5 }), {
      code: 101,
      words: 'not loaded',
    });
    await refused(client.search({ collection_name, data: item(1).vector, limit: 5 }), {
      code: 101,
      words: 'not loaded',
    });
    await succeed(client.insert({ collection_name, data: items(5, 20) }));
    await succeed(client.loadCollectionSync({ collection_name }));
    assert.equal((await succeed(client.count({ collection_name }))).data, 25);
    await fixture.restart('stop');
    assert.equal((await succeed(fixture.client.count({ collection_name }))).data, 25);
    const absent = await succeed(fixture.client.getLoadState({ collection_name: 'nope' }));
    assert.equal(absent.state, 'LoadStateNotExist');
  });

  test('statistics count the rows of collection and partition', async () => {
    const { client } = fixture;
    const collection_name = 'counted';
    await createItems(client, collection_name);
    await succeed(client.createPartition({ collection_name, partition_name: 'p' }));
    await succeed(client.insert({ collection_name, data: items(10) }));
    await succeed(client.insert({ collection_name, partition_name: 'p', data: items(4, 100) }));
    await flush(client, collection_name);
    const { data } = await succeed(client.getCollectionStatistics({ collection_name }));
    assert.equal(data['row_count'], '14');
    const p = await succeed(client.getPartitionStatistics({ collection_name, partition_name: 'p' }));
    assert.equal(p.data['row_count'], '4');
  });

  test('partitions: create, has, list, drop with their rows, and what may not be', async () => {
    const { client } = fixture;
    const collection_name = 'parted';
    await createItems(client, collection_name);
    for (const partition_name of ['a', 'b'])
      await succeed(client.createPartition({ collection_name, partition_name }));
    const names = async () =>
      (await succeed(client.listPartitions({ collection_name }))).partition_names.sort();
    const has = async (partition_name: string) =>
      (await succeed(client.hasPartition({ collection_name, partition_name }))).value;
    assert.deepEqual(await names(), ['_default', 'a', 'b']);
    assert.deepEqual([await has('a'), await has('c')], [true, false]);
    await succeed(client.insert({ collection_name, partition_name: 'a', data: items(3) }));
    await succeed(client.insert({ collection_name, partition_name: 'b', data: items(4, 10) }));
    await refused(client.insert({ collection_name, partition_name: 'c', data: items(1) }), {
      code: 200,
      words: 'partition not found',
    });
    await refused(client.dropPartition({ collection_name, partition_name: '_default' }), {
      code: 1100,
      words: 'default',
    });
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(client.dropPartition({ collection_name, partition_name: 'a' }));
    await load(client, collection_name);
    assert.deepEqual(await names(), ['_default', 'b']);
    assert.equal((await succeed(client.count({ collection_name }))).data, 4);
  });

  test('databases: each has its own collections; only an empty one is dropped', async () => {
    const { client, server } = fixture;
    await succeed(client.createDatabase({ db_name: 'library' }));
    assert.deepEqual((await succeed(client.listDatabases())).db_names, ['default', 'library']);
    const other = new MilvusClient({
      address: server.address,
      channelOptions: ownConnections,
      database: 'library',
    });
    try {
      await createItems(other, 'simple');
      await succeed(other.insert({ collection_name: 'simple', data: items(2) }));
      assert.equal((await succeed(other.count({ collection_name: 'simple' }))).data, 2);
      assert.equal((await succeed(client.count({ collection_name: 'simple' }))).data, 1);
      const shown = await succeed(client.showCollections({ db_name: 'library' }));
      assert.deepEqual(
        shown.data.map(({ name }) => name),
        ['simple'],
      );
      assert.equal((await succeed(client.describeDatabase({ db_name: 'library' }))).db_name, 'library');
      await refused(client.dropDatabase({ db_name: 'library' }), { code: 801, words: 'not empty' });
      await succeed(other.dropCollection({ collection_name: 'simple' }));
      await succeed(client.dropDatabase({ db_name: 'library' }));
      await refused(client.describeDatabase({ db_name: 'library' }), {
        code: 800,
        words: 'database not found',
      });
    } finally {
      await other.closeConnection();
    }
  });

  test('insert, upsert and delete answer how many rows and which ids', async () => {
    const { client } = fixture;
    const collection_name = 'changes';
    await createItems(client, collection_name);
    const inserted = await succeed(client.insert({ collection_name, data: items(5) }));
    assert.deepEqual(
      [inserted.insert_cnt, inserted.succ_index.length, inserted.err_index.length],
      ['5', 5, 0],
    );
    const upserted = await succeed(client.upsert({ collection_name, data: [item(4, 1), item(5, 1)] }));
    assert.equal(upserted.upsert_cnt, '2');
    assert.deepEqual('int_id' in upserted.IDs && upserted.IDs.int_id.data, ['4', '5']);
    assert.equal(
      (await succeed(client.delete({ collection_name, filter: 'name like "item 0%"' }))).delete_cnt,
      '1',
    );
    await succeed(client.delete({ collection_name, ids: [1, 2] }));
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id >= 0', output_fields: ['name'] }),
    );
    assert.deepEqual(
      data.map(({ name }) => name),
      ['item 3 v0', 'item 4 v1', 'item 5 v1'],
    );
  });

  test('an upsert of an auto-id collection replaces the row of the id given and answers the new id', async () => {
    const { client } = fixture;
    const collection_name = 'auto_upsert';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: true },
          { name: 'n', data_type: DataType.Int32 },
          { name: 'v', data_type: DataType.FloatVector, dim: 2 },
        ],
        index_params: [{ field_name: 'v', index_type: 'FLAT', metric_type: 'L2' }],
      }),
    );
    const { IDs } = await succeed(
      client.insert({
        collection_name,
        data: [
          { n: 1, v: [1, 1] },
          { n: 2, v: [2, 2] },
        ],
      }),
    );
    const [one] = 'int_id' in IDs ? IDs.int_id.data : [];
    const answer = await succeed(
      client.upsert({ collection_name, data: [{ id: one as never, n: 10, v: [3, 3] }] }),
    );
    const [fresh] = 'int_id' in answer.IDs ? answer.IDs.int_id.data : [];
    const { data } = await succeed(client.query({ collection_name, filter: 'n > 0', output_fields: ['n'] }));
    assert.deepEqual(
      data.map(({ id, n }) => [id, n]).sort((a, b) => a[1] - b[1]),
      [
        [data.find(({ n }) => n === 2)?.['id'], 2],
        [String(fresh), 10],
      ],
    );
    assert.equal(data.length, 2);
  });

  test('flush and flushSync: segments are flushed and reported, an empty flush succeeds', async () => {
    const { client } = fixture;
    const collection_name = 'flushed';
    await createItems(client, collection_name);
    await succeed(client.flushSync({ collection_names: [collection_name] }));
    await succeed(client.insert({ collection_name, data: items(10) }));
    const answer = await succeed(client.flush({ collection_names: [collection_name] }));
    const segmentIDs = answer.coll_segIDs[collection_name]!.data;
    assert.equal(segmentIDs.length, 1);
    for (;;) if ((await succeed(client.getFlushState({ segmentIDs: segmentIDs as never }))).flushed) break;
    const { infos } = await succeed(
      client.getPersistentSegmentInfo({ collectionName: collection_name } as never),
    );
    assert.deepEqual(
      infos.map(({ num_rows, state }) => [num_rows, state]),
      [['10', 'Flushed']],
    );
    await succeed(client.flushAllSync());
  });

  test('with several shards every key is found, replaced and deleted, before and after flush, restore and kill -9', async () => {
    const fields = [
      { name: 'id', data_type: DataType.VarChar, max_length: 20, is_primary_key: true },
      { name: 'version', data_type: DataType.Int32 },
      { name: 'v', data_type: DataType.FloatVector, dim: 2 },
    ];
    const collection_name = 'sharded';
    const row = (n: number, version: number) => ({ id: `key ${n}`, version, v: [n, version] });
    const numbers = [...Array(300).keys()];
    const { client } = fixture;
    await succeed(client.createCollection({ collection_name, fields, shards_num: 4 }));
    await succeed(
      client.createIndex({ collection_name, field_name: 'v', index_type: 'FLAT', metric_type: 'L2' }),
    );
    await load(client, collection_name);
    await succeed(client.insert({ collection_name, data: numbers.map((n) => row(n, 0)) }));
    await flush(client, collection_name);
    await succeed(
      client.upsert({ collection_name, data: numbers.filter((n) => n % 3 === 0).map((n) => row(n, 1)) }),
    );
    await succeed(client.delete({ collection_name, filter: 'version == 0 and id like "%7"' }));
    await succeed(client.delete({ collection_name, ids: ['key 1', 'key 2', 'no such key'] }));
    const expected = numbers
      .filter((n) => n % 3 === 0 || (n % 10 !== 7 && n !== 1 && n !== 2))
      .map((n) => [`key ${n}`, n % 3 === 0 ? 1 : 0])
      .sort();
    const check = async (at: string) => {
      const { data } = await succeed(
        fixture.client.query({
          collection_name: at,
          filter: 'version >= 0',
          output_fields: ['version'],
          limit: 1000,
        }),
      );
      assert.deepEqual(data.map(({ id, version }) => [id, version]).sort(), expected);
      assert.equal((await succeed(fixture.client.count({ collection_name: at }))).data, expected.length);
    };
    await check(collection_name);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    await restore(client, {
      snapshot_name: 's',
      source_collection_name: collection_name,
      target_collection_name: 'again',
    });
    await load(client, 'again');
    await check('again');
    await succeed(fixture.client.delete({ collection_name: 'again', filter: 'id == "key 0"' }));
    await succeed(fixture.client.upsert({ collection_name: 'again', data: [row(0, 1)] }));
    await check('again');
    await fixture.restart('kill');
    await check(collection_name);
    await check('again');
  });

  test('a collection moves to another database by rename, and takes its snapshots along', async () => {
    const { client, server } = fixture;
    await succeed(client.createDatabase({ db_name: 'attic' }));
    await createItems(client, 'moving');
    await succeed(client.insert({ collection_name: 'moving', data: items(3) }));
    await succeed(client.createSnapshot({ collection_name: 'moving', snapshot_name: 's' }));
    const moving = { collection_name: 'moving', new_collection_name: 'moved', new_db_name: 'attic' };
    await succeed(client.renameCollection(moving));
    assert.equal((await succeed(client.hasCollection({ collection_name: 'moving' }))).value, false);
    const attic = new MilvusClient({
      address: server.address,
      channelOptions: ownConnections,
      database: 'attic',
    });
    try {
      assert.equal((await succeed(attic.count({ collection_name: 'moved' }))).data, 3);
      assert.deepEqual((await succeed(attic.listSnapshots({ collection_name: 'moved' }))).snapshots, ['s']);
    } finally {
      await attic.closeConnection();
    }
  });

  test('calls on a collection that does not exist answer 100, in every plane', async () => {
    const { client } = fixture;
    const absent = { code: 100, words: 'collection not found' };
    const collection_name = 'absent';
    await refused(client.dropPartition({ collection_name, partition_name: 'p' }), absent);
    await refused(client.flush({ collection_names: [collection_name] }), absent);
    await refused(client.getCollectionStatistics({ collection_name }), absent);
    await refused(client.releaseCollection({ collection_name }), absent);
    await refused(
      client.createIndex({ collection_name, field_name: 'v', index_type: 'FLAT', metric_type: 'L2' }),
      absent,
    );
    await refused(client.renameCollection({ collection_name, new_collection_name: 'other' }), absent);
    const raw = new RawClient(fixture.server.address);
    for (const rpc of [
      'Insert',
      'Upsert',
      'Delete',
      'Search',
      'Query',
      'LoadCollection',
      'ShowPartitions',
      'DescribeIndex',
    ])
      await refused(raw.status(rpc, { collection_name }), absent);
    raw.close();
  });
});
