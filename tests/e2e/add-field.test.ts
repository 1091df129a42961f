/** Fields that are added to a live collection, as the official client does it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import {
  createItems,
  DIM,
  flush,
  item,
  load,
  refused,
  restore,
  sharedServer,
  succeed,
  withServer,
} from './fixture.ts';

const rows = async (
  client: MilvusClient,
  collection_name: string,
  filter: string,
  output_fields: string[],
) => {
  const { data } = await succeed(client.query({ collection_name, filter, output_fields }));
  return data.map((row) => output_fields.map((name) => row[name]));
};

describe('fields added to a live collection', () => {
  const fixture = sharedServer();
  const names = ['id', 'note', 'stars', 'tag'];

  /** Row 1 flushed, row 2 growing, both older than the fields; row 3 younger, row 4 written as if it were older. */
  async function prepare(client: MilvusClient, collection_name: string): Promise<void> {
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(2)] }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'before' }));
    for (const field of [
      { name: 'note', data_type: DataType.VarChar, max_length: 20, nullable: true },
      { name: 'stars', data_type: DataType.Int64, nullable: true, default_value: 5 },
      { name: 'tag', data_type: DataType.VarChar, max_length: 20, nullable: true, default_value: 'none' },
    ])
      await succeed(client.addCollectionField({ collection_name, field: field as never }));
  }
  const written = [
    ['1', null, '5', 'none'],
    ['2', null, '5', 'none'],
    ['3', 'new', '9', 'blue'],
    ['4', null, '5', 'none'],
  ];

  test('rows that are there read null or the default at once, growing and flushed, in output and in filters; later rows hold what they were given', async () => {
    const { client } = fixture;
    const collection_name = 'grown';
    await prepare(client, collection_name);
    assert.deepEqual(await rows(client, collection_name, 'id >= 0', names), written.slice(0, 2));
    await succeed(
      client.insert({ collection_name, data: [{ ...item(3), note: 'new', stars: 9, tag: 'blue' }] }),
    );
    // As a client that does not know the fields.
    await succeed(client.insert({ collection_name, data: [item(4)] }));
    const check = async () => {
      assert.deepEqual(await rows(client, collection_name, 'id >= 0', names), written);
      assert.deepEqual(await rows(client, collection_name, 'stars == 5', ['id']), [['1'], ['2'], ['4']]);
      assert.deepEqual(
        await rows(client, collection_name, 'tag == "blue" or note is null', ['id']).then((all) =>
          all.flat(),
        ),
        ['1', '2', '3', '4'],
      );
      assert.deepEqual(await rows(client, collection_name, 'note is not null', ['id']), [['3']]);
      const { results } = await succeed(
        client.search({
          collection_name,
          data: item(2).vector,
          limit: 1,
          filter: 'stars == 5',
          output_fields: names,
        }),
      );
      assert.deepEqual(
        names.map((name) => results[0]?.[name]),
        written[1],
      );
    };
    await check();
    await flush(client, collection_name);
    await check();
    await succeed(client.releaseCollection({ collection_name }));
    await load(client, collection_name);
    await check();
    const { compactionID } = await succeed(client.compact({ collection_name }));
    for (;;) {
      const { state } = await succeed(client.getCompactionState({ compactionID: Number(compactionID) }));
      if (String(state) === 'Completed') break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await check();
    await succeed(client.delete({ collection_name, filter: 'tag == "none" and id > 1' }));
    assert.deepEqual(await rows(client, collection_name, 'id >= 0', ['id']), [['1'], ['3']]);
  });

  test('snapshots from before and after the change restore, each with its own schema (R29)', async () => {
    const { client } = fixture;
    const collection_name = 'versions';
    await prepare(client, collection_name);
    await succeed(
      client.insert({ collection_name, data: [{ ...item(3), note: 'new', stars: 9, tag: 'blue' }, item(4)] }),
    );
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'after' }));
    const restored = async (snapshot_name: string) => {
      const target_collection_name = `versions_${snapshot_name}`;
      await restore(client, {
        source_collection_name: collection_name,
        snapshot_name,
        target_collection_name,
      });
      await load(client, target_collection_name);
      const { schema } = await succeed(
        client.describeCollection({ collection_name: target_collection_name }),
      );
      return schema.fields.map(({ name, fieldID, nullable }) => [name, String(fieldID), nullable]);
    };
    const old = [
      ['id', '100', false],
      ['name', '101', false],
      ['vector', '102', false],
    ];
    assert.deepEqual(await restored('before'), old);
    assert.deepEqual(await restored('after'), [
      ...old,
      ['note', '103', true],
      ['stars', '104', true],
      ['tag', '105', true],
    ]);
    assert.deepEqual(await rows(client, 'versions_before', 'id >= 0', ['id', 'name']), [
      ['1', item(1).name],
      ['2', item(2).name],
    ]);
    assert.deepEqual(await rows(client, 'versions_after', 'id >= 0', names), written);
    await refused(client.query({ collection_name: 'versions_before', filter: 'stars == 5' }), {
      code: 1100,
      words: 'stars',
    });
  });

  test('an added field and the rows that are older outlive kill -9', async () => {
    await withServer(async (server) => {
      await prepare(server.client, 'items');
      await succeed(
        server.client.insert({
          collection_name: 'items',
          data: [{ ...item(3), note: 'new', stars: 9, tag: 'blue' }],
        }),
      );
      await succeed(server.client.insert({ collection_name: 'items', data: [item(4)] }));
      await server.restart('kill');
      assert.deepEqual(await rows(server.client, 'items', 'id >= 0', names), written);
      await flush(server.client, 'items');
      assert.deepEqual(await rows(server.client, 'items', 'id >= 0', names), written);
    });
  });

  test('an added vector field is indexed and searched; rows without a vector are never found', async () => {
    const { client } = fixture;
    const collection_name = 'vectors';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await flush(client, collection_name);
    await succeed(
      client.addCollectionField({
        collection_name,
        field: { name: 'second', data_type: DataType.FloatVector, dim: DIM, nullable: true } as never,
      }),
    );
    await succeed(client.insert({ collection_name, data: [{ ...item(2), second: item(7).vector }] }));
    const find = async () => {
      const { results } = await succeed(
        client.search({
          collection_name,
          anns_field: 'second',
          data: item(7).vector,
          limit: 5,
          metric_type: 'L2',
        }),
      );
      return results.map(({ id, score }) => [Number(id), score]);
    };
    await succeed(
      client.createIndex({
        collection_name,
        field_name: 'second',
        index_type: 'HNSW',
        metric_type: 'L2',
        params: { M: 8 },
      }),
    );
    assert.deepEqual(await find(), [[2, 0]]);
    await flush(client, collection_name);
    await succeed(client.releaseCollection({ collection_name }));
    await load(client, collection_name);
    assert.deepEqual(await find(), [[2, 0]]);
  });

  test('the dynamic field is turned on for a live collection: rows that are there have no keys', async () => {
    const { client } = fixture;
    const collection_name = 'dynamic';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await flush(client, collection_name);
    await succeed(
      client.alterCollectionProperties({ collection_name, properties: { 'dynamicfield.enabled': true } }),
    );
    // The client keeps what it was told of a collection.
    await succeed(client.describeCollection({ collection_name, cache: false }));
    await succeed(client.insert({ collection_name, data: [{ ...item(2), extra: 7 }] }));
    assert.deepEqual(await rows(client, collection_name, 'extra == 7', ['id', '$meta']), [
      ['2', { extra: 7 }],
    ]);
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id == 1', output_fields: ['*'] }),
    );
    assert.deepEqual([data.length, data[0]?.['name']], [1, item(1).name]);
  });

  test('a field that cannot be added is refused as an illegal argument, and nothing changes', async () => {
    const { client } = fixture;
    const collection_name = 'refused';
    await createItems(client, collection_name);
    const before = await succeed(client.describeCollection({ collection_name }));
    for (const [field, words] of [
      [{ name: 'a', data_type: DataType.Int64 }, 'added field must be nullable'],
      [{ name: 'name', data_type: DataType.Int64, nullable: true }, 'duplicate field name'],
      [{ name: '1a', data_type: DataType.Int64, nullable: true }, 'Invalid field name'],
      [{ name: 'a', data_type: DataType.Int64, nullable: true, is_primary_key: true }, 'pk field'],
      [{ name: 'a', data_type: DataType.VarChar, nullable: true }, 'max_length'],
      [
        { name: 'a', data_type: DataType.VarChar, max_length: 999, default_value: 'x'.repeat(300) },
        '256 bytes',
      ],
    ] as const)
      await refused(client.addCollectionField({ collection_name, field: field as never }), {
        code: 1100,
        words,
        legacy: 'IllegalArgument',
      });
    const after = await succeed(client.describeCollection({ collection_name }));
    assert.deepEqual(after.schema, before.schema);
  });
});
