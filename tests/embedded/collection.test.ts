import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType, FunctionType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type Columns, Tidemark, TidemarkError } from '../../src/index.ts';
import { succeed } from '../e2e/fixture.ts';
import { inDirectory } from './world.ts';

const name = 'films';

/** A database with a collection of these fields, with an index on each vector field. */
const withCollection = (
  title: string,
  fields: readonly object[],
  run: (db: Tidemark, client: MilvusClient) => Promise<void>,
  more: object = {},
) =>
  test(title, () =>
    inDirectory(async (dir) => {
      await using db = await Tidemark.open({ dir });
      const client = await db.client();
      const id = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
      await succeed(
        client.createCollection({ collection_name: name, fields: [id, ...fields], ...more } as never),
      );
      await run(db, client);
    }),
  );

async function loaded(client: MilvusClient, field_name: string, metric_type: string): Promise<void> {
  await succeed(
    client.createIndex({ collection_name: name, field_name, index_type: 'AUTOINDEX', metric_type }),
  );
  await succeed(client.loadCollectionSync({ collection_name: name }));
}

const vectorField = { name: 'vector', data_type: DataType.FloatVector, dim: 4 };
const vectorsOf = (count: number) =>
  Float32Array.from({ length: count * 4 }, (_, i) => Math.fround(Math.sin(i)));
const idsOf = (count: number) => BigInt64Array.from({ length: count }, (_, i) => BigInt(i));
const refusal = (code: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TidemarkError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, words);
  return true;
};

withCollection(
  'rows go in as columns and are found by the client and by columns, the same hits in the same order',
  [vectorField, { name: 'title', data_type: DataType.VarChar, max_length: 50 }],
  async (db, client) => {
    await loaded(client, 'vector', 'L2');
    const films = db.collection(name);
    const vector = vectorsOf(300);
    const title = Array.from({ length: 300 }, (_, i) => `film ${i}`);
    const { ids } = await films.insert({ id: idsOf(300), vector, title });
    assert.deepEqual(ids, idsOf(300));
    const query = vector.slice(40, 44);
    const request = { limit: 5, filter: 'id != 3', offset: 1 };
    const found = await films.search({ ...request, data: query, outputFields: ['title', 'vector'] });
    const told = await succeed(
      client.search({
        ...request,
        collection_name: name,
        data: [...query],
        output_fields: ['title'],
      } as never),
    );
    const hits = told.results as unknown as { id: string; score: number; title: string }[];
    assert.deepEqual([...found.counts], [5]);
    assert.deepEqual(
      [...(found.ids as BigInt64Array)].map(String),
      hits.map(({ id }) => id),
    );
    assert.deepEqual(
      [...found.scores],
      hits.map(({ score }) => Math.fround(score)),
    );
    assert.deepEqual(
      found.columns['title'],
      hits.map((hit) => hit.title),
    );
    const vectors = found.columns['vector'] as Float32Array;
    for (const [i, id] of [...(found.ids as BigInt64Array)].entries())
      assert.deepEqual(vectors.slice(i * 4, i * 4 + 4), vector.slice(Number(id) * 4, Number(id) * 4 + 4));
  },
);

withCollection(
  'several queries answer one after another, and a range may leave one without hits',
  [vectorField],
  async (db, client) => {
    await loaded(client, 'vector', 'L2');
    const films = db.collection(name);
    await films.insert({ id: idsOf(3), vector: Float32Array.of(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0) });
    const data = [Float32Array.of(0, 0, 0, 0), Float32Array.of(9, 9, 9, 9), Float32Array.of(2, 0, 0, 0)];
    const { counts, ids, scores, columns } = await films.search({ data, limit: 2, params: { radius: 3.5 } });
    assert.deepEqual([...counts], [2, 0, 2]);
    assert.deepEqual([...(ids as BigInt64Array)], [0n, 1n, 2n, 1n]);
    assert.deepEqual([...scores], [0, 1, 0, 1]);
    assert.deepEqual(columns, {});
  },
);

withCollection('an upsert takes the place of rows with its keys', [vectorField], async (db, client) => {
  await loaded(client, 'vector', 'L2');
  const films = db.collection(name);
  await films.insert({ id: idsOf(2), vector: vectorsOf(2) });
  await films.upsert({ id: [1], vector: [Float32Array.of(7, 7, 7, 7)] });
  const { ids, scores } = await films.search({ data: Float32Array.of(7, 7, 7, 7), limit: 1 });
  assert.deepEqual([ids, [...scores]], [BigInt64Array.of(1n), [0]]);
  const { data } = await succeed(
    client.query({ collection_name: name, output_fields: ['count(*)'] } as never),
  );
  assert.equal(Number((data[0] as { 'count(*)': string })['count(*)']), 2);
});

const everyType: Record<string, [object, Columns[string], Columns[string]?]> = {
  bool: [{ data_type: DataType.Bool }, [true, null, false]],
  int8: [{ data_type: DataType.Int8 }, [-128, null, 127]],
  int16: [{ data_type: DataType.Int16 }, Int16Array.of(-32768, 0, 32767)],
  int32: [{ data_type: DataType.Int32 }, Int32Array.of(-2147483648, 0, 2147483647)],
  int64: [{ data_type: DataType.Int64 }, BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n)],
  float: [{ data_type: DataType.Float }, Float32Array.of(-0, 1.5, 3e38)],
  double: [{ data_type: DataType.Double }, [0.1, null, -1e300]],
  text: [{ data_type: DataType.VarChar, max_length: 100 }, ['', null, 'für “東京”']],
  json: [{ data_type: DataType.JSON }, [{ a: [1, { b: null }] }, null, 7]],
  half: [{ data_type: DataType.Float16Vector, dim: 2 }, Uint16Array.of(0, 1, 2, 3, 4, 0x7bff)],
  brain: [{ data_type: DataType.BFloat16Vector, dim: 2 }, Uint16Array.of(0, 1, 2, 3, 4, 0x7f7f)],
  bytes: [{ data_type: DataType.Int8Vector, dim: 2 }, Int8Array.of(-128, 127, 0, 1, 2, 3)],
  bits: [{ data_type: DataType.BinaryVector, dim: 16 }, Uint8Array.of(255, 0, 1, 2, 3, 4)],
};

withCollection(
  'every type of column comes back as it went in, nulls too',
  [
    vectorField,
    ...Object.entries(everyType).map(([field, [type, values]]) => ({
      name: field,
      ...type,
      nullable: Array.isArray(values),
    })),
  ],
  async (db, client) => {
    for (const field_name of ['half', 'brain', 'bytes'])
      await succeed(
        client.createIndex({ collection_name: name, field_name, index_type: 'AUTOINDEX', metric_type: 'L2' }),
      );
    await succeed(
      client.createIndex({
        collection_name: name,
        field_name: 'bits',
        index_type: 'BIN_FLAT',
        metric_type: 'HAMMING',
      }),
    );
    await loaded(client, 'vector', 'L2');
    const given = Object.fromEntries(Object.entries(everyType).map(([field, [, values]]) => [field, values]));
    const films = db.collection(name);
    const vector = Float32Array.of(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0);
    await films.insert({ id: idsOf(3), vector, ...given });
    const outputFields = Object.keys(everyType);
    const { columns } = await films.search({
      data: Float32Array.of(0, 0, 0, 0),
      field: 'vector',
      limit: 3,
      outputFields,
    });
    for (const [field, values] of Object.entries(given)) {
      const found = columns[field];
      assert.ok(found !== undefined, field);
      assert.deepEqual(
        ArrayBuffer.isView(found) ? Array.from(found as never) : found,
        Array.from(values as never),
        field,
      );
    }
  },
  { enable_dynamic_field: false },
);

withCollection(
  'binary and 8-bit vectors are searched by their own arrays',
  [
    { name: 'bits', data_type: DataType.BinaryVector, dim: 16 },
    { name: 'bytes', data_type: DataType.Int8Vector, dim: 2 },
  ],
  async (db, client) => {
    await succeed(
      client.createIndex({
        collection_name: name,
        field_name: 'bits',
        index_type: 'BIN_FLAT',
        metric_type: 'HAMMING',
      }),
    );
    await loaded(client, 'bytes', 'L2');
    const films = db.collection(name);
    await films.insert({
      id: idsOf(2),
      bits: Uint8Array.of(255, 0, 0, 255),
      bytes: Int8Array.of(-100, 0, 100, 0),
    });
    const byBits = await films.search({ data: Uint8Array.of(255, 0), field: 'bits', limit: 2 });
    assert.deepEqual(
      [[...(byBits.ids as BigInt64Array)], [...byBits.scores]],
      [
        [0n, 1n],
        [0, 16],
      ],
    );
    const byBytes = await films.search({ data: Int8Array.of(100, 0), field: 'bytes', limit: 1 });
    assert.deepEqual([...(byBytes.ids as BigInt64Array)], [1n]);
  },
);

withCollection(
  'a text is searched for where a function makes the vectors',
  [
    { name: 'text', data_type: DataType.VarChar, max_length: 200, enable_analyzer: true },
    { name: 'sparse', data_type: DataType.SparseFloatVector },
  ],
  async (db, client) => {
    await loaded(client, 'sparse', 'BM25');
    const films = db.collection(name);
    await films.insert({ id: idsOf(3), text: ['a red apple', 'a green pear', 'two red pears'] });
    const { ids } = await films.search({ data: 'green pear', limit: 1 });
    assert.deepEqual([...(ids as BigInt64Array)], [1n]);
  },
  {
    functions: [
      {
        name: 'bm25',
        type: FunctionType.BM25,
        input_field_names: ['text'],
        output_field_names: ['sparse'],
        params: {},
      },
    ],
  },
);

withCollection(
  'what columns cannot be is refused with the name of the column, and nothing is written',
  [vectorField, { name: 'point', data_type: DataType.Geometry, nullable: true }],
  async (db, client) => {
    await loaded(client, 'vector', 'L2');
    const films = db.collection(name);
    const vector = vectorsOf(2);
    const refused: [Columns, string, RegExp][] = [
      [
        { id: idsOf(2), vector, colour: ['red', 'blue'] },
        'parameter-invalid',
        /no field 'colour'.*id, vector, point/,
      ],
      [{ id: idsOf(3), vector }, 'parameter-invalid', /'vector' has 2 rows, the column before it 3/],
      [{ id: idsOf(2), vector: new Float32Array(7) }, 'parameter-invalid', /'vector' holds 7 numbers/],
      [{ id: idsOf(2), vector: [1, 2] }, 'parameter-invalid', /'vector'.*Float32Array/],
      [{ id: ['a', 'b'], vector }, 'parameter-invalid', /'id'.*BigInt64Array/],
      [{ id: [2 ** 60, 1], vector }, 'parameter-invalid', /'id'.*safe/],
      [
        { id: idsOf(2), vector, point: ['POINT (1 2)', null] },
        'unimplemented',
        /'point'.*Geometry.*db\.client/,
      ],
      [{ id: idsOf(2) }, 'parameter-invalid', /field vector has no corresponding data/],
      [{}, 'parameter-invalid', /num_rows/],
    ];
    for (const [columns, code, words] of refused)
      await assert.rejects(films.insert(columns), refusal(code, words));
    await assert.rejects(
      films.search({ data: [] as never, limit: 1 }),
      refusal('parameter-invalid', /data: takes/),
    );
    await assert.rejects(
      films.search({ data: new Float32Array(3), limit: 1 }),
      refusal('parameter-invalid', /dimension/),
    );
    await assert.rejects(
      db.collection('nobody').search({ data: new Float32Array(4), limit: 1 }),
      refusal('collection-not-found', /nobody/),
    );
    const { ids } = await films.search({ data: new Float32Array(4), limit: 1 });
    assert.equal(ids.length, 0);
  },
);

withCollection('other partitions and other databases are named', [vectorField], async (db, client) => {
  await succeed(client.createPartition({ collection_name: name, partition_name: 'old' }));
  await loaded(client, 'vector', 'L2');
  const films = db.collection(name);
  await films.insert({ id: idsOf(2), vector: vectorsOf(2) }, { partition: 'old' });
  const search = (partitions: readonly string[]) =>
    films.search({ data: new Float32Array(4), limit: 5, partitions });
  assert.equal((await search(['old'])).ids.length, 2);
  assert.equal((await search(['_default'])).ids.length, 0);
  await succeed(client.createDatabase({ db_name: 'other' }));
  await assert.rejects(
    db.collection(name, 'other').insert({ id: idsOf(1), vector: vectorsOf(1) }),
    refusal('collection-not-found', /films/),
  );
});

test('a large insert is prepared by another thread, and its arrays stay the caller’s', () =>
  inDirectory(async (dir) => {
    await using db = await Tidemark.open({ dir });
    const client = await db.client();
    const fields = [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: true },
      { name: 'vector', data_type: DataType.FloatVector, dim: 64 },
    ];
    await succeed(client.createCollection({ collection_name: name, fields }));
    const vector = Float32Array.from({ length: 64 * 20_000 }, (_, i) => i % 1000);
    const { ids } = await db.collection(name).insert({ vector });
    assert.equal(new Set(ids as BigInt64Array).size, 20_000);
    assert.equal(vector.length, 64 * 20_000);
    assert.equal(vector[999], 999);
  }));

test('an insert beyond the size of a request is refused, as from every client', () =>
  inDirectory(async (dir) => {
    await using db = await Tidemark.open({ dir, config: { 'proxy.grpc.serverMaxRecvSize': 2 ** 20 } });
    const client = await db.client();
    const id = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
    await succeed(client.createCollection({ collection_name: name, fields: [id, vectorField] } as never));
    const films = db.collection(name);
    await assert.rejects(
      films.insert({ id: idsOf(70_000), vector: vectorsOf(70_000) }),
      refusal('resource-exhausted', /larger than max/),
    );
    assert.equal((await films.insert({ id: idsOf(10), vector: vectorsOf(10) })).ids.length, 10);
  }));

test('a closed database refuses columns too', () =>
  inDirectory(async (dir) => {
    const db = await Tidemark.open({ dir });
    const films = db.collection(name);
    await db.close();
    await assert.rejects(
      films.search({ data: new Float32Array(4), limit: 1 }),
      refusal('service-unavailable', /stop/),
    );
  }));
