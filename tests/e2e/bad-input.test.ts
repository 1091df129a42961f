import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { DataType, type RowData } from '@zilliz/milvus2-sdk-node';
import { DIM, refused, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const collection_name = 'strict';
const vector = Array<number>(DIM).fill(0.5);
const good = { id: 1, small: 1, name: 'a', list: [1], meta: { a: 1 }, flag: true, ratio: 0.5, vector };

/** Members of `schema.FieldData`. */
const longs = (name: string, data: number[]) => ({
  field_name: name,
  type: 5,
  scalars: { long_data: { data } },
});
const strings = (name: string, data: string[]) => ({
  field_name: name,
  type: 21,
  scalars: { string_data: { data } },
});
const floats = (name: string, dim: number, data: number[]) => ({
  field_name: name,
  type: 101,
  vectors: { dim, float_vector: { data } },
});

describe('bad input gets a typed error and changes nothing', () => {
  const fixture = sharedServer();
  let raw: RawClient;

  before(async () => {
    const { client } = fixture;
    raw = new RawClient(fixture.server.address);
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'small', data_type: DataType.Int8 },
          { name: 'name', data_type: DataType.VarChar, max_length: 10 },
          { name: 'list', data_type: DataType.Array, element_type: DataType.Int16, max_capacity: 3 },
          { name: 'meta', data_type: DataType.JSON },
          { name: 'flag', data_type: DataType.Bool },
          { name: 'ratio', data_type: DataType.Double },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
        index_params: [{ field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }],
      }),
    );
    await succeed(client.insert({ collection_name, data: [good] }));
    await succeed(client.createCollection({ collection_name: 'two', dimension: 2 }));
  });

  /** The collection is as it was before the test. */
  async function unchanged(): Promise<void> {
    const { client } = fixture;
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id >= 0 or id < 0', output_fields: ['*'], limit: 10 }),
    );
    assert.deepEqual(
      data.map((row) => ({ ...row, id: Number(row['id']), vector: [...(row['vector'] as number[])] })),
      [good],
    );
  }

  test('rows: wrong dimension, type, range, length, capacity, null, NaN and infinity', async () => {
    const { client } = fixture;
    const table: readonly (readonly [object, string])[] = [
      [{ vector: [1, 2, 3] }, 'invalid dimension'],
      [{ vector: [...vector, 1] }, 'invalid dimension'],
      [{ vector: [Number.NaN, ...vector.slice(1)] }, 'not a number or infinity'],
      [{ vector: [Number.POSITIVE_INFINITY, ...vector.slice(1)] }, 'not a number or infinity'],
      [{ ratio: Number.NaN }, 'not a number or infinity'],
      [{ small: 128 }, 'out of range'],
      [{ small: -129 }, 'out of range'],
      [{ name: 'longer than ten' }, 'exceeds max length'],
      [{ name: '漢漢漢漢' }, 'exceeds max length'],
      [{ list: [1, 2, 3, 4] }, 'exceeds max capacity'],
      [{ list: [40_000] }, 'out of range'],
      [{ meta: { long: 'x'.repeat(70_000) } }, 'exceeds max length'],
    ];
    for (const [change, words] of table)
      for (const data of [
        [{ ...good, id: 2, ...change }],
        [
          { ...good, id: 2 },
          { ...good, id: 3, ...change },
        ],
      ] as RowData[][])
        for (const call of ['insert', 'upsert'] as const)
          await refused(client[call]({ collection_name, data }), {
            code: 1100,
            words,
            legacy: 'IllegalArgument',
          });
    await unchanged();
  });

  test('columns that the official client would not send: missing, doubled, unknown, of another type or length', async () => {
    const of = { collection_name: 'two', num_rows: 1 };
    const pair = floats('vector', 2, [1, 2]);
    const table: readonly (readonly [object, string])[] = [
      [{ num_rows: 0, fields_data: [longs('id', [1]), pair] }, 'num_rows'],
      [{ fields_data: [] }, 'no corresponding data'],
      [{ fields_data: [longs('id', [1])] }, 'no corresponding data'],
      [{ fields_data: [longs('id', [1]), longs('id', [1]), pair] }, 'duplicated field'],
      [{ fields_data: [longs('id', [1, 2]), pair] }, 'not equal to passed num_rows'],
      [{ num_rows: 2, fields_data: [longs('id', [1, 2]), pair] }, 'not equal to passed num_rows'],
      [{ fields_data: [strings('id', ['1']), pair] }, 'does not match its type'],
      [{ fields_data: [longs('id', [1]), longs('vector', [1])] }, 'does not match its type'],
      [{ fields_data: [longs('id', [1]), floats('vector', 3, [1, 2, 3])] }, 'invalid dimension'],
      [{ fields_data: [longs('id', [1]), floats('vector', 2, [1, 2, 3])] }, 'invalid dimension'],
      [{ fields_data: [longs('id', [1]), { ...pair, valid_data: [false] }] }, 'not nullable'],
      [{ fields_data: [longs('id', [1]), { ...pair, valid_data: [true, true] }] }, 'valid_data'],
      [{ num_rows: 4_000_000_000, fields_data: [longs('id', [1]), pair] }, ''],
      [
        { fields_data: [{ field_name: 'id', type: 5, scalars: { bytes_data: { data: [] } } }, pair] },
        'does not match',
      ],
    ];
    for (const [change, words] of table) {
      const { code, reason } = await raw.status('Insert', { ...of, ...change });
      assert.ok([1100, 1102].includes(code), `${code}: ${reason}`);
      assert.ok(reason.includes(words), `'${reason}' does not say '${words}'`);
    }
    await refused(
      raw.status('Insert', { ...of, collection_name, fields_data: [longs('id', [2]), longs('nope', [1])] }),
      { code: 1100, words: 'nope' },
    );
    assert.equal((await succeed(fixture.client.count({ collection_name: 'two' }))).data, 0);
    await unchanged();
  });

  test('filters: malformed, unknown fields and wrong types are refused with place and reason', async () => {
    const { client } = fixture;
    const table: readonly (readonly [string, RegExp])[] = [
      ['id >', /filter at .*4/],
      ['id == = 3', /filter at .*/],
      ['(id > 3', /filter at .*/],
      ['id > 3)', /filter at .*/],
      ['nope > 3', /nope/],
      ['id > "three"', /filter at/],
      ['name > 3', /filter at/],
      ['flag > 3', /filter at/],
      ['id in [1, "a"]', /filter at/],
      ['frobnicate(id)', /unknown function 'frobnicate'/],
      ['name like 5', /filter at/],
      ['id == 99999999999999999999999', /filter at/],
      ['id', /filter at/],
      ['\u0000', /filter at/],
      ['name == "open', /filter at/],
      [`${'('.repeat(5000)}id > 1${')'.repeat(5000)}`, /filter/],
      [Array(5000).fill('id == 1').join(' or ').repeat(20), /filter/],
    ];
    for (const [filter, words] of table) {
      for (const answer of [
        await client.query({ collection_name, filter, limit: 5 }),
        await client.search({ collection_name, data: vector, filter, limit: 5 }),
        await client.delete({ collection_name, filter }),
      ]) {
        assert.equal(
          answer.status.code,
          1100,
          `${filter.slice(0, 50)}: ${answer.status.reason.slice(0, 200)}`,
        );
        assert.match(answer.status.reason, words);
        assert.ok(answer.status.reason.length < 600, 'the reason repeats the whole filter');
      }
    }
    await unchanged();
  });

  test('names: empty, too long, with control characters, separators, quotes, or of another script', async () => {
    const names = [
      'a/b',
      '../up',
      'a\\b',
      'nul\u0000',
      'new\nline',
      '1st',
      'a b',
      'a"b',
      'häß',
      '漢',
      'x'.repeat(256),
      '.',
      ' ',
      '$meta',
    ];
    for (const name of names) {
      await refused(raw.status('CreateCollection', { collection_name: name }), {
        code: 1100,
        words: 'collection name',
      });
      await refused(raw.status('CreatePartition', { collection_name, partition_name: name }), {
        code: 1100,
        words: 'partition name',
      });
      await refused(raw.status('CreateDatabase', { db_name: name }), { code: 1100, words: 'database name' });
      await refused(raw.status('RenameCollection', { oldName: collection_name, newName: name }), {
        code: 1100,
        words: 'collection name',
      });
      await refused(raw.status('CreateSnapshot', { name, collection_name }), {
        code: 1100,
        words: 'snapshot name',
      });
      await refused(raw.status('CreateIndex', { collection_name, field_name: 'vector', index_name: name }), {
        code: 1100,
        words: 'index name',
      });
      await refused(raw.status('DescribeCollection', { collection_name: name }), {
        code: 1100,
        words: 'collection name',
      });
    }
    const { data } = await succeed(fixture.client.showCollections());
    assert.deepEqual(data.map(({ name }) => name).sort(), ['strict', 'two']);
    await unchanged();
  });

  test('schemas: what cannot be a collection is refused by name and leaves none', async () => {
    const id = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
    const v = { name: 'v', data_type: DataType.FloatVector, type_params: [{ key: 'dim', value: '2' }] };
    const dim = (value: string) => ({ ...v, type_params: [{ key: 'dim', value }] });
    const text = { name: 't', data_type: DataType.VarChar };
    const capacity = {
      type_params: [
        { key: 'dim', value: '2' },
        { key: 'max_capacity', value: '4' },
      ],
    };
    const table: readonly (readonly [object[], number, string])[] = [
      [[], 1100, 'primary key'],
      [[v], 1100, 'primary key'],
      [[id], 1100, 'vector field'],
      [[id, { ...id, name: 'id2' }, v], 1100, 'more than one primary key'],
      [[id, v, v], 1100, 'duplicated field name'],
      [[{ ...id, data_type: DataType.Float }, v], 1100, 'primary key should be Int64 or VarChar'],
      [[{ ...id, nullable: true }, v], 1100, 'not support null'],
      [[id, dim('0')], 1100, 'invalid dimension'],
      [[id, dim('32769')], 1100, 'invalid dimension'],
      [[id, dim('two')], 1100, 'invalid dimension'],
      [[id, { ...v, type_params: [] }], 1100, 'invalid dimension'],
      [[id, v, text], 1100, 'max_length'],
      [[id, v, { ...text, type_params: [{ key: 'max_length', value: '65536' }] }], 1100, 'maximum length'],
      [[id, v, { name: 'a/b', data_type: DataType.Int8 }], 1100, 'field name'],
      [[id, v, { name: '$meta', data_type: DataType.JSON }], 1100, 'reserved'],
      [[id, v, { name: 'n', data_type: 0 }], 1100, 'data type None'],
      [[id, v, { name: 'm', data_type: 27 }], 10, 'data type Mol'],
      [[id, v, { name: 's', data_type: DataType.Struct }], 10, 'data type Struct'],
      [[id, v, { name: 'l', data_type: 106, element_type: 101 }], 1100, 'max_capacity'],
      [
        [id, v, { ...dim('2'), name: 'l', data_type: 106, element_type: 101, ...capacity }],
        1100,
        'of struct arrays',
      ],
      [[id, v, { name: 'a', data_type: 22, element_type: 24, ...capacity }], 1100, 'element type Geometry'],
      [
        [id, v, { name: 'a', data_type: 22, element_type: 26, ...capacity }],
        1100,
        'element type Timestamptz',
      ],
      [[id, v, { name: 'k', data_type: DataType.Int8, is_partition_key: true }], 1100, 'partition key'],
      [[id, v, { name: 'k', data_type: DataType.Bool, is_clustering_key: true }], 1100, 'clustering key'],
    ];
    for (const [fields, code, words] of table) {
      const schema = encoded('schema.CollectionSchema', { name: 'never', fields });
      await refused(raw.status('CreateCollection', { collection_name: 'never', schema }), { code, words });
    }
    const schema = encoded('schema.CollectionSchema', { name: 'never', fields: [id, v] });
    const never = { collection_name: 'never', schema };
    await refused(raw.status('CreateCollection', { ...never, shards_num: 17 }), {
      code: 1100,
      words: 'shards',
    });
    await refused(raw.status('CreateCollection', { ...never, schema: Buffer.from('ffff', 'hex') }), {
      code: 1100,
      words: 'not a valid',
    });
    assert.equal((await succeed(fixture.client.hasCollection({ collection_name: 'never' }))).value, false);
  });

  test('pages: limits and offsets out of bounds', async () => {
    const { client } = fixture;
    const page = (limit: number, offset = 0) =>
      client.query({ collection_name, filter: 'id >= 0', limit, offset });
    await refused(page(0), { code: 1100, words: 'limit' });
    await refused(page(-1), { code: 1100, words: 'limit' });
    await refused(page(16_385), { code: 1100, words: 'limit' });
    await refused(page(10, -1), { code: 1100, words: 'offset' });
    await refused(page(10, 16_380), { code: 1100, words: 'offset' });
    await refused(client.query({ collection_name, filter: '' }), { code: 1100, words: 'empty expression' });
    await refused(client.delete({ collection_name, filter: ' ' }), { code: 1100, words: 'empty' });
  });

  test('20000 rows of 128 floats are one request, 65 MiB are still read; beyond the limit is refused and the server lives on', async () => {
    const { client } = fixture;
    const [wide, rows] = ['wide', 20_000];
    await succeed(client.createCollection({ collection_name: wide, dimension: 128 }));
    const columns = [
      longs('id', [...Array(rows).keys()]),
      floats('vector', 128, Array<number>(rows * 128).fill(0.25)),
    ];
    const insert = await raw.status('Insert', {
      collection_name: wide,
      num_rows: rows,
      fields_data: columns,
    });
    assert.equal(insert.code, 0, insert.reason);
    assert.ok((await raw.bytes('Insert', Buffer.alloc(65 * 1024 * 1024))).length > 0, 'no typed answer');
    await assert.rejects(raw.bytes('Insert', Buffer.alloc(257 * 1024 * 1024)), { code: 8 });
    assert.equal((await succeed(client.count({ collection_name: wide }))).data, rows);
    raw.close();
  });
});
