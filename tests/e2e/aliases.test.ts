/** Aliases as the official client uses them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createItems, flush, item, refused, restore, sharedServer, succeed, withServer } from './fixture.ts';
import { runCli } from './run-cli.ts';

describe('aliases', () => {
  const fixture = sharedServer();

  test('rows are written, read and deleted through an alias, and everything that describes a collection takes it', async () => {
    const { client } = fixture;
    await createItems(client, 'books');
    await succeed(client.createAlias({ collection_name: 'books', alias: 'shelf' }));
    const collection_name = 'shelf';
    await succeed(client.insert({ collection_name, data: [item(1), item(2)] }));
    await succeed(client.upsert({ collection_name, data: [item(2, 1)] }));
    await succeed(client.delete({ collection_name, ids: [1] }));
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id > 0', output_fields: ['name'] }),
    );
    assert.deepEqual(
      data.map(({ name }) => name),
      ['item 2 v1'],
    );
    const found = await succeed(client.search({ collection_name, data: item(2, 1).vector, limit: 1 }));
    assert.equal(Number(found.results[0]?.id), 2);
    await flush(client, collection_name).catch(() => undefined);
    const described = await succeed(client.describeCollection({ collection_name }));
    assert.deepEqual([described.collection_name, described.aliases], ['books', ['shelf']]);
    assert.equal((await succeed(client.hasCollection({ collection_name }))).value, true);
    await succeed(client.createPartition({ collection_name, partition_name: 'red' }));
    assert.ok((await succeed(client.showPartitions({ collection_name }))).partition_names.includes('red'));
    assert.equal((await succeed(client.describeIndex({ collection_name }))).index_descriptions.length, 1);
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(client.loadCollectionAsync({ collection_name }));
    const flushed = await succeed(client.flush({ collection_names: [collection_name] }));
    assert.ok(flushed.coll_segIDs !== undefined);
    await succeed(client.compact({ collection_name }));
    await succeed(client.getCollectionStatistics({ collection_name }));
    assert.equal(
      (await succeed(client.describeAlias({ collection_name, alias: 'shelf' }))).collection,
      'books',
    );
    assert.deepEqual((await succeed(client.listAliases({ collection_name }))).aliases, ['shelf']);
  });

  test('an altered alias shows the other collection; a dropped one is unknown, and dropping it again is no error', async () => {
    const { client } = fixture;
    for (const name of ['a1', 'a2']) await createItems(client, name);
    await succeed(client.insert({ collection_name: 'a2', data: [item(7)] }));
    await succeed(client.createAlias({ collection_name: 'a1', alias: 'now' }));
    await succeed(client.alterAlias({ collection_name: 'a2', alias: 'now' }));
    const { data } = await succeed(client.query({ collection_name: 'now', filter: 'id > 0' }));
    assert.deepEqual(
      data.map(({ id }) => Number(id)),
      [7],
    );
    await succeed(client.dropAlias({ alias: 'now' }));
    await succeed(client.dropAlias({ alias: 'now' }));
    await refused(client.describeAlias({ collection_name: 'a2', alias: 'now' }), {
      code: 1600,
      words: 'alias not found',
    });
    await refused(client.describeCollection({ collection_name: 'now' }), {
      code: 100,
      words: "can't find collection",
      legacy: 'UnexpectedError',
    });
  });

  test('names clash both ways, and a collection with aliases is not dropped', async () => {
    const { client } = fixture;
    for (const name of ['b1', 'b2']) await createItems(client, name);
    await succeed(client.createAlias({ collection_name: 'b1', alias: 'other' }));
    await succeed(client.createAlias({ collection_name: 'b1', alias: 'other' }));
    await refused(client.createAlias({ collection_name: 'b2', alias: 'other' }), {
      code: 1602,
      words: 'already exist',
    });
    await refused(client.createAlias({ collection_name: 'b2', alias: 'b1' }), {
      code: 1601,
      words: 'conflict',
    });
    await refused(client.renameCollection({ collection_name: 'b2', new_collection_name: 'other' }), {
      code: 65535,
      words: 'other collection name or alias',
    });
    await refused(client.dropCollection({ collection_name: 'b1' }), {
      code: 1100,
      words: 'associated aliases',
    });
    await refused(client.dropCollection({ collection_name: 'other' }), { code: 1100, words: 'via alias' });
    await succeed(client.dropAlias({ alias: 'other' }));
    await succeed(client.dropCollection({ collection_name: 'b1' }));
  });

  test('snapshots are made, listed, described, pinned and restored through an alias; a restore into its name is refused at once', async () => {
    const { client } = fixture;
    await createItems(client, 'films');
    await succeed(client.insert({ collection_name: 'films', data: [item(1)] }));
    await succeed(client.createAlias({ collection_name: 'films', alias: 'cinema' }));
    const collection_name = 'cinema';
    const snapshot_name = 'monday';
    await succeed(client.createSnapshot({ collection_name, snapshot_name }));
    assert.deepEqual((await succeed(client.listSnapshots({ collection_name }))).snapshots, [snapshot_name]);
    const described = await succeed(client.describeSnapshot({ collection_name, snapshot_name }));
    assert.equal(described.collection_name, 'films');
    const { pin_id } = await succeed(
      client.pinSnapshotData({ collection_name, snapshot_name, ttl_seconds: 60 }),
    );
    await succeed(client.unpinSnapshotData({ pin_id }));
    const target = (target_collection_name: string) => ({
      source_collection_name: collection_name,
      snapshot_name,
      target_collection_name,
    });
    await refused(client.restoreSnapshot(target('cinema')), {
      code: 65535,
      words: 'conflicts with an existing alias',
    });
    await restore(client, target('films2'));
    const restored = await succeed(client.describeCollection({ collection_name: 'films2' }));
    assert.deepEqual(restored.aliases, []);
    await succeed(client.dropAlias({ alias: 'cinema' }));
    await refused(client.listSnapshots({ collection_name }), { code: 100, words: 'collection not found' });
    await refused(client.createSnapshot({ collection_name, snapshot_name: 'b' }), {
      code: 100,
      words: 'collection not found',
    });
  });

  test('aliases outlive kill -9, and follow the name of an in-place restore, there and back (R17)', async () => {
    await withServer(async (server) => {
      await createItems(server.client, 'words');
      await succeed(server.client.insert({ collection_name: 'words', data: [item(1)] }));
      await succeed(server.client.createSnapshot({ collection_name: 'words', snapshot_name: 'one' }));
      await succeed(server.client.insert({ collection_name: 'words', data: [item(2)] }));
      await succeed(server.client.createAlias({ collection_name: 'words', alias: 'lexicon' }));
      await server.restart('kill');
      const { client } = server;
      const run = (line: string) =>
        runCli(line.split(' '), { TIDEMARK_METRICS_PORT: server.server.httpAddress.split(':').pop() ?? '' });
      const ids = async () => {
        const { data } = await succeed(client.query({ collection_name: 'lexicon', filter: 'id > 0' }));
        return data.map(({ id }) => Number(id));
      };
      assert.deepEqual(await ids(), [1, 2]);
      const { code, err, out } = await run('restore in-place lexicon one --wait');
      assert.deepEqual([code, err], [0, '']);
      assert.deepEqual(await ids(), [1]);
      const job = /revert (\d+)/.exec(out)?.[1] ?? '';
      assert.equal((await run(`restore revert ${job}`)).code, 0, out);
      assert.deepEqual(await ids(), [1, 2]);
    });
  });
});
