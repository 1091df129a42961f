/** Near-duplicates of texts: MinHash functions, as the official client makes and searches them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, FunctionType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const HASHES = 64;
const documents = [
  'information retrieval is a field of study that helps users find relevant information in large datasets',
  'information retrieval is a research field focused on helping users find relevant data in large collections',
  'information retrieval is a field of research helping users search for relevant information in large datasets',
  'the quick brown fox jumps over the lazy dog while the sun sets behind the hills of the north',
  'the quick brown fox jumps over the lazy cat while the sun sets behind the hills of the north',
  '',
];
const near = documents[3]!.replace('quick', 'swift');

const signature = { name: 'signature', data_type: DataType.BinaryVector, dim: 32 * HASHES };
const minHash = (params: object = {}) => ({
  name: 'sign',
  description: 'signatures of the text',
  type: FunctionType.MINHASH,
  input_field_names: ['text'],
  output_field_names: ['signature'],
  params: { num_hashes: HASHES, shingle_size: 2, ...params },
});
const index = {
  index_type: 'MINHASH_LSH',
  metric_type: 'MHJACCARD',
  params: { mh_lsh_band: 16, mh_element_bit_width: 32, with_raw_data: true },
};

interface Shape {
  readonly text?: object;
  readonly params?: object;
  readonly withFunction?: boolean;
  readonly more?: readonly object[];
}

async function create(
  client: MilvusClient,
  collection_name: string,
  { text = {}, params = {}, withFunction = true, more = [] }: Shape = {},
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
          enable_analyzer: true,
          nullable: true,
          ...text,
        },
        { name: 'tag', data_type: DataType.Int64, default_value: 0 },
        ...(withFunction ? [signature] : [{ name: 'vector', data_type: DataType.FloatVector, dim: 2 }]),
        ...more,
      ] as never,
      ...(withFunction ? { functions: [minHash(params)] } : {}),
    }),
  );
  await succeed(
    client.createIndex(
      withFunction
        ? { collection_name, field_name: 'signature', ...index }
        : { collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' },
    ),
  );
  for (const { name: field_name, dim } of more as { name: string; dim?: number }[])
    if (dim !== undefined)
      await succeed(
        client.createIndex({ collection_name, field_name, index_type: 'FLAT', metric_type: 'L2' }),
      );
  await load(client, collection_name);
}

const insert = (
  client: MilvusClient,
  collection_name: string,
  texts: readonly (string | null)[],
  first = 0,
  more: object = {},
) =>
  succeed(
    client.insert({
      collection_name,
      data: texts.map((text, i) => ({ id: first + i, text, tag: (first + i) % 2, ...more })) as never,
    }),
  );

interface Hit {
  readonly id: string;
  readonly score: number;
}

async function hits(
  client: MilvusClient,
  collection_name: string,
  data: unknown,
  more: object = {},
): Promise<Hit[]> {
  const { results } = await succeed(
    client.search({
      collection_name,
      data,
      anns_field: 'signature',
      limit: 100,
      output_fields: ['id'],
      ...more,
    } as never),
  );
  return results as unknown as Hit[];
}

/** Rows nearer than any two texts of which nothing is the same. */
const similar = async (client: MilvusClient, name: string, text: string, most = 0.8): Promise<number[]> =>
  (await hits(client, name, text)).filter(({ score }) => score < most).map(({ id }) => Number(id));

const signatureOf = async (client: MilvusClient, collection_name: string, id: number) => {
  const { data } = await succeed(
    client.query({ collection_name, filter: `id == ${id}`, output_fields: ['signature'] }),
  );
  return data[0]?.['signature'];
};

const rejects = (call: Promise<unknown>, words: string): Promise<void> =>
  assert.rejects(call, (error: { reason?: string; message?: string }) => {
    assert.ok(`${error.reason} ${error.message}`.includes(words), `${error.reason} ${error.message}`);
    return true;
  });

describe('near-duplicates by MinHash', () => {
  const fixture = sharedServer();

  /** The official client sends what it searches a function's output for as texts. */
  async function byBits(collection_name: string, bits: Buffer): Promise<Hit[]> {
    const raw = new RawClient(fixture.server.address);
    const { results } = await raw.answer('Search', {
      collection_name,
      placeholder_group: encoded('common.PlaceholderGroup', {
        placeholders: [{ tag: '$0', type: 100, values: [bits] }],
      }),
      search_params: [
        { key: 'anns_field', value: 'signature' },
        { key: 'topk', value: '100' },
      ],
    });
    raw.close();
    const { ids, scores } = results as { ids: { int_id: { data: unknown[] } }; scores: number[] };
    return ids.int_id.data.map((id, i) => ({ id: String(id), score: scores[i] as number }));
  }

  test('a MinHash function is described as it was made, with its parameters, its output marked', async () => {
    const { client } = fixture;
    await create(client, 'described', { params: { seed: 7, hash_function: 'sha1' } });
    const { schema } = await succeed(client.describeCollection({ collection_name: 'described' }));
    const [made] = schema.functions as unknown as Record<string, unknown>[];
    assert.equal(made!['type'], 'MinHash');
    assert.deepEqual(made!['input_field_names'], ['text']);
    assert.deepEqual(made!['output_field_names'], ['signature']);
    assert.deepEqual(
      Object.fromEntries((made!['params'] as { key: string; value: string }[]).map((p) => [p.key, p.value])),
      { num_hashes: '64', shingle_size: '2', seed: '7', hash_function: 'sha1' },
    );
    assert.deepEqual(
      schema.fields.filter(({ is_function_output }) => is_function_output).map(({ name }) => name),
      ['signature'],
    );
  });

  test('duplicates are at distance 0, near-duplicates near, by what their text is: growing, sealed, after kill -9 and a stop', async () => {
    await withServer(async (own) => {
      await create(own.client, 'found');
      await insert(own.client, 'found', documents);
      const look = async (when: string) => {
        const found = await hits(own.client, 'found', documents[3]);
        assert.deepEqual(
          found.slice(0, 2).map(({ id }) => Number(id)),
          [3, 4],
          when,
        );
        assert.equal(found[0]!.score, 0, when);
        assert.ok(found[1]!.score > 0 && found[1]!.score < 0.6, `${when}: ${found[1]!.score}`);
        assert.ok(found.slice(2).every(({ score }) => score > 0.9));
        assert.deepEqual(await similar(own.client, 'found', near), [3, 4], when);
      };
      await look('growing');
      await flush(own.client, 'found');
      await look('flushed');
      await own.restart('kill');
      await load(own.client, 'found');
      await look('after kill -9');
      await insert(own.client, 'found', ['nothing like any of the others at all'], 50);
      await own.restart('stop');
      await load(own.client, 'found');
      await look('after a stop');
    });
  });

  test('the signature can be read, by its name and by *, and the row be found by it as by its text', async () => {
    const { client } = fixture;
    await create(client, 'read');
    await insert(client, 'read', documents);
    const { data } = await succeed(
      client.query({ collection_name: 'read', filter: 'id == 3', output_fields: ['*'] }),
    );
    assert.deepEqual(Object.keys(data[0]!).sort(), ['id', 'signature', 'tag', 'text']);
    const bits = await signatureOf(client, 'read', 3);
    assert.deepEqual(data[0]!['signature'], bits);
    const bytes = Buffer.from(bits as never);
    assert.equal(bytes.length, 4 * HASHES);
    const byText = await hits(client, 'read', documents[3]);
    assert.deepEqual(await byBits('read', bytes), byText);
  });

  test('the signature is not given by a client', async () => {
    const { client, server } = fixture;
    await create(client, 'guarded');
    const raw = new RawClient(server.address);
    const inserted = await raw.answer('Insert', {
      collection_name: 'guarded',
      num_rows: 1,
      fields_data: [
        { field_name: 'id', type: 5, scalars: { long_data: { data: [100] } } },
        { field_name: 'text', type: 21, scalars: { string_data: { data: ['x'] } } },
        {
          field_name: 'signature',
          type: 100,
          vectors: { dim: 32 * HASHES, binary_vector: Buffer.alloc(4 * HASHES) },
        },
      ],
    });
    raw.close();
    assert.match((inserted['status'] as { reason: string }).reason, /output of a function/);
  });

  test('an upsert replaces the signature, a partial one only when it gives the text; a delete takes the row away', async () => {
    const { client } = fixture;
    const collection_name = 'changed';
    await create(client, collection_name);
    await insert(client, collection_name, documents);
    await succeed(client.upsert({ collection_name, data: [{ id: 3, text: documents[0]!, tag: 9 }] }));
    assert.deepEqual(await similar(client, collection_name, documents[3]!), [4]);
    assert.deepEqual((await similar(client, collection_name, documents[0]!, 0.1)).sort(), [0, 3]);
    await succeed(
      client.upsert({ collection_name, data: [{ id: 3, tag: 8 }], partial_update: true } as never),
    );
    assert.deepEqual((await similar(client, collection_name, documents[0]!, 0.1)).sort(), [0, 3]);
    await succeed(
      client.upsert({ collection_name, data: [{ id: 3, text: near }], partial_update: true } as never),
    );
    assert.deepEqual(await similar(client, collection_name, documents[0]!, 0.1), [0]);
    assert.deepEqual(await similar(client, collection_name, near), [3, 4]);
    await succeed(client.delete({ collection_name, filter: 'id in [3]' }));
    assert.deepEqual(await similar(client, collection_name, near), [4]);
  });

  test('several texts are searched at once, with filters, ranges, groups and hybrid searches; ids find what is like their rows', async () => {
    const { client } = fixture;
    const collection_name = 'together';
    await create(client, collection_name, {
      more: [{ name: 'other', data_type: DataType.FloatVector, dim: 2 }],
    });
    await insert(client, collection_name, documents, 0, { other: [1, 2] });
    const several = (await hits(client, collection_name, [documents[3], documents[0]], {
      limit: 1,
    })) as unknown as Hit[][];
    assert.deepEqual(
      several.map(([hit]) => Number(hit!.id)),
      [3, 0],
    );
    const even = await hits(client, collection_name, near, { filter: 'tag == 0', limit: 1 });
    assert.deepEqual(
      even.map(({ id }) => id),
      ['4'],
    );
    const ranged = await hits(client, collection_name, near, { params: { radius: 0.8 } });
    assert.deepEqual(
      ranged.map(({ id }) => id),
      ['3', '4'],
    );
    const grouped = await hits(client, collection_name, near, { group_by_field: 'tag', limit: 2 });
    assert.deepEqual(
      grouped.map(({ id }) => id),
      ['3', '4'],
    );
    const { results } = await succeed(
      client.hybridSearch({
        collection_name,
        data: [
          { data: near, anns_field: 'signature' },
          { data: [1, 2], anns_field: 'other' },
        ],
        limit: 1,
      } as never),
    );
    assert.equal(results.length, 1);
    const byId = await hits(client, collection_name, undefined, { ids: [3], limit: 2 });
    assert.deepEqual(
      byId.map(({ id, score }) => [id, score === 0]),
      [
        ['3', true],
        ['4', false],
      ],
    );
  });

  test('characters need no analyzer; a null text is like no other but another one', async () => {
    const { client } = fixture;
    await create(client, 'characters', {
      text: { enable_analyzer: false },
      params: { token_level: 'char', shingle_size: 3 },
    });
    await insert(client, 'characters', [
      '一二三四五六七八九十',
      '一二三四五六七八九百',
      'something else',
      null,
    ]);
    assert.deepEqual(await similar(client, 'characters', '一二三四五六七八九十'), [0, 1]);
    const none = (await byBits('characters', Buffer.alloc(4 * HASHES, 0xff))).filter(
      ({ score }) => score < 1,
    );
    assert.deepEqual(none, [{ id: '3', score: 0 }]);
  });

  test('each row has the analyzer that another field names, a search the one it names', async () => {
    const { client } = fixture;
    const multi_analyzer_params = {
      analyzers: { english: { type: 'english' }, default: { tokenizer: 'whitespace' } },
      by_field: 'language',
    };
    await create(client, 'languages', {
      text: { multi_analyzer_params },
      params: { shingle_size: 1 },
      more: [{ name: 'language', data_type: DataType.VarChar, max_length: 20 }],
    });
    await insert(client, 'languages', ['Databases are running'], 0, { language: 'english' });
    await insert(client, 'languages', ['Databases are running'], 1, { language: '' });
    const exact = async (data: string, analyzer_name: string) =>
      (await hits(client, 'languages', data, { params: { analyzer_name } }))
        .filter(({ score }) => score === 0)
        .map(({ id }) => Number(id));
    assert.deepEqual(await exact('database run', 'english'), [0]);
    assert.deepEqual(await exact('Databases are running', 'default'), [1]);
  });

  test('a snapshot keeps the function and its signatures bit by bit; the restored collection goes on with it', async () => {
    const { client } = fixture;
    const collection_name = 'kept';
    await create(client, collection_name, { params: { seed: 99 } });
    await insert(client, collection_name, documents);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'one' } as never));
    await restore(client, {
      snapshot_name: 'one',
      source_collection_name: collection_name,
      target_collection_name: 'again',
    } as never);
    const described = async (name: string) =>
      (await succeed(client.describeCollection({ collection_name: name }))).schema;
    assert.deepEqual((await described('again')).functions, (await described(collection_name)).functions);
    await load(client, 'again');
    for (const id of documents.keys())
      assert.deepEqual(
        await signatureOf(client, 'again', id),
        await signatureOf(client, collection_name, id),
      );
    await insert(client, 'again', [near], 20);
    assert.deepEqual(await similar(client, 'again', near), [20, 3, 4]);
  });

  test('a function added to a live collection signs the rows that were there, flushed and growing; it is dropped with its field', async () => {
    await withServer(async (own) => {
      const collection_name = 'late';
      await create(own.client, collection_name, { withFunction: false });
      await insert(own.client, collection_name, documents.slice(0, 4), 0, { vector: [0, 0] });
      await flush(own.client, collection_name);
      await insert(own.client, collection_name, [...documents.slice(4), null], 4, { vector: [0, 0] });
      await succeed(
        own.client.addFunctionField({
          collection_name,
          field: signature,
          function: minHash(),
          extra_params: {
            index_type: 'MINHASH_LSH',
            metric_type: 'MHJACCARD',
            params: JSON.stringify(index.params),
          },
        } as never),
      );
      await insert(own.client, collection_name, [near], 10, { vector: [0, 0] });
      await create(own.client, 'early');
      await insert(own.client, 'early', [...documents, null]);
      await insert(own.client, 'early', [near], 10);
      const same = async (when: string) => {
        for (const id of [0, 3, 4, 5, 6, 10])
          assert.deepEqual(
            await signatureOf(own.client, collection_name, id),
            await signatureOf(own.client, 'early', id),
            `${when}: ${id}`,
          );
        assert.deepEqual(await similar(own.client, collection_name, near), [10, 3, 4], when);
      };
      await same('at once');
      await own.restart('kill');
      await same('after kill -9');
      await flush(own.client, collection_name);
      await same('flushed');
      const { compactionID } = await succeed(own.client.compact({ collection_name }));
      for (let state = ''; state !== 'Completed'; )
        state = String(
          (await succeed(own.client.getCompactionState({ compactionID: Number(compactionID) }))).state,
        );
      await same('compacted');
      await succeed(own.client.dropFunctionField({ collection_name, function_name: 'sign' }));
      const { schema } = await succeed(own.client.describeCollection({ collection_name, cache: false }));
      assert.deepEqual(
        schema.fields.map(({ name }) => name),
        ['id', 'text', 'tag', 'vector'],
      );
    });
  });

  test('functions, indexes and metrics that cannot be are refused in words', async () => {
    const { client } = fixture;
    for (const [shape, words] of [
      [{ params: { num_hashes: 32 } }, '32 * num_hashes'],
      [{ params: { token_level: 'line' } }, 'token_level is one of'],
      [{ params: { shingle_size: 0 } }, 'shingle_size should be in range'],
      [{ text: { enable_analyzer: false } }, 'enable_analyzer set to true'],
    ] as const)
      await rejects(create(client, 'wrong', shape), words);
    const collection_name = 'indexed';
    await create(client, collection_name);
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(client.dropIndex({ collection_name, field_name: 'signature' }));
    for (const [wrong, words] of [
      [{ ...index, params: { mh_element_bit_width: 64 } }, 'should be 32'],
      [{ index_type: 'BIN_FLAT', metric_type: 'HAMMING' }, 'must be one of MHJACCARD'],
      [{ index_type: 'BIN_IVF_FLAT', params: { nlist: 16 } }, 'it needs another index'],
    ] as const)
      await refused(
        client.createIndex({ collection_name, field_name: 'signature', ...wrong } as never) as never,
        { code: 1100, words },
      );
    await succeed(
      client.createIndex({ collection_name, field_name: 'signature', index_type: 'AUTOINDEX' } as never),
    );
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
    assert.ok(
      index_descriptions[0]!.params.some(({ key, value }) => key === 'metric_type' && value === 'MHJACCARD'),
    );
  });

  test('the longest texts under the longest signatures hold up nobody; more than a request may make are refused', async () => {
    const { client, server } = fixture;
    const collection_name = 'hostile';
    const dim = 262_144;
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'text', data_type: DataType.VarChar, max_length: 65_535 },
          { name: 'signature', data_type: DataType.BinaryVector, dim },
        ] as never,
        functions: [minHash({ num_hashes: dim / 32, token_level: 'char', shingle_size: 256 })],
      }),
    );
    const texts = [
      'a'.repeat(65_535),
      Array.from({ length: 20_000 }, (_, i) => i)
        .join('')
        .slice(0, 65_535),
    ];
    await succeed(client.insert({ collection_name, data: texts.map((text, id) => ({ id, text })) }));
    const raw = new RawClient(server.address);
    const count = 8193;
    const answered = await raw.answer('Insert', {
      collection_name,
      num_rows: count,
      fields_data: [
        {
          field_name: 'id',
          type: 5,
          scalars: { long_data: { data: Array.from({ length: count }, (_, i) => i) } },
        },
        { field_name: 'text', type: 21, scalars: { string_data: { data: Array(count).fill('') } } },
      ],
    });
    const placeholder_group = encoded('common.PlaceholderGroup', {
      placeholders: [{ tag: '$0', type: 21, values: [Buffer.alloc(2 ** 20 + 1, 97)] }],
    });
    await succeed(client.createIndex({ collection_name, field_name: 'signature', ...index } as never));
    await load(client, collection_name);
    const searched = await raw.answer('Search', {
      collection_name,
      placeholder_group,
      search_params: [
        { key: 'anns_field', value: 'signature' },
        { key: 'topk', value: '1' },
      ],
    });
    raw.close();
    assert.match((answered['status'] as { reason: string }).reason, /signatures of 8193 texts/);
    assert.match((searched['status'] as { reason: string }).reason, /at most 1048576 bytes/);
    const found = await hits(client, collection_name, texts[1], { limit: 1 });
    assert.deepEqual(
      found.map(({ id, score }) => [id, score]),
      [['1', 0]],
    );
  });
});
