import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type Harness, withClient } from '../../../tests/proxy/harness.ts';

const fields = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  { name: 't', data_type: DataType.VarChar, max_length: 10, nullable: true, default_value: 'dd' },
  { name: 'i8', data_type: DataType.Int8, default_value: 3 },
  { name: 'l', data_type: DataType.Int64, nullable: true },
  { name: 'j', data_type: DataType.JSON, nullable: true },
  {
    name: 'a',
    data_type: DataType.Array,
    element_type: DataType.VarChar,
    max_length: 5,
    max_capacity: 3,
    nullable: true,
  },
  { name: 'b', data_type: DataType.Bool, nullable: true },
  { name: 'f', data_type: DataType.Float, nullable: true },
  { name: 'd', data_type: DataType.Double, nullable: true },
  { name: 'v', data_type: DataType.FloatVector, dim: 4 },
];

async function makeReady(client: MilvusClient, extra: object = {}): Promise<void> {
  const made = await client.createCollection({
    collection_name: 'c',
    fields,
    enable_dynamic_field: true,
    ...extra,
  } as never);
  assert.equal(made.error_code, 'Success', made.reason as string);
  await client.createIndex({ collection_name: 'c', field_name: 'v', index_type: 'FLAT', metric_type: 'L2' });
  await client.loadCollection({ collection_name: 'c' });
}

const ready = (body: (harness: Harness) => Promise<void>, extra: object = {}) =>
  withClient(async (harness) => {
    await makeReady(harness.client, extra);
    await body(harness);
  });

const row = (id: number | string, more: object = {}) => ({ id, v: [id, 0, 0, 0].map(Number), ...more });

test('rows of every type come back as they were inserted, nulls, defaults and dynamic keys included', () =>
  ready(async ({ client }) => {
    const full = {
      t: 'häß',
      i8: -128,
      l: '-9007199254740993',
      j: { q: [1, { w: null }], s: 'ü' },
      a: ['x', '', 'zzz'],
      b: true,
      f: 1.5,
      d: 1e300,
    };
    const inserted = await client.insert({
      collection_name: 'c',
      data: [
        row(1, { ...full, x: 1, y: 'dyn' }),
        row(2, { t: null, l: null, j: null, a: null, b: null, f: null, d: null }),
        row(3, { a: [] }),
      ],
    });
    assert.equal(inserted.status.error_code, 'Success', inserted.status.reason);
    assert.deepEqual(inserted.IDs, { int_id: { data: ['1', '2', '3'] }, id_field: 'int_id' });
    assert.deepEqual([inserted.insert_cnt, inserted.succ_index], ['3', [0, 1, 2]]);
    assert.ok(BigInt(inserted.timestamp) > 2n ** 60n);
    const { data, status } = await client.query({
      collection_name: 'c',
      filter: 'id > 0',
      output_fields: ['*'],
    });
    assert.equal(status.error_code, 'Success', status.reason);
    const nulls = { l: null, j: null, b: null, f: null, d: null };
    assert.deepEqual(data, [
      { id: '1', v: [1, 0, 0, 0], ...full, $meta: { x: 1, y: 'dyn' } },
      { id: '2', v: [2, 0, 0, 0], t: 'dd', i8: 3, a: null, ...nulls, $meta: {} },
      { id: '3', v: [3, 0, 0, 0], t: 'dd', i8: 3, a: [], ...nulls, $meta: {} },
    ]);
  }));

test('search finds the nearest rows with their fields, and dynamic keys alone when those are asked for', () =>
  ready(async ({ client }) => {
    await client.insert({ collection_name: 'c', data: [row(1, { x: 1, y: 2 }), row(2, { x: 3 }), row(9)] });
    const found = await client.search({
      collection_name: 'c',
      data: [2.2, 0, 0, 0],
      limit: 2,
      output_fields: ['t', 'x'],
    });
    assert.equal(found.status.error_code, 'Success', found.status.reason);
    assert.deepEqual(
      found.results.map(({ id, t, x, y }) => [id, t, x, y]),
      [
        ['2', 'dd', 3, undefined],
        ['1', 'dd', 1, undefined],
      ],
    );
    assert.ok(Math.abs((found.results[0]?.score ?? 0) - 0.04) < 1e-5);
    const many = await client.search({
      collection_name: 'c',
      data: [
        [1, 0, 0, 0],
        [9, 0, 0, 0],
      ],
      limit: 1,
      params: { ef: 50 },
    } as never);
    assert.deepEqual(
      (many.results as unknown as { id: string }[][]).map((list) => list.map(({ id }) => id)),
      [['1'], ['9']],
    );
    const filtered = await client.search({
      collection_name: 'c',
      data: [1, 0, 0, 0],
      limit: 3,
      filter: 'id > 1',
      offset: 1,
    });
    assert.deepEqual(
      filtered.results.map(({ id }) => id),
      ['9'],
    );
  }));

test('count, get, delete by ids, delete by filter and upsert do what they say', () =>
  ready(async ({ client, planes }) => {
    await client.insert({ collection_name: 'c', data: [1, 2, 3, 4].map((id) => row(id)) });
    const count = async () =>
      (await client.query({ collection_name: 'c', filter: '', output_fields: ['count(*)'] })).data[0]?.[
        'count(*)'
      ];
    assert.equal(await count(), '4');
    const byKey = await client.delete({ collection_name: 'c', ids: [1, 7] });
    assert.equal(byKey.delete_cnt, '2');
    const byFilter = await client.delete({ collection_name: 'c', filter: 'id > 3' });
    assert.equal(byFilter.delete_cnt, '1');
    assert.equal(await count(), '2');
    const upserted = await client.upsert({ collection_name: 'c', data: [row(2, { t: 'new' }), row(5)] });
    assert.deepEqual([upserted.status.error_code, upserted.upsert_cnt], ['Success', '2']);
    assert.deepEqual(
      planes.writes.at(-1)?.map(({ kind }) => kind),
      ['delete', 'insert'],
    );
    const { data } = await client.get({ collection_name: 'c', ids: [2], output_fields: ['t'] });
    assert.deepEqual(data, [{ id: '2', t: 'new' }]);
  }));

test('keys are hashed over the channels, each key always to the same one', () =>
  ready(
    async ({ client, planes }) => {
      await client.insert({
        collection_name: 'c',
        data: Array.from({ length: 40 }, (_, i) => row(i, { x: i })),
      });
      await client.delete({ collection_name: 'c', ids: Array.from({ length: 40 }, (_, i) => i) });
      const [inserts = [], deletes = []] = planes.writes;
      assert.equal(inserts.length, 3);
      const keys = (parts: typeof inserts) =>
        parts.map((part) => [
          part.channel,
          part.kind === 'delete'
            ? [...part.keys.values]
            : [...(part.rows.columns.get(100 as never) as unknown as { values: BigInt64Array }).values],
        ]);
      assert.deepEqual(keys(inserts), keys(deletes));
      const { data } = await client.query({
        collection_name: 'c',
        filter: 'id > -1',
        output_fields: ['*'],
        limit: 5,
      });
      assert.deepEqual(data, []);
    },
    { shards_num: 3 },
  ));

test('auto ids are given by the server, and refused from the client', () =>
  withClient(async ({ client }) => {
    const auto = [{ ...fields[0]!, autoID: true }, fields[9]!];
    await client.createCollection({ collection_name: 'c', fields: auto } as never);
    const { IDs, status } = await client.insert({
      collection_name: 'c',
      data: [{ v: [1, 2, 3, 4] }, { v: [1, 2, 3, 4] }],
    });
    assert.equal(status.error_code, 'Success', status.reason);
    const ids = (IDs as unknown as { int_id: { data: string[] } }).int_id.data.map(BigInt);
    assert.equal(ids[1]! - ids[0]!, 1n);
  }));

test('bad rows are refused with the reason and nothing is written', () =>
  ready(async ({ client, planes }) => {
    const refused = async (data: object[], reason: RegExp) => {
      const { status } = await client
        .insert({ collection_name: 'c', data: data as never })
        .catch((error: Error) => ({
          status: { reason: `client: ${error.message}`, error_code: 'client', code: -1 },
        }));
      assert.match(status.reason, reason);
      assert.equal(status.error_code, 'IllegalArgument');
      assert.equal(status.code, 1100);
    };
    await refused([row(1, { t: 'much too long' })], /length of varchar field t exceeds max length/);
    await refused([row(1, { t: 'ääääää' })], /exceeds max length/);
    await refused([row(1, { a: ['a', 'b', 'c', 'd'] })], /exceeds max capacity/);
    await refused([row(1, { a: ['toolong'] })], /exceeds max length/);
    await refused([row(1, { i8: 128 })], /out of range/);
    await refused([row(1, { v: [1, 2] })], /invalid dimension|num_rows/);
    assert.equal(planes.writes.length, 0);
    const twice = await client.upsert({ collection_name: 'c', data: [row(1), row(1)] });
    assert.match(twice.status.reason, /duplicate primary keys/);
    assert.equal(planes.writes.length, 0);
  }));

test('bad searches and queries are refused with the reason', () =>
  ready(async ({ client }) => {
    const search = async (more: object, reason: RegExp, code = 1100) => {
      const { status } = await client.search({
        collection_name: 'c',
        data: [1, 0, 0, 0],
        limit: 3,
        ...more,
      } as never);
      assert.match(status.reason, reason);
      assert.equal(status.code, code);
    };
    await search({ limit: 16_385 }, /topk \[16385\] is invalid/);
    await search({ limit: 16_384, offset: 1 }, /offset\+limit/);
    await search({ metric_type: 'IP' }, /metric type not match/);
    await search({ metric_type: 'HAMMING' }, /HAMMING/);
    await search({ params: { ef: 0 } }, /ef \[0\]/);
    await search({ params: { radius: 1, range_filter: 2 } }, /range_filter/);
    await search({ filter: 'nonsense' }, /cannot parse expression/);
    await search({ output_fields: [''] }, /not exist/);
    await search({ partition_names: ['nope'] }, /partition not found/, 200);
    await search({ group_by_field: 'v' }, /unsupported data type FloatVector for group by/);
    await search({ group_by_field: 't', group_size: 2000 }, /group size:2000/);
    await search({ group_by_field: 't', params: { radius: 1 } }, /range-search when doing search-group-by/);
    await search({ order_by_fields: 'id:up' }, /invalid order direction 'up'/);
    await search({ order_by_fields: 'v' }, /unsortable type/);
    await search(
      { search_aggregation: { fields: ['t'], size: 1 } },
      /search aggregation is not implemented/,
      10,
    );
    await search({ data: [1, 2] }, /invalid dimension/);
    const query = async (more: object, reason: RegExp) => {
      const { status } = await client.query({ collection_name: 'c', filter: 'id > 1', ...more } as never);
      assert.match(status.reason, reason);
      assert.equal(status.code, 1100);
    };
    await query({ limit: 16_385 }, /window/);
    await query({ limit: 10, offset: 16_380 }, /window/);
    await query({ output_fields: ['count(*)', 'id'] }, /count\(\*\)/);
    await query({ filter: '', output_fields: ['id'] }, /empty expression should be used with limit/);
    await client.releaseCollection({ collection_name: 'c' });
    const { status } = await client.query({ collection_name: 'c', filter: 'id > 1' });
    assert.deepEqual([status.code, status.error_code], [101, 'UnexpectedError']);
  }));
