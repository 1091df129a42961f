import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { load, refused, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const fields = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
  { name: 'place', data_type: DataType.Geometry, nullable: true },
];
const flat = { field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' };

async function create(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields }));
  await succeed(client.createIndex({ collection_name, ...flat }));
  await load(client, collection_name);
}

const rowsOf = (places: readonly (string | null)[]): RowData[] =>
  places.map((place, id) => ({ id, vector: [id, 0], place }));

async function placesOf(client: MilvusClient, collection_name: string): Promise<unknown[]> {
  const { data } = await succeed(
    client.query({ collection_name, filter: 'id >= 0', output_fields: ['place'], limit: 100 }),
  );
  return data.map(({ place }) => place);
}

describe('geometries', () => {
  const fixture = sharedServer();

  test('well-known text of every kind goes in, in any spelling, and comes out in that of Milvus, with every digit', async () => {
    const { client } = fixture;
    await create(client, 'kinds');
    const table: [string | null, string | null][] = [
      ['POINT(1 2)', 'POINT (1 2)'],
      ['point ( 13.403683   52.520711 )', 'POINT (13.403683 52.520711)'],
      ['POINT (0.1 -1e-300)', 'POINT (0.1 -1e-300)'],
      ['POINT Z (1 2 3)', 'POINT Z (1 2 3)'],
      ['POINT ZM (1 2 3 4)', 'POINT ZM (1 2 3 4)'],
      ['LINESTRING(0 0,1 1,2 -0)', 'LINESTRING (0 0, 1 1, 2 -0)'],
      [
        'POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))',
        'POLYGON ((0 0, 9 0, 9 9, 0 0), (1 1, 2 1, 2 2, 1 1))',
      ],
      ['MULTIPOINT(1 2,3 4)', 'MULTIPOINT ((1 2), (3 4))'],
      ['MULTILINESTRING((0 0,1 1))', 'MULTILINESTRING ((0 0, 1 1))'],
      ['MULTIPOLYGON(((0 0,9 0,9 9,0 0)))', 'MULTIPOLYGON (((0 0, 9 0, 9 9, 0 0)))'],
      [
        'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))',
        'GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1))',
      ],
      ['POLYGON EMPTY', 'POLYGON EMPTY'],
      [null, null],
    ];
    const data = rowsOf(table.map(([sent]) => sent));
    await succeed(client.insert({ collection_name: 'kinds', data }));
    assert.deepEqual(
      await placesOf(client, 'kinds'),
      table.map(([, shown]) => shown),
    );
  });

  test('text that is no geometry is refused with the field, the row and the place in it, and nothing is written', async () => {
    const { client } = fixture;
    await create(client, 'wrong');
    const table = [
      ['CIRCLE(1 2)', "no geometry is called 'CIRCLE'"],
      ['POINT(1 2', "found the end instead of ')' at position 9, field place, row number: 1"],
      ['POLYGON((0 0,1 0,1 1,0 1))', 'a ring is not closed'],
      ['LINESTRING(0 0)', 'a line needs two points'],
      ['POINT(1 2) or so', 'instead of the end'],
      ['', 'invalid geometry'],
    ] as const;
    for (const [place, words] of table)
      await refused(client.insert({ collection_name: 'wrong', data: rowsOf(['POINT(0 0)', place]) }), {
        code: 1100,
        words,
      });
    assert.deepEqual(await placesOf(client, 'wrong'), []);
  });

  test('well-known binary of either byte order goes in, and a default is told as text', async () => {
    const { client, server } = fixture;
    const raw = new RawClient(server.address);
    const schema = encoded('schema.CollectionSchema', {
      name: 'binary',
      fields: [
        { name: 'id', data_type: 5, is_primary_key: true },
        { name: 'vector', data_type: 101, type_params: [{ key: 'dim', value: '1' }] },
        { name: 'place', data_type: 24, default_value: { string_data: 'POINT(7 -0)' } },
      ],
    });
    assert.equal((await raw.status('CreateCollection', { collection_name: 'binary', schema })).code, 0);
    await succeed(client.createIndex({ collection_name: 'binary', ...flat }));
    await load(client, 'binary');
    const insert = (ids: number[], geometry_data: string[], valid_data: boolean[] = []) =>
      raw.status('Insert', {
        collection_name: 'binary',
        num_rows: ids.length,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: ids } } },
          { field_name: 'vector', type: 101, vectors: { dim: 1, float_vector: { data: ids } } },
          {
            field_name: 'place',
            type: 24,
            valid_data,
            scalars: { geometry_data: { data: geometry_data.map((hex) => Buffer.from(hex, 'hex')) } },
          },
        ],
      });
    const little = '0101000000000000000000f03f0000000000000040';
    const big = '00000000013ff00000000000004000000000000000';
    assert.equal((await insert([1, 2, 3], [little, big], [true, true, false])).code, 0);
    const { code, reason } = await insert([4], [`${little}00`]);
    assert.deepEqual([code, /bytes are left over.*row number: 0/.test(reason)], [1100, true]);
    assert.deepEqual(await placesOf(client, 'binary'), ['POINT (1 2)', 'POINT (1 2)', 'POINT (7 -0)']);
    const described = await succeed(client.describeCollection({ collection_name: 'binary' }));
    assert.equal(described.schema.fields[2]?.default_value, 'POINT(7 -0)');
    const bad = encoded('schema.CollectionSchema', {
      fields: [{ name: 'place', data_type: 24, default_value: { string_data: 'POINT(7)' } }],
    });
    const refusal = await raw.status('CreateCollection', { collection_name: 'bad', schema: bad });
    assert.deepEqual([refusal.code, /invalid geometry/.test(refusal.reason)], [1100, true]);
    raw.close();
  });
});
