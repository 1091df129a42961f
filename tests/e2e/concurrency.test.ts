import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createItems, flush, item, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const items = (count: number, version = 0) => Array.from({ length: count }, (_, id) => item(id, version));

describe('calls that run at the same time', () => {
  const fixture = sharedServer();

  test('of several that create one snapshot, or restore to one target, exactly one succeeds', async () => {
    const { client } = fixture;
    const collection_name = 'raced';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(50) }));
    const creations = await Promise.all(
      Array.from({ length: 8 }, () => client.createSnapshot({ collection_name, snapshot_name: 's' })),
    );
    assert.deepEqual(creations.map(({ code }) => code).sort(), [0, ...Array<number>(7).fill(1100)]);
    for (const { code, reason } of creations) if (code !== 0) assert.match(String(reason), /already exists/);
    const target_collection_name = 'raced_again';
    const request = { snapshot_name: 's', source_collection_name: collection_name, target_collection_name };
    const restores = await Promise.all(Array.from({ length: 8 }, () => client.restoreSnapshot(request)));
    assert.deepEqual(restores.map(({ status }) => status.code).sort(), [0, ...Array<number>(7).fill(65_535)]);
    for (const { status } of restores)
      if (status.code !== 0) assert.match(status.reason, /duplicate collection/);
    const { jobs } = await succeed(
      client.listRestoreSnapshotJobs({ collection_name: target_collection_name }),
    );
    assert.equal(jobs.length, 1);
  });

  test('readers see every row exactly once while rows are replaced, flushed, indexed and snapshotted', async () => {
    const { client } = fixture;
    const collection_name = 'read';
    const count = 1200;
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(count) }));
    let isDone = false;
    const reader = async () => {
      let reads = 0;
      for (; !isDone; reads++) {
        const { data } = await succeed(client.query({ collection_name, output_fields: ['count(*)'] }));
        assert.deepEqual(data, [{ 'count(*)': String(count) }]);
        const { results } = await succeed(
          client.search({ collection_name, data: item(7).vector, limit: 20 }),
        );
        assert.equal(new Set(results.map(({ id }) => id)).size, 20, 'a row is found twice');
      }
      return reads;
    };
    const readers = [reader(), reader()];
    for (let version = 1; version <= 4; version++) {
      await succeed(client.upsert({ collection_name, data: items(count, version).slice(version * 100) }));
      await flush(client, collection_name);
      await succeed(client.createSnapshot({ collection_name, snapshot_name: `s${version}` }));
    }
    isDone = true;
    for (const reads of await Promise.all(readers)) assert.ok(reads > 3);
  });

  test('a target dropped during its restore is gone, its job has ended, and the name is free', async () => {
    const { client } = fixture;
    const collection_name = 'source';
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(200) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    const request = {
      snapshot_name: 's',
      source_collection_name: collection_name,
      target_collection_name: 'target',
    };
    for (let round = 0; round < 3; round++) {
      const { job_id } = await succeed(client.restoreSnapshot(request));
      await succeed(client.dropCollection({ collection_name: 'target' }));
      const { info } = await succeed(client.getRestoreSnapshotState({ job_id }));
      assert.match(String(info.state), /^RestoreSnapshot(Failed|Completed)$/);
      await refused(client.describeCollection({ collection_name: 'target' }), {
        code: 100,
        words: 'not found',
      });
    }
    await restore(client, request);
    await load(client, 'target');
    assert.equal((await succeed(client.count({ collection_name: 'target' }))).data, 200);
    await succeed(client.dropSnapshot({ collection_name, snapshot_name: 's' }));
  });

  test('a target that is being filled refuses writes and loads with a retriable error, or is ready', async () => {
    const { client } = fixture;
    const request = {
      source_collection_name: 'source',
      target_collection_name: 'busy',
      snapshot_name: 'again',
    };
    await succeed(client.createSnapshot({ collection_name: 'source', snapshot_name: 'again' }));
    await succeed(client.restoreSnapshot(request));
    const answers = await Promise.all([
      client.insert({ collection_name: 'busy', data: [item(5000)] }).then(({ status }) => status),
      client.loadCollectionAsync({ collection_name: 'busy' }),
      client.createSnapshot({ collection_name: 'busy', snapshot_name: 's' }),
    ]);
    for (const { code, reason } of answers) assert.ok(code === 0 || code === 106, `${code}: ${reason}`);
  });

  test('rows written by many at once are all there, each once', async () => {
    const { client } = fixture;
    const collection_name = 'crowd';
    await createItems(client, collection_name);
    const batches = Array.from({ length: 40 }, (_, n) =>
      Array.from({ length: 25 }, (__, i) => item(n * 25 + i)),
    );
    await Promise.all(batches.map((data) => succeed(client.insert({ collection_name, data }))));
    await Promise.all([flush(client, collection_name), flush(client, collection_name)]);
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id >= 0', output_fields: ['name'], limit: 16_000 }),
    );
    assert.deepEqual(
      data.map(({ id, name }) => [id, name]),
      Array.from({ length: 1000 }, (_, id) => [String(id), item(id).name]),
    );
  });
});
