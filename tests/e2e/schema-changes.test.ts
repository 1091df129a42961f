/** Collections emptied, renamed, listed, and read at every consistency level, as the official client does it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../connections.ts';
import {
  createItems,
  flush,
  item,
  load,
  refused,
  restore,
  sharedServer,
  succeed,
  withServer,
} from './fixture.ts';

const ids = async (client: MilvusClient, collection_name: string) => {
  const { data } = await succeed(client.query({ collection_name, filter: 'id >= 0' }));
  return data.map(({ id }) => Number(id));
};

describe('collections as a whole', () => {
  const fixture = sharedServer();

  test('a truncated collection is empty at once, keeps schema, partitions, indexes and load, takes rows again, and its snapshots restore', async () => {
    const { client } = fixture;
    const collection_name = 'emptied';
    await createItems(client, collection_name);
    await succeed(client.createPartition({ collection_name, partition_name: 'red' }));
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, partition_name: 'red', data: [item(2)] }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'before' }));
    const described = async () => {
      const { schema, collectionID } = await succeed(client.describeCollection({ collection_name }));
      const { partition_names } = await succeed(client.showPartitions({ collection_name }));
      const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
      const { state } = await succeed(client.getLoadState({ collection_name }));
      return [schema, collectionID, partition_names.toSorted(), index_descriptions.length, state];
    };
    const before = await described();
    await succeed(client.truncateCollection({ collection_name }));
    assert.deepEqual(await ids(client, collection_name), []);
    const { stats } = await succeed(client.getCollectionStatistics({ collection_name }));
    assert.equal(Number(stats[0]?.value), 0);
    assert.deepEqual(await described(), before);
    await succeed(client.insert({ collection_name, data: [item(3)] }));
    await succeed(client.insert({ collection_name, partition_name: 'red', data: [item(2, 1)] }));
    assert.deepEqual(await ids(client, collection_name), [2, 3]);
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name: 'before',
      target_collection_name: 'emptied_before',
    });
    await load(client, 'emptied_before');
    assert.deepEqual(await ids(client, 'emptied_before'), [1, 2]);
    await refused(client.truncateCollection({ collection_name: 'none' }), {
      code: 100,
      words: 'collection not found',
    });
  });

  test('clients that write while a collection is truncated meet no error, and what they write after it stays', async () => {
    const { client } = fixture;
    const collection_name = 'busy';
    await createItems(client, collection_name);
    let isOver = false;
    const writer = async (from: number) => {
      for (let n = 0; !isOver; n++) await succeed(client.insert({ collection_name, data: [item(from + n)] }));
    };
    const writing = [writer(0), writer(100_000)];
    for (let n = 0; n < 5; n++) await succeed(client.truncateCollection({ collection_name }));
    isOver = true;
    await Promise.all(writing);
    await succeed(client.truncateCollection({ collection_name }));
    await succeed(client.insert({ collection_name, data: [item(7)] }));
    assert.deepEqual(await ids(client, collection_name), [7]);
  });

  test('a truncation outlives kill -9', async () => {
    await withServer(async (server) => {
      await createItems(server.client, 'items');
      await succeed(server.client.insert({ collection_name: 'items', data: [item(1)] }));
      await succeed(server.client.truncateCollection({ collection_name: 'items' }));
      await succeed(server.client.insert({ collection_name: 'items', data: [item(2)] }));
      await server.restart('kill');
      assert.deepEqual(await ids(server.client, 'items'), [2]);
    });
  });

  test('a collection is renamed into another database, with its rows, indexes, load and snapshots', async () => {
    const { client } = fixture;
    await succeed(client.createDatabase({ db_name: 'archive' }));
    await createItems(client, 'moving');
    await succeed(client.insert({ collection_name: 'moving', data: [item(1)] }));
    await succeed(client.createSnapshot({ collection_name: 'moving', snapshot_name: 'kept' }));
    await succeed(
      client.renameCollection({
        collection_name: 'moving',
        new_collection_name: 'moved',
        new_db_name: 'archive',
      }),
    );
    const there = { collection_name: 'moved', db_name: 'archive' };
    const { data } = await succeed(client.query({ ...there, filter: 'id >= 0' }));
    assert.deepEqual(
      data.map(({ id }) => Number(id)),
      [1],
    );
    assert.deepEqual((await succeed(client.listSnapshots(there))).snapshots, ['kept']);
    assert.equal((await succeed(client.describeCollection(there))).db_name, 'archive');
    assert.equal((await succeed(client.hasCollection({ collection_name: 'moving' }))).value, false);
  });

  test('many collections are described in one call, by name, alias or id; each unknown one says so for itself', async () => {
    const { client } = fixture;
    await createItems(client, 'd1');
    await createItems(client, 'd2');
    await succeed(client.createAlias({ collection_name: 'd2', alias: 'second' }));
    const { collectionID } = await succeed(client.describeCollection({ collection_name: 'd1' }));
    const answer = await succeed(
      client.batchDescribeCollections({
        collection_names: ['d1', 'none', 'second'],
        collectionIDs: [collectionID],
      } as never),
    );
    assert.deepEqual(
      answer.responses.map(({ status, collection_name }) => [status.code, collection_name]).slice(0, 3),
      [
        [0, 'd1'],
        [100, 'none'],
        [0, 'd2'],
      ],
    );
  });

  test('collections are listed with id, time, load and shards', async () => {
    const { client } = fixture;
    await createItems(client, 'listed');
    const { data } = await succeed(client.showCollections());
    const found = data.find(({ name }) => name === 'listed');
    assert.deepEqual([found?.loadedPercentage, Number(found?.timestamp) > 0], ['100', true]);
    const { collectionID } = await succeed(client.describeCollection({ collection_name: 'listed' }));
    assert.equal(found?.id, collectionID);
  });

  test('whatever the consistency level, a read sees every write that was acknowledged to anybody before', async () => {
    const { client } = fixture;
    const collection_name = 'consistent';
    await createItems(client, collection_name);
    const other = new MilvusClient({ address: fixture.server.address, channelOptions: ownConnections });
    try {
      for (const [n, consistency_level] of (
        ['Strong', 'Session', 'Bounded', 'Eventually'] as const
      ).entries()) {
        await succeed(client.insert({ collection_name, data: [item(n)] }));
        const seen = await succeed(
          other.query({
            collection_name,
            filter: `id == ${n}`,
            consistency_level: consistency_level as never,
          }),
        );
        assert.equal(seen.data.length, 1, consistency_level);
        const found = await succeed(
          other.search({
            collection_name,
            data: item(n).vector,
            limit: 1,
            consistency_level: consistency_level as never,
          }),
        );
        assert.equal(Number(found.results[0]?.id), n, consistency_level);
      }
    } finally {
      await other.closeConnection();
    }
  });
});
