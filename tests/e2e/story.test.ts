import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { createItems, flush, item, load, restore, succeed, withServer } from './fixture.ts';

async function rows(client: MilvusClient, collection: string): Promise<unknown[]> {
  const { data } = await succeed(
    client.query({
      collection_name: collection,
      filter: 'id >= 0',
      output_fields: ['id', 'name', 'vector'],
      limit: 16_000,
    }),
  );
  return data.map((row) => ({
    id: Number(row['id']),
    name: row['name'],
    vector: [...(row['vector'] as number[])],
  }));
}

test('a restored collection holds what was acknowledged before the snapshot, flushed or not, and nothing later', () =>
  withServer(async ({ client }) => {
    await createItems(client);
    await succeed(
      client.insert({ collection_name: 'items', data: Array.from({ length: 2000 }, (_, i) => item(i)) }),
    );
    await flush(client, 'items');
    await succeed(client.upsert({ collection_name: 'items', data: [item(5, 1), item(2500, 1)] }));
    await succeed(client.delete({ collection_name: 'items', filter: 'id == 6' }));
    const expected = await rows(client, 'items');
    assert.equal(expected.length, 2000);
    await succeed(client.createSnapshot({ collection_name: 'items', snapshot_name: 'first' }));
    await succeed(client.upsert({ collection_name: 'items', data: [item(7, 2), item(3000, 2)] }));
    await succeed(client.delete({ collection_name: 'items', filter: 'id < 100' }));
    await restore(client, {
      snapshot_name: 'first',
      source_collection_name: 'items',
      target_collection_name: 'again',
    });
    await load(client, 'again');
    assert.deepEqual(await rows(client, 'again'), expected);
  }));

test('a restored collection outlives its snapshot and its source, and survives a restart', () =>
  withServer(async (fixture) => {
    const { client } = fixture;
    await createItems(client);
    await succeed(
      client.insert({ collection_name: 'items', data: Array.from({ length: 100 }, (_, i) => item(i)) }),
    );
    await succeed(client.createSnapshot({ collection_name: 'items', snapshot_name: 's' }));
    await restore(client, {
      snapshot_name: 's',
      source_collection_name: 'items',
      target_collection_name: 'copy',
    });
    await succeed(client.dropSnapshot({ collection_name: 'items', snapshot_name: 's' }));
    await succeed(client.dropCollection({ collection_name: 'items' }));
    await fixture.restart('kill');
    await load(fixture.client, 'copy');
    assert.equal((await rows(fixture.client, 'copy')).length, 100);
    const { jobs } = await succeed(fixture.client.listRestoreSnapshotJobs({ collection_name: 'copy' }));
    assert.deepEqual(
      jobs.map(({ state }) => state),
      ['RestoreSnapshotCompleted'],
    );
  }));

test('restoring again after dropping the restored collection works, and a taken name is refused at once', () =>
  withServer(async ({ client }) => {
    await createItems(client);
    await succeed(client.insert({ collection_name: 'items', data: [item(1), item(2)] }));
    await succeed(client.createSnapshot({ collection_name: 'items', snapshot_name: 's' }));
    const request = { snapshot_name: 's', source_collection_name: 'items', target_collection_name: 'copy' };
    for (let round = 0; round < 3; round++) {
      await restore(client, request);
      const again = await client.restoreSnapshot(request);
      assert.equal(again.status.code, 65535);
      assert.match(again.status.reason ?? '', /duplicate collection/);
      await load(client, 'copy');
      assert.equal((await rows(client, 'copy')).length, 2);
      await succeed(client.dropCollection({ collection_name: 'copy' }));
    }
  }));
