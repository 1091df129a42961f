import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../connections.ts';
import { load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

const key = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
const vector = { name: 'vector', data_type: DataType.FloatVector, dim: 1 };
const moment = { name: 'moment', data_type: DataType.Timestamptz, nullable: true };
const flat = { field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' };

async function create(client: MilvusClient, collection_name: string, more: object = {}): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields: [key, vector, moment], ...more }));
  await succeed(client.createIndex({ collection_name, ...flat }));
  await load(client, collection_name);
}

const insert = (client: MilvusClient, collection_name: string, moments: readonly unknown[]) =>
  client.insert({
    collection_name,
    data: moments.map((at, id) => ({ id, vector: [id], moment: at })) as RowData[],
  });

async function momentsOf(client: MilvusClient, collection_name: string, params = {}): Promise<unknown[]> {
  const { data } = await succeed(
    client.query({ collection_name, filter: 'id >= 0', output_fields: ['moment'], params }),
  );
  return data.map((row) => row['moment']);
}

describe('moments with time zones', () => {
  const fixture = sharedServer();
  const written = [
    '2024-12-31T22:00:00',
    '2024-12-31 22:00:00',
    '2024-12-31T22:00:00Z',
    '2024-12-31T22:00:00.123456+08:00',
    '2024-12-31 22:00:00+08',
    null,
  ];

  test('text without an offset is told in the zone of the collection; a read shows moments there, or in the zone it asks for', async () => {
    const { client } = fixture;
    await create(client, 'shanghai', { properties: { timezone: 'Asia/Shanghai' } });
    await succeed(insert(client, 'shanghai', written));
    const there = [
      '2024-12-31T22:00:00+08:00',
      '2024-12-31T22:00:00+08:00',
      '2025-01-01T06:00:00+08:00',
      '2024-12-31T22:00:00.123456+08:00',
      '2024-12-31T22:00:00+08:00',
      null,
    ];
    assert.deepEqual(await momentsOf(client, 'shanghai'), there);
    assert.deepEqual(await momentsOf(client, 'shanghai', { timezone: 'America/New_York' }), [
      '2024-12-31T09:00:00-05:00',
      '2024-12-31T09:00:00-05:00',
      '2024-12-31T17:00:00-05:00',
      '2024-12-31T09:00:00.123456-05:00',
      '2024-12-31T09:00:00-05:00',
      null,
    ]);
    const { results } = await succeed(
      client.search({
        collection_name: 'shanghai',
        data: [0],
        limit: 1,
        output_fields: ['moment'],
        params: { timezone: 'UTC' },
      }),
    );
    assert.equal(results[0]?.['moment'], '2024-12-31T14:00:00Z');
  });

  test('else in the zone of the database, else in UTC', async () => {
    const { client, server } = fixture;
    await succeed(
      client.createDatabase({ db_name: 'berlin', properties: { timezone: 'Europe/Berlin' } as never }),
    );
    const there = new MilvusClient({
      address: server.address,
      database: 'berlin',
      channelOptions: ownConnections,
    });
    await create(there, 'of_database');
    await create(there, 'of_collection', { properties: { timezone: 'UTC' } });
    await create(client, 'utc');
    const shown = async (at: MilvusClient, name: string) => {
      await succeed(insert(at, name, ['2024-07-01T12:00:00']));
      return [...(await momentsOf(at, name)), ...(await momentsOf(at, name, { timezone: 'UTC' }))];
    };
    assert.deepEqual(await shown(there, 'of_database'), [
      '2024-07-01T12:00:00+02:00',
      '2024-07-01T10:00:00Z',
    ]);
    assert.deepEqual(await shown(there, 'of_collection'), ['2024-07-01T12:00:00Z', '2024-07-01T12:00:00Z']);
    assert.deepEqual(await shown(client, 'utc'), ['2024-07-01T12:00:00Z', '2024-07-01T12:00:00Z']);
    await there.closeConnection();
  });

  test('time_fields takes a moment apart, in the zone of the answer', async () => {
    const { client } = fixture;
    const params = { time_fields: 'year, month day,hour minute,second,microsecond' };
    const [, , zulu, fraction, , none] = await momentsOf(client, 'shanghai', params);
    assert.deepEqual(zulu, ['2025', '1', '1', '6', '0', '0', '0']);
    assert.deepEqual(fraction, ['2024', '12', '31', '22', '0', '0', '123456']);
    assert.equal(none, null);
    const utc = { time_fields: 'hour', timezone: 'UTC' };
    assert.deepEqual((await momentsOf(client, 'shanghai', utc)).slice(0, 3), [['14'], ['14'], ['22']]);
    await refused(
      client.query({
        collection_name: 'shanghai',
        filter: 'id >= 0',
        output_fields: ['moment'],
        params: { time_fields: 'year,week' },
      }) as never,
      { code: 1100, words: "unsupported field in time_fields: 'week'" },
    );
  });

  test('what is no moment, and a zone that is none, are refused by name', async () => {
    const { client } = fixture;
    await create(client, 'wrong');
    const table = [
      ['tomorrow', "got invalid timestamptz string 'tomorrow'"],
      ['2023-02-29T00:00:00Z', 'there is no such day'],
      ['2024-01-01T00:00:00+15:00', 'UTC offsets'],
      ['10000-01-01T00:00:00Z', 'got invalid timestamptz string'],
      ['', 'field moment, row number: 1'],
    ];
    for (const [text, words = ''] of table)
      await refused(insert(client, 'wrong', ['2024-01-01T00:00:00Z', text]), { code: 1100, words });
    assert.deepEqual(await momentsOf(client, 'wrong'), []);
    const mars = { timezone: 'Mars/Olympus' };
    const words = 'invalid timezone, should be a IANA timezone name: unknown time zone Mars/Olympus';
    const zone = { code: 1100, words };
    const rejected = async (call: Promise<unknown>) =>
      refused(call.catch((error: unknown) => error) as never, zone);
    await rejected(
      client.createCollection({ collection_name: 'mars', fields: [key, vector], properties: mars }),
    );
    await rejected(client.createDatabase({ db_name: 'mars', properties: mars as never }));
    await rejected(client.query({ collection_name: 'wrong', filter: 'id >= 0', params: mars }));
  });

  test('a large insert, which a thread of its own prepares, is told in the same zone, and wrong text in it is refused', async () => {
    const { client } = fixture;
    await create(client, 'large', { properties: { timezone: 'Asia/Shanghai' } });
    const day = (id: number) => `2024-${String(1 + (id % 12)).padStart(2, '0')}-15T00:00:00.5`;
    const moments = Array.from({ length: 5000 }, (_, id) => day(id));
    await refused(insert(client, 'large', [...moments, 'noon']), { code: 1100, words: 'row number: 5000' });
    await succeed(insert(client, 'large', moments));
    const { data } = await succeed(
      client.query({ collection_name: 'large', filter: 'id >= 0', output_fields: ['moment'], limit: 6000 }),
    );
    assert.deepEqual(
      data.map((row) => row['moment']),
      moments.map((text) => `${text}+08:00`),
    );
  });

  test("microseconds go in as well, and a default told without an offset is the collection's, also after a restore", async () => {
    const { client, server } = fixture;
    const raw = new RawClient(server.address);
    const schema = encoded('schema.CollectionSchema', {
      name: 'micros',
      fields: [
        { name: 'id', data_type: 5, is_primary_key: true },
        { name: 'vector', data_type: 101, type_params: [{ key: 'dim', value: '1' }] },
        { name: 'moment', data_type: 26, default_value: { string_data: '2025-01-01 00:00:00' } },
      ],
    });
    const properties = [{ key: 'timezone', value: 'Asia/Shanghai' }];
    const created = await raw.status('CreateCollection', { collection_name: 'micros', schema, properties });
    assert.equal(created.code, 0, created.reason);
    await succeed(client.createIndex({ collection_name: 'micros', ...flat }));
    await load(client, 'micros');
    const write = (timestamptz_data: string[], valid_data: boolean[]) =>
      raw.status('Insert', {
        collection_name: 'micros',
        num_rows: valid_data.length,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: valid_data.map((_, i) => i) } } },
          {
            field_name: 'vector',
            type: 101,
            vectors: { dim: 1, float_vector: { data: valid_data.map(() => 0) } },
          },
          {
            field_name: 'moment',
            type: 26,
            valid_data,
            scalars: { timestamptz_data: { data: timestamptz_data } },
          },
        ],
      });
    const most = '253402300799999999';
    const least = '-62135596800000000';
    assert.equal((await write([most, least, '-1'], [true, true, true, false])).code, 0);
    for (const beyond of ['253402300800000000', '9223372036854775807', '-9223372036854775808']) {
      const { code, reason } = await write([beyond], [true]);
      assert.deepEqual([code, /years 1 to 9999/.test(reason)], [1100, true], beyond);
    }
    raw.close();
    const shown = [
      '9999-12-31T23:59:59.999999Z',
      '0001-01-01T08:05:00+08:05',
      '1970-01-01T07:59:59.999999+08:00',
      '2025-01-01T00:00:00+08:00',
    ];
    assert.deepEqual(await momentsOf(client, 'micros'), shown);
    await succeed(client.createSnapshot({ collection_name: 'micros', snapshot_name: 's' }));
    const target_collection_name = 'micros_again';
    await restore(client, { snapshot_name: 's', source_collection_name: 'micros', target_collection_name });
    await load(client, target_collection_name);
    assert.deepEqual(await momentsOf(client, target_collection_name), shown);
    const { schema: described } = await succeed(
      client.describeCollection({ collection_name: target_collection_name }),
    );
    assert.equal(described.fields[2]?.default_value, '2025-01-01T00:00:00+08:00');
  });
});
