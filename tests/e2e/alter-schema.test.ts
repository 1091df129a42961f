/** Functions, struct arrays and fields that come and go in live collections, as the official client does it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, FunctionType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
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
import { RawClient } from './raw-client.ts';

const rows = async (
  client: MilvusClient,
  collection_name: string,
  filter: string,
  output_fields: string[],
) => {
  const { data } = await succeed(client.query({ collection_name, filter, output_fields }));
  return data.map((row) => output_fields.map((name) => row[name]));
};

const fieldsOf = async (client: MilvusClient, collection_name: string) => {
  const { schema } = await succeed(client.describeCollection({ collection_name, cache: false }));
  return Object.fromEntries(schema.fields.map(({ name, fieldID }) => [name, Number(fieldID)]));
};

async function compacted(client: MilvusClient, collection_name: string): Promise<void> {
  const { compactionID } = await succeed(client.compact({ collection_name }));
  for (;;) {
    const { state } = await succeed(client.getCompactionState({ compactionID: Number(compactionID) }));
    if (String(state) === 'Completed') return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const texts = [
  'the quick brown fox',
  'a lazy dog sleeps',
  'the fox and the dog',
  'quick quick quick',
  'nothing of the kind',
  'brown dog',
];
const words = { name: 'words', data_type: DataType.SparseFloatVector };
const bm25 = {
  name: 'by_words',
  description: 'words of the text',
  type: FunctionType.BM25,
  input_field_names: ['text'],
  output_field_names: ['words'],
  params: {},
};
const index = { index_type: 'SPARSE_INVERTED_INDEX', metric_type: 'BM25' };

async function createTexts(
  client: MilvusClient,
  collection_name: string,
  withFunction = false,
): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'text', data_type: DataType.VarChar, max_length: 200, enable_analyzer: true, nullable: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ...(withFunction ? [words] : []),
      ] as never,
      ...(withFunction ? { functions: [bm25] } : {}),
    }),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  if (withFunction) await succeed(client.createIndex({ collection_name, field_name: 'words', ...index }));
  await load(client, collection_name);
}

const put = (client: MilvusClient, collection_name: string, ids: readonly number[]) =>
  succeed(
    client.insert({
      collection_name,
      data: ids.map((id) => ({ id, text: id === 9 ? null : texts[id], vector: item(id).vector })) as never,
    }),
  );

const hits = async (client: MilvusClient, collection_name: string, text: string) => {
  const { results } = await succeed(
    client.search({ collection_name, anns_field: 'words', data: text, limit: 10, output_fields: ['id'] }),
  );
  return results.map(({ id, score }) => `${id} ${score.toFixed(5)}`).sort();
};

const addWords = (client: MilvusClient, collection_name: string) =>
  succeed(
    client.addFunctionField({ collection_name, field: words, function: bm25, extra_params: index } as never),
  );

describe('a function added to a live collection', () => {
  const fixture = sharedServer();
  const queries = ['fox', 'the quick dog', 'brown', 'nothing'];

  /** Rows 0 and 1 flushed, 2 and a null text growing, all older than the function; 3 younger. */
  async function prepare(client: MilvusClient, collection_name: string): Promise<void> {
    await createTexts(client, collection_name);
    await put(client, collection_name, [0, 1]);
    await flush(client, collection_name);
    await put(client, collection_name, [2, 9]);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'before' }));
    await put(client, collection_name, [4]);
    await addWords(client, collection_name);
    await put(client, collection_name, [3, 5]);
  }

  /** The same rows in a collection that had the function from its beginning. */
  async function twin(client: MilvusClient, collection_name: string): Promise<void> {
    await createTexts(client, collection_name, true);
    await put(client, collection_name, [0, 1, 2, 9, 4, 3, 5]);
  }

  async function same(client: MilvusClient, a: string, b: string, when: string): Promise<void> {
    for (const query of queries)
      assert.deepEqual(await hits(client, a, query), await hits(client, b, query), `${when}: ${query}`);
    assert.ok((await hits(client, a, 'fox')).length > 0);
  }

  test('rows that were there, flushed and growing, are found by their words as if the function had always been; also after flush, load, compaction', async () => {
    const { client } = fixture;
    await prepare(client, 'late');
    await twin(client, 'early');
    await same(client, 'late', 'early', 'at once');
    await flush(client, 'late');
    await same(client, 'late', 'early', 'flushed');
    await succeed(client.releaseCollection({ collection_name: 'late' }));
    await load(client, 'late');
    await same(client, 'late', 'early', 'loaded again');
    await compacted(client, 'late');
    await same(client, 'late', 'early', 'compacted');
    const { schema } = await succeed(client.describeCollection({ collection_name: 'late', cache: false }));
    assert.deepEqual(
      schema.functions.map(({ name, input_field_names, output_field_names }) => [
        name,
        input_field_names,
        output_field_names,
      ]),
      [['by_words', ['text'], ['words']]],
    );
    const { index_descriptions } = await succeed(
      client.describeIndex({ collection_name: 'late', field_name: 'words' }),
    );
    assert.equal(index_descriptions.length, 1);
  });

  test('a snapshot from before restores without the function, one from after with what it wrote; both restored collections take it again', async () => {
    const { client } = fixture;
    const collection_name = 'shot';
    await prepare(client, collection_name);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'after' }));
    await twin(client, 'shot_twin');
    for (const snapshot_name of ['before', 'after'])
      await restore(client, {
        source_collection_name: collection_name,
        snapshot_name,
        target_collection_name: `shot_${snapshot_name}`,
      });
    await load(client, 'shot_before');
    await load(client, 'shot_after');
    await same(client, 'shot_after', 'shot_twin', 'restored');
    assert.deepEqual(Object.keys(await fieldsOf(client, 'shot_before')), ['id', 'text', 'vector']);
    await addWords(client, 'shot_before');
    await put(client, 'shot_before', [4, 3, 5]);
    await same(client, 'shot_before', 'shot_twin', 'restored and grown');
  });

  test('it outlives kill -9 right after it was added, and rows in the log alone are found by it', async () => {
    await withServer(async (server) => {
      await prepare(server.client, 'late');
      await server.restart('kill');
      await twin(server.client, 'early');
      await same(server.client, 'late', 'early', 'after kill -9');
      await flush(server.client, 'late');
      await server.restart('stop');
      await same(server.client, 'late', 'early', 'after a stop');
    });
  });

  test('it is dropped with its field and index; the name comes back as another field, which does not show what the first one held', async () => {
    const { client } = fixture;
    const collection_name = 'detached';
    await prepare(client, collection_name);
    const { words: first } = await fieldsOf(client, collection_name);
    await refused(client.dropCollectionField({ collection_name, field_name: 'words' }), {
      code: 1100,
      words: 'function by_words writes it',
    });
    await refused(client.dropCollectionField({ collection_name, field_name: 'text' }), {
      code: 1100,
      words: 'referenced by function by_words',
    });
    await succeed(client.dropFunctionField({ collection_name, function_name: 'by_words' }));
    assert.deepEqual(Object.keys(await fieldsOf(client, collection_name)), ['id', 'text', 'vector']);
    await refused(client.describeIndex({ collection_name, field_name: 'words' }), {
      code: 700,
      words: 'index not found',
    });
    assert.equal((await rows(client, collection_name, 'id >= 0', ['id', 'text'])).length, 7);
    await put(client, collection_name, [9]);
    await addWords(client, collection_name);
    assert.notEqual((await fieldsOf(client, collection_name))['words'], first);
    assert.equal((await hits(client, collection_name, 'fox')).length, 2);
  });

  test('what cannot be added is refused, and nothing changes', async () => {
    const { client } = fixture;
    const collection_name = 'unfit';
    await createTexts(client, collection_name);
    const before = await fieldsOf(client, collection_name);
    const raw = new RawClient(fixture.server.address);
    const field_schema = { name: 'words', data_type: 'SparseFloatVector' };
    const func = { name: 'f', type: 'BM25', input_field_names: ['text'], output_field_names: ['words'] };
    const params = (all: object) => Object.entries(all).map(([key, value]) => ({ key, value }));
    const info = { field_schema, extra_params: params(index) };
    for (const [action, words] of [
      [{}, 'the action to alter the schema by is missing'],
      [{ add_request: {} }, 'the field to add is missing'],
      [{ add_request: { func_schema: [func] } }, 'together with the field it writes'],
      [{ add_request: { field_infos: [info, info] } }, 'at a time'],
      [{ add_request: { field_infos: [{ field_schema }], func_schema: [func] } }, 'explicit index_type'],
      [
        { add_request: { field_infos: [info], func_schema: [{ ...func, input_field_names: ['vector'] }] } },
        'BM25 function input field must be',
      ],
      [
        { add_request: { field_infos: [info], func_schema: [{ ...func, input_field_names: ['none'] }] } },
        'input field not found: none',
      ],
      [
        { add_request: { field_infos: [info], func_schema: [{ ...func, output_field_names: ['text'] }] } },
        'must write the field that is added',
      ],
      [
        { add_request: { field_infos: [info], func_schema: [{ ...func, type: 'TextEmbedding' }] } },
        'TextEmbedding function (f) is not implemented',
      ],
      [{ drop_request: {} }, 'what to drop is missing'],
      [{ drop_request: { function_name: 'f' } }, 'cannot be detached'],
      [{ drop_request: { function_name: 'f', drop_function_output_fields: true } }, 'function not found: f'],
    ] as const) {
      const status = await raw.status('AlterCollectionSchema', { collection_name, action });
      assert.ok(status.code !== 0 && status.reason.includes(words), `${words}: ${status.reason}`);
    }
    raw.close();
    assert.deepEqual(await fieldsOf(client, collection_name), before);
  });

  test('functions are neither attached to fields nor detached from them, as in Milvus 3.0: the answer names the call to use', async () => {
    const raw = new RawClient(fixture.server.address);
    for (const rpc of ['AddCollectionFunction', 'AlterCollectionFunction', 'DropCollectionFunction'])
      await assert.rejects(raw.status(rpc, {}), { code: 12, details: /AlterCollectionSchema/ });
    raw.close();
  });
});

describe('a field dropped from a live collection', () => {
  const fixture = sharedServer();

  /** Row 1 flushed, row 2 growing, with the field; the field dropped; row 3 younger. */
  async function prepare(client: MilvusClient, collection_name: string): Promise<void> {
    await createItems(client, collection_name);
    for (const [name, more] of [
      ['score', {}],
      ['second', { data_type: DataType.FloatVector, dim: DIM }],
    ] as const)
      await succeed(
        client.addCollectionField({
          collection_name,
          field: { name, data_type: DataType.Int64, nullable: true, ...more } as never,
        }),
      );
    await succeed(
      client.createIndex({ collection_name, field_name: 'second', index_type: 'HNSW', metric_type: 'L2' }),
    );
    await succeed(client.createIndex({ collection_name, field_name: 'score', index_type: 'INVERTED' }));
    const full = (id: number) => ({ ...item(id), score: id * 10, second: item(id + 50).vector });
    await succeed(client.insert({ collection_name, data: [full(1)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: [full(2)] }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'before' }));
    await succeed(client.insert({ collection_name, data: [full(5)] }));
    await succeed(client.dropCollectionField({ collection_name, field_name: 'score' }));
    const { second } = await fieldsOf(client, collection_name);
    await succeed(client.dropCollectionField({ collection_name, field_id: second as number }));
    await succeed(client.insert({ collection_name, data: [item(3)] }));
  }

  async function check(client: MilvusClient, collection_name: string): Promise<void> {
    assert.deepEqual(await fieldsOf(client, collection_name), { id: 100, name: 101, vector: 102 });
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id >= 0', output_fields: ['*'] }),
    );
    assert.deepEqual(
      data.map((row) => [row['id'], Object.keys(row).sort()]),
      ['1', '2', '3', '5'].map((id) => [id, ['id', 'name', 'vector']]),
    );
    await refused(client.query({ collection_name, filter: 'score > 0' }), { code: 1100, words: 'score' });
    await refused(client.query({ collection_name, filter: 'id > 0', output_fields: ['second'] }), {
      code: 1100,
      words: 'second',
    });
    const { results } = await succeed(
      client.search({ collection_name, data: item(2).vector, limit: 1, output_fields: ['name'] }),
    );
    assert.equal(Number(results[0]?.id), 2);
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
    assert.deepEqual(
      index_descriptions.map(({ field_name }) => field_name),
      ['vector'],
    );
  }

  test('no read shows it, growing or flushed, its indexes go, writes refuse it, and so it stays after flush, load and compaction', async () => {
    const { client } = fixture;
    const collection_name = 'thin';
    await prepare(client, collection_name);
    await check(client, collection_name);
    await assert.rejects(client.insert({ collection_name, data: [{ ...item(4), score: 1 }] as never }));
    const raw = new RawClient(fixture.server.address);
    const { id, name, vector } = item(4);
    const { code, reason } = await raw.status('Insert', {
      collection_name,
      num_rows: 1,
      fields_data: [
        { field_name: 'id', type: 'Int64', scalars: { long_data: { data: [id] } } },
        { field_name: 'name', type: 'VarChar', scalars: { string_data: { data: [name] } } },
        { field_name: 'vector', type: 'FloatVector', vectors: { dim: DIM, float_vector: { data: vector } } },
        { field_name: 'score', type: 'Int64', scalars: { long_data: { data: [1] } } },
      ],
    });
    raw.close();
    assert.ok(code !== 0 && reason.includes('score'), reason);
    await flush(client, collection_name);
    await check(client, collection_name);
    await succeed(client.releaseCollection({ collection_name }));
    await load(client, collection_name);
    await check(client, collection_name);
    await compacted(client, collection_name);
    await check(client, collection_name);
  });

  test('its name can be used again: another id, another type, and nothing of what it held', async () => {
    const { client } = fixture;
    const collection_name = 'again';
    await prepare(client, collection_name);
    await succeed(
      client.addCollectionField({
        collection_name,
        field: { name: 'score', data_type: DataType.VarChar, max_length: 9, nullable: true } as never,
      }),
    );
    assert.equal((await fieldsOf(client, collection_name))['score'], 105);
    await succeed(client.insert({ collection_name, data: [{ ...item(4), score: 'high' }] as never }));
    const seen = [
      ['1', null],
      ['2', null],
      ['3', null],
      ['4', 'high'],
      ['5', null],
    ];
    assert.deepEqual(await rows(client, collection_name, 'id >= 0', ['id', 'score']), seen);
    await flush(client, collection_name);
    await compacted(client, collection_name);
    assert.deepEqual(await rows(client, collection_name, 'id >= 0', ['id', 'score']), seen);
  });

  test('a snapshot from before restores it with its index and values; one from after does not, and its ids are not used again there', async () => {
    const { client } = fixture;
    const collection_name = 'pictures';
    await prepare(client, collection_name);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'after' }));
    for (const snapshot_name of ['before', 'after'])
      await restore(client, {
        source_collection_name: collection_name,
        snapshot_name,
        target_collection_name: `pictures_${snapshot_name}`,
      });
    await load(client, 'pictures_before');
    await load(client, 'pictures_after');
    assert.deepEqual(await rows(client, 'pictures_before', 'score >= 0', ['id', 'score']), [
      ['1', '10'],
      ['2', '20'],
    ]);
    const { results } = await succeed(
      client.search({
        collection_name: 'pictures_before',
        anns_field: 'second',
        data: item(52).vector,
        limit: 1,
      }),
    );
    assert.equal(Number(results[0]?.id), 2);
    await check(client, 'pictures_after');
    await succeed(
      client.addCollectionField({
        collection_name: 'pictures_after',
        field: { name: 'score', data_type: DataType.Int64, nullable: true } as never,
      }),
    );
    assert.equal((await fieldsOf(client, 'pictures_after'))['score'], 105);
    assert.deepEqual(await rows(client, 'pictures_after', 'score is not null', ['id']), []);
  });

  test('the drop outlives kill -9', async () => {
    await withServer(async (server) => {
      await prepare(server.client, 'items');
      await server.restart('kill');
      await check(server.client, 'items');
      await flush(server.client, 'items');
      await check(server.client, 'items');
      await succeed(
        server.client.addCollectionField({
          collection_name: 'items',
          field: { name: 'score', data_type: DataType.Int64, nullable: true } as never,
        }),
      );
      assert.equal((await fieldsOf(server.client, 'items'))['score'], 105);
    });
  });

  test('keys, the last vector field and the dynamic field are not dropped', async () => {
    const { client } = fixture;
    const collection_name = 'needed';
    await succeed(
      client.createCollection({
        collection_name,
        enable_dynamic_field: true,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'tenant', data_type: DataType.Int64, is_partition_key: true },
          { name: 'year', data_type: DataType.Int64, is_clustering_key: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      }),
    );
    for (const [field_name, words] of [
      ['id', 'cannot drop primary key field'],
      ['tenant', 'cannot drop partition key field'],
      ['year', 'cannot drop clustering key field'],
      ['vector', 'cannot drop the last vector field'],
      ['$meta', 'dynamicfield.enabled'],
    ] as const)
      await refused(client.dropCollectionField({ collection_name, field_name }), { code: 1100, words });
    await refused(client.dropCollectionField({ collection_name, field_name: 'none' }), {
      code: 65535,
      words: 'field not found',
    });
  });

  test('the dynamic field is turned off and on: what rows had in it does not come back', async () => {
    const { client } = fixture;
    const collection_name = 'free';
    await createItems(client, collection_name);
    const turn = (value: boolean) =>
      succeed(
        client.alterCollectionProperties({ collection_name, properties: { 'dynamicfield.enabled': value } }),
      );
    await turn(true);
    await succeed(client.describeCollection({ collection_name, cache: false }));
    await succeed(client.insert({ collection_name, data: [{ ...item(1), extra: 7 }] as never }));
    assert.deepEqual(await rows(client, collection_name, 'extra == 7', ['id']), [['1']]);
    await turn(false);
    await refused(client.query({ collection_name, filter: 'extra == 7' }), { code: 1100, words: 'extra' });
    await turn(true);
    assert.deepEqual(await rows(client, collection_name, 'extra == 7', ['id']), []);
    assert.deepEqual(await rows(client, collection_name, 'id == 1', ['id', 'name']), [['1', item(1).name]]);
  });
});

describe('a struct array added to a live collection', () => {
  const fixture = sharedServer();
  const parts = {
    name: 'parts',
    data_type: DataType.Array,
    element_type: DataType.Struct,
    max_capacity: 4,
    nullable: true,
    fields: [
      { name: 'label', data_type: DataType.VarChar, max_length: 20 },
      { name: 'shape', data_type: DataType.FloatVector, dim: 4 },
    ],
  };
  const value = [
    { label: 'a', shape: [1, 0, 0, 0] },
    { label: 'b', shape: [0, 1, 0, 0] },
  ];

  async function check(client: MilvusClient, collection_name: string): Promise<void> {
    assert.deepEqual(await rows(client, collection_name, 'id >= 0', ['id', 'parts']), [
      ['1', null],
      ['2', null],
      ['3', value],
    ]);
  }

  async function prepare(client: MilvusClient, collection_name: string): Promise<void> {
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(2)] }));
    await succeed(client.addCollectionField({ collection_name, field: parts as never }));
    await succeed(client.describeCollection({ collection_name, cache: false }));
    await succeed(client.insert({ collection_name, data: [{ ...item(3), parts: value }] as never }));
  }

  test('rows that were there read null, growing and flushed; later ones hold structs; it restores, and is dropped as a whole', async () => {
    const { client } = fixture;
    const collection_name = 'built';
    await prepare(client, collection_name);
    await check(client, collection_name);
    await flush(client, collection_name);
    await compacted(client, collection_name);
    await check(client, collection_name);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'with_parts' }));
    await refused(client.dropCollectionField({ collection_name, field_name: 'parts[label]' }), {
      code: 1100,
      words: 'drop the struct array parts',
    });
    await succeed(client.dropCollectionField({ collection_name, field_name: 'parts' }));
    const { schema } = await succeed(client.describeCollection({ collection_name, cache: false }));
    assert.deepEqual(
      schema.fields.map(({ name }) => name),
      ['id', 'name', 'vector'],
    );
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 'with_parts',
      target_collection_name: 'built_again',
    });
    for (const [name, metric_type] of [['parts[shape]', 'MAX_SIM_COSINE']] as const)
      await succeed(
        client.createIndex({
          collection_name: 'built_again',
          field_name: name,
          index_type: 'HNSW',
          metric_type: metric_type as never,
        }),
      );
    await load(client, 'built_again');
    await check(client, 'built_again');
  });

  test('it outlives kill -9; one that is not nullable is refused', async () => {
    await withServer(async (server) => {
      await prepare(server.client, 'items');
      await server.restart('kill');
      await check(server.client, 'items');
      const raw = new RawClient(server.server.address);
      const field = { name: 'number', data_type: 'Array', element_type: 'Int64' };
      for (const [more, words] of [
        [{ nullable: false, fields: [field] }, 'must be nullable'],
        [{ nullable: true, fields: [] }, 'has no fields'],
        [{ nullable: true, name: 'parts', fields: [field] }, 'duplicate field name: parts'],
      ] as const) {
        const { code, reason } = await raw.status('AddCollectionStructField', {
          collection_name: 'items',
          struct_array_field_schema: {
            name: 'other',
            type_params: [{ key: 'max_capacity', value: '4' }],
            ...more,
          },
        });
        assert.ok(code === 1100 && reason.includes(words), reason);
      }
      raw.close();
    });
  });
});

describe('replicas', () => {
  const fixture = sharedServer();

  test('a loaded collection has one, on this node, with every shard and partition; one that is not loaded has none', async () => {
    const { client } = fixture;
    await createItems(client, 'replicated');
    const { collectionID } = await succeed(client.describeCollection({ collection_name: 'replicated' }));
    const { replicas } = await succeed(client.getReplicas({ collectionID: collectionID as never }));
    assert.deepEqual(
      replicas.map(({ partition_ids, shard_replicas, node_ids }) => [
        partition_ids.length,
        shard_replicas.length,
        node_ids.length,
      ]),
      [[1, 1, 1]],
    );
    await succeed(client.releaseCollection({ collection_name: 'replicated' }));
    await refused(client.getReplicas({ collectionID: collectionID as never }), {
      code: 101,
      words: 'not loaded',
    });
  });
});
