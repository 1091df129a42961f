import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const DIM = 8;
const ROWS = 1200;

const fields = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  { name: 'number', data_type: DataType.Int32, nullable: true },
  { name: 'score', data_type: DataType.Double },
  { name: 'flag', data_type: DataType.Bool },
  { name: 'word', data_type: DataType.VarChar, max_length: 64, nullable: true },
  { name: 'born', data_type: DataType.Timestamptz },
  {
    name: 'tags',
    data_type: DataType.Array,
    element_type: DataType.VarChar,
    max_capacity: 8,
    max_length: 32,
  },
  { name: 'counts', data_type: DataType.Array, element_type: DataType.Int64, max_capacity: 8 },
  { name: 'meta', data_type: DataType.JSON },
  { name: 'place', data_type: DataType.Geometry },
  { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
];

const row = (id: number) => ({
  id,
  number: id % 11 === 0 ? null : (id * 7919) % 500,
  score: (id % 100) / 8,
  flag: id % 3 === 0,
  word: id % 13 === 0 ? null : `w${id % 40}-${id % 3}`,
  born: new Date(Date.UTC(2024, 0, 1 + (id % 60))).toISOString(),
  tags: [`t${id % 5}`, `u${id % 30}`],
  counts: [id % 4, id % 9],
  meta: { price: (id % 50) / 2, kind: `k${id % 6}`, live: id % 2 === 0, list: [id % 3, id % 8] },
  place: `POINT (${(id % 40) - 20} ${(id % 30) - 15})`,
  color: ['red', 'green', 'blue'][id % 3],
  vector: Array.from({ length: DIM }, (_, i) => Math.fround(Math.sin(id * 3.7 + i))),
});

async function create(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields, enable_dynamic_field: true }));
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  const data = Array.from({ length: ROWS }, (_, id) => row(id));
  await succeed(client.insert({ collection_name, data }));
  await flush(client, collection_name);
  await load(client, collection_name);
  // Deletes, and rows that no index is over.
  await succeed(client.delete({ collection_name, filter: 'id in [5, 50, 500]' }));
  await succeed(client.upsert({ collection_name, data: [row(7), row(ROWS), row(ROWS + 1)] }));
}

/** Name of the index, field, parameters. */
const asked: readonly (readonly [string, string, Record<string, string>])[] = [
  ['STL_SORT', 'number', {}],
  ['STL_SORT', 'score', {}],
  ['STL_SORT', 'born', {}],
  ['INVERTED', 'word', {}],
  ['Trie', 'word', {}],
  ['MARISA-TRIE', 'word', {}],
  ['STL_SORT', 'word', {}],
  ['BITMAP', 'flag', {}],
  ['HYBRID', 'number', {}],
  ['BITMAP', 'tags', {}],
  ['INVERTED', 'counts', {}],
  ['AUTOINDEX', 'tags', {}],
  ['AUTOINDEX', 'id', {}],
  ['RTREE', 'place', {}],
  ['INVERTED', 'meta', { json_path: 'meta["price"]', json_cast_type: 'double' }],
  ['AUTOINDEX', 'meta', { json_path: "meta['kind']", json_cast_type: 'VARCHAR' }],
  ['BITMAP', 'meta', { json_path: 'meta["live"]', json_cast_type: 'BOOL' }],
  ['INVERTED', 'meta', { json_path: 'meta["list"]', json_cast_type: 'ARRAY_DOUBLE' }],
  ['INVERTED', 'color', { json_path: 'color', json_cast_type: 'VARCHAR' }],
];

const filters = [
  'number == 419',
  'number in [1, 2, 3, 419]',
  'number > 250 and number <= 300',
  'number is null',
  'not (number < 400)',
  'score >= 6.5',
  'born < ISO "2024-01-05T00:00:00Z"',
  'word == "w7-1"',
  'word like "w3%"',
  'word like "%-2"',
  'word not in ["w1-1", "w2-2"]',
  'flag == true and number < 60',
  'array_contains(tags, "t3")',
  'array_contains_all(tags, ["t1", "u1"])',
  'array_contains_any(counts, [3, 8])',
  'id >= 1190',
  'st_within(place, "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))")',
  'meta["price"] < 1.5',
  'meta["kind"] in ["k1", "k2"] and number > 400',
  'meta["live"] == true and id < 20',
  'json_contains(meta["list"], 2)',
  'color == "red" and score == 3',
  'number == 419 or meta["price"] == 2 or id % 400 == 1',
];

async function answers(
  client: MilvusClient,
  collection_name: string,
  asking: readonly string[] = filters,
): Promise<readonly string[]> {
  return Promise.all(
    asking.map(async (filter) => {
      const { data } = await succeed(
        client.query({ collection_name, filter, output_fields: ['id'], limit: 2 * ROWS }),
      );
      const { results } = await succeed(
        client.search({ collection_name, data: row(3).vector, filter, limit: 5, output_fields: ['id'] }),
      );
      assert.ok(data.length > 0, filter);
      return `${filter}: ${data.map(({ id }) => id).join()} ${results.map(({ id }) => id).join()}`;
    }),
  );
}

const shown = async (client: MilvusClient, collection_name: string, index_name: string) => {
  const { index_descriptions } = await succeed(client.describeIndex({ collection_name, index_name }));
  const [index] = index_descriptions;
  const params = Object.fromEntries(index?.params.map(({ key, value }) => [key, String(value)]) ?? []);
  return { ...index, params };
};

const nameOf = (at: number): string => `index_${at}`;
const request = (collection_name: string, at: number) => {
  const [index_type, field_name, params] = asked[at]!;
  return { collection_name, field_name, index_name: nameOf(at), index_type, params };
};
/** One index for a field, several for a JSON field: those that can stand beside each other. */
const together = asked
  .map((_, at) => at)
  .filter((at) => asked[at]![1] === 'meta' || asked.findIndex(([, field]) => field === asked[at]![1]) === at);

describe('scalar indexes', () => {
  const fixture = sharedServer();

  test('every scalar index type is created and dropped while loaded, described as asked; filters answer the same', async () => {
    const { client } = fixture;
    const collection_name = 'one_by_one';
    await create(client, collection_name);
    const all = await answers(client, collection_name);
    for (const [at, [index_type, field, params]] of asked.entries()) {
      const asking = filters.filter((filter) => filter.includes(field));
      const expected = all.filter((_, i) => filters[i]?.includes(field));
      await succeed(client.createIndex(request(collection_name, at)));
      // Answered when readers have it.
      await load(client, collection_name);
      const index = await shown(client, collection_name, nameOf(at));
      assert.equal(index.field_name, field === 'color' ? '$meta' : field);
      assert.equal(index.params['index_type'], index_type);
      for (const [name, value] of Object.entries(params))
        assert.ok(
          JSON.stringify(index.params).includes(JSON.stringify(value).slice(1, -1).slice(0, 4)),
          name,
        );
      assert.deepEqual([index.state, Number(index.indexed_rows)], ['Finished', ROWS]);
      const progress = await succeed(
        client.getIndexBuildProgress({ collection_name, field_name: index.field_name ?? '' }),
      );
      assert.ok(Number(progress.indexed_rows) >= ROWS);
      await succeed(client.getIndexStatistics({ collection_name, index_name: nameOf(at) }));
      assert.deepEqual(await answers(client, collection_name, asking), expected, `${index_type} on ${field}`);
      await succeed(client.dropIndex({ collection_name, field_name: field, index_name: nameOf(at) }));
      await refused(client.describeIndex({ collection_name, index_name: nameOf(at) }), {
        code: 700,
        words: 'index not found',
      });
    }
    await load(client, collection_name);
    assert.deepEqual(await answers(client, collection_name), all);
  });

  test('filters answer the same with all of them: before and after a restart, in a snapshot and its restore', async () => {
    const collection_name = 'all_at_once';
    await create(fixture.client, collection_name);
    const expected = await answers(fixture.client, collection_name);
    for (const at of together) await succeed(fixture.client.createIndex(request(collection_name, at)));
    await load(fixture.client, collection_name);
    assert.deepEqual(await answers(fixture.client, collection_name), expected);
    await fixture.restart('kill');
    const { client } = fixture;
    assert.deepEqual(await answers(client, collection_name), expected);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'indexed' }));
    for (const at of together.slice(0, 3))
      await succeed(client.dropIndex({ collection_name, field_name: asked[at]![1], index_name: nameOf(at) }));
    assert.deepEqual(await answers(client, collection_name), expected);
    const target_collection_name = 'restored_with_all';
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 'indexed',
      target_collection_name,
    });
    for (const at of together) {
      const { params, field_name, state } = await shown(client, target_collection_name, nameOf(at));
      const [index_type, field] = asked[at]!;
      assert.deepEqual(
        [params['index_type'], field_name, state],
        [index_type, field === 'color' ? '$meta' : field, 'Finished'],
      );
    }
    await load(client, target_collection_name);
    assert.deepEqual(await answers(client, target_collection_name), expected);
  });

  test('json_cast_function STRING_TO_DOUBLE: texts at the path are compared as the numbers they spell, in files and in the log, as long as the index is there', async () => {
    const { client } = fixture;
    const collection_name = 'spelled';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'meta', data_type: DataType.JSON },
          { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        ],
      }),
    );
    await succeed(
      client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
    );
    const price = (id: number) => [`${(id % 50) / 2}`, (id % 50) / 2, 'none', null][id % 4];
    const spelled = (id: number) => ({ id, meta: { price: price(id) }, vector: [id, 1] });
    const ids = Array.from({ length: 1500 }, (_, id) => id);
    await succeed(client.insert({ collection_name, data: ids.slice(0, 1400).map(spelled) }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: ids.slice(1400).map(spelled) }));
    await load(client, collection_name);
    const filter = 'meta["price"] >= 10 and meta["price"] < 20.5';
    const found = async (name = collection_name) =>
      (await succeed(client.query({ collection_name: name, filter }))).data.map(({ id }) => Number(id));
    const within = (id: number, kinds: number[]) =>
      kinds.includes(id % 4) && (id % 50) / 2 >= 10 && (id % 50) / 2 < 20.5;
    const numbers = ids.filter((id) => within(id, [1]));
    const texts = ids.filter((id) => within(id, [0, 1]));
    assert.deepEqual(await found(), numbers);
    const params = {
      json_path: 'meta["price"]',
      json_cast_type: 'DOUBLE',
      json_cast_function: 'STRING_TO_DOUBLE',
    };
    const index_name = 'by_price';
    await succeed(
      client.createIndex({ collection_name, field_name: 'meta', index_name, index_type: 'INVERTED', params }),
    );
    await load(client, collection_name);
    assert.deepEqual(await found(), texts);
    const { results } = await succeed(client.search({ collection_name, data: [700, 1], limit: 5, filter }));
    assert.ok(results.every(({ id }) => texts.includes(Number(id))));
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name, index_name }));
    assert.ok(index_descriptions[0]!.params.some(({ value }) => String(value).includes('STRING_TO_DOUBLE')));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'spelled' }));
    await restore(client, {
      snapshot_name: 'spelled',
      source_collection_name: collection_name,
      target_collection_name: 'spelled_again',
    });
    await load(client, 'spelled_again');
    assert.deepEqual(await found('spelled_again'), texts);
    await succeed(client.dropIndex({ collection_name, field_name: 'meta', index_name }));
    await load(client, collection_name);
    assert.deepEqual(await found(), numbers);
  });

  test('a JSON path has one index, a JSON field several; what cannot be is refused in words', async () => {
    const { client } = fixture;
    const collection_name = 'refusals';
    await succeed(client.createCollection({ collection_name, fields }));
    const index = (index_type: string, field_name: string, params: Record<string, string> = {}) =>
      client.createIndex({ collection_name, field_name, index_name: `${field_name}_i`, index_type, params });
    const price = { json_path: 'meta["price"]', json_cast_type: 'DOUBLE' };
    await succeed(index('INVERTED', 'meta', price));
    await succeed(index('INVERTED', 'meta', price));
    const kind = { json_path: 'meta["kind"]', json_cast_type: 'VARCHAR' };
    const named = { collection_name, field_name: 'meta', index_type: 'INVERTED' };
    await succeed(client.createIndex({ ...named, index_name: 'kind_i', params: kind }));
    await refused(client.createIndex({ ...named, index_name: 'again', params: price }), {
      code: 702,
      words: 'at most one distinct index',
    });
    await refused(client.dropIndex({ collection_name, field_name: 'meta' }), {
      code: 1100,
      words: 'multiple indexes',
    });
    const table: readonly (readonly [string, string, Record<string, string>, string])[] = [
      ['STL_SORT', 'flag', {}, 'STL_SORT are only supported on numeric, varchar or timestamptz field'],
      ['STL_SORT', 'tags', {}, 'STL_SORT are only supported'],
      ['Trie', 'number', {}, 'TRIE are only supported on varchar field'],
      ['BITMAP', 'score', {}, 'bitmap index are only supported on bool, int, string and array field'],
      ['BITMAP', 'id', {}, 'create bitmap index on primary key not supported'],
      ['INVERTED', 'place', {}, 'INVERTED are not supported'],
      ['RTREE', 'word', {}, 'RTREE index can only be built on geometry field'],
      ['INVERTED', 'number', price, 'json_path'],
      ['INVERTED', 'meta', { json_path: 'meta["x"]' }, 'json index must specify cast type'],
      ['INVERTED', 'meta', { ...price, json_cast_type: 'INT7' }, 'json_cast_type INT7 is not supported'],
      ['STL_SORT', 'meta', { ...price, json_cast_type: 'ARRAY_BOOL' }, 'is not supported by index STL_SORT'],
      ['INVERTED', 'meta', { ...price, json_path: 'other["x"]' }, 'is no path in field meta'],
      ['INVERTED', 'meta', { ...price, json_path: 'meta["x"] == 1' }, 'is no path in field meta'],
      ['HNSW', 'number', {}, 'not supported'],
      [
        'INVERTED',
        'meta',
        { ...price, json_cast_function: 'STRING_TO_INT' },
        'STRING_TO_INT is not supported',
      ],
      [
        'INVERTED',
        'meta',
        { ...kind, json_cast_function: 'STRING_TO_DOUBLE' },
        'STRING_TO_DOUBLE is for json_cast_type DOUBLE',
      ],
      ['SORTED', 'number', {}, 'invalid index type: SORTED'],
    ];
    for (const [type, field, params, words] of table)
      await refused(index(type, field, params), { code: 1100, words });
    for (const [type, field, params, words] of [
      ['NGRAM', 'word', { min_gram: '2', max_gram: '3' }, 'NGRAM is not implemented'],
      ['INVERTED', 'meta', { ...price, json_cast_type: 'JSON' }, 'json_cast_type JSON'],
    ] as const) {
      const { reason, error_code } = await index(type, field, params);
      assert.ok(reason.includes(words), reason);
      assert.notEqual(String(error_code), 'Success');
    }
  });
});
