/** `collection.ttl.seconds`: rows that expire, under the official client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { createItems, flush, item, load, restore, sharedServer, succeed } from './fixture.ts';

const TTL_MS = 4000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const ids = async (client: MilvusClient, collection_name: string) => {
  const { data } = await succeed(client.query({ collection_name, filter: 'id >= 0' }));
  return data.map(({ id }) => Number(id));
};

const count = async (client: MilvusClient, collection_name: string) =>
  Number(
    (await succeed(client.query({ collection_name, output_fields: ['count(*)'] }))).data[0]?.['count(*)'],
  );

const found = async (client: MilvusClient, collection_name: string) => {
  const { results } = await succeed(client.search({ collection_name, data: item(1).vector, limit: 10 }));
  return results.map(({ id }) => Number(id)).sort((a, b) => a - b);
};

const setTtl = (client: MilvusClient, collection_name: string, seconds: number) =>
  succeed(
    client.alterCollectionProperties({ collection_name, properties: { 'collection.ttl.seconds': seconds } }),
  );

describe('the time to live of rows', () => {
  const fixture = sharedServer();

  test('expired rows, growing and flushed, are in no answer; compaction removes them; a snapshot restores what was visible at its timestamp', async () => {
    const { client } = fixture;
    const collection_name = 'news';
    await createItems(client, collection_name);
    await setTtl(client, collection_name, TTL_MS / 1000);
    await succeed(client.insert({ collection_name, data: [item(1), item(2)] }));
    await flush(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(3)] }));
    const writtenAt = Date.now();
    assert.deepEqual(await ids(client, collection_name), [1, 2, 3]);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'early' }));
    await sleep(Math.max(0, writtenAt + TTL_MS + 200 - Date.now()));
    await succeed(client.insert({ collection_name, data: [item(4)] }));
    assert.deepEqual(
      [
        await ids(client, collection_name),
        await count(client, collection_name),
        await found(client, collection_name),
      ],
      [[4], 1, [4]],
    );
    const { data } = await succeed(client.query({ collection_name, filter: 'id in [1, 4]' }));
    assert.deepEqual(
      data.map(({ id }) => Number(id)),
      [4],
    );
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'late' }));

    // What was expired at a snapshot's timestamp stays so, and what was visible is visible again, for as long as it had.
    for (const [snapshot_name, wanted] of [
      ['early', [1, 2, 3]],
      ['late', [4]],
    ] as const) {
      const target_collection_name = `news_${snapshot_name}`;
      await restore(client, {
        source_collection_name: collection_name,
        snapshot_name,
        target_collection_name,
      });
      await load(client, target_collection_name);
      assert.deepEqual(await ids(client, target_collection_name), wanted, snapshot_name);
    }
    await sleep(1100);
    for (const name of ['news_early', 'news_late', collection_name]) await setTtl(client, name, 1);
    assert.deepEqual([await ids(client, 'news_early'), await ids(client, 'news_late')], [[], []]);

    await flush(client, collection_name);
    const rows = async () => {
      const { stats } = await succeed(client.getCollectionStatistics({ collection_name }));
      return Number(stats.find(({ key }) => key === 'row_count')?.value);
    };
    const { compactionID } = await succeed(client.compact({ collection_name }));
    for (;;) {
      const { state } = await succeed(client.getCompactionState({ compactionID: Number(compactionID) }));
      if (String(state) === 'Completed') break;
      await sleep(10);
    }
    assert.equal(await rows(), 0);
  });

  test('a time to live that is set, raised and taken away shows at once in a loaded collection', async () => {
    const { client } = fixture;
    const collection_name = 'altered';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1)] }));
    await sleep(1100);
    await setTtl(client, collection_name, 1);
    assert.deepEqual(await ids(client, collection_name), []);
    await setTtl(client, collection_name, 3600);
    assert.deepEqual(await ids(client, collection_name), [1]);
    await setTtl(client, collection_name, 1);
    await succeed(
      client.dropCollectionProperties({ collection_name, properties: ['collection.ttl.seconds'] }),
    );
    assert.deepEqual(await ids(client, collection_name), [1]);
  });
});
