/** Upserts of some columns, operations on arrays, and given keys of auto-id collections, as the official client does them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { DIM, flush, item, load, refused, sharedServer, succeed } from './fixture.ts';

const { vector } = item(1);

async function create(client: MilvusClient, collection_name: string, more: object = {}): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      enable_dynamic_field: true,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'name', data_type: DataType.VarChar, max_length: 20 },
        { name: 'stars', data_type: DataType.Int32, nullable: true },
        { name: 'size', data_type: DataType.Int64, default_value: 7 },
        {
          name: 'tags',
          data_type: DataType.Array,
          element_type: DataType.VarChar,
          max_length: 9,
          max_capacity: 4,
        },
        {
          name: 'counts',
          data_type: DataType.Array,
          element_type: DataType.Int64,
          max_capacity: 4,
          nullable: true,
        },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
      ...more,
    } as never),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  await load(client, collection_name);
}

const row = (id: number) => ({
  ...{ id, name: `n${id}`, stars: id, size: id, tags: ['a', 'b'], counts: [1, 2, 2], vector },
  left: 1,
  right: 2,
});

const read = async (client: MilvusClient, collection_name: string, id: number) => {
  const output_fields = ['name', 'stars', 'size', 'tags', 'counts', '$meta', 'vector'];
  const { data } = await succeed(client.query({ collection_name, filter: `id == ${id}`, output_fields }));
  assert.equal(data.length, 1);
  const [{ name, stars, size, tags, counts, $meta }] = data as [Record<string, unknown>];
  assert.deepEqual(data[0]?.['vector'], vector);
  return { name, stars, size: Number(size), tags, counts, $meta };
};

const partial = (client: MilvusClient, collection_name: string, data: object[], field_ops?: object[]) =>
  client.upsert({
    collection_name,
    data,
    partial_update: true,
    ...(field_ops === undefined ? {} : { field_ops }),
  } as never);

describe('partial upserts', () => {
  const fixture = sharedServer();

  test('only the given columns of a row change, growing or flushed; a key that is not there yet becomes a row with nulls and defaults', async () => {
    const { client } = fixture;
    const collection_name = 'parts';
    await create(client, collection_name);
    await succeed(client.insert({ collection_name, data: [row(1), row(2)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: [row(3)] }));
    const whole = (id: number) => ({
      ...{ name: `n${id}`, stars: id, size: id, tags: ['a', 'b'], counts: ['1', '2', '2'] },
      $meta: { left: 1, right: 2 },
    });
    assert.deepEqual(await read(client, collection_name, 1), whole(1));
    const answer = await succeed(
      partial(client, collection_name, [
        { id: 3, stars: 30 },
        { id: 1, stars: 10 },
      ]),
    );
    assert.equal(Number(answer.upsert_cnt), 2);
    assert.deepEqual(await read(client, collection_name, 1), { ...whole(1), stars: 10 });
    assert.deepEqual(await read(client, collection_name, 3), { ...whole(3), stars: 30 });
    assert.deepEqual(await read(client, collection_name, 2), whole(2));
    await succeed(partial(client, collection_name, [{ id: 2, name: 'new', right: 5, more: 'x' }]));
    assert.deepEqual(await read(client, collection_name, 2), {
      ...whole(2),
      name: 'new',
      $meta: { left: 1, right: 5, more: 'x' },
    });
    await succeed(
      partial(client, collection_name, [
        { id: 9, name: 'nine', tags: [], vector },
        { id: 1, name: 'one', tags: ['z'], vector },
      ]),
    );
    assert.deepEqual(await read(client, collection_name, 9), {
      ...{ name: 'nine', stars: null, size: 7, tags: [], counts: null, $meta: {} },
    });
    assert.deepEqual(await read(client, collection_name, 1), {
      ...whole(1),
      name: 'one',
      stars: 10,
      tags: ['z'],
    });
    const { data } = await succeed(client.query({ collection_name, output_fields: ['count(*)'] }));
    assert.equal(Number(data[0]?.['count(*)']), 4);
  });

  test('values are appended to arrays and removed from them, up to their capacity, of present and of new rows', async () => {
    const { client } = fixture;
    const collection_name = 'lists';
    await create(client, collection_name);
    await succeed(client.insert({ collection_name, data: [row(1), { ...row(2), counts: null }] }));
    const lists = async (id: number) => {
      const { tags, counts } = await read(client, collection_name, id);
      return [tags, counts];
    };
    await succeed(
      partial(
        client,
        collection_name,
        [{ id: 1, tags: ['c'], counts: [2, 9] }],
        [
          { field_name: 'tags', op: 'ARRAY_APPEND' },
          { field_name: 'counts', op: 'ARRAY_REMOVE' },
        ],
      ),
    );
    assert.deepEqual(await lists(1), [['a', 'b', 'c'], ['1']]);
    await succeed(
      partial(
        client,
        collection_name,
        [{ id: 2, counts: [5] }],
        [{ field_name: 'counts', op: 'ARRAY_APPEND' }],
      ),
    );
    assert.deepEqual(await lists(2), [['a', 'b'], ['5']]);
    const fresh = [{ ...row(3), tags: ['q'], counts: [4] }];
    await succeed(
      partial(client, collection_name, fresh, [
        { field_name: 'tags', op: 'ARRAY_APPEND' },
        { field_name: 'counts', op: 'ARRAY_REMOVE' },
      ]),
    );
    assert.deepEqual(await lists(3), [['q'], []]);
    const append = [{ field_name: 'tags', op: 'ARRAY_APPEND' }];
    await refused(partial(client, collection_name, [{ id: 1, tags: ['d', 'e'] }], append), {
      code: 1100,
      words: 'exceeds max capacity (4)',
    });
    assert.deepEqual(await lists(1), [['a', 'b', 'c'], ['1']]);
    await refused(
      partial(client, collection_name, [{ id: 1, stars: 5 }], [{ field_name: 'stars', op: 'ARRAY_APPEND' }]),
      { code: 1100, words: 'array operations are for array fields' },
    );
  });

  test('what cannot be merged is refused as a whole: no key, a new row without what it needs, a key twice, a released collection', async () => {
    const { client } = fixture;
    const collection_name = 'wrong';
    await create(client, collection_name);
    await succeed(client.insert({ collection_name, data: [row(1)] }));
    const illegal = (data: object[], words: string) =>
      refused(partial(client, collection_name, data), { code: 1100, words });
    await illegal(
      [
        { id: 1, stars: 8 },
        { id: 5, stars: 5 },
      ],
      'field name has no corresponding data',
    );
    await illegal(
      [
        { id: 1, stars: 8 },
        { id: 1, stars: 9 },
      ],
      'duplicate primary keys',
    );
    assert.equal((await read(client, collection_name, 1)).stars, 1);
    await succeed(client.releaseCollection({ collection_name }));
    await refused(partial(client, collection_name, [{ id: 1, stars: 8 }]), {
      code: 101,
      words: 'not loaded',
    });
  });

  test('of concurrent partial upserts of one row every one stands', async () => {
    const { client } = fixture;
    const collection_name = 'races';
    await create(client, collection_name);
    await succeed(client.insert({ collection_name, data: [row(1)] }));
    await Promise.all([
      ...Array.from({ length: 8 }, (_, n) =>
        succeed(partial(client, collection_name, [{ id: 1, [`k${n}`]: n }])),
      ),
      succeed(partial(client, collection_name, [{ id: 1, stars: 50 }])),
      succeed(partial(client, collection_name, [{ id: 1, name: 'raced' }])),
    ]);
    const { name, stars, $meta } = await read(client, collection_name, 1);
    assert.deepEqual([name, stars], ['raced', 50]);
    assert.deepEqual(Object.keys($meta as object).length, 10);
  });

  test('an auto-id collection takes given keys once its property allows it, and an upsert gives its rows new ones', async () => {
    const { client } = fixture;
    const collection_name = 'numbered';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: true },
          { name: 'name', data_type: DataType.VarChar, max_length: 20 },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      }),
    );
    await succeed(
      client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
    );
    await load(client, collection_name);
    const names = async () => {
      const { data } = await succeed(
        client.query({ collection_name, filter: 'id > 0', output_fields: ['id', 'name'] }),
      );
      return data.map(({ id, name }) => [String(id), name]);
    };
    await succeed(
      client.alterCollectionProperties({ collection_name, properties: { allow_insert_auto_id: true } }),
    );
    await succeed(client.describeCollection({ collection_name, cache: false }));
    await succeed(client.insert({ collection_name, data: [{ id: 5, name: 'given', vector }] }));
    assert.deepEqual(await names(), [['5', 'given']]);
    const { IDs } = await succeed(
      client.upsert({ collection_name, data: [{ id: 5, name: 'again', vector }] }),
    );
    const [fresh] = (IDs as { int_id: { data: unknown[] } }).int_id.data;
    assert.notEqual(String(fresh), '5');
    assert.deepEqual(await names(), [[String(fresh), 'again']]);
    await succeed(partial(client, collection_name, [{ id: String(fresh), name: 'partly' }]));
    assert.deepEqual(
      (await names()).map(([, name]) => name),
      ['partly'],
    );
  });
});
