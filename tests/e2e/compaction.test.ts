import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import {
  createItems,
  type Fixture,
  flush,
  item,
  load,
  refused,
  restore,
  succeed,
  withServer,
} from './fixture.ts';
import { RawClient } from './raw-client.ts';

const collection_name = 'items';

/** Ids and names of all rows, as a reader sees them. */
async function rowsOf(client: MilvusClient, of = collection_name): Promise<readonly string[]> {
  const { data } = await succeed(
    client.query({ collection_name: of, filter: 'id >= 0', output_fields: ['id', 'name'], limit: 16_000 }),
  );
  return data.map(({ id, name }) => `${id} ${name}`).sort();
}

async function nearest(client: MilvusClient, id: number): Promise<readonly unknown[]> {
  const answer = await client.search({
    collection_name,
    data: [item(id).vector],
    limit: 5,
    output_fields: ['name'],
  });
  assert.equal(answer.status.code, 0, answer.status.reason as string);
  return answer.results.map(({ id: found, name, score }) => [found, name, score]);
}

async function segmentsOf(client: MilvusClient, level: 'L1' | 'L0') {
  const { infos } = await succeed(
    client.getPersistentSegmentInfo({ collectionName: collection_name } as never),
  );
  return (infos as unknown as { segmentID: string; num_rows: string; level: string }[]).filter(
    (info) => info.level === level,
  );
}

const countOf = async (client: MilvusClient): Promise<number> =>
  Number((await succeed(client.getCollectionStatistics({ collection_name }))).data['row_count']);

/** Compacts and waits for the end. */
async function compact(client: MilvusClient) {
  const { compactionID } = await succeed(client.compact({ collection_name }));
  for (;;) {
    const state = await succeed(client.getCompactionState({ compactionID }));
    if (String(state.state) === 'Completed') {
      assert.deepEqual([state.executingPlanNo, state.failedPlanNo, state.timeoutPlanNo], ['0', '0', '0']);
      return (await succeed(client.getCompactionStateWithPlans({ compactionID }))).mergeInfos;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Many small segments of `items`, with deletes and upserts among them. */
async function fill({ client }: Fixture, flushes: number): Promise<void> {
  for (let i = 0; i < flushes; i++) {
    const data = Array.from({ length: 50 }, (_, n) => item(100 * i + n));
    await succeed(client.insert({ collection_name, data }));
    if (i > 0) {
      await succeed(client.delete({ collection_name, filter: `id in [${100 * i - 100}, ${100 * i - 99}]` }));
      await succeed(client.upsert({ collection_name, data: [item(100 * i - 98, i)] }));
    }
    await flush(client, collection_name);
  }
}

test('small segments of many flushes are merged: fewer segments, same rows, deleted rows gone from the row count', () =>
  withServer(async (fixture) => {
    const { client } = fixture;
    await createItems(client);
    await fill(fixture, 3);
    const before = {
      rows: await rowsOf(client),
      near: await nearest(client, 102),
      count: await countOf(client),
    };
    const flushed = await segmentsOf(client, 'L1');
    assert.equal(flushed.length, 3);
    assert.equal(before.count, 152);
    const plans = await compact(client);
    const left = await segmentsOf(client, 'L1');
    assert.equal(left.length, 1);
    // Deletes whose segment is not out of the log yet are applied in a second round.
    assert.ok(plans.some(({ target }) => target === left[0]?.segmentID));
    const sources = new Set(plans.flatMap((plan) => plan.sources));
    assert.ok(flushed.every(({ segmentID }) => sources.has(segmentID)));
    assert.deepEqual(await segmentsOf(client, 'L0'), [], 'no deletes are left');
    assert.equal(await countOf(client), before.count - 6);
    assert.deepEqual(await rowsOf(client), before.rows);
    assert.deepEqual(await nearest(client, 102), before.near);
    await fixture.restart('kill');
    await load(fixture.client, collection_name);
    assert.deepEqual(await rowsOf(fixture.client), before.rows);
    assert.equal((await segmentsOf(fixture.client, 'L1')).length, 1);
  }));

test('segments are compacted by themselves while clients write and search', () =>
  withServer(async (fixture) => {
    const { client } = fixture;
    await createItems(client);
    await fill(fixture, 9);
    const expected = await rowsOf(client);
    for (let tries = 0; (await segmentsOf(client, 'L1')).length > 4; tries++) {
      assert.ok(tries < 400, 'not compacted');
      assert.deepEqual(await rowsOf(client), expected);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(await rowsOf(client), expected);
  }));

test('a protected snapshot keeps its segments as they are; one without protection is restored exactly after a compaction', () =>
  withServer(async (fixture) => {
    const { client } = fixture;
    await createItems(client);
    await fill(fixture, 3);
    const expected = await rowsOf(client);
    await succeed(
      client.createSnapshot({
        collection_name,
        snapshot_name: 'kept',
        compaction_protection_seconds: 3600,
      } as never),
    );
    const kept = await segmentsOf(client, 'L1');
    assert.deepEqual(await compact(client), []);
    assert.deepEqual(await segmentsOf(client, 'L1'), kept);
    await succeed(client.dropSnapshot({ collection_name, snapshot_name: 'kept' } as never));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'plain' } as never));
    assert.equal((await compact(client))[0]?.sources.length, 3);
    await succeed(client.delete({ collection_name, filter: 'id >= 0' }));
    await restore(client, {
      snapshot_name: 'plain',
      source_collection_name: collection_name,
      target_collection_name: 'copy',
    } as never);
    await load(client, 'copy');
    assert.deepEqual(await rowsOf(client, 'copy'), expected);
  }));

test('compactions that cannot be are refused as Milvus does', () =>
  withServer(async ({ client, server }) => {
    await createItems(client);
    await refused(client.compact({ collection_name, target_size: 1 }), {
      code: 1100,
      words: 'target size',
      legacy: 'IllegalArgument',
    });
    await refused(client.compact({ collection_name, majorCompaction: true }), {
      code: 10,
      words: 'clustering compaction is not implemented',
    });
    await refused(client.getCompactionState({ compactionID: 7 }), {
      code: 2102,
      words: 'compaction not found',
    });
    const raw = new RawClient(server.address);
    await refused(raw.status('ManualCompaction', { collectionID: 5 }), {
      code: 100,
      words: "can't find collection",
    });
    raw.close();
  }));
