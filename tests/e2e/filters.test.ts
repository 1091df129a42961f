import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { DataType, type RowData } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, sharedServer, succeed } from './fixture.ts';

const COUNT = 40;

/** Row `id` is a pure function of it; `score` and `tags` are null in every fifth row. */
const row = (id: number) => ({
  id,
  i8: (id % 128) - 20,
  score: id % 5 === 4 ? null : id / 4,
  flag: id % 2 === 0,
  name: `item_${String(id).padStart(2, '0')}${id % 10 === 0 ? '%' : ''}`,
  meta:
    id % 8 === 7
      ? null
      : { rank: id, color: ['red', 'green', 'blue'][id % 3], nested: { list: [id, id + 1] } },
  tags: id % 5 === 4 ? null : [id % 3, id % 4],
  words: [`w${id % 2}`, 'all'],
  vector: [id, 0],
  extra: id * 10,
});
type Row = ReturnType<typeof row>;

const fields = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  { name: 'i8', data_type: DataType.Int8 },
  { name: 'score', data_type: DataType.Double, nullable: true },
  { name: 'flag', data_type: DataType.Bool },
  { name: 'name', data_type: DataType.VarChar, max_length: 50 },
  { name: 'meta', data_type: DataType.JSON, nullable: true },
  { name: 'tags', data_type: DataType.Array, element_type: DataType.Int32, max_capacity: 8, nullable: true },
  {
    name: 'words',
    data_type: DataType.Array,
    element_type: DataType.VarChar,
    max_capacity: 8,
    max_length: 20,
  },
  { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
];

type Case = readonly [filter: string, matches: (row: Row) => boolean];
const scored = (test: (score: number) => boolean) => (row: Row) => row.score !== null && test(row.score);
const ranked = (test: (meta: NonNullable<Row['meta']>) => boolean) => (row: Row) =>
  row.meta !== null && test(row.meta);
const tagged = (test: (tags: number[]) => boolean) => (row: Row) => row.tags !== null && test(row.tags);

const cases: Readonly<Record<string, readonly Case[]>> = {
  comparison: [
    ['id == 3', ({ id }) => id === 3],
    ['id != 3', ({ id }) => id !== 3],
    ['id < 3', ({ id }) => id < 3],
    ['3 <= id', ({ id }) => id >= 3],
    ['3 < id <= 7', ({ id }) => id > 3 && id <= 7],
    ['i8 >= -1 and i8 < 1', ({ i8 }) => i8 >= -1 && i8 < 1],
    ['score > 2.5', scored((score) => score > 2.5)],
    ['flag == true', ({ flag }) => flag],
    ['name > "item_35"', ({ name }) => name > 'item_35'],
    ["name == 'item_01'", ({ name }) => name === 'item_01'],
  ],
  arithmetic: [
    ['id % 7 == 0', ({ id }) => id % 7 === 0],
    ['id * 2 + 1 > 70', ({ id }) => id * 2 + 1 > 70],
    ['score / 2 == 1', scored((score) => score / 2 === 1)],
    ['id - 3 == 4', ({ id }) => id === 7],
  ],
  in: [
    ['id in [1, 2, 100]', ({ id }) => id === 1 || id === 2],
    ['id not in [1, 2]', ({ id }) => id !== 1 && id !== 2],
    ['name in ["item_01", "x"]', ({ id }) => id === 1],
    ['id in []', () => false],
  ],
  like: [
    ['name like "item_1%"', ({ name }) => name.startsWith('item_1')],
    ['name like "%7"', ({ name }) => name.endsWith('7')],
    ['name like "%_2%"', ({ name }) => /.2/s.test(name)],
    ['name like "item__5"', ({ name }) => /^item.\d5$/.test(name)],
    ['name like "%\\\\%"', ({ name }) => name.endsWith('%')],
  ],
  'and, or, not': [
    ['id < 10 and flag == false', ({ id, flag }) => id < 10 && !flag],
    ['id < 3 or id > 37', ({ id }) => id < 3 || id > 37],
    ['not (id < 3 or id > 37)', ({ id }) => !(id < 3 || id > 37)],
    ['(id < 3 or id > 37) && !(flag == true)', ({ id, flag }) => (id < 3 || id > 37) && !flag],
    ['id < 3 or id > 37 and flag == true', ({ id, flag }) => id < 3 || (id > 37 && flag)],
    ['not (score > 2)', scored((score) => score <= 2)],
  ],
  'null tests': [
    ['score is null', ({ score }) => score === null],
    ['score IS NOT NULL', ({ score }) => score !== null],
    ['meta is null', ({ meta }) => meta === null],
    ['tags is null or id == 0', ({ tags, id }) => tags === null || id === 0],
  ],
  'JSON paths': [
    ['meta["rank"] >= 30', ranked(({ rank }) => rank >= 30)],
    ['meta["color"] == "red"', ranked(({ color }) => color === 'red')],
    ['meta["color"] in ["red", "blue"]', ranked(({ color }) => color !== 'green')],
    ['meta["nested"]["list"][1] == 5', ranked(({ rank }) => rank === 4)],
    ['exists meta["rank"]', ranked(() => true)],
    ['exists meta["nope"]', () => false],
    ['meta["color"] like "gr%"', ranked(({ color }) => color === 'green')],
    ['extra > 350', ({ extra }) => extra > 350],
    ['$meta["extra"] == 20', ({ id }) => id === 2],
    ['json_contains(meta["nested"]["list"], 5)', ranked(({ nested }) => nested.list.includes(5))],
    ['json_contains_all(meta["nested"]["list"], [5, 6])', ranked(({ rank }) => rank === 5)],
    [
      'json_contains_any(meta["nested"]["list"], [5, 9])',
      ranked(({ nested }) => nested.list.some((n) => n === 5 || n === 9)),
    ],
  ],
  'array functions': [
    ['array_contains(tags, 2)', tagged((tags) => tags.includes(2))],
    ['array_contains_all(tags, [1, 3])', tagged((tags) => tags.includes(1) && tags.includes(3))],
    ['array_contains_any(tags, [2, 3])', tagged((tags) => tags.includes(2) || tags.includes(3))],
    ['ARRAY_CONTAINS(words, "w1")', ({ words }) => words.includes('w1')],
    ['array_length(tags) == 2', tagged(() => true)],
    ['tags[0] == 1', tagged((tags) => tags[0] === 1)],
  ],
};

/** What every filter is asked of: all rows growing, all flushed, and half of each. */
const states = { filters_growing: 0, filters_mixed: COUNT / 2, filters_flushed: COUNT };

describe('filters answer alike on growing, flushed and mixed rows', () => {
  const fixture = sharedServer();

  before(async () => {
    const { client } = fixture;
    for (const [collection_name, flushed] of Object.entries(states)) {
      await succeed(client.createCollection({ collection_name, fields, enable_dynamic_field: true }));
      await succeed(
        client.createIndex({
          collection_name,
          field_name: 'vector',
          index_type: 'AUTOINDEX',
          metric_type: 'L2',
        }),
      );
      await load(client, collection_name);
      const rows = Array.from({ length: COUNT }, (_, id) => row(id)) as unknown as RowData[];
      if (flushed > 0) {
        await succeed(client.insert({ collection_name, data: rows.slice(0, flushed) }));
        await flush(client, collection_name);
      }
      if (flushed < COUNT) await succeed(client.insert({ collection_name, data: rows.slice(flushed) }));
    }
  });

  const all = Array.from({ length: COUNT }, (_, id) => row(id));

  for (const [kind, list] of Object.entries(cases))
    test(`${kind}: ${list.length} filters by query, count(*) and search`, async () => {
      const { client } = fixture;
      for (const [filter, matches] of list)
        for (const collection_name of Object.keys(states)) {
          const expected = all.filter(matches).map(({ id }) => String(id));
          const where = `${filter} in ${collection_name}`;
          const { data } = await succeed(
            client.query({ collection_name, filter, output_fields: ['id'], limit: 1000 }),
          );
          assert.deepEqual(
            data.map(({ id }) => id),
            expected,
            where,
          );
          const { data: count } = await succeed(client.count({ collection_name, filter }));
          assert.equal(count, expected.length, where);
          const { results } = await succeed(
            client.search({ collection_name, data: [0, 0], filter, limit: COUNT }),
          );
          assert.deepEqual(
            results.map(({ id }) => id),
            expected,
            where,
          );
        }
    });

  test('limit and offset page through the rows, each row once', async () => {
    const { client } = fixture;
    for (const collection_name of Object.keys(states)) {
      const ids: unknown[] = [];
      for (let offset = 0; offset < COUNT; offset += 7) {
        const { data } = await succeed(
          client.query({ collection_name, filter: 'id >= 0', output_fields: ['id'], limit: 7, offset }),
        );
        ids.push(...data.map(({ id }) => id));
      }
      assert.deepEqual(
        ids,
        all.map(({ id }) => String(id)),
      );
    }
  });

  test('count(*) counts all rows without a filter, and refuses other fields and limits', async () => {
    const { client } = fixture;
    for (const collection_name of Object.keys(states)) {
      const { data } = await succeed(client.query({ collection_name, output_fields: ['count(*)'] }));
      assert.deepEqual(data, [{ 'count(*)': String(COUNT) }]);
    }
    const count = { collection_name: 'filters_mixed', output_fields: ['count(*)'] };
    await refused(client.query({ ...count, output_fields: ['count(*)', 'id'] }), {
      code: 1100,
      words: 'count(*)',
    });
    await refused(client.query({ ...count, limit: 5 }), { code: 1100, words: 'pagination' });
  });

  test('output fields: named, dynamic, all, and the key alone', async () => {
    const { client } = fixture;
    for (const collection_name of Object.keys(states)) {
      const ask = async (output_fields?: string[]) =>
        (
          await succeed(
            client.query({ collection_name, filter: 'id == 3', ...(output_fields && { output_fields }) }),
          )
        ).data[0]!;
      assert.deepEqual(await ask(['name', 'extra']), { id: '3', name: 'item_03', $meta: { extra: 30 } });
      assert.deepEqual(
        Object.keys(await ask(['*'])).sort(),
        ['$meta', ...fields.map(({ name }) => name)].sort(),
      );
      assert.deepEqual(await ask(['id']), { id: '3' });
    }
  });

  test('rows by their keys, by partition, and by template values', async () => {
    const { client } = fixture;
    const collection_name = 'filters_mixed';
    const { data } = await succeed(
      client.get({ collection_name, ids: ['1', '39', '77'], output_fields: ['i8'] }),
    );
    assert.deepEqual(data, [
      { id: '1', i8: -19 },
      { id: '39', i8: 19 },
    ]);
    const { data: templated } = await succeed(
      client.query({
        collection_name,
        filter: 'id in {ids} and name != {name}',
        exprValues: { ids: [1, 2], name: 'item_02' },
        output_fields: ['id'],
      }),
    );
    assert.deepEqual(templated, [{ id: '1' }]);
    await succeed(client.createPartition({ collection_name, partition_name: 'other' }));
    await succeed(
      client.insert({
        collection_name,
        partition_name: 'other',
        data: [row(1000), row(1001)] as unknown as RowData[],
      }),
    );
    const ids = async (partition_names: string[]) =>
      (
        await succeed(
          client.query({ collection_name, filter: 'id >= 38', output_fields: ['id'], partition_names }),
        )
      ).data.map(({ id }) => id);
    assert.deepEqual(await ids(['other']), ['1000', '1001']);
    assert.deepEqual(await ids(['_default']), ['38', '39']);
    assert.deepEqual(await ids(['other', '_default']), ['38', '39', '1000', '1001']);
    await flush(client, collection_name);
    assert.deepEqual(await ids(['other']), ['1000', '1001']);
    await refused(client.query({ collection_name, filter: 'id > 0', partition_names: ['nope'] }), {
      code: 200,
      words: 'partition not found',
    });
  });
});
