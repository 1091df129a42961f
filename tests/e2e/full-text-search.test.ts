import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, FunctionType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type Bm25Rules, bm25 } from './bm25.ts';
import { flush, load, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const sentences = [
  'information retrieval is a field of study',
  'information retrieval focuses on finding relevant information in large datasets',
  'data mining and information retrieval overlap in research',
  'the quick brown fox jumps over the lazy dog',
  'a vector database finds what is near',
  'full text search ranks what is relevant by BM25',
  '',
  'retrieval retrieval retrieval',
];
const termsOf = (text: string): string[] => text.toLowerCase().match(/\w+/g) ?? [];

async function create(
  client: MilvusClient,
  collection_name: string,
  { index = {}, text = {}, more = [] as object[], shards = 1 } = {},
): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      shards_num: shards,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'text', data_type: DataType.VarChar, max_length: 65_535, enable_analyzer: true, ...text },
        { name: 'sparse', data_type: DataType.SparseFloatVector },
        { name: 'tag', data_type: DataType.Int64, default_value: 0 },
        ...more,
      ] as never,
      functions: [
        {
          name: 'text_bm25',
          description: 'terms of the text',
          type: FunctionType.BM25,
          input_field_names: ['text'],
          output_field_names: ['sparse'],
          params: {},
        },
      ],
    }),
  );
  await succeed(
    client.createIndex({
      collection_name,
      field_name: 'sparse',
      index_type: 'SPARSE_INVERTED_INDEX',
      metric_type: 'BM25',
      params: { inverted_index_algo: 'DAAT_MAXSCORE', ...index },
    }),
  );
  for (const { name: field_name, dim } of more as { name: string; dim?: number }[])
    if (dim !== undefined)
      await succeed(
        client.createIndex({ collection_name, field_name, index_type: 'FLAT', metric_type: 'L2' }),
      );
  await load(client, collection_name);
}

const insert = (client: MilvusClient, collection_name: string, texts: readonly string[], first = 0) =>
  succeed(
    client.insert({
      collection_name,
      data: texts.map((text, i) => ({ id: first + i, text, tag: (first + i) % 3 })),
    }),
  );

interface Hit {
  readonly id: string;
  readonly score: number;
}

async function search(
  client: MilvusClient,
  collection_name: string,
  data: string,
  more: object = {},
): Promise<Hit[]> {
  const { results } = await succeed(
    client.search({
      collection_name,
      data,
      anns_field: 'sparse',
      limit: 100,
      output_fields: ['text'],
      ...more,
    } as never),
  );
  return results as unknown as Hit[];
}

/** The hits are those that BM25 over all texts finds, with its scores. */
function agree(
  hits: readonly Hit[],
  texts: readonly string[],
  query: string,
  rules: Bm25Rules = { k1: 1.2, b: 0.75 },
): void {
  const scores = bm25(texts.map(termsOf), termsOf(query), rules);
  const expected = scores.map((score, id) => ({ id, score })).filter(({ score }) => score > 0);
  assert.equal(hits.length, expected.length);
  for (const { id, score } of hits) {
    const wanted = scores[Number(id)]!;
    assert.ok(Math.abs(score - wanted) <= 1e-5 * Math.max(1, wanted), `${id}: ${score}, expected ${wanted}`);
  }
  assert.deepEqual(
    hits.map(({ score }) => score),
    hits.map(({ score }) => score).sort((a, b) => b - a),
  );
}

/** The official client throws what a failed creation was answered. */
function says(error: unknown, code: number, words: string): boolean {
  const status = error as { readonly code?: number; readonly reason?: string };
  assert.equal(status.code, code, String(status.reason));
  assert.ok(status.reason?.includes(words), status.reason);
  return true;
}

describe('full text search', () => {
  const fixture = sharedServer();

  test('a BM25 function is described as it was made, its output marked', async () => {
    const { client } = fixture;
    await create(client, 'described');
    const { schema } = await succeed(client.describeCollection({ collection_name: 'described' }));
    assert.equal(schema.functions.length, 1);
    const [made] = schema.functions as unknown as Record<string, unknown>[];
    assert.equal(made!['name'], 'text_bm25');
    assert.equal(made!['description'], 'terms of the text');
    assert.equal(made!['type'], 'BM25');
    assert.deepEqual(made!['input_field_names'], ['text']);
    assert.deepEqual(made!['output_field_names'], ['sparse']);
    assert.deepEqual(made!['input_field_ids'], ['101']);
    assert.deepEqual(made!['output_field_ids'], ['102']);
    const outputs = schema.fields
      .filter(({ is_function_output }) => is_function_output)
      .map(({ name }) => name);
    assert.deepEqual(outputs, ['sparse']);
  });

  test('texts are found by BM25 with its scores, growing, sealed, and after a restart', async () => {
    await withServer(async (own) => {
      await create(own.client, 'ranked');
      await insert(own.client, 'ranked', sentences);
      const query = 'information retrieval is relevant';
      agree(await search(own.client, 'ranked', query), sentences, query);
      await flush(own.client, 'ranked');
      agree(await search(own.client, 'ranked', query), sentences, query);
      const more = ['more information', 'nothing of it'];
      await insert(own.client, 'ranked', more, sentences.length);
      agree(await search(own.client, 'ranked', query), [...sentences, ...more], query);
      await own.restart('kill');
      await load(own.client, 'ranked');
      agree(await search(own.client, 'ranked', query), [...sentences, ...more], query);
    });
  });

  test('k1 and b of the index count, and the corpus is one whatever the shards', async () => {
    const { client } = fixture;
    await create(client, 'tuned', { index: { bm25_k1: 2, bm25_b: 0.1 }, shards: 3 });
    await insert(client, 'tuned', sentences);
    agree(await search(client, 'tuned', 'retrieval'), sentences, 'retrieval', { k1: 2, b: 0.1 });
  });

  test('several texts are searched for at once; a text without words finds nothing', async () => {
    const { client } = fixture;
    await create(client, 'several');
    await insert(client, 'several', sentences);
    const { results } = await succeed(
      client.search({
        collection_name: 'several',
        data: ['retrieval', 'fox dog', '!?', 'absent'],
        anns_field: 'sparse',
        limit: 10,
      } as never),
    );
    const found = results as unknown as Hit[][];
    assert.deepEqual(
      found.map((hits) => hits.length),
      [4, 1, 0, 0],
    );
    agree(found[0]!, sentences, 'retrieval');
  });

  test('filters and ranges narrow the hits and leave the scores as they are', async () => {
    const { client } = fixture;
    await create(client, 'narrowed');
    await insert(client, 'narrowed', sentences);
    const all = await search(client, 'narrowed', 'information retrieval');
    const filtered = await search(client, 'narrowed', 'information retrieval', { filter: 'tag == 1' });
    assert.deepEqual(
      filtered,
      all.filter(({ id }) => Number(id) % 3 === 1),
    );
    const { score } = all[1]!;
    const ranged = await search(client, 'narrowed', 'information retrieval', {
      params: { radius: 0, range_filter: score },
    });
    assert.deepEqual(
      ranged.map(({ id }) => id),
      all.slice(1).map(({ id }) => id),
    );
  });

  test('an upsert replaces the terms of a row, a partial one only when it gives the text; a delete takes the row away', async () => {
    const { client } = fixture;
    await create(client, 'changed');
    await insert(client, 'changed', sentences);
    await succeed(
      client.upsert({ collection_name: 'changed', data: [{ id: 3, text: 'retrieval of foxes', tag: 9 }] }),
    );
    const ids = async (text: string) =>
      (await search(client, 'changed', text)).map(({ id }) => Number(id)).sort();
    assert.deepEqual(await ids('quick'), []);
    assert.deepEqual(await ids('foxes'), [3]);
    await succeed(
      client.upsert({ collection_name: 'changed', data: [{ id: 3, tag: 8 }], partial_update: true } as never),
    );
    assert.deepEqual(await ids('foxes'), [3]);
    await succeed(
      client.upsert({
        collection_name: 'changed',
        data: [{ id: 3, text: 'wolves' }],
        partial_update: true,
      } as never),
    );
    assert.deepEqual([await ids('foxes'), await ids('wolves')], [[], [3]]);
    await succeed(client.delete({ collection_name: 'changed', filter: 'id in [3]' }));
    assert.deepEqual(await ids('wolves'), []);
  });

  test('what a function writes is neither given nor shown nor searched by vectors', async () => {
    const { client, server } = fixture;
    await create(client, 'guarded');
    await insert(client, 'guarded', sentences);
    const shown = await succeed(
      client.query({ collection_name: 'guarded', filter: 'id == 0', output_fields: ['*'] }),
    );
    assert.deepEqual(Object.keys(shown.data[0]!).sort(), ['id', 'tag', 'text']);
    await refused(
      client.query({ collection_name: 'guarded', filter: 'id == 0', output_fields: ['sparse'] }),
      { code: 65535, legacy: 'UnexpectedError', words: 'not allowed to retrieve raw data of field sparse' },
    );
    const raw = new RawClient(server.address);
    try {
      const placeholder_group = encoded('common.PlaceholderGroup', {
        placeholders: [{ tag: '$0', type: 104, values: [Buffer.from([1, 0, 0, 0, 0, 0, 0, 63])] }],
      });
      const search_params = [
        { key: 'anns_field', value: 'sparse' },
        { key: 'topk', value: '1' },
      ];
      const searched = await raw.answer('Search', {
        collection_name: 'guarded',
        placeholder_group,
        search_params,
      });
      assert.match((searched['status'] as { reason: string }).reason, /varchar\/text/);
      const sparse = { contents: [Buffer.from([1, 0, 0, 0, 0, 0, 0, 63])], dim: 2 };
      const inserted = await raw.answer('Insert', {
        collection_name: 'guarded',
        num_rows: 1,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: [100] } } },
          { field_name: 'text', type: 21, scalars: { string_data: { data: ['x'] } } },
          { field_name: 'sparse', type: 104, vectors: { dim: 2, sparse_float_vector: sparse } },
        ],
      });
      assert.match((inserted['status'] as { reason: string }).reason, /output of a function/);
    } finally {
      raw.close();
    }
  });

  test('Chinese and English are found by their words', async () => {
    const { client } = fixture;
    await create(client, 'chinese', { text: { analyzer_params: { type: 'chinese' } } });
    await insert(client, 'chinese', ['我来到北京清华大学', '永和服装饰品有限公司', 'Milvus 向量数据库']);
    const ids = async (text: string) => (await search(client, 'chinese', text)).map(({ id }) => Number(id));
    assert.deepEqual([await ids('清华'), await ids('服装'), await ids('数据库')], [[0], [1], [2]]);
    await create(client, 'english', { text: { analyzer_params: { type: 'english' } } });
    await insert(client, 'english', ['He was running', 'The runners', 'to and fro']);
    const found = await search(client, 'english', 'the runs');
    assert.deepEqual(
      found.map(({ id }) => id),
      ['0'],
    );
  });

  test('each row has the analyzer that another field names, the default one where it names none', async () => {
    const { client } = fixture;
    const multi = {
      analyzers: {
        english: { type: 'english' },
        chinese: { type: 'chinese' },
        default: { tokenizer: 'whitespace' },
      },
      by_field: 'language',
      alias: { cn: 'chinese' },
    };
    await create(client, 'languages', {
      text: { multi_analyzer_params: multi },
      more: [{ name: 'language', data_type: DataType.VarChar, max_length: 20 }],
    });
    await succeed(
      client.insert({
        collection_name: 'languages',
        data: [
          { id: 0, language: 'english', text: 'Databases are running', tag: 0 },
          { id: 1, language: 'cn', text: '人工智能正在改变技术领域', tag: 0 },
          { id: 2, language: 'klingon', text: 'Databases are running', tag: 0 },
        ],
      }),
    );
    const ids = async (data: string, analyzer_name: string) =>
      (await search(client, 'languages', data, { params: { analyzer_name } })).map(({ id }) => Number(id));
    assert.deepEqual(await ids('database', 'english'), [0]);
    assert.deepEqual(await ids('人工智能', 'cn'), [1]);
    assert.deepEqual(await ids('running', 'default'), [2]);
  });

  test('text and vectors are searched together, and texts in groups', async () => {
    const { client } = fixture;
    await create(client, 'both', { more: [{ name: 'vector', data_type: DataType.FloatVector, dim: 2 }] });
    const data = sentences.map((text, id) => ({ id, text, tag: id % 3, vector: [id, 0] }));
    await succeed(client.insert({ collection_name: 'both', data }));
    const { results } = await succeed(
      client.hybridSearch({
        collection_name: 'both',
        data: [
          { data: 'fox', anns_field: 'sparse' },
          { data: [3, 0], anns_field: 'vector' },
        ],
        limit: 3,
      } as never),
    );
    assert.equal((results as unknown as Hit[])[0]!.id, '3');
    const grouped = await search(client, 'both', 'information retrieval', { group_by_field: 'tag' });
    assert.deepEqual(grouped.map(({ id }) => Number(id) % 3).sort(), [0, 1, 2]);
    const all = bm25(sentences.map(termsOf), termsOf('information retrieval'), { k1: 1.2, b: 0.75 });
    for (const { id, score } of grouped) assert.ok(Math.abs(score - all[Number(id)]!) < 1e-5);
  });

  test('a large insert is analyzed beside the event loop', async () => {
    const { client } = fixture;
    await create(client, 'large');
    const texts = Array.from(
      { length: 2000 },
      (_, i) => `row ${i} ${'lorem ipsum dolor '.repeat(20)} word${i % 50}`,
    );
    await insert(client, 'large', texts);
    assert.equal((await search(client, 'large', 'word7')).length, 40);
  });

  test('functions that cannot be are refused, those that are not served by name', async () => {
    const { client } = fixture;
    const fields = [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      { name: 'plain', data_type: DataType.VarChar, max_length: 10 },
      { name: 'text', data_type: DataType.VarChar, max_length: 10, enable_analyzer: true },
      { name: 'sparse', data_type: DataType.SparseFloatVector },
      { name: 'dense', data_type: DataType.FloatVector, dim: 2 },
    ];
    const make = (type: FunctionType, input: string[], output: string[]) =>
      client.createCollection({
        collection_name: 'wrong',
        fields: fields as never,
        functions: [{ name: 'f', type, input_field_names: input, output_field_names: output, params: {} }],
      });
    for (const [input, output, words] of [
      [['plain'], ['sparse'], 'enable_analyzer'],
      [['text', 'plain'], ['sparse'], 'one VARCHAR field'],
      [['text'], ['dense'], 'one SparseFloatVector'],
      [['absent'], ['sparse'], 'not found: absent'],
    ] as const)
      await assert.rejects(make(FunctionType.BM25, [...input], [...output]), (error) =>
        says(error, 1100, words),
      );
    await assert.rejects(make(FunctionType.TEXTEMBEDDING, ['text'], ['dense']), (error) =>
      says(error, 10, 'TextEmbedding function'),
    );
  });

  test('a snapshot keeps the function and its terms: what is restored is searched with the same scores', async () => {
    const { client } = fixture;
    await create(client, 'kept', { index: { bm25_k1: 1.5 } });
    await insert(client, 'kept', sentences);
    await succeed(client.createSnapshot({ collection_name: 'kept', snapshot_name: 'one' } as never));
    await restore(client, {
      snapshot_name: 'one',
      source_collection_name: 'kept',
      target_collection_name: 'again',
    } as never);
    const described = async (collection_name: string) =>
      (await succeed(client.describeCollection({ collection_name }))).schema;
    const [was, is] = [await described('kept'), await described('again')];
    assert.deepEqual(is.functions, was.functions);
    assert.deepEqual(is.fields, was.fields);
    await load(client, 'again');
    agree(await search(client, 'again', 'information is'), sentences, 'information is', { k1: 1.5, b: 0.75 });
    await insert(client, 'again', ['information anew'], sentences.length);
    agree(
      await search(client, 'again', 'anew information'),
      [...sentences, 'information anew'],
      'anew information',
      { k1: 1.5, b: 0.75 },
    );
  });
});
