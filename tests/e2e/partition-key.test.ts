/** Collections with a partition key or a clustering key, as the official client uses them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { DIM, flush, item, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const color = (id: number) => `color ${id % 7}`;
const row = (id: number, version = 0) => ({ id, color: color(id), vector: item(id, version).vector });

async function create(client: MilvusClient, collection_name: string, more: object = {}): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'color', data_type: DataType.VarChar, max_length: 20, is_partition_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
      ...more,
    } as never),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  await load(client, collection_name);
}

const ids = async (client: MilvusClient, collection_name: string, filter: string) => {
  const { data } = await succeed(client.query({ collection_name, filter }));
  return data.map(({ id }) => Number(id));
};

/** Rows by partition, as the segments have them. */
async function spread(client: MilvusClient, collection_name: string): Promise<number[]> {
  const { partition_names } = await succeed(client.showPartitions({ collection_name }));
  const counts: number[] = [];
  for (const partition_name of partition_names) {
    const { stats } = await succeed(client.getPartitionStatistics({ collection_name, partition_name }));
    counts.push(Number(stats[0]?.value));
  }
  return counts;
}

describe('partition keys', () => {
  const fixture = sharedServer();

  test('rows are divided by their key over 16 hidden partitions; filters on the key, searches, upserts and deletes find them', async () => {
    const { client } = fixture;
    const collection_name = 'keyed';
    await create(client, collection_name);
    const { partition_names } = await succeed(client.showPartitions({ collection_name }));
    assert.deepEqual(
      partition_names.toSorted(),
      Array.from({ length: 16 }, (_, n) => `_default_${n}`).toSorted(),
    );
    await succeed(client.insert({ collection_name, data: Array.from({ length: 70 }, (_, id) => row(id)) }));
    const check = async () => {
      assert.deepEqual(await ids(client, collection_name, 'color == "color 3" and id < 20'), [3, 10, 17]);
      assert.deepEqual(
        await ids(client, collection_name, 'color in ["color 1", "color 2"] and id < 10'),
        [1, 2, 8, 9],
      );
      assert.equal((await ids(client, collection_name, 'id >= 0')).length, 70);
      const { results } = await succeed(
        client.search({ collection_name, data: item(24).vector, limit: 1, filter: 'color == "color 3"' }),
      );
      assert.equal(Number(results[0]?.id), 24);
    };
    await check();
    await flush(client, collection_name);
    await check();
    const counts = await spread(client, collection_name);
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      70,
    );
    assert.ok(counts.filter((count) => count > 0).length > 1);
    assert.ok(
      counts.every((count) => count % 10 === 0),
      'rows of one key stand in one partition',
    );
    // An upsert that gives a row another key moves it.
    await succeed(client.upsert({ collection_name, data: [{ ...row(3), color: 'color 5' }] }));
    assert.deepEqual(await ids(client, collection_name, 'color == "color 3" and id < 20'), [10, 17]);
    assert.deepEqual(await ids(client, collection_name, 'color == "color 5" and id < 10'), [3, 5]);
    await succeed(client.delete({ collection_name, filter: 'color == "color 5"' }));
    assert.equal((await ids(client, collection_name, 'id >= 0')).length, 59);
  });

  test('whoever names a partition is refused as in Milvus', async () => {
    const { client } = fixture;
    const collection_name = 'nameless';
    await create(client, collection_name, { num_partitions: 3 });
    const partition_names = ['_default_0'];
    const mode = 'partition key mode is used';
    const partition = { collection_name, partition_name: '_default_0' };
    const unexpected = { code: 65_535, words: mode, legacy: 'UnexpectedError' };
    const illegal = { code: 1100, words: mode, legacy: 'IllegalArgument' };
    await refused(client.createPartition({ collection_name, partition_name: 'red' }), unexpected);
    await refused(client.dropPartition(partition), unexpected);
    await refused(client.loadPartitions({ collection_name, partition_names }), unexpected);
    await refused(client.releasePartitions({ collection_name, partition_names }), unexpected);
    await refused(client.query({ collection_name, filter: 'id > 0', partition_names }), illegal);
    await refused(
      client.search({ collection_name, data: item(1).vector, limit: 1, partition_names }),
      unexpected,
    );
    await refused(client.insert({ ...partition, data: [row(1)] }), illegal);
    await refused(client.upsert({ ...partition, data: [row(1)] }), illegal);
    await refused(client.delete({ ...partition, filter: 'id in [1]' }), illegal);
    const { num_partitions } = await succeed(client.describeCollection({ collection_name }));
    assert.equal(Number(num_partitions), 3);
  });

  test('a keyed collection restores with its key, partitions and isolation: rows are found and written as before', async () => {
    const { client } = fixture;
    const collection_name = 'kept';
    await create(client, collection_name, {
      num_partitions: 5,
      properties: { 'partitionkey.isolation': 'true' },
    });
    await succeed(client.insert({ collection_name, data: Array.from({ length: 21 }, (_, id) => row(id)) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 's',
      target_collection_name: 'kept2',
    });
    await load(client, 'kept2');
    const described = await succeed(client.describeCollection({ collection_name: 'kept2' }));
    assert.deepEqual(
      described.schema.fields.map(({ name, is_partition_key }) => [name, is_partition_key]),
      [
        ['id', false],
        ['color', true],
        ['vector', false],
      ],
    );
    assert.deepEqual(described.properties, [{ key: 'partitionkey.isolation', value: 'true' }]);
    await succeed(client.insert({ collection_name: 'kept2', data: [row(21)] }));
    assert.deepEqual(await ids(client, 'kept2', 'color == "color 0"'), [0, 7, 14, 21]);
    await succeed(client.truncateCollection({ collection_name: 'kept2' }));
    await succeed(client.insert({ collection_name: 'kept2', data: [row(28)] }));
    assert.deepEqual(await ids(client, 'kept2', 'color == "color 0"'), [28]);
  });

  test('a clustering key is kept, described and restored', async () => {
    const { client } = fixture;
    const collection_name = 'clustered';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'year', data_type: DataType.Int16, is_clustering_key: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      } as never),
    );
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 's',
      target_collection_name: 'clustered2',
    });
    for (const name of [collection_name, 'clustered2']) {
      const { schema } = await succeed(client.describeCollection({ collection_name: name }));
      assert.deepEqual(
        schema.fields.filter(({ is_clustering_key }) => is_clustering_key).map((field) => field.name),
        ['year'],
      );
    }
  });
});
