import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type FieldType, type MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const key: FieldType = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
const vector: FieldType = { name: 'vector', data_type: DataType.FloatVector, dim: 2 };
const struct = (name: string, fields: FieldType[], more: object = {}): FieldType => ({
  name,
  data_type: DataType.Array,
  element_type: DataType.Struct,
  max_capacity: 3,
  fields,
  ...more,
});

async function create(client: MilvusClient, collection_name: string, fields: FieldType[]): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields: [key, vector, ...fields] }));
  const index = (field_name: string, metric_type: string, index_type = 'FLAT') =>
    succeed(client.createIndex({ collection_name, field_name, index_type, metric_type }));
  await index('vector', 'L2');
  for (const { name, fields: own = [] } of fields)
    for (const field of own) {
      const path = `${name}[${field.name}]`;
      if (field.name === 'bits') await index(path, 'MAX_SIM_HAMMING', 'BIN_FLAT');
      else if (Number(field.data_type) >= 100) await index(path, 'MAX_SIM_COSINE');
    }
  await load(client, collection_name);
}

async function rowsOf(client: MilvusClient, collection_name: string, output_fields: string[]) {
  const { data } = await succeed(client.query({ collection_name, filter: 'id >= 0', output_fields }));
  return data;
}

const text: FieldType = { name: 'text', data_type: DataType.VarChar, max_length: 20 };
const n: FieldType = { name: 'n', data_type: DataType.Int64 };
const every: FieldType[] = [
  text,
  n,
  { name: 'bool', data_type: DataType.Bool },
  { name: 'int8', data_type: DataType.Int8 },
  { name: 'int16', data_type: DataType.Int16 },
  { name: 'int32', data_type: DataType.Int32 },
  { name: 'float', data_type: DataType.Float },
  { name: 'double', data_type: DataType.Double },
  { name: 'floats', data_type: DataType.FloatVector, dim: 2 },
  { name: 'bits', data_type: DataType.BinaryVector, dim: 16 },
  { name: 'halves', data_type: DataType.Float16Vector, dim: 2 },
  { name: 'brains', data_type: DataType.BFloat16Vector, dim: 2 },
  { name: 'bytes', data_type: DataType.Int8Vector, dim: 2 },
];
const item = (i: number) => ({
  text: i === 0 ? '' : `ü ${i}`,
  n: String(2n ** 63n - 1n - BigInt(i)),
  bool: i % 2 === 0,
  int8: -128 + i,
  int16: -32_768 + i,
  int32: 2 ** 31 - 1 - i,
  float: i === 0 ? -0 : 0.5 * i,
  double: i === 0 ? -0 : i / 3,
  floats: [i, -0.5],
  bits: [255 - i, i],
  halves: [0.5, i],
  brains: [-0.5, i],
  bytes: [-128, i],
});

describe('struct arrays', () => {
  const fixture = sharedServer();

  test('every type a struct may hold, empty and null rows beside full ones: growing, flushed, after kill -9, restored', async () => {
    await create(fixture.client, 'every', [struct('clips', every, { nullable: true })]);
    const clips = [[item(0)], [], null, [item(1), item(2), item(3)], undefined];
    const data = clips.map((each, id) => ({
      id,
      vector: [id, 0],
      ...(each === undefined ? {} : { clips: each }),
    }));
    await succeed(fixture.client.insert({ collection_name: 'every', data: data as unknown as RowData[] }));
    const expected = clips.map((each, id) => ({ id: String(id), clips: each ?? null }));
    const check = async (name: string) =>
      assert.deepEqual(await rowsOf(fixture.client, name, ['clips']), expected);
    await check('every');
    await flush(fixture.client, 'every');
    await check('every');
    await fixture.restart('kill');
    await check('every');
    const { client } = fixture;
    await succeed(client.createSnapshot({ collection_name: 'every', snapshot_name: 's' }));
    const target_collection_name = 'every_again';
    await restore(client, { snapshot_name: 's', source_collection_name: 'every', target_collection_name });
    await load(client, target_collection_name);
    await check(target_collection_name);
    const described = async (name: string) =>
      (await succeed(client.describeCollection({ collection_name: name }))).schema.struct_array_fields;
    const [was] = await described('every');
    assert.deepEqual(
      was?.fields?.map((field) => [field.name, field.dataType, field.nullable]),
      every.map((field) => [field.name, field.data_type, true]),
    );
    assert.deepEqual(await described(target_collection_name), [was]);
  });

  test('all rows null, all rows empty, and the struct left out', async () => {
    const { client } = fixture;
    await create(client, 'none', [struct('clips', every, { nullable: true })]);
    const insert = (rows: object[]) =>
      succeed(client.insert({ collection_name: 'none', data: rows as RowData[] }));
    const row = (id: number, more: object = {}) => ({ id, vector: [0, 0], ...more });
    await insert([row(0, { clips: null }), row(1, { clips: null })]);
    await insert([row(2, { clips: [] }), row(3, { clips: [] })]);
    await insert([row(4), row(5)]);
    assert.deepEqual(
      (await rowsOf(client, 'none', ['clips'])).map(({ clips }) => clips),
      [null, null, [], [], null, null],
    );
  });

  test('a whole struct by its name, one of its fields by struct[field], also in the output of a search', async () => {
    const { client } = fixture;
    await create(client, 'two', [struct('a', [text, n]), struct('b', [text])]);
    const a = [
      { text: 'x', n: '1' },
      { text: 'y', n: '2' },
    ];
    const b = [{ text: 'z' }];
    await succeed(
      client.insert({ collection_name: 'two', data: [{ id: 1, vector: [0, 0], a, b }] as never }),
    );
    const table: [string[], object][] = [
      [['a'], { a }],
      [['a[text]'], { a: [{ text: 'x' }, { text: 'y' }] }],
      [['a[n]', 'b[text]'], { a: [{ n: '1' }, { n: '2' }], b }],
      [['b', 'a'], { a, b }],
      [['*'], { vector: [0, 0], a, b }],
    ];
    for (const [output_fields, shown] of table) {
      assert.deepEqual(await rowsOf(client, 'two', output_fields), [{ id: '1', ...shown }]);
      const { results } = await succeed(
        client.search({ collection_name: 'two', data: [0, 0], limit: 1, output_fields }),
      );
      assert.deepEqual(results, [{ score: 0, id: '1', ...shown }]);
    }
    await refused(
      client.query({ collection_name: 'two', filter: 'id >= 0', output_fields: ['a[none]'] }) as never,
      { code: 1100, words: 'field a[none] not exist' },
    );
  });

  test('more structs than max_capacity, a text too long and a row without the struct are refused', async () => {
    const { client } = fixture;
    await create(client, 'strict', [struct('clips', [text, n])]);
    const insert = (clips: unknown) =>
      client.insert({ collection_name: 'strict', data: [{ id: 1, vector: [0, 0], clips }] as never });
    const one = { text: 'x', n: 1 };
    await refused(insert([one, one, one, one]), { code: 1100, words: 'exceeds max capacity (3)' });
    await refused(insert([{ text: 'x'.repeat(21), n: 1 }]), { code: 1100, words: 'exceeds max length' });
    const words = 'field clips[text] has no corresponding data';
    const raw = new RawClient(fixture.server.address);
    const bare = await raw.status('Insert', {
      collection_name: 'strict',
      num_rows: 1,
      fields_data: [
        { field_name: 'id', type: 5, scalars: { long_data: { data: [1] } } },
        { field_name: 'vector', type: 101, vectors: { dim: 2, float_vector: { data: [0, 0] } } },
      ],
    });
    assert.deepEqual([bare.code, bare.reason.includes(words)], [1100, true], bare.reason);
    raw.close();
    assert.deepEqual(await rowsOf(client, 'strict', ['clips']), []);
  });

  test('columns whose lengths or nulls do not match, row by row, are refused', async () => {
    const { client, server } = fixture;
    await create(client, 'ragged', [struct('clips', [text, n], { nullable: true })]);
    const raw = new RawClient(server.address);
    const texts = (...rows: string[][]) => ({
      field_name: 'text',
      type: 22,
      scalars: { array_data: { data: rows.map((data) => ({ string_data: { data } })), element_type: 21 } },
    });
    const longs = (...rows: number[][]) => ({
      field_name: 'n',
      type: 22,
      scalars: { array_data: { data: rows.map((data) => ({ long_data: { data } })), element_type: 5 } },
    });
    const write = (fields: object[], valid_data: boolean[] = []) =>
      raw.status('Insert', {
        collection_name: 'ragged',
        num_rows: 2,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: [1, 2] } } },
          { field_name: 'vector', type: 101, vectors: { dim: 2, float_vector: { data: [0, 0, 0, 0] } } },
          { field_name: 'clips', type: 200, valid_data, struct_arrays: { fields } },
        ],
      });
    const table: [object[], boolean[], RegExp][] = [
      [[texts(['a'], ['b']), longs([1], [2, 3])], [], /inconsistent array length.*clips.*row 1/],
      [[texts(['a']), { ...longs([1], [2]), valid_data: [true, true] }], [true, false], /null in one of its/],
      [[texts(['a'], ['b']), longs([1])], [], /num_rows/],
      [[texts(['a'], []), longs([1], [])], [true, false, true], /length of valid_data/],
      [[texts(['a'], ['b']), texts(['a'], ['b'])], [], /duplicated field clips\[text\]/],
      [[texts(['a'], ['b']), { ...longs([1], [2]), field_name: 'm' }], [], /clips\[m\] is not in the schema/],
      [[{ ...texts(), scalars: undefined, struct_arrays: { fields: [] } }], [], /malformed: struct arrays/],
    ];
    for (const [fields, valid, words] of table) {
      const { code, reason } = await write(fields, valid);
      assert.deepEqual([code, words.test(reason)], [1100, true], reason);
    }
    // Null rows may stand in the columns, or be left out.
    assert.equal((await write([texts(['a'], []), longs([1], [])], [true, false])).code, 0);
    assert.equal((await write([texts(['a']), longs([1])], [true, false])).code, 0);
    raw.close();
    assert.deepEqual(
      (await rowsOf(client, 'ragged', ['clips'])).map(({ clips }) => clips),
      [[{ text: 'a', n: '1' }], null],
    );
  });

  test('a struct that is none is refused with the reason', async () => {
    const raw = new RawClient(fixture.server.address);
    const param = (key: string, value: string) => ({ key, value });
    const n4 = [param('max_capacity', '4')];
    const list = (name: string, more: object = {}) => ({
      name,
      data_type: 22,
      element_type: 5,
      type_params: n4,
      ...more,
    });
    const table: [object, RegExp][] = [
      [{ name: 'a', fields: [] }, /has no fields/],
      [{ name: 'a-b', fields: [list('n')] }, /Invalid field name/],
      [{ name: 'id', fields: [list('n')] }, /duplicated field name: id/],
      [{ name: 'a', fields: [list('n'), list('n')] }, /duplicated field name: a\[n\]/],
      [{ name: 'a', fields: [list('n', { type_params: [] })] }, /max_capacity/],
      [{ name: 'a', fields: [list('n', { type_params: [param('max_capacity', '4097')] })] }, /capacity/],
      [
        { name: 'a', fields: [list('n'), list('m', { type_params: [param('max_capacity', '5')] })] },
        /differ/,
      ],
      [{ name: 'a', fields: [{ name: 'n', data_type: 5 }] }, /arrays or vector arrays, but a\[n\]/],
      [{ name: 'a', fields: [list('n', { element_type: 23 })] }, /element type JSON/],
      [{ name: 'a', fields: [list('n', { is_primary_key: true })] }, /cannot be a key/],
      [{ name: 'a', fields: [list('n', { nullable: true })] }, /null with its struct only/],
      [{ name: 'a', fields: [list('n', { default_value: { long_data: 1 } })] }, /default value/],
      [{ name: 'a', fields: [list('v', { data_type: 106, element_type: 101 })] }, /invalid dimension/],
      [{ name: 'a', fields: [list('v', { data_type: 106, element_type: 104 })] }, /SparseFloatVector/],
    ];
    for (const [each, words] of table) {
      const schema = encoded('schema.CollectionSchema', {
        fields: [
          { name: 'id', data_type: 5, is_primary_key: true },
          { name: 'vector', data_type: 101, type_params: [param('dim', '2')] },
        ],
        struct_array_fields: [each],
      });
      const { code, reason } = await raw.status('CreateCollection', { collection_name: 'bad', schema });
      assert.deepEqual([code, words.test(reason)], [1100, true], reason);
    }
    raw.close();
  });
});
