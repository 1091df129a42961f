import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { DIM, type Fixture, item, load, succeed, withServer } from './fixture.ts';

const PARTITIONS = 6;
const SHARDS = 8;
const ROWS = 960;

/** Many small segments: partitions times shards. */
async function createMany(client: MilvusClient): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name: 'many',
      shards_num: SHARDS,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'name', data_type: DataType.VarChar, max_length: 64 },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await succeed(
    client.createIndex({
      collection_name: 'many',
      field_name: 'vector',
      index_type: 'FLAT',
      metric_type: 'L2',
    }),
  );
  for (let p = 0; p < PARTITIONS; p++) {
    await succeed(client.createPartition({ collection_name: 'many', partition_name: `p${p}` }));
    const data = Array.from({ length: ROWS / PARTITIONS }, (_, i) => item(p * (ROWS / PARTITIONS) + i));
    await succeed(client.insert({ collection_name: 'many', partition_name: `p${p}`, data }));
  }
}

async function endOf(client: MilvusClient, job_id: string): Promise<string> {
  for (;;) {
    const { info } = await succeed(client.getRestoreSnapshotState({ job_id }));
    if (info.state === 'RestoreSnapshotCompleted' || info.state === 'RestoreSnapshotFailed')
      return `${info.state} ${info.reason}`.trim();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function idsOf(client: MilvusClient, collection: string): Promise<number[]> {
  await load(client, collection);
  const { data } = await succeed(
    client.query({ collection_name: collection, filter: 'id >= 0', output_fields: ['id'], limit: 16_000 }),
  );
  return data.map((row) => Number(row['id'])).sort((a, b) => a - b);
}

const everyId = [...Array(ROWS).keys()];

test('a restore that kill -9 cuts off at any moment continues after the restart and completes whole', () =>
  withServer(async (fixture) => {
    await createMany(fixture.client);
    await succeed(fixture.client.createSnapshot({ collection_name: 'many', snapshot_name: 's' }));
    let unfinished = 0;
    for (const waitMs of [0, 8]) {
      const target = `copy_${waitMs}`;
      const { job_id } = await succeed(
        fixture.client.restoreSnapshot({
          snapshot_name: 's',
          source_collection_name: 'many',
          target_collection_name: target,
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await fixture.restart('kill');
      const { info } = await succeed(fixture.client.getRestoreSnapshotState({ job_id }));
      if (info.state !== 'RestoreSnapshotCompleted') unfinished++;
      assert.equal(await endOf(fixture.client, job_id), 'RestoreSnapshotCompleted');
      assert.deepEqual(await idsOf(fixture.client, target), everyId);
      await succeed(fixture.client.dropCollection({ collection_name: target }));
    }
    assert.ok(unfinished > 0, 'no kill came in the middle of a restore: the test proves nothing');
  }));

test('a snapshot whose creation kill -9 cuts off exists whole or not at all, and its name can be used', () =>
  withServer(async (fixture) => {
    await createMany(fixture.client);
    const moments = [0, 20];
    for (const waitMs of moments) {
      const name = `s${waitMs}`;
      const call = fixture.client
        .createSnapshot({ collection_name: 'many', snapshot_name: name })
        .catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await fixture.restart('kill');
      await call;
      const { snapshots } = await succeed(fixture.client.listSnapshots({ collection_name: 'many' }));
      if (!snapshots.includes(name))
        await succeed(fixture.client.createSnapshot({ collection_name: 'many', snapshot_name: name }));
      const { job_id } = await succeed(
        fixture.client.restoreSnapshot({
          snapshot_name: name,
          source_collection_name: 'many',
          target_collection_name: name,
        }),
      );
      assert.equal(await endOf(fixture.client, job_id), 'RestoreSnapshotCompleted');
      assert.deepEqual(await idsOf(fixture.client, name), everyId);
    }
    assert.equal((await metadataFiles(fixture)).length, moments.length);
  }));

/** Metadata objects under the data directory: one for each snapshot that exists, none for an attempt that was cut off. */
async function metadataFiles({ dir }: Fixture): Promise<string[]> {
  const names = await readdir(join(dir, 'objects', 'snapshots'), { recursive: true });
  return names.filter((name) => name.endsWith('.json'));
}
