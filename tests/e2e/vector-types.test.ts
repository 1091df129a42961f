import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type FieldType, type MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';

const key: FieldType = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
const kinds = [
  { type: DataType.FloatVector, dim: 2, index: 'FLAT', metric: 'L2' },
  { type: DataType.BinaryVector, dim: 16, index: 'BIN_FLAT', metric: 'JACCARD' },
  { type: DataType.Float16Vector, dim: 2, index: 'FLAT', metric: 'IP' },
  { type: DataType.BFloat16Vector, dim: 2, index: 'FLAT', metric: 'COSINE' },
  { type: DataType.Int8Vector, dim: 2, index: 'FLAT', metric: 'L2' },
  { type: DataType.SparseFloatVector, dim: undefined, index: 'SPARSE_INVERTED_INDEX', metric: 'IP' },
];
const kindOf = (type: DataType) => kinds.find((kind) => kind.type === type)!;

async function create(client: MilvusClient, collection_name: string, type: DataType, more: object = {}) {
  const { dim, index, metric } = kindOf(type);
  const vector = { name: 'vector', data_type: type, ...(dim === undefined ? {} : { dim }), ...more };
  await succeed(client.createCollection({ collection_name, fields: [key, vector] }));
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: index, metric_type: metric }),
  );
  await load(client, collection_name);
}

const rows = (vectors: readonly unknown[]) => vectors.map((vector, id) => ({ id, vector })) as RowData[];

interface WireVectors {
  readonly valid_data: boolean[];
  readonly vectors: {
    readonly dim: string;
    readonly float_vector?: { data: number[] };
    readonly binary_vector?: Buffer;
    readonly float16_vector?: Buffer;
    readonly bfloat16_vector?: Buffer;
    readonly int8_vector?: Buffer;
    readonly sparse_float_vector?: { contents: Buffer[]; dim: string };
  };
}

/** The column as it comes over the wire: bits, not what a client makes of them. */
async function column(raw: RawClient, collection_name: string): Promise<WireVectors> {
  const answer = await raw.answer('Query', { collection_name, expr: 'id >= 0', output_fields: ['vector'] });
  const fields = answer['fields_data'] as (WireVectors & { field_name: string })[];
  return fields.find(({ field_name }) => field_name === 'vector')!;
}

describe('vectors of every type', () => {
  const fixture = sharedServer();

  test('sparse vectors in every notation of the client are the same vectors, and come back', async () => {
    const { client, server } = fixture;
    await create(client, 'sparse', DataType.SparseFloatVector);
    const notations = [
      { 1: 0.5, 3: -2, 4294967294: 1 },
      { indices: [1, 3, 4294967294], values: [0.5, -2, 1] },
      [
        { index: 1, value: 0.5 },
        { index: 3, value: -2 },
        { index: 4294967294, value: 1 },
      ],
      { indices: [4294967294, 3, 1], values: [1, -2, 0.5] },
    ];
    for (const [i, notation] of notations.entries())
      await succeed(
        client.insert({ collection_name: 'sparse', data: [{ id: i, vector: notation }] as never }),
      );
    await succeed(
      client.insert({
        collection_name: 'sparse',
        data: [{ id: 4, vector: [undefined, 0.5, undefined, -2] }] as never,
      }),
    );
    await succeed(client.insert({ collection_name: 'sparse', data: [{ id: 5, vector: {} }] as never }));
    const query = async () => {
      const { data } = await succeed(
        client.query({ collection_name: 'sparse', filter: 'id >= 0', output_fields: ['vector'] }),
      );
      return data.map(({ vector }) => vector);
    };
    const same = { 1: 0.5, 3: -2, 4294967294: 1 };
    const expected = [same, same, same, same, { 1: 0.5, 3: -2 }, {}];
    assert.deepEqual(await query(), expected);
    await flush(client, 'sparse');
    assert.deepEqual(await query(), expected);
    const raw = new RawClient(server.address);
    const { vectors } = await column(raw, 'sparse');
    const { contents, dim } = vectors.sparse_float_vector!;
    const pairs = '010000000000003f' + '03000000000000c0';
    assert.deepEqual(
      contents.map((each) => each.toString('hex')),
      [...Array(4).fill(`${pairs}feffffff0000803f`), pairs, ''],
    );
    assert.equal(dim, '4294967295');
    raw.close();
  });

  test('sparse vectors that are none are refused', async () => {
    const { client, server } = fixture;
    await create(client, 'sparse_wrong', DataType.SparseFloatVector);
    const raw = new RawClient(server.address);
    const words = (hex: string, reason: RegExp) => ({ hex, reason });
    const table = [
      words('0100000000', /no multiple of 8/),
      words('010000000000803f010000000000803f', /dimension 1 stands twice/),
      words('ffffffff0000803f', /out of range/),
      words('010000000000c07f', /not a number or infinity/),
      words('010000000000807f', /not a number or infinity/),
    ];
    for (const { hex, reason } of table) {
      const answer = await raw.status('Insert', {
        collection_name: 'sparse_wrong',
        num_rows: 1,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: [1] } } },
          {
            field_name: 'vector',
            type: 104,
            vectors: { sparse_float_vector: { contents: [Buffer.from(hex, 'hex')] } },
          },
        ],
      });
      assert.deepEqual([answer.code, reason.test(answer.reason)], [1100, true], answer.reason);
    }
    raw.close();
  });

  /** Float16: -0, the least, 1/3, the most. BFloat16: -0, a subnormal, pi, nearly the most. */
  const bits = [
    { type: DataType.Float16Vector, member: 'float16_vector', words: [0x8000, 0x0001, 0x3555, 0x7bff] },
    { type: DataType.BFloat16Vector, member: 'bfloat16_vector', words: [0x8000, 0x0001, 0x4049, 0x7f7f] },
  ] as const;
  for (const { type, member, words } of bits)
    test(`the bits of ${DataType[type]} come back as they went in; bits that are no number are refused`, async () => {
      const { client, server } = fixture;
      const name = `bits_${type}`;
      await create(client, name, type);
      const bytes = (...values: number[]) => new Uint8Array(Uint16Array.from(values).buffer);
      const sent = [bytes(words[0], words[1]), bytes(words[2], words[3])];
      await succeed(client.insert({ collection_name: name, data: rows(sent) }));
      const raw = new RawClient(server.address);
      const hex = Buffer.concat(sent).toString('hex');
      const check = async () => {
        assert.equal((await column(raw, name)).vectors[member]?.toString('hex'), hex);
        const { data } = await succeed(
          client.query({
            collection_name: name,
            filter: 'id >= 0',
            output_fields: ['vector'],
            transformers: { [type]: (own: Uint8Array) => Buffer.from(own).toString('hex') } as never,
          }),
        );
        assert.deepEqual(
          data.map(({ vector }) => vector),
          sent.map((own) => Buffer.from(own).toString('hex')),
        );
      };
      await check();
      await flush(client, name);
      await check();
      raw.close();
      const infinity = type === DataType.Float16Vector ? 0x7c00 : 0x7f80;
      for (const none of [infinity, infinity | 1, infinity | 0x8000])
        await refused(client.insert({ collection_name: name, data: rows([bytes(none, 0)]) }), {
          code: 1100,
          words: 'is not a number or infinity',
        });
    });

  test('numbers that are none are refused in every kind of floats', async () => {
    const { client, server } = fixture;
    await create(client, 'floats', DataType.FloatVector);
    const raw = new RawClient(server.address);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const { code, reason } = await raw.status('Insert', {
        collection_name: 'floats',
        num_rows: 1,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: [1] } } },
          { field_name: 'vector', type: 101, vectors: { dim: 2, float_vector: { data: [value, 1] } } },
        ],
      });
      assert.deepEqual([code, /is not a number or infinity/.test(reason)], [1100, true]);
    }
    raw.close();
  });

  for (const { type, dim } of kinds)
    test(`${DataType[type]}: nullable, a column of nothing but nulls, and nulls among values`, async () => {
      const { client } = fixture;
      const name = `nulls_${type}`;
      await create(client, name, type, { nullable: true });
      const value = dim === undefined ? { 5: 1 } : Array.from({ length: dim === 16 ? 2 : dim }, () => 1);
      const insert = (first: number, vectors: unknown[]) =>
        succeed(
          client.insert({
            collection_name: name,
            data: vectors.map((vector, i) => ({ id: first + i, vector })) as RowData[],
          }),
        );
      const check = async (expected: unknown[]) => {
        const { data } = await succeed(
          client.query({ collection_name: name, filter: 'id >= 0', output_fields: ['vector'] }),
        );
        assert.deepEqual(
          data.map(({ vector }) => vector),
          expected,
        );
      };
      await insert(0, [null, null]);
      await check([null, null]);
      await flush(client, name);
      await check([null, null]);
      await insert(2, [null, value, null, value]);
      const mixed = [null, null, null, value, null, value];
      await check(mixed);
      await flush(client, name);
      await check(mixed);
    });

  test('vectors of another type or dimension are refused', async () => {
    const { server } = fixture;
    const raw = new RawClient(server.address);
    const wrong: [DataType, object, RegExp][] = [
      [DataType.FloatVector, { dim: 3, float_vector: { data: [1, 2, 3] } }, /invalid dimension/],
      [DataType.BinaryVector, { dim: 8, binary_vector: Buffer.of(1) }, /invalid dimension/],
      [DataType.BinaryVector, { dim: 16, float_vector: { data: [1] } }, /found FloatVector data/],
      [DataType.Float16Vector, { dim: 2, float16_vector: Buffer.of(1, 2, 3) }, /end inside a number/],
      [DataType.BFloat16Vector, { dim: 2, float16_vector: Buffer.alloc(4) }, /found Float16Vector data/],
      [DataType.Int8Vector, { dim: 2, int8_vector: Buffer.of(1) }, /invalid dimension/],
    ];
    for (const [type, vectors, words] of wrong) {
      const { code, reason } = await raw.status('Insert', {
        collection_name: `nulls_${type}`,
        num_rows: 1,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: [9] } } },
          { field_name: 'vector', type, vectors },
        ],
      });
      assert.deepEqual([code, words.test(reason)], [1100, true], reason);
    }
    raw.close();
  });
});
