/**
 * Restore of 1 GB by shared blocks and by physical copy against `cp -r`, `cp -al` and, where it is installed, rclone, over the same files
 * in the same run; the time from call to completed of a small restore, and of 1, 10 and 1,000 segments. Each kind runs several times in
 * turn; the tables show medians. A restore is durable when it is completed, so the others are also shown with the `sync` that makes them so.
 */
import { execFileSync } from 'node:child_process';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ok } from '../demo/table.ts';
import { type Bench, peak, withBench } from './fixture.ts';
import { checkMutation, insertRequest } from './insert-request.ts';
import { manySegments } from './many-segments.ts';
import { heading, median, ms, printTable, timed } from './report.ts';

const { values: flags } = parseArgs({
  options: { mb: { type: 'string' }, rounds: { type: 'string' } },
  strict: false,
});
const MEGABYTES = Number(flags['mb'] ?? 1000);
const ROUNDS = Number(flags['rounds'] ?? 5);
const DIM = 768;
const BATCH = 2_000;

async function createTable(client: MilvusClient, name: string, dim: number): Promise<void> {
  await ok(
    client.createCollection({
      collection_name: name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim },
      ],
    }),
  );
}

async function restoreOnce(
  client: MilvusClient,
  source: string,
  target: string,
): Promise<{ callMs: number; jobMs: number }> {
  const started = performance.now();
  const { job_id, status } = await client.restoreSnapshot({
    snapshot_name: 's',
    source_collection_name: source,
    target_collection_name: target,
  });
  await ok(Promise.resolve(status));
  for (;;) {
    const { info } = await client.getRestoreSnapshotState({ job_id });
    if (info.state === 'RestoreSnapshotCompleted')
      return { callMs: performance.now() - started, jobMs: Number(info.time_cost) };
    if (info.state === 'RestoreSnapshotFailed') throw new Error(info.reason);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function smallRestores(): Promise<void> {
  await withBench([], async ({ client, call, server }) => {
    await createTable(client, 'small', 128);
    checkMutation(await call('Insert', insertRequest('small', 0, 3_000, 128)));
    await ok(client.createSnapshot({ collection_name: 'small', snapshot_name: 's' }));
    const times: number[] = [];
    const jobs: number[] = [];
    for (let i = 0; i < 20; i++) {
      const { callMs, jobMs } = await restoreOnce(client, 'small', `copy${i}`);
      times.push(callMs);
      jobs.push(jobMs);
    }
    printTable(
      ['restore of 3,000 rows', 'call to completed, median ms', 'worst ms', 'job, median ms', 'peak RSS'],
      [['official client', ms(median(times)), ms(Math.max(...times)), ms(median(jobs)), await peak(server)]],
    );
  });
}

/** Segments with three small files each: what a restore costs besides its bytes. */
async function restoresBySegments(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const count of [1, 10, 1000])
    await withBench(
      [],
      async ({ client, loop }) => {
        await ok(client.createSnapshot({ collection_name: 'many', snapshot_name: 's' }));
        await loop();
        const [times, jobs]: [number[], number[]] = [[], []];
        for (let i = 0; i < (count === 1000 ? 5 : 20); i++) {
          const { callMs, jobMs } = await restoreOnce(client, 'many', `copy${i}`);
          times.push(callMs);
          jobs.push(jobMs);
        }
        const { longestOwnMs } = await loop();
        rows.push([count, ms(median(times)), ms(Math.max(...times)), ms(median(jobs)), ms(longestOwnMs)]);
      },
      (dir) => manySegments(dir, count, 128, true),
    );
  printTable(
    ['segments', 'call to completed, median ms', 'worst ms', 'job, median ms', 'longest block, ms'],
    rows,
  );
}

const isInstalled = (command: string): boolean => {
  try {
    execFileSync(command, ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

async function bigRestores(): Promise<void> {
  const results = {
    cp: [] as number[],
    cpSync: [] as number[],
    links: [] as number[],
    linksSync: [] as number[],
    rclone: [] as number[],
    rcloneSync: [] as number[],
    shared: [] as number[],
    physical: [] as number[],
  };
  const sharedJobs: number[] = [];
  const rss: Record<string, string> = {};
  const lag: Record<string, number> = {};
  let size = 0;
  const hasRclone = isInstalled('rclone');
  for (const mode of ['shared', 'physical'] as const)
    await withBench(['--dataCoord.copySegmentMode', mode], async (bench) => {
      size = await fillBig(bench);
      const source = join(bench.dir, 'objects', 'segments');
      await bench.loop();
      for (let round = 0; round < ROUNDS; round++) {
        const copy = join(bench.dir, 'cp');
        await settle(bench.dir);
        const collection = await sourceFolder(source);
        for (const [command, args, took, durable] of [
          ['cp', ['-r'], results.cp, results.cpSync],
          ['cp', ['-al'], results.links, results.linksSync],
          ...(hasRclone ? [['rclone', ['copy'], results.rclone, results.rcloneSync] as const] : []),
        ] as const) {
          const copyMs = await timed(() =>
            Promise.resolve(execFileSync(command, [...args, collection, copy])),
          );
          took.push(copyMs);
          durable.push(copyMs + (await timed(() => Promise.resolve(writeBack(copy)))));
          await rm(copy, { recursive: true });
          await settle(bench.dir);
        }
        await settle(bench.dir);
        await bench.loop();
        const { callMs, jobMs } = await restoreOnce(bench.client, 'big', `copy${round}`);
        results[mode].push(callMs);
        if (mode === 'shared') sharedJobs.push(jobMs);
        lag[mode] = Math.max(lag[mode] ?? 0, (await bench.loop()).longestOwnMs);
        await ok(bench.client.dropCollection({ collection_name: `copy${round}` }));
      }
      rss[mode] = await peak(bench.server);
    });
  const cp = median(results.cp);
  const line = (what: string, values: number[], key = ''): (string | number)[] => {
    const value = median(values);
    return [
      what,
      ms(value),
      (size / 1e6 / value).toFixed(2),
      `${(cp / value).toFixed(2)} x`,
      key in lag ? ms(lag[key] ?? 0) : '',
      rss[key] ?? '',
    ];
  };
  console.log(`${(size / 1e6).toFixed(0)} MB of segment files, median of ${ROUNDS} rounds (cp: both runs)\n`);
  printTable(
    ['what', 'ms', 'GB/s', 'speed against cp -r', 'longest block of the event loop, ms', 'peak RSS'],
    [
      line('cp -r (leaves the bytes in the page cache)', results.cp),
      line('cp -r, then sync (durable, as a restore is)', results.cpSync),
      line('cp -al (links, not durable)', results.links),
      line('cp -al, then sync', results.linksSync),
      ...(hasRclone
        ? [line('rclone copy', results.rclone), line('rclone copy, then sync', results.rcloneSync)]
        : []),
      line('restore, shared blocks, as the polling client sees it', results.shared, 'shared'),
      line('the same, in the server: call to completed', sharedJobs),
      line('restore, physical copy', results.physical, 'physical'),
    ],
  );
}

/** Writes back what earlier rounds left and lets the file system end its own work: both sides begin on a quiet disk. */
async function settle(path: string): Promise<void> {
  writeBack(path);
  await new Promise((resolve) => setTimeout(resolve, 500));
}

function writeBack(path: string): void {
  execFileSync('sync', ['-f', path]);
}

async function fillBig({ client, call, dir }: Bench): Promise<number> {
  await createTable(client, 'big', DIM);
  const batches = Math.ceil((MEGABYTES * 1e6) / (BATCH * DIM * 4));
  const requests = Array.from({ length: 4 }, (_, i) => insertRequest('big', i * BATCH, BATCH, DIM));
  for (let i = 0; i < batches; i++) {
    checkMutation(await call('Insert', requests[i % 4] as Buffer));
    if (i % 20 === 19) await ok(client.flushSync({ collection_names: ['big'] }).then((r) => r.status));
  }
  await ok(client.flushSync({ collection_names: ['big'] }).then((r) => r.status));
  await ok(client.createSnapshot({ collection_name: 'big', snapshot_name: 's' }));
  return folderBytes(join(dir, 'objects', 'segments'));
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries.filter((e) => e.isFile()).map((e) => stat(join(e.parentPath, e.name))),
  );
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

/** The source collection's folder: collections have rising ids, and the source came first. */
async function sourceFolder(folder: string): Promise<string> {
  const ids = (await readdir(folder)).map(Number);
  return join(folder, String(Math.min(...ids)));
}

heading('Restore');
await smallRestores();
await restoresBySegments();
await bigRestores();
