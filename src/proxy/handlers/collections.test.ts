import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { withClient } from '../../../tests/proxy/harness.ts';
import { silentLog } from '../../support/log.ts';

const key = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
const vector = { name: 'v', data_type: DataType.FloatVector, dim: 4 };

test('a collection is described as it was created', () =>
  withClient(async ({ client }) => {
    const fields = [
      { ...key, description: 'the key', autoID: true },
      { name: 't', data_type: DataType.VarChar, max_length: 10, nullable: true, default_value: 'dd' },
      { name: 'l', data_type: DataType.Int64, default_value: '-9007199254740993' },
      { name: 'b', data_type: DataType.Bool, default_value: true },
      {
        name: 'a',
        data_type: DataType.Array,
        element_type: DataType.VarChar,
        max_length: 5,
        max_capacity: 3,
      },
      vector,
    ];
    const made = await client.createCollection({
      collection_name: 'c',
      description: 'what it is',
      fields,
      shards_num: 2,
      consistency_level: 'Strong',
      enable_dynamic_field: true,
      properties: { 'collection.ttl.seconds': 0 },
    } as never);
    assert.equal(made.error_code, 'Success', made.reason as string);
    const described = await client.describeCollection({ collection_name: 'c' });
    assert.equal(described.status.error_code, 'Success');
    const { schema } = described;
    assert.deepEqual(
      schema.fields.map(({ name }) => name),
      ['id', 't', 'l', 'b', 'a', 'v'],
    );
    assert.deepEqual(
      schema.fields.map(({ fieldID }) => fieldID),
      ['100', '101', '102', '103', '104', '105'],
    );
    assert.deepEqual([schema.enable_dynamic_field, schema.description], [true, 'what it is']);
    const [id, t, l, b, a, v] = schema.fields as unknown as Record<string, unknown>[];
    assert.deepEqual([id!['autoID'], id!['is_primary_key'], id!['description']], [true, true, 'the key']);
    assert.deepEqual([t!['nullable'], t!['default_value']], [true, 'dd']);
    assert.deepEqual([l!['default_value'], b!['default_value']], ['-9007199254740993', true]);
    assert.equal(a!['element_type'], 'VarChar');
    assert.deepEqual(v!['type_params'], [{ key: 'dim', value: '4' }]);
    assert.deepEqual([described.shards_num, described.consistency_level], [2, 'Strong']);
    assert.deepEqual(described.properties, [{ key: 'collection.ttl.seconds', value: '0' }]);
    assert.ok(BigInt(described.created_timestamp) > 2n ** 60n);
  }));

test('wrong names and shard numbers are refused and nothing is made', () =>
  withClient(async ({ client, planes }) => {
    const refused = async (more: object, reason: RegExp) => {
      // The client throws the answer of this call when it is no success.
      const status = await client
        .createCollection({ collection_name: 'c', fields: [key, vector], ...more } as never)
        .catch((thrown: { reason: string; code: number }) => thrown);
      assert.match(status.reason as string, reason);
      assert.equal(status.code, 1100);
    };
    await refused({ shards_num: 17 }, /shards/);
    await refused({ collection_name: 'a/b' }, /can only contain numbers, letters, underscores/);
    await refused({ collection_name: '1a' }, /first character of collection name/);
    await refused({ collection_name: 'a\nb' }, /can only contain/);
    await refused({ collection_name: 'x'.repeat(256) }, /not greater than limit/);
    assert.equal(planes.collections.size, 0);
  }));

test('an absent collection is told as clients expect it', () =>
  withClient(async ({ client }) => {
    const { status } = await client.describeCollection({ collection_name: 'nope' });
    assert.deepEqual([status.code, status.error_code], [100, 'UnexpectedError']);
    assert.match(status.reason, /can't find collection/);
    assert.equal((await client.hasCollection({ collection_name: 'nope' })).value, false);
    const dropped = await client.dropCollection({ collection_name: 'nope' });
    assert.match(dropped.reason as string, /collection not found/);
  }));

test('collections, partitions, databases and indexes are made, shown and dropped', () =>
  withClient(async ({ client }) => {
    await client.createCollection({ collection_name: 'c', fields: [key, vector] } as never);
    assert.equal((await client.hasCollection({ collection_name: 'c' })).value, true);
    await client.createPartition({ collection_name: 'c', partition_name: 'p' });
    assert.equal((await client.hasPartition({ collection_name: 'c', partition_name: 'p' })).value, true);
    assert.deepEqual((await client.showPartitions({ collection_name: 'c' })).partition_names, [
      '_default',
      'p',
    ]);
    await client.createDatabase({ db_name: 'd' });
    assert.deepEqual((await client.listDatabases()).db_names, ['default', 'd']);
    assert.equal((await client.describeDatabase({ db_name: 'd' })).db_name, 'd');
    const made = await client.createIndex({
      collection_name: 'c',
      field_name: 'v',
      index_type: 'HNSW',
      metric_type: 'IP',
      params: { M: 8 },
    });
    assert.equal(made.error_code, 'Success', made.reason as string);
    const {
      index_descriptions: [index],
    } = await client.describeIndex({ collection_name: 'c' });
    assert.equal(index?.index_name, 'v');
    assert.deepEqual(Object.fromEntries(index!.params.map(({ key: name, value }) => [name, value])), {
      params: '{"M":8}',
      index_type: 'HNSW',
      metric_type: 'IP',
    });
    assert.equal(index?.state, 'Finished');
    await client.loadCollectionSync({ collection_name: 'c' });
    assert.equal((await client.getLoadState({ collection_name: 'c' })).state, 'LoadStateLoaded');
    const shown = await client.showCollections({});
    assert.deepEqual(
      shown.data.map(({ name, loadedPercentage }) => [name, loadedPercentage]),
      [['c', '100']],
    );
    await client.insert({ collection_name: 'c', partition_name: 'p', data: [{ id: 1, v: [1, 2, 3, 4] }] });
    assert.equal((await client.getCollectionStatistics({ collection_name: 'c' })).data['row_count'], '1');
    const stats = await client.getPartitionStatistics({ collection_name: 'c', partition_name: '_default' });
    assert.equal(stats.data['row_count'], '0');
    await client.flushSync({ collection_names: ['c'] });
    const { infos } = await client.getPersistentSegmentInfo({ collectionName: 'c' });
    assert.deepEqual(
      infos.map(({ num_rows, state }) => [num_rows, state]),
      [['1', 'Flushed']],
    );
    await client.renameCollection({ collection_name: 'c', new_collection_name: 'e' });
    await client.dropIndex({ collection_name: 'e', field_name: 'v' });
    const gone = await client.describeIndex({ collection_name: 'e' });
    assert.deepEqual([gone.status.code, gone.status.error_code], [700, 'IndexNotExist']);
    await client.dropPartition({ collection_name: 'e', partition_name: 'p' });
    assert.equal((await client.dropCollection({ collection_name: 'e' })).error_code, 'Success');
  }));

test('wrong indexes are refused in the words and codes clients match', () =>
  withClient(async ({ client }) => {
    await client.createCollection({ collection_name: 'c', fields: [key, vector] } as never);
    const refused = async (more: object, legacy: string, reason: RegExp) => {
      const status = await client.createIndex({ collection_name: 'c', field_name: 'v', ...more } as never);
      assert.match(status.reason as string, reason);
      assert.equal(status.error_code, legacy);
    };
    await refused({ index_type: 'NOPE' }, 'UnexpectedError', /invalid index type/);
    await refused({ field_name: 'w', index_type: 'HNSW' }, 'UnexpectedError', /non-exist field/);
    await refused({ index_type: 'HNSW', metric_type: 'HAMMING' }, 'IllegalArgument', /metric type/);
    await refused({ index_type: 'HNSW', metric_type: 'L2', params: { M: 1 } }, 'IllegalArgument', /'M'/);
    await refused(
      { index_type: 'BIN_FLAT', metric_type: 'L2' },
      'IllegalArgument',
      /not supported on field v/,
    );
    await assert.rejects(client.loadCollection({ collection_name: 'c' }), /IndexNotExist/);
  }));

test('a load that takes long is answered before it ends, and its failure is logged', async () => {
  const logged: string[] = [];
  const log = { ...silentLog, warn: (event: string) => void logged.push(event) };
  let fail: (error: Error) => void = () => undefined;
  await withClient(
    async ({ client, planes }) => {
      await client.createCollection({ collection_name: 'c', fields: [key, vector] } as never);
      Object.assign(planes.coordinator, {
        load: () =>
          new Promise((_, reject) => {
            fail = reject;
          }),
      });
      assert.equal((await client.loadCollectionAsync({ collection_name: 'c' })).error_code, 'Success');
      fail(new Error('storage is away'));
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(logged, ['load-failed']);
    },
    { log, limits: { loadAnswerMs: 5 } },
  );
});
