import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type FieldType, type MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { flush, load, restore, sharedServer, succeed } from './fixture.ts';

const vector = { name: 'vector', data_type: DataType.FloatVector, dim: 3 };
const array = (name: string, element_type: DataType, more: object = {}) => ({
  name,
  data_type: DataType.Array,
  element_type,
  max_capacity: 16,
  nullable: true,
  ...more,
});

/** Every scalar type, plain, nullable and with a default, and arrays of each element type. */
const everyType: FieldType[] = [
  { name: 'bool', data_type: DataType.Bool, nullable: true },
  { name: 'int8', data_type: DataType.Int8, nullable: true },
  { name: 'int16', data_type: DataType.Int16, nullable: true },
  { name: 'int32', data_type: DataType.Int32, nullable: true },
  { name: 'int64', data_type: DataType.Int64, nullable: true },
  { name: 'float', data_type: DataType.Float, nullable: true },
  { name: 'double', data_type: DataType.Double, nullable: true },
  { name: 'text', data_type: DataType.VarChar, max_length: 65_535, nullable: true },
  { name: 'json', data_type: DataType.JSON, nullable: true },
  array('bools', DataType.Bool),
  array('int8s', DataType.Int8),
  array('int16s', DataType.Int16),
  array('int32s', DataType.Int32),
  array('int64s', DataType.Int64),
  array('floats', DataType.Float),
  array('doubles', DataType.Double),
  array('texts', DataType.VarChar, { max_length: 100 }),
  { name: 'd_bool', data_type: DataType.Bool, default_value: true as never },
  { name: 'd_int8', data_type: DataType.Int8, default_value: -128 },
  { name: 'd_int64', data_type: DataType.Int64, default_value: '9007199254740993' },
  { name: 'd_double', data_type: DataType.Double, default_value: 0.1 },
  { name: 'd_text', data_type: DataType.VarChar, max_length: 50, default_value: 'wörd' },
  { name: 'd_null', data_type: DataType.Int32, default_value: 7, nullable: true },
];

const deep = (levels: number): unknown => (levels === 0 ? 'bottom' : { k: [deep(levels - 1)] });

const filled = {
  d_bool: false,
  d_int8: 1,
  d_int64: '-1',
  d_double: -0.5,
  d_text: '',
  d_null: 3,
  vector: [0.5, -1.25, Math.fround(1e-38)],
};
const least = {
  bool: false,
  int8: -128,
  int16: -32_768,
  int32: -(2 ** 31),
  int64: '-9223372036854775808',
  float: -0,
  double: -0,
  text: '',
  json: {},
  bools: [],
  int8s: [],
  int16s: [],
  int32s: [],
  int64s: [],
  floats: [],
  doubles: [],
  texts: [],
  ...filled,
};
const most = {
  bool: true,
  int8: 127,
  int16: 32_767,
  int32: 2 ** 31 - 1,
  int64: '9223372036854775807',
  float: Math.fround(3.4028234e38),
  double: Number.MAX_VALUE,
  text: 'ﬀ 漢字 🦈 e\u0301 \u0000 "\\ \n',
  json: { deep: deep(40), list: [1, -2.5, 'ü', null, true, {}, []], 'key with "quotes"': 1e300 },
  bools: [true, false, true],
  int8s: [-128, 0, 127],
  int16s: [-32_768, 32_767],
  int32s: [-(2 ** 31), 2 ** 31 - 1],
  int64s: ['-9223372036854775808', '0', '9223372036854775807'],
  floats: [-0, 1.5, Math.fround(1e-45)],
  doubles: [-0, Number.MIN_VALUE, Number.MAX_VALUE],
  texts: ['', 'one', '🦈'],
  ...filled,
};
const long = { ...most, text: `${'x'.repeat(65_532)}漢`, json: [1, 2, 3], doubles: Array(16).fill(1 / 3) };
const nullNames = everyType.flatMap(({ name }) => (String(name).startsWith('d_') ? [] : [String(name)]));
const nulls = Object.fromEntries(nullNames.map((name) => [name, null]));
const defaults = {
  d_bool: true,
  d_int8: -128,
  d_int64: '9007199254740993',
  d_double: 0.1,
  d_text: 'wörd',
  d_null: 7,
};

/** What goes in and what must come out: nulls and defaults spelled out. */
const rows: readonly { readonly sent: object; readonly back: object }[] = [
  { sent: least, back: least },
  { sent: most, back: most },
  { sent: long, back: long },
  { sent: { ...nulls, ...filled }, back: { ...nulls, ...filled } },
  { sent: { vector: [1, 2, 3] }, back: { ...nulls, ...defaults, vector: [1, 2, 3] } },
  {
    sent: {
      ...nulls,
      ...Object.fromEntries(Object.keys(defaults).map((name) => [name, null])),
      vector: [0, 0, 0],
    },
    back: { ...nulls, ...defaults, vector: [0, 0, 0] },
  },
];

async function create(
  client: MilvusClient,
  name: string,
  fields: FieldType[],
  more: object = {},
): Promise<void> {
  await succeed(client.createCollection({ collection_name: name, fields: [...fields, vector], ...more }));
  await succeed(
    client.createIndex({
      collection_name: name,
      field_name: 'vector',
      index_type: 'FLAT',
      metric_type: 'L2',
    }),
  );
  await load(client, name);
}

async function everything(client: MilvusClient, name: string, filter: string): Promise<unknown[]> {
  const { data } = await succeed(
    client.query({ collection_name: name, filter, output_fields: ['*'], limit: 1000 }),
  );
  return data.map((row) => JSON.parse(JSON.stringify(row, marked)) as unknown);
}

/** JSON has no minus zero: it would hide a lost sign. */
const marked = (_: string, value: unknown): unknown => (Object.is(value, -0) ? 'minus zero' : value);
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, marked));

async function snapshotAndBack(client: MilvusClient, name: string): Promise<string> {
  await succeed(client.createSnapshot({ collection_name: name, snapshot_name: 's' }));
  const target_collection_name = `${name}_again`;
  await restore(client, { snapshot_name: 's', source_collection_name: name, target_collection_name });
  await load(client, target_collection_name);
  return target_collection_name;
}

describe('values of every data type come back as they went in', () => {
  const fixture = sharedServer();

  /** Growing, flushed, after kill -9, restored, and the restored one after kill -9. */
  async function inEveryState(name: string, check: (collection: string) => Promise<void>): Promise<void> {
    await check(name);
    await flush(fixture.client, name);
    await check(name);
    const again = await snapshotAndBack(fixture.client, name);
    await check(again);
    await fixture.restart('kill');
    await check(name);
    await check(again);
  }

  const keys = [
    {
      type: 'Int64',
      field: { name: 'key', data_type: DataType.Int64, is_primary_key: true },
      values: [
        '-9223372036854775808',
        '-1',
        '0',
        '9007199254740993',
        '9223372036854775806',
        '9223372036854775807',
      ],
      filter: '',
    },
    {
      type: 'VarChar',
      field: { name: 'key', data_type: DataType.VarChar, max_length: 200, is_primary_key: true },
      values: ['A', 'a', 'b'.repeat(200), 'ü', '漢', '🦈'],
      filter: '',
    },
  ];
  for (const { type, field, values, filter } of keys)
    test(`extremes, unicode, 64 KB, deep JSON, empty and full arrays, nulls and defaults, by ${type} key, also after restore and kill -9`, async () => {
      const { client } = fixture;
      const name = `types_${type}`;
      await create(client, name, [field, ...everyType]);
      const data = rows.map(({ sent }, i) => ({ key: values[i], ...sent }));
      const { insert_cnt, IDs } = await succeed(client.insert({ collection_name: name, data }));
      assert.equal(insert_cnt, '6');
      assert.deepEqual('int_id' in IDs ? IDs.int_id.data : IDs.str_id.data, values);
      const expected = rows.map(({ back }, i) => plain({ key: values[i], ...back }));
      await inEveryState(name, async (collection) =>
        assert.deepEqual(await everything(fixture.client, collection, filter), expected),
      );
    });

  test('ids the server gives are unique, are answered, and stay with their rows', async () => {
    for (const type of [DataType.Int64, DataType.VarChar]) {
      const { client } = fixture;
      const name = `auto_${type}`;
      const key = { name: 'key', data_type: type, is_primary_key: true, autoID: true, max_length: 30 };
      await create(client, name, [key, { name: 'n', data_type: DataType.Int32 }]);
      const ids: string[] = [];
      for (let batch = 0; batch < 3; batch++) {
        const data = Array.from({ length: 50 }, (_, i) => ({ n: batch * 50 + i, vector: [i, 0, 0] }));
        const { IDs } = await succeed(client.insert({ collection_name: name, data }));
        ids.push(...('int_id' in IDs ? IDs.int_id.data : IDs.str_id.data).map(String));
      }
      assert.equal(new Set(ids).size, 150);
      await inEveryState(name, async (collection) => {
        const { data } = await succeed(
          fixture.client.query({
            collection_name: collection,
            filter: 'n >= 0',
            output_fields: ['n'],
            limit: 1000,
          }),
        );
        const found = new Map(data.map((row) => [Number(row['n']), String(row['key'])]));
        assert.deepEqual(
          ids.map((_, n) => found.get(n)),
          ids,
        );
      });
    }
  });

  test('what is outside the schema stays in the dynamic field, value and type', async () => {
    const { client } = fixture;
    const key = { name: 'key', data_type: DataType.Int64, is_primary_key: true };
    await create(client, 'dynamic', [key], { enable_dynamic_field: true });
    const data: RowData[] = [
      {
        key: 1,
        vector: [1, 0, 0],
        text: 'ü',
        int: 42,
        double: 0.1,
        yes: true,
        nothing: null,
        list: [1, 'a'],
      },
      { key: 2, vector: [2, 0, 0], text: 7, nested: { a: { b: [{ c: 1 }] } } },
      { key: 3, vector: [3, 0, 0] },
    ];
    await succeed(client.insert({ collection_name: 'dynamic', data }));
    await inEveryState('dynamic', async (collection_name) => {
      const everythingBack = await everything(fixture.client, collection_name, '');
      const expected = data.map(({ key: id, vector: v, ...$meta }) => ({
        key: String(id),
        vector: v,
        $meta,
      }));
      assert.deepEqual(everythingBack, plain(expected));
      const { data: one } = await succeed(
        fixture.client.query({
          collection_name,
          filter: 'nested["a"]["b"][0]["c"] == 1',
          output_fields: ['text'],
        }),
      );
      assert.deepEqual(one, [{ key: '2', $meta: { text: 7 } }]);
    });
  });

  test('a nullable vector may be left out', async () => {
    const { client } = fixture;
    const key = { name: 'key', data_type: DataType.Int64, is_primary_key: true };
    const other = { name: 'other', data_type: DataType.FloatVector, dim: 2, nullable: true };
    await succeed(client.createCollection({ collection_name: 'null_vector', fields: [key, vector, other] }));
    const flat = { collection_name: 'null_vector', index_type: 'FLAT', metric_type: 'L2' };
    await succeed(client.createIndex({ ...flat, field_name: 'vector' }));
    await succeed(client.createIndex({ ...flat, field_name: 'other' }));
    await load(client, 'null_vector');
    const data = [
      { key: 1, vector: [1, 0, 0], other: [1, 1] },
      { key: 2, vector: [2, 0, 0], other: null },
      { key: 3, vector: [3, 0, 0], other: [3, 3] },
    ];
    await succeed(client.insert({ collection_name: 'null_vector', data }));
    await inEveryState('null_vector', async (collection_name) => {
      const back = await everything(fixture.client, collection_name, '');
      assert.deepEqual(back, plain(data.map((row) => ({ ...row, key: String(row.key) }))));
      const { results } = await succeed(
        fixture.client.search({ collection_name, anns_field: 'other', data: [0, 0], limit: 10 }),
      );
      assert.deepEqual(
        results.map(({ key: id }) => id),
        ['1', '3'],
      );
    });
  });
});
