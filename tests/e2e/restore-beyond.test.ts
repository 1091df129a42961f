/** In-place restores and drills as an operator makes them, under clients that go on reading. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { parseJson } from '../../src/support/json.ts';
import { createItems, flush, item, load, refused, sharedServer, succeed, withServer } from './fixture.ts';
import { runCli } from './run-cli.ts';

const items = (count: number, from = 0, version = 0) =>
  Array.from({ length: count }, (_, i) => item(from + i, version));

const ids = async (client: MilvusClient, collection_name: string): Promise<number[]> => {
  const { data } = await succeed(
    client.query({
      collection_name,
      filter: 'id >= 0',
      output_fields: ['id', 'name', 'vector'],
      consistency_level: 0 as never,
    }),
  );
  return data.map(({ id }) => Number(id)).sort((a, b) => a - b);
};

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('restores in place and drills', () => {
  const fixture = sharedServer();
  const run = (line: string) =>
    runCli(line.split(' '), { TIDEMARK_METRICS_PORT: fixture.server.httpAddress.split(':').pop() ?? '' });

  /** 100 rows in files and an index, a snapshot, then 20 more and 10 deleted. */
  async function prepare(collection_name: string): Promise<void> {
    const { client } = fixture;
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(100) }));
    await flush(client, collection_name);
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'monday' }));
    await succeed(client.insert({ collection_name, data: items(20, 100) }));
    await succeed(client.deleteEntities({ collection_name, expr: 'id < 10' }));
  }

  before(async () => {
    await prepare('films');
  });

  test('restore in-place under readers: each sees all rows of the old collection or all of the restored one', async () => {
    const { client } = fixture;
    let isOver = false;
    const seen = new Set<string>();
    const reading = Promise.all(
      [1, 2].map(async () => {
        while (!isOver) seen.add((await ids(client, 'films')).join());
      }),
    );
    const { code, out, err } = await run('restore in-place films monday --wait');
    isOver = true;
    await reading;
    assert.deepEqual([code, err], [0, '']);
    const [, kept = '', jobId = ''] =
      /kept as (films_before_\d+), with 1 snapshot\.\nDrop it with `tidemark restore confirm (\d+)`/.exec(
        out,
      ) ?? [];
    assert.match(out, /^default\/films has the 100 rows of monday now, in /);
    const [was, is] = [upTo(120).slice(10).join(), upTo(100).join()];
    assert.ok(
      [...seen].every((each) => each === was || each === is),
      [...seen].join('\n'),
    );
    assert.deepEqual(await ids(client, 'films'), upTo(100));
    assert.deepEqual(await ids(client, kept), upTo(120).slice(10));
    assert.equal((await succeed(client.getLoadState({ collection_name: 'films' }))).state, 'LoadStateLoaded');
    assert.match((await run('restore list films')).out, /in-place: swapped/);
    await succeed(client.insert({ collection_name: 'films', data: items(1, 500) }));
    assert.deepEqual(await ids(client, 'films'), [...upTo(100), 500]);
    await refused(client.describeSnapshot({ collection_name: 'films', snapshot_name: 'monday' }), {
      code: 2600,
      words: 'snapshot not found',
    });
    const second = await run(`restore in-place ${kept} monday`);
    assert.deepEqual([second.code, /confirm or revert it first/.test(second.err)], [1, true]);

    const reverted = await run(`restore revert ${jobId}`);
    assert.deepEqual([reverted.code, reverted.err], [0, '']);
    assert.match(reverted.out, /films is the old collection again/);
    assert.deepEqual(await ids(client, 'films'), upTo(120).slice(10));
    assert.equal((await run(`restore revert ${jobId}`)).code, 0);
    const late = await run(`restore confirm ${jobId}`);
    assert.deepEqual([late.code, /its old collection has its name back/.test(late.err)], [1, true]);
    const { data } = await succeed(client.listCollections());
    assert.deepEqual(
      data.map(({ name }) => name).filter((name) => name.includes('films')),
      ['films'],
    );
  });

  test('restore confirm drops the old collection; a reader of the name notices nothing', async () => {
    const { client } = fixture;
    await prepare('books');
    const { out } = await run('restore in-place books/monday --wait --json');
    const { jobId, purpose } = parseJson(out) as { jobId: string; purpose: { keptName: string } };
    const { code } = await run(`restore confirm ${jobId}`);
    assert.equal(code, 0);
    assert.equal((await run(`restore confirm ${jobId}`)).code, 0);
    assert.deepEqual(await ids(client, 'books'), upTo(100));
    await refused(client.describeCollection({ collection_name: purpose.keptName }), {
      code: 100,
      words: 'collection not found',
    });
  });

  test('restore drill of a sound snapshot ends with 0 and leaves nothing behind', async () => {
    const { client } = fixture;
    await prepare('songs');
    const before = (await succeed(client.listCollections())).data.length;
    const { code, out, err } = await run('restore drill songs monday');
    assert.deepEqual([code, err], [0, '']);
    assert.match(
      out,
      /^default\/songs\/monday can be restored: the copy is the same\. 100 rows and 0 deletes in 1 segment, .*; the copy is dropped\.\n$/,
    );
    assert.equal((await succeed(client.listCollections())).data.length, before);
    const answer = await fetch(
      `http://${fixture.server.httpAddress}/restore-drill?snapshot=default/songs/monday`,
      {
        method: 'POST',
      },
    );
    const job = (await answer.json()) as { purpose: object; collectionName: string };
    assert.deepEqual([job.collectionName, job.purpose], ['songs', { kind: 'drill', stage: 'copying' }]);
    const gone = await run('restore drill songs tuesday');
    assert.deepEqual([gone.code, /snapshot not found/.test(gone.err)], [1, true]);
  });

  test('a drill compares rows of every type, nulls, deletes and graphs', async () => {
    const { client } = fixture;
    const collection_name = 'everything';
    await succeed(
      client.createCollection({
        collection_name,
        enable_dynamic_field: true,
        fields: [
          { name: 'id', data_type: DataType.VarChar, is_primary_key: true, max_length: 20 },
          { name: 'flag', data_type: DataType.Bool, nullable: true },
          { name: 'small', data_type: DataType.Int8 },
          {
            name: 'list',
            data_type: DataType.Array,
            element_type: DataType.VarChar,
            max_length: 9,
            max_capacity: 4,
          },
          { name: 'json', data_type: DataType.JSON, nullable: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: 8 },
        ],
      } as never),
    );
    await succeed(
      client.createIndex({
        collection_name,
        field_name: 'vector',
        index_type: 'HNSW',
        metric_type: 'L2',
        params: { M: 8 },
      }),
    );
    const rows = Array.from({ length: 1500 }, (_, i) => ({
      id: `k${i}`,
      flag: i % 3 === 0 ? null : i % 2 === 0,
      small: (i % 250) - 125,
      list: Array.from({ length: i % 4 }, (__, n) => `é${n}`),
      json: i % 5 === 0 ? null : { i },
      vector: item(i).vector,
      extra: i,
    }));
    await succeed(client.insert({ collection_name, data: rows as never }));
    await flush(client, collection_name);
    await load(client, collection_name);
    await succeed(client.deleteEntities({ collection_name, expr: 'small == 7' }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    const { code, out, err } = await run('restore drill everything s');
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /1,500 rows and 6 deletes in 2 segments/);
  });
});

test('a drill of a snapshot with a damaged file ends with 3 and names it', () =>
  withServer(async ({ client, server, dir }) => {
    await createItems(client, 'films');
    await succeed(client.insert({ collection_name: 'films', data: items(500) }));
    await succeed(client.createSnapshot({ collection_name: 'films', snapshot_name: 'monday' }));
    const objects = await readdir(join(dir, 'objects'), { recursive: true });
    const key = objects.find((each) => each.endsWith('rows.parquet')) ?? '';
    const path = join(dir, 'objects', key);
    const bytes = await readFile(path);
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const line = 'restore drill films monday --server';
    const { code, out, err } = await runCli([...line.split(' '), server.httpAddress]);
    assert.deepEqual([code, err], [3, '']);
    assert.ok(out.startsWith('default/films/monday was NOT restored as it is:\n'), out);
    assert.ok(out.includes(key), out);
    assert.equal((await succeed(client.listCollections())).data.length, 1);
  }));

test('an in-place restore that waits and a drill that runs when the server is killed go on after its restart', () =>
  withServer(async (fixture) => {
    const { client } = fixture;
    await createItems(client);
    await succeed(client.insert({ collection_name: 'items', data: items(200) }));
    await succeed(client.createSnapshot({ collection_name: 'items', snapshot_name: 's' }));
    await succeed(client.insert({ collection_name: 'items', data: items(50, 1000) }));
    const run = (line: string) => runCli([...line.split(' '), '--server', fixture.server.httpAddress]);
    const { out } = await run('restore in-place items s --wait --json');
    const { jobId } = parseJson(out) as { jobId: string };
    const drillOf = parseJson(out) as { purpose: { keptName: string } };
    const drill = (await run(`restore drill ${drillOf.purpose.keptName} s --no-wait`)).out.trim();
    await fixture.restart('kill');
    await load(fixture.client, 'items');
    assert.deepEqual(await ids(fixture.client, 'items'), upTo(200));
    for (;;) {
      const answer = await fetch(`http://${fixture.server.httpAddress}/restore-jobs/${drill}`);
      const { state, purpose } = (await answer.json()) as {
        state: string;
        purpose: { outcome?: { isSame: boolean } };
      };
      if (state === 'completed') {
        assert.equal(purpose.outcome?.isSame, true);
        break;
      }
      assert.notEqual(state, 'failed');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal((await run(`restore revert ${jobId}`)).code, 0);
    assert.deepEqual((await ids(fixture.client, 'items')).length, 250);
  }));
