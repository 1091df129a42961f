/** What an operator sees: the commands and the HTTP port of a real server. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parseJson } from '../../src/support/json.ts';
import { createItems, flush, item, restore, sharedServer, succeed, withServer } from './fixture.ts';
import { type Outcome, runCli } from './run-cli.ts';

const items = (count: number, from = 0) => Array.from({ length: count }, (_, i) => item(from + i));

describe('the commands of an operator', () => {
  const fixture = sharedServer();
  const collection_name = 'items';
  let pinId = '';

  const run = (line: string): Promise<Outcome> =>
    runCli(line.split(' '), { TIDEMARK_METRICS_PORT: fixture.server.httpAddress.split(':').pop() ?? '' });

  before(async () => {
    const { client } = fixture;
    await createItems(client, collection_name);
    await succeed(client.insert({ collection_name, data: items(300) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'first', description: 'wörds' }));
    await succeed(client.insert({ collection_name, data: items(50, 1000) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'second' }));
    const pin = { collection_name, snapshot_name: 'second', ttl_seconds: 600 };
    pinId = String((await succeed(client.pinSnapshotData(pin))).pin_id);
  });

  test('snapshot list shows every snapshot, as a table and as the JSON of the server', async () => {
    const { code, out, err } = await run('snapshot list');
    assert.deepEqual([code, err], [0, '']);
    assert.match(
      out,
      /^DATABASE .*\ndefault +items +first +\S+ +300 .* 0 {2}ok\ndefault +items +second +\S+ +350 .* 1 {2}ok\n$/,
    );
    const json = await run('snapshot list items --json');
    const answer = await fetch(`http://${fixture.server.httpAddress}/snapshots?collection=items`);
    assert.equal(json.out, await answer.text());
  });

  test('snapshot describe accounts for rows, bytes, segments, partitions, indexes and schema', async () => {
    const { code, out, err } = await run('snapshot describe items first');
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /description +wörds\n[\s\S]*rows +300 in 1 segment\n[\s\S]*exclusive[\s\S]*shared/);
    assert.match(out, /vector +FloatVector\(8\)\n[\s\S]*_default +300 +1 [\s\S]*index_type=HNSW/);
    assert.equal((await run('snapshot describe items nope')).code, 1);
  });

  test('snapshot diff tells the segments and rows that came, and ends with 4', async () => {
    const { code, out } = await run('snapshot diff items first second');
    assert.equal(code, 4);
    assert.match(out, /segments +\+1 -0, 1 in common\n +rows +\+50 -0\n/);
    assert.equal((await run('snapshot diff items/first items/first')).code, 0);
  });

  test('snapshot verify of sound files ends with 0', async () => {
    const { code, out, err } = await run('snapshot verify items first');
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^default\/items\/first is sound: all of its \d+ objects read, /);
    assert.equal((await run('snapshot verify items first --subset 5%')).code, 0);
  });

  test('snapshot pins shows pins with their end', async () => {
    const { code, out } = await run('snapshot pins');
    assert.equal(code, 0);
    assert.ok(out.includes(`default/items/second  ${pinId}  `), out);
  });

  test('restore list shows a restore that has ended; it cannot be cancelled any more', async () => {
    const jobId = await restore(fixture.client, {
      snapshot_name: 'first',
      source_collection_name: collection_name,
      target_collection_name: 'again',
    });
    const { out } = await run('restore list again');
    assert.match(out, new RegExp(`\n${jobId} +completed +100 % +first +default/again `));
    const cancel = await run(`restore cancel ${jobId}`);
    assert.equal(cancel.code, 1);
    assert.match(cancel.err, /^tidemark: restore \d+ into default\/again has already completed\n$/);
    assert.match((await run('restore cancel 99')).err, /restore job not found/);
  });

  test('the HTTP port answers to this machine, and to no page of another site', async () => {
    const base = `http://${fixture.server.httpAddress}`;
    const crossSite = await fetch(`${base}/gc`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    });
    assert.equal(crossSite.status, 403);
    assert.equal((await fetch(`${base}/snapshots?name=x`)).status, 400);
    assert.match(await (await fetch(`${base}/metrics`)).text(), /^tidemark_snapshots 2$/m);
  });
});

test('gc --dry-run tells what gc then deletes, and keeps what snapshots need', () =>
  withServer(
    async ({ client, server }) => {
      const run = (line: string) => runCli([...line.split(' '), '--server', server.httpAddress]);
      for (const collection_name of ['kept', 'gone']) {
        await createItems(client, collection_name);
        await succeed(client.insert({ collection_name, data: items(100) }));
        await flush(client, collection_name);
      }
      await succeed(client.createSnapshot({ collection_name: 'kept', snapshot_name: 'first' }));
      await succeed(client.dropCollection({ collection_name: 'gone' }));
      const plan = await run('gc --dry-run');
      assert.deepEqual([plan.code, plan.err], [0, '']);
      const [, total] = /would delete (\d+) objects, /.exec(plan.out) ?? [];
      const deleted = plan.out.match(/^delete {2}\S+ +\S+ \S+ {2}segments\//gm) ?? [];
      assert.ok(deleted.length > 0, plan.out);
      assert.equal(deleted.length, Number(total));
      assert.match(plan.out, /^keep +(live|snapshot) .* segments\//m);
      const swept = await run('gc');
      assert.equal(swept.code, 0);
      assert.match((await run('gc --dry-run')).out, /`tidemark gc` would delete nothing/);
      assert.equal((await run('snapshot verify kept first')).code, 0);
    },
    ['--dataCoord.gc.dropTolerance', '0'],
  ));

test('restore start tells beforehand what it does, waits for the end, takes chosen partitions, and shares no file when it is physical', () =>
  withServer(async ({ client, server, dir }) => {
    const run = (line: string) => runCli([...line.split(' '), '--server', server.httpAddress]);
    const rows = async (collection_name: string) =>
      Number((await succeed(client.getCollectionStatistics({ collection_name }))).data['row_count']);
    const collection_name = 'items';
    await createItems(client, collection_name);
    await succeed(client.createPartition({ collection_name, partition_name: 'old' }));
    await succeed(client.insert({ collection_name, data: items(100) }));
    await succeed(client.insert({ collection_name, partition_name: 'old', data: items(30, 500) }));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 'first' }));

    const dry = await run('restore start items first again --dry-run --json');
    assert.deepEqual([dry.code, dry.err], [0, '']);
    const told = parseJson(dry.out) as { method: string; totalRows: number; freeBytes: number };
    assert.deepEqual([told.totalRows, told.freeBytes > 0], [130, true]);
    assert.ok(['hard-link', 'clone', 'stream'].includes(told.method));
    assert.match(
      (await run('restore start items/first items --dry-run')).err,
      /duplicate collection: 'items'/,
    );
    assert.equal(Number((await succeed(client.hasCollection({ collection_name: 'again' }))).value), 0);

    const whole = await run('restore start items first again --wait');
    assert.deepEqual([whole.code, whole.err], [0, '']);
    assert.match(whole.out, /^Restored first into default\/again: 130 rows, \d+ files, .* in .*\.\n$/);
    const part = await run('restore start items first part --partition old --physical --wait');
    assert.deepEqual([part.code, part.err], [0, '']);
    assert.deepEqual([await rows('again'), await rows('part')], [130, 30]);
    const { data } = await succeed(client.showPartitions({ collection_name: 'part' })).then((shown) => ({
      data: shown.partition_names,
    }));
    assert.deepEqual([...data].sort(), ['_default', 'old']);
    const { collectionID } = await succeed(client.describeCollection({ collection_name: 'part' }));
    assert.deepEqual(await linksBelow(join(dir, 'objects', 'segments', String(collectionID))), [1]);

    const unknown = await run('restore start items first more --partition nope');
    assert.deepEqual([unknown.code, unknown.out], [1, '']);
    assert.match(unknown.err, /partition not found\[partition=nope\]/);
    const started = await run('restore start items first more');
    assert.match(started.out, /^\d+\n$/);
    assert.match((await run('restore list more')).out, new RegExp(`\n${started.out.trim()} `));
  }));

/** How many names files have, each number once. */
async function linksBelow(directory: string): Promise<readonly number[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const links = await Promise.all(files.map(async (file) => (await stat(join(file.path, file.name))).nlink));
  return [...new Set(links)];
}

test('snapshot verify names a file that was damaged on the disk and ends with 3', () =>
  withServer(async ({ client, server, dir }) => {
    const run = (line: string) => runCli([...line.split(' '), '--server', server.httpAddress]);
    await createItems(client);
    await succeed(client.insert({ collection_name: 'items', data: items(200) }));
    await succeed(client.createSnapshot({ collection_name: 'items', snapshot_name: 'first' }));
    const plan = await run('gc --dry-run --json');
    const keys = plan.out
      .trimEnd()
      .split('\n')
      .map((line) => (parseJson(line) as { key: string }).key);
    const key = keys.find((each) => each.endsWith('rows.parquet')) ?? '';
    const path = join(dir, 'objects', key);
    const bytes = await readFile(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const { code, out, err } = await run('snapshot verify items first');
    assert.deepEqual([code, err], [3, '']);
    assert.ok(out.includes(`corrupt     ${key}\n`), out);
    assert.match(out, /default\/items\/first is DAMAGED: 1 object wrong; /);
    const described = await run('snapshot describe items first');
    assert.equal(described.code, 3);
    assert.match(described.out, /DAMAGED/);
  }));
