import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';
import { runCli } from './run-cli.ts';

const places = ['_default', 'north', 'south'];
const row = (id: number) => ({ id, n: id % 5, vector: [id, 1] });
const COUNT = 40;

/** Rows of each partition in files, and some only in the log. */
async function create(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'n', data_type: DataType.Int8 },
        { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
      ],
    }),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
  );
  for (const partition_name of places.slice(1))
    await succeed(client.createPartition({ collection_name, partition_name }));
  for (const part of [0, 1]) {
    for (const [at, partition_name] of places.entries()) {
      const data = Array.from({ length: COUNT / 2 }, (_, i) => row(1000 * at + part * (COUNT / 2) + i));
      await succeed(client.insert({ collection_name, partition_name, data }));
    }
    if (part === 0) await flush(client, collection_name);
  }
}

const idsOf = (at: number): number[] => Array.from({ length: COUNT }, (_, i) => 1000 * at + i);
const unloaded = { code: 201, words: 'partition not loaded' };

describe('partitions that are loaded and released apart', () => {
  const fixture = sharedServer();
  const queried = async (collection_name: string, partition_names?: string[], client = fixture.client) =>
    (
      await succeed(
        client.query({
          collection_name,
          filter: 'id >= 0',
          ...(partition_names === undefined ? {} : { partition_names }),
        }),
      )
    ).data.map(({ id }) => Number(id));
  const searched = async (collection_name: string, partition_names?: string[]) =>
    (
      await succeed(
        fixture.client.search({
          collection_name,
          data: [0, 1],
          limit: 200,
          ...(partition_names === undefined ? {} : { partition_names }),
        }),
      )
    ).results.map(({ id }) => Number(id));
  const stateOf = async (collection_name: string, partition_names?: string[]) =>
    (
      await succeed(
        fixture.client.getLoadState({
          collection_name,
          ...(partition_names === undefined ? {} : { partition_names }),
        }),
      )
    ).state;

  test('LoadPartitions loads these partitions only: they alone are searched, and naming another is an error', async () => {
    const { client } = fixture;
    const collection_name = 'apart';
    await create(client, collection_name);
    await succeed(client.loadPartitions({ collection_name, partition_names: ['north'] }));
    assert.deepEqual(await queried(collection_name), idsOf(1));
    assert.deepEqual(await searched(collection_name), idsOf(1));
    assert.deepEqual(await searched(collection_name, ['north']), idsOf(1));
    await refused(
      client.search({ collection_name, data: [0, 1], limit: 3, partition_names: ['south'] }),
      unloaded,
    );
    await refused(
      client.query({ collection_name, filter: 'n == 1', partition_names: ['north', 'south'] }),
      unloaded,
    );
    const { data } = await succeed(client.count({ collection_name }));
    assert.equal(Number(data), COUNT);
    assert.deepEqual(
      [
        await stateOf(collection_name),
        await stateOf(collection_name, ['north']),
        await stateOf(collection_name, ['south']),
      ],
      ['LoadStateLoaded', 'LoadStateLoaded', 'LoadStateNotLoad'],
    );
    const progress = async (partition_names?: string[]) =>
      Number(
        (
          await succeed(
            client.getLoadingProgress({
              collection_name,
              ...(partition_names === undefined ? {} : { partition_names }),
            }),
          )
        ).progress,
      );
    assert.deepEqual([await progress(), await progress(['north']), await progress(['south'])], [100, 100, 0]);
    const { partition_names, inMemory_percentages } = (await succeed(
      client.showPartitions({ collection_name }),
    )) as never as { partition_names: string[]; inMemory_percentages: string[] };
    assert.deepEqual(
      Object.fromEntries(partition_names.map((name, i) => [name, Number(inMemory_percentages[i])])),
      { _default: 0, north: 100, south: 0 },
    );
  });

  test('more partitions are loaded besides, rows written meanwhile included, and then the whole collection', async () => {
    const { client } = fixture;
    const collection_name = 'apart';
    await succeed(client.insert({ collection_name, partition_name: 'south', data: [row(2500)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, partition_name: 'south', data: [row(2501)] }));
    await succeed(client.delete({ collection_name, ids: [2003] }));
    await succeed(client.loadPartitions({ collection_name, partition_names: ['south'] }));
    const south = [...idsOf(2).filter((id) => id !== 2003), 2500, 2501];
    assert.deepEqual(await queried(collection_name), [...idsOf(1), ...south]);
    assert.deepEqual(await queried(collection_name, ['south']), south);
    await load(client, collection_name);
    assert.deepEqual(await queried(collection_name), [...idsOf(0), ...idsOf(1), ...south]);
  });

  test('ReleasePartitions releases these and keeps the rest; without its last partition a collection is not loaded', async () => {
    const { client } = fixture;
    const collection_name = 'apart';
    await succeed(client.releasePartitions({ collection_name, partition_names: ['north', '_default'] }));
    assert.ok((await queried(collection_name)).every((id) => id >= 2000));
    await refused(client.query({ collection_name, filter: 'id > 0', partition_names: ['north'] }), unloaded);
    await succeed(client.createPartition({ collection_name, partition_name: 'east' }));
    await succeed(client.insert({ collection_name, partition_name: 'east', data: [row(3000)] }));
    assert.deepEqual(await queried(collection_name, ['east']), [3000]);
    await succeed(client.releasePartitions({ collection_name, partition_names: ['south', 'east'] }));
    assert.equal(await stateOf(collection_name), 'LoadStateNotLoad');
    await refused(client.query({ collection_name, filter: 'id > 0' }), { code: 101, words: 'not loaded' });
    await refused(client.loadPartitions({ collection_name, partition_names: ['nowhere'] }), {
      code: 200,
      words: 'partition not found',
    });
  });

  test('a delete by filter and a partial upsert are refused while a partition they would have to look at is not loaded', async () => {
    const { client } = fixture;
    const collection_name = 'written';
    await create(client, collection_name);
    await succeed(client.loadPartitions({ collection_name, partition_names: ['north'] }));
    await refused(client.delete({ collection_name, filter: 'n == 1' }), unloaded);
    await succeed(client.delete({ collection_name, filter: 'n == 1', partition_name: 'north' }));
    assert.equal((await queried(collection_name)).length, (COUNT * 4) / 5);
    await refused(
      client.upsert({ collection_name, data: [{ id: 1000, n: 3 }], partial_update: true } as never),
      unloaded,
    );
    await succeed(client.delete({ collection_name, filter: 'id in [2000]' }));
    await load(client, collection_name);
    const all = await queried(collection_name);
    assert.ok(!all.includes(2000) && all.includes(2001));
  });

  test('an in-place restore leaves the partitions of the same names loaded; a restored copy is loaded by partitions as well', async () => {
    const { client } = fixture;
    const collection_name = 'replaced';
    await create(client, collection_name);
    await succeed(client.loadPartitions({ collection_name, partition_names: ['south'] }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'whole' }));
    await succeed(client.delete({ collection_name, ids: [2000, 2001] }));
    const { code } = await runCli(['restore', 'in-place', collection_name, 'whole', '--wait'], {
      TIDEMARK_METRICS_PORT: fixture.server.httpAddress.split(':').pop() ?? '',
    });
    assert.equal(code, 0);
    assert.deepEqual(await queried(collection_name), idsOf(2));
    await refused(client.query({ collection_name, filter: 'id > 0', partition_names: ['north'] }), unloaded);
    await restore(client, {
      snapshot_name: 'whole',
      source_collection_name: collection_name,
      target_collection_name: 'copied',
    }).catch(async () => {
      const { data } = await succeed(client.showCollections());
      const kept = data.find(({ name }) => name.startsWith('replaced_before_'))!.name;
      await restore(client, {
        snapshot_name: 'whole',
        source_collection_name: kept,
        target_collection_name: 'copied',
      });
    });
    await succeed(client.loadPartitions({ collection_name: 'copied', partition_names: ['north'] }));
    assert.deepEqual(await queried('copied'), idsOf(1));
  });

  test('after a kill and a restart the same partitions are loaded', () =>
    withServer(async (own) => {
      const collection_name = 'kept';
      await create(own.client, collection_name);
      await succeed(own.client.loadPartitions({ collection_name, partition_names: ['north', '_default'] }));
      await succeed(own.client.releasePartitions({ collection_name, partition_names: ['north'] }));
      await own.restart('kill');
      assert.deepEqual(await queried(collection_name, undefined, own.client), idsOf(0));
      await refused(
        own.client.query({ collection_name, filter: 'id > 0', partition_names: ['north'] }),
        unloaded,
      );
    }));
});
