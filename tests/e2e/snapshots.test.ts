import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../connections.ts';
import { createItems, flush, item, load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';

const items = (count: number, from = 0) => Array.from({ length: count }, (_, i) => item(from + i));

describe('the rules of the snapshot calls', () => {
  const fixture = sharedServer();
  const collection_name = 'items';
  const snapshot_name = 'first';

  before(async () => {
    const { client } = fixture;
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(20) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name, description: 'wörds' }));
  });

  const request = (name: string, of: string) => ({ snapshot_name: name, collection_name: of });
  const restoring = (name: string, source: string, target: string) => ({
    snapshot_name: name,
    source_collection_name: source,
    target_collection_name: target,
  });

  test('Create, Drop, Describe, Restore, Pin with a blank name: 1100', async () => {
    const raw = new RawClient(fixture.server.address);
    const calls = [
      'CreateSnapshot',
      'DropSnapshot',
      'DescribeSnapshot',
      'RestoreSnapshot',
      'PinSnapshotData',
    ];
    for (const rpc of calls)
      for (const name of ['', '  ', '\t\n'])
        await refused(raw.status(rpc, { name, collection_name, target_collection_name: 'x' }), {
          code: 1100,
          words: 'snapshot name should be not empty',
          legacy: 'IllegalArgument',
        });
    raw.close();
  });

  test('names that are no names are refused in words', async () => {
    const { client } = fixture;
    const table = [
      ['1st', 'the first character of snapshot name must be an underscore or letter'],
      ['a/b', 'snapshot name can only contain numbers, letters, underscores, and allowed characters'],
      ['a\u0000b', 'snapshot name can only contain'],
      ['../../etc', 'the first character'],
      ['x'.repeat(256), 'the length of snapshot name must be not greater than limit'],
    ] as const;
    for (const [name, words] of table)
      await refused(client.createSnapshot(request(name, collection_name)), { code: 1100, words });
    assert.deepEqual((await succeed(client.listSnapshots({ collection_name }))).snapshots, [snapshot_name]);
  });

  test('Create: unknown collection 100, same name again 1100, protection out of range 1100', async () => {
    const { client } = fixture;
    await refused(client.createSnapshot(request('s', 'nope')), { code: 100, words: 'collection not found' });
    await refused(client.createSnapshot(request(snapshot_name, collection_name)), {
      code: 1100,
      words: 'already exists',
    });
    const protect = (compaction_protection_seconds: number) =>
      client.createSnapshot({ ...request('s', collection_name), compaction_protection_seconds });
    await refused(protect(-1), { code: 1100, words: 'compaction_protection_seconds must be non-negative' });
    await refused(protect(604_801), { code: 1100, words: 'must not exceed 604800' });
    await succeed(protect(604_800));
    await succeed(client.dropSnapshot(request('s', collection_name)));
  });

  test('Drop of an unknown snapshot is success, in an unknown collection 100', async () => {
    const { client } = fixture;
    await succeed(client.dropSnapshot(request('never_was', collection_name)));
    await refused(client.dropSnapshot(request('never_was', 'nope')), {
      code: 100,
      words: 'collection not found',
    });
  });

  test('Drop with an active pin: 2601; after Unpin, or after its time, it goes', async () => {
    const { client } = fixture;
    await succeed(client.createSnapshot(request('pinned', collection_name)));
    const { pin_id } = await succeed(
      client.pinSnapshotData({ ...request('pinned', collection_name), ttl_seconds: 3600 }),
    );
    assert.ok(BigInt(pin_id) > 0n);
    await succeed(client.pinSnapshotData({ ...request('pinned', collection_name), ttl_seconds: 1 }));
    await refused(client.dropSnapshot(request('pinned', collection_name)), {
      code: 2601,
      words: 'active pins exist',
    });
    await succeed(client.unpinSnapshotData({ pin_id }));
    await succeed(client.unpinSnapshotData({ pin_id }));
    await refused(client.dropSnapshot(request('pinned', collection_name)), {
      code: 2601,
      words: 'active pins exist',
    });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await succeed(client.dropSnapshot(request('pinned', collection_name)));
    await refused(client.describeSnapshot(request('pinned', collection_name)), {
      code: 2600,
      words: 'snapshot not found',
    });
  });

  test('Drop, Describe, List, Restore, Pin without a collection: 1100', async () => {
    const raw = new RawClient(fixture.server.address);
    const table = {
      CreateSnapshot: 'create snapshot',
      DropSnapshot: 'drop snapshot',
      DescribeSnapshot: 'describe snapshot',
      ListSnapshots: '',
      RestoreSnapshot: 'restore snapshot',
      PinSnapshotData: 'pin snapshot',
    };
    for (const [rpc, action] of Object.entries(table)) {
      const request = { ...(rpc !== 'ListSnapshots' && { name: 's' }), target_collection_name: 'x' };
      await refused(raw.status(rpc, request), {
        code: 1100,
        words: `collection_name is required for ${action}`,
      });
    }
    raw.close();
  });

  test('Describe, Restore, Pin of an unknown snapshot: not found', async () => {
    const { client } = fixture;
    const unknown = { code: 2600, words: 'snapshot not found' };
    await refused(client.describeSnapshot(request('nope', collection_name)), unknown);
    await refused(client.restoreSnapshot(restoring('nope', collection_name, 'x')), unknown);
    await refused(client.pinSnapshotData(request('nope', collection_name)), unknown);
    assert.equal((await succeed(client.hasCollection({ collection_name: 'x' }))).value, false);
  });

  test('Restore: a taken target is refused at once without a job, a missing or bad one 1100', async () => {
    const { client } = fixture;
    const { jobs: jobsBefore } = await succeed(client.listRestoreSnapshotJobs({}));
    await refused(client.restoreSnapshot(restoring(snapshot_name, collection_name, collection_name)), {
      code: 65535,
      words: 'duplicate collection',
    });
    const raw = new RawClient(fixture.server.address);
    await refused(raw.status('RestoreSnapshot', { name: snapshot_name, collection_name }), {
      code: 1100,
      words: 'target_collection_name is required for restore snapshot',
    });
    raw.close();
    await refused(client.restoreSnapshot(restoring(snapshot_name, collection_name, 'a/b')), {
      code: 1100,
      words: 'collection name',
    });
    await refused(
      client.restoreSnapshot({ ...restoring(snapshot_name, collection_name, 'x'), target_db_name: 'nope' }),
      {
        code: 800,
        words: 'database not found',
      },
    );
    await refused(client.restoreSnapshot(restoring(snapshot_name, 'nope', 'x')), {
      code: 100,
      words: 'collection not found',
    });
    assert.equal((await succeed(client.listRestoreSnapshotJobs({}))).jobs.length, jobsBefore.length);
  });

  test('GetRestoreSnapshotState of an unknown job: 2101 not found', async () => {
    await refused(fixture.client.getRestoreSnapshotState({ job_id: 4_711 }), {
      code: 2101,
      words: 'restore job not found: jobID=4711',
    });
  });

  test('Pin: ttl out of range 1100; Unpin: id 0 is refused, an unknown one is no error', async () => {
    const { client } = fixture;
    const pin = (ttl_seconds: number) =>
      client.pinSnapshotData({ ...request(snapshot_name, collection_name), ttl_seconds });
    await refused(pin(-1), { code: 1100, words: 'ttl_seconds must be non-negative' });
    await refused(pin(2_592_001), { code: 1100, words: 'ttl_seconds exceeds maximum of 2592000' });
    await refused(client.unpinSnapshotData({ pin_id: 0 }), {
      code: 1100,
      words: 'pin_id is required for unpin snapshot data',
    });
    await succeed(client.unpinSnapshotData({ pin_id: '4611686018427387904' }));
  });

  test('Describe shows description, collection, partitions, time and place', async () => {
    const described = await succeed(fixture.client.describeSnapshot(request(snapshot_name, collection_name)));
    const { name, description, partition_names, create_ts, s3_location } = described;
    assert.deepEqual(
      [name, description, described.collection_name, partition_names],
      [snapshot_name, 'wörds', collection_name, ['_default']],
    );
    assert.ok(BigInt(create_ts) > 0n);
    assert.notEqual(s3_location, '');
  });

  test('two collections may share a snapshot name; each has its own', async () => {
    const { client } = fixture;
    await createItems(client, 'twin');
    await succeed(client.insert({ collection_name: 'twin', data: items(3, 500) }));
    await succeed(client.createSnapshot(request(snapshot_name, 'twin')));
    await restore(client, restoring(snapshot_name, 'twin', 'twin_again'));
    await load(client, 'twin_again');
    assert.equal((await succeed(client.count({ collection_name: 'twin_again' }))).data, 3);
    await succeed(client.dropSnapshot(request(snapshot_name, 'twin')));
    await succeed(client.describeSnapshot(request(snapshot_name, collection_name)));
  });

  test('snapshots follow their collection through a rename; the old name is unknown', async () => {
    const { client } = fixture;
    await createItems(client, 'old_name');
    await succeed(client.insert({ collection_name: 'old_name', data: items(4) }));
    await succeed(client.createSnapshot(request('s', 'old_name')));
    await succeed(client.renameCollection({ collection_name: 'old_name', new_collection_name: 'new_name' }));
    await refused(client.listSnapshots({ collection_name: 'old_name' }), {
      code: 100,
      words: 'collection not found',
    });
    assert.deepEqual((await succeed(client.listSnapshots({ collection_name: 'new_name' }))).snapshots, ['s']);
    assert.equal(
      (await succeed(client.describeSnapshot(request('s', 'new_name')))).collection_name,
      'new_name',
    );
    await restore(client, restoring('s', 'new_name', 'old_name'));
    await load(client, 'old_name');
    assert.equal((await succeed(client.count({ collection_name: 'old_name' }))).data, 4);
  });

  test('DropCollection drops its snapshots, but neither pinned ones nor what was restored', async () => {
    const { client } = fixture;
    await createItems(client, 'doomed');
    await succeed(client.insert({ collection_name: 'doomed', data: items(6) }));
    await succeed(client.createSnapshot(request('kept', 'doomed')));
    await succeed(client.createSnapshot(request('gone', 'doomed')));
    const { pin_id } = await succeed(client.pinSnapshotData(request('kept', 'doomed')));
    await restore(client, restoring('gone', 'doomed', 'survivor'));
    await succeed(client.dropCollection({ collection_name: 'doomed' }));
    await refused(client.listSnapshots({ collection_name: 'doomed' }), {
      code: 100,
      words: 'collection not found',
    });
    await createItems(client, 'doomed');
    assert.deepEqual((await succeed(client.listSnapshots({ collection_name: 'doomed' }))).snapshots, []);
    await succeed(client.unpinSnapshotData({ pin_id }));
    await load(client, 'survivor');
    assert.equal((await succeed(client.count({ collection_name: 'survivor' }))).data, 6);
  });

  test('the target exists and its job is listed under it as soon as the call returns', async () => {
    const { client } = fixture;
    const { job_id } = await succeed(
      client.restoreSnapshot(restoring(snapshot_name, collection_name, 'at_once')),
    );
    assert.equal((await succeed(client.hasCollection({ collection_name: 'at_once' }))).value, true);
    const { jobs } = await succeed(client.listRestoreSnapshotJobs({ collection_name: 'at_once' }));
    assert.deepEqual(
      jobs.map((job) => [job.job_id, job.snapshot_name, job.db_name, job.collection_name]),
      [[job_id, snapshot_name, 'default', 'at_once']],
    );
    assert.match(String(jobs[0]?.state), /^RestoreSnapshot(Pending|Executing|Completed)$/);
  });

  test('restore into another database; jobs are listed by the target database and collection', async () => {
    const { client, server } = fixture;
    await succeed(client.createDatabase({ db_name: 'archive' }));
    const job = await restore(client, {
      ...restoring(snapshot_name, collection_name, 'there'),
      target_db_name: 'archive',
    });
    const ids = async (filter: { db_name?: string; collection_name?: string }) =>
      (await succeed(client.listRestoreSnapshotJobs(filter))).jobs.map(({ job_id }) => job_id);
    assert.deepEqual(await ids({ db_name: 'archive' }), [job]);
    assert.deepEqual(await ids({ db_name: 'archive', collection_name: 'there' }), [job]);
    assert.ok((await ids({ db_name: 'default' })).every((id) => id !== job));
    assert.deepEqual(await ids({ db_name: 'default', collection_name: 'there' }), []);
    const archive = new MilvusClient({
      address: server.address,
      channelOptions: ownConnections,
      database: 'archive',
    });
    try {
      await load(archive, 'there');
      assert.equal((await succeed(archive.count({ collection_name: 'there' }))).data, 20);
      await succeed(archive.createSnapshot(request('back', 'there')));
      await refused(client.listSnapshots({ collection_name: 'there' }), {
        code: 100,
        words: 'collection not found',
      });
      // An empty target database is `default`, whatever database the client works in.
      await restore(archive, restoring('back', 'there', 'back_again'));
      assert.equal((await succeed(client.hasCollection({ collection_name: 'back_again' }))).value, true);
    } finally {
      await archive.closeConnection();
    }
  });

  test('restore, drop, restore again, three times, and an empty collection', async () => {
    const { client } = fixture;
    await createItems(client, 'empty');
    await succeed(client.createSnapshot(request('s', 'empty')));
    for (const [source, name, count] of [
      [collection_name, snapshot_name, 20],
      ['empty', 's', 0],
    ] as const)
      for (let round = 0; round < 3; round++) {
        await restore(client, restoring(name, source, 'again'));
        await load(client, 'again');
        assert.equal((await succeed(client.count({ collection_name: 'again' }))).data, count);
        await succeed(client.dropCollection({ collection_name: 'again' }));
      }
  });
});

describe('a restored collection', () => {
  const fixture = sharedServer();

  /** Everything describe tells that a restore keeps. */
  async function shape(client: MilvusClient, collection_name: string): Promise<unknown> {
    const described = await succeed(client.describeCollection({ collection_name }));
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
    const { partition_names } = await succeed(client.listPartitions({ collection_name }));
    const { name: _, dbName: __, ...schema } = described.schema as unknown as Record<string, unknown>;
    return {
      schema,
      shards: described.shards_num,
      consistency: described.consistency_level,
      properties: described.properties,
      partitions: [...partition_names].sort(),
      indexes: index_descriptions.map(({ index_name, field_name, params }) => ({
        index_name,
        field_name,
        params,
      })),
    };
  }

  test('keeps schema with field ids, description, auto-id, dynamic field, nullable and default values, partitions, shards, consistency, properties and indexes; is not loaded; its indexes are built', async () => {
    const { client } = fixture;
    const collection_name = 'source';
    await succeed(
      client.createCollection({
        collection_name,
        description: 'the source',
        enable_dynamic_field: true,
        shards_num: 3,
        consistency_level: 'Session',
        properties: { 'collection.ttl.seconds': 86_400, 'mine.own': 'x' },
        fields: [
          {
            name: 'id',
            data_type: DataType.VarChar,
            max_length: 40,
            is_primary_key: true,
            autoID: true,
            description: 'key',
          },
          { name: 'n', data_type: DataType.Int16, nullable: true, default_value: 5 },
          {
            name: 'words',
            data_type: DataType.Array,
            element_type: DataType.VarChar,
            max_capacity: 3,
            max_length: 9,
            nullable: true,
          },
          { name: 'meta', data_type: DataType.JSON, nullable: true },
          { name: 'a', data_type: DataType.FloatVector, dim: 4 },
          { name: 'b', data_type: DataType.FloatVector, dim: 2 },
        ],
      }),
    );
    for (const partition_name of ['p1', 'p2'])
      await succeed(client.createPartition({ collection_name, partition_name }));
    const indexes = [
      {
        field_name: 'a',
        index_name: 'on_a',
        index_type: 'HNSW',
        metric_type: 'IP',
        params: { M: 12, efConstruction: 88 },
      },
      { field_name: 'b', index_type: 'IVF_FLAT', metric_type: 'L2', params: { nlist: 64 } },
      { field_name: 'n', index_name: 'on_n', index_type: 'INVERTED' },
    ];
    for (const index of indexes) await succeed(client.createIndex({ collection_name, ...index }));
    const rows = Array.from({ length: 1500 }, (_, i) => ({ a: [i, 1, 2, 3], b: [i, -i], extra: i }));
    await succeed(client.insert({ collection_name, data: rows.slice(0, 1200) }));
    await succeed(client.insert({ collection_name, partition_name: 'p2', data: rows.slice(1200) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    const described = await succeed(client.describeSnapshot({ collection_name, snapshot_name: 's' }));
    assert.deepEqual([...described.partition_names].sort(), ['_default', 'p1', 'p2']);

    await restore(client, {
      snapshot_name: 's',
      source_collection_name: collection_name,
      target_collection_name: 'target',
    });
    for (const how of ['restored', 'after a kill -9']) {
      if (how !== 'restored') await fixture.restart('kill');
      assert.deepEqual(
        await shape(fixture.client, 'target'),
        await shape(fixture.client, collection_name),
        how,
      );
    }
    const later = fixture.client;
    const { state } = await succeed(later.getLoadState({ collection_name: 'target' }));
    assert.equal(state, 'LoadStateNotLoad');
    for (;;) {
      const { index_descriptions } = await succeed(later.describeIndex({ collection_name: 'target' }));
      for (const index of index_descriptions)
        assert.equal(Number(index.indexed_rows) + Number(index.pending_index_rows), 1500);
      if (
        index_descriptions.every(
          ({ state: built, pending_index_rows }) => built === 'Finished' && pending_index_rows === '0',
        )
      )
        break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await load(later, 'target');
    const count = async (partition_names: string[]) =>
      (
        await succeed(
          later.query({ collection_name: 'target', partition_names, output_fields: ['count(*)'] }),
        )
      ).data[0]?.['count(*)'];
    assert.deepEqual(
      [await count(['_default']), await count(['p1']), await count(['p2'])],
      ['1200', '0', '300'],
    );
    const { data } = await succeed(
      later.query({ collection_name: 'target', filter: 'extra == 1300', output_fields: ['n', 'b', 'extra'] }),
    );
    assert.deepEqual(
      data.map(({ n, b, $meta }) => [n, b, $meta]),
      [[5, [1300, -1300], { extra: 1300 }]],
    );
    const { IDs } = await succeed(later.insert({ collection_name: 'target', data: rows.slice(0, 5) }));
    const fresh = 'str_id' in IDs ? IDs.str_id.data : [];
    assert.equal(new Set(fresh).size, 5);
    assert.equal(await count([]), '1505', 'new ids must not meet restored ones');
  });

  test('has its indexes built at the moment the job is completed when the source had', async () => {
    const { client } = fixture;
    await createItems(client, 'built');
    await succeed(client.insert({ collection_name: 'built', data: items(1500) }));
    await flush(client, 'built');
    for (;;) {
      const { index_descriptions } = await succeed(client.describeIndex({ collection_name: 'built' }));
      if (index_descriptions[0]?.state === 'Finished') break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await succeed(client.createSnapshot({ collection_name: 'built', snapshot_name: 's' }));
    await restore(client, {
      snapshot_name: 's',
      source_collection_name: 'built',
      target_collection_name: 'rebuilt',
    });
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name: 'rebuilt' }));
    assert.deepEqual(
      index_descriptions.map((index) => [
        index.state,
        index.indexed_rows,
        index.total_rows,
        index.pending_index_rows,
      ]),
      [['Finished', '1500', '1500', '0']],
    );
  });
});
