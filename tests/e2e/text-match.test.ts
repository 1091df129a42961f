import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';

const sentences: readonly (string | null)[] = [
  'machine learning boosts efficiency',
  'learning machine basics',
  'learning deep machine methods',
  'the machine runs, learning nothing',
  null,
  '',
  '人工智能 改变 世界',
];

async function create(
  client: MilvusClient,
  collection_name: string,
  analyzer_params: object = {},
): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        {
          name: 'text',
          data_type: DataType.VarChar,
          max_length: 65_535,
          nullable: true,
          enable_analyzer: true,
          enable_match: true,
          analyzer_params,
        },
        { name: 'plain', data_type: DataType.VarChar, max_length: 10, nullable: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
      ] as never,
    }),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  await load(client, collection_name);
}

const insert = (
  client: MilvusClient,
  collection_name: string,
  texts: readonly (string | null)[],
  first = 0,
) =>
  succeed(
    client.insert({
      collection_name,
      data: texts.map((text, i) => ({ id: first + i, text, plain: null, vector: [first + i, 1] })) as never,
    }),
  );

async function ids(
  client: MilvusClient,
  collection_name: string,
  filter: string,
  exprValues?: object,
): Promise<number[]> {
  const { data } = await succeed(
    client.query({
      collection_name,
      filter,
      output_fields: ['id'],
      ...(exprValues === undefined ? {} : { exprValues }),
    } as never),
  );
  return data.map(({ id }) => Number(id));
}

const questions: readonly (readonly [filter: string, ids: number[]])[] = [
  ["TEXT_MATCH(text, 'machine')", [0, 1, 2, 3]],
  ["TEXT_MATCH(text, 'boosts basics')", [0, 1]],
  ["TEXT_MATCH(text, 'machine deep runs', minimum_should_match=2)", [2, 3]],
  ["not TEXT_MATCH(text, 'machine')", [5, 6]],
  ["TEXT_MATCH(text, 'learning') and id > 1", [2, 3]],
  ["PHRASE_MATCH(text, 'machine learning')", [0]],
  ["PHRASE_MATCH(text, 'machine learning', 1)", [0, 3]],
  ["PHRASE_MATCH(text, 'machine learning', 2)", [0, 1, 3]],
  ["PHRASE_MATCH(text, 'machine learning', 3)", [0, 1, 2, 3]],
  ["TEXT_MATCH(text, '世')", [6]],
  ["TEXT_MATCH(text, 'absent')", []],
];

describe('text match and phrase match', () => {
  const fixture = sharedServer();

  test('terms and phrases are matched in rows that grow, are sealed, are restored, and after a restart; null is neither', async () => {
    await withServer(async (own) => {
      const agree = async (name: string): Promise<void> => {
        for (const [filter, expected] of questions)
          assert.deepEqual(await ids(own.client, name, filter), expected, filter);
      };
      await create(own.client, 'notes');
      await insert(own.client, 'notes', sentences);
      await agree('notes');
      await flush(own.client, 'notes');
      await agree('notes');
      await succeed(
        own.client.createSnapshot({ collection_name: 'notes', name: 'one', snapshot_name: 'one' } as never),
      );
      await restore(own.client, {
        snapshot_name: 'one',
        name: 'one',
        source_collection_name: 'notes',
        target_collection_name: 'again',
      } as never);
      await load(own.client, 'again');
      await agree('again');
      await own.restart('kill');
      await load(own.client, 'notes');
      await agree('notes');
    });
  });

  test('rows that come after a match are matched by the next, and deleted ones no more', async () => {
    const { client } = fixture;
    await create(client, 'stream');
    for (let i = 0; i < 30; i++) {
      await insert(client, 'stream', [`note number${i} of many`], i);
      assert.deepEqual(await ids(client, 'stream', `TEXT_MATCH(text, 'number${i}')`), [i]);
    }
    await succeed(
      client.delete({ collection_name: 'stream', filter: "TEXT_MATCH(text, 'number7 number8')" }),
    );
    assert.equal((await ids(client, 'stream', "PHRASE_MATCH(text, 'of many')")).length, 28);
  });

  test('a search takes matches as its filter, and words as a template', async () => {
    const { client } = fixture;
    await create(client, 'filtered');
    await insert(client, 'filtered', sentences);
    const { results } = await succeed(
      client.search({
        collection_name: 'filtered',
        data: [0, 1],
        limit: 2,
        filter: 'TEXT_MATCH(text, {words})',
        exprValues: { words: 'basics methods' },
      } as never),
    );
    assert.deepEqual(
      (results as unknown as { id: string }[]).map(({ id }) => id),
      ['1', '2'],
    );
  });

  test('Chinese texts are matched by the words of jieba', async () => {
    const { client } = fixture;
    await create(client, 'chinese', { type: 'chinese' });
    await insert(client, 'chinese', ['我来到北京清华大学', '清华的大学']);
    assert.deepEqual(await ids(client, 'chinese', "TEXT_MATCH(text, '清华大学')"), [0, 1]);
    assert.deepEqual(await ids(client, 'chinese', "PHRASE_MATCH(text, '清华大学')"), [0]);
  });

  test('megabytes of text are analyzed in worker threads while the server answers others', async () => {
    const { client } = fixture;
    await create(client, 'large', { type: 'english' });
    const filler = 'the quick brown foxes were running over lazy dogs and sleeping cats '.repeat(30);
    for (let first = 0; first < 900; first += 300)
      await insert(
        client,
        'large',
        Array.from({ length: 300 }, (_, i) => `${filler} word${(first + i) % 100}`),
        first,
      );
    let slowest = 0;
    let isDone = false;
    const matched = ids(client, 'large', "TEXT_MATCH(text, 'word42')").finally(() => {
      isDone = true;
    });
    while (!isDone) {
      const started = process.hrtime.bigint();
      await client.getVersion();
      slowest = Math.max(slowest, Number(process.hrtime.bigint() - started) / 1e6);
    }
    assert.equal((await matched).length, 9);
    assert.ok(slowest < 250, `another call took ${slowest} ms`);
  });

  test('a match of a field that has none enabled is refused with its place', async () => {
    const { client } = fixture;
    await create(client, 'wrong');
    const query = (filter: string) =>
      client.query({ collection_name: 'wrong', filter, output_fields: ['id'] });
    await refused(query("TEXT_MATCH(plain, 'x')"), {
      code: 1100,
      words: "field 'plain' does not enable match",
    });
    await refused(query("TEXT_MATCH(text, 'x', minimum_should_match=0)"), {
      code: 1100,
      words: 'minimum_should_match',
    });
    await assert.rejects(
      client.createCollection({
        collection_name: 'never',
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'text', data_type: DataType.VarChar, max_length: 10, enable_match: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        ] as never,
      }),
      (error) => /enable match but not enable analyzer/.test(String((error as { reason?: string }).reason)),
    );
  });
});
