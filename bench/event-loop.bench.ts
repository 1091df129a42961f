/**
 * How long the server's event loop is blocked, and what a small call by somebody else waits, while the heavy things run. A block
 * of 10 ms is the limit. `--mb N`: megabytes of vectors, 200 unless said.
 */
import { parseArgs } from 'node:util';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { ok } from '../demo/table.ts';
import { type Bench, peak, withBench } from './fixture.ts';
import { checkMutation, insertRequest } from './insert-request.ts';
import { type Probe, startProbe } from './probe.ts';
import { heading, ms, printTable, quantile } from './report.ts';

const { values: flags } = parseArgs({
  options: { mb: { type: 'string' }, rounds: { type: 'string' } },
  strict: false,
});
const MEGABYTES = Number(flags['mb'] ?? 200);
const ROUNDS = Number(flags['rounds'] ?? 5);
const DIM = 128;
/** A request of 64 MiB. */
const BIG_ROWS = Math.floor((64 * 2 ** 20) / (DIM * 4 + 4));
const SMALL_ROWS = 5_000;

heading('Event loop');
const rows: (string | number)[][] = [];
for (const mode of ['shared', 'physical'] as const)
  await withBench(['--dataCoord.copySegmentMode', mode], async (bench) => {
    const probe = startProbe(bench.server.address);
    try {
      await activities(bench, mode, (what, work) => measured(bench, probe, what, work));
    } finally {
      await probe.stop();
    }
  });
printTable(
  [
    'while',
    'took ms',
    'longest block of the event loop, ms',
    'without waiting for a core, ms',
    'such blocks > 10 ms',
    'longest GC, ms',
    'small call p50 ms',
    'p99 ms',
    'peak RSS',
  ],
  rows,
);

type Measure = (what: string, work: () => Promise<unknown>) => Promise<void>;

async function measured(
  bench: Bench,
  probe: Probe,
  what: string,
  work: () => Promise<unknown>,
): Promise<void> {
  await pause(100);
  await Promise.all([probe.take(), bench.loop()]);
  const from = performance.now();
  await work();
  const tookMs = performance.now() - from;
  const loop = await bench.loop();
  const times = await probe.take();
  rows.push([
    what,
    ms(tookMs),
    ms(loop.longestBlockMs),
    ms(loop.longestOwnMs),
    loop.longBlocks,
    ms(loop.longestGcMs),
    ms(quantile(times, 0.5)),
    ms(quantile(times, 0.99)),
    await peak(bench.server),
  ]);
}

async function activities(bench: Bench, mode: string, measure: Measure): Promise<void> {
  const { client, call } = bench;
  const at = { collection_name: 'big' };
  const flush = () => ok(client.flushSync({ collection_names: ['big'] }).then((r) => r.status));
  await create(bench, 'big', 1);
  const first = insertRequest('big', 0, SMALL_ROWS, DIM);
  const isMain = mode === 'shared';
  if (isMain) await measure('nothing', () => pause(2_000));
  const small = async () => {
    for (let sent = 0; sent < MEGABYTES; sent += (SMALL_ROWS * DIM * 4) / 1e6)
      checkMutation(await call('Insert', first));
  };
  if (!isMain) await small();
  else {
    await measure(`inserts of ${SMALL_ROWS} x ${DIM}`, small);
    await inserts(bench, measure);
  }
  if (!isMain) await flush();
  else await measure('flush', flush);
  await ok(client.createSnapshot({ ...at, snapshot_name: 's' }));
  for (let round = 0; round < ROUNDS; round++) {
    const target = `copy${round}`;
    if (round === 0) await measure(`restore, ${mode}`, () => restore(bench, target));
    else await restore(bench, target);
  }
  if (!isMain) return;
  await measure('index build', () => buildIndex(bench));
  await measure('load with graphs', () => ok(client.loadCollectionSync(at)));
  await measure(`inserts of ${SMALL_ROWS} x ${DIM}, loaded`, small);
  const big = insertRequest('big', 0, BIG_ROWS, DIM);
  await measure('64 MiB inserts, loaded', () => repeat(() => insertOnce(bench, big)));
  await measure('flush, loaded, with index build', flush);
  await measure('release', () => ok(client.releaseCollection(at)));
  await measure('load of 100 MB from the log', () => loadFromLog(bench));
}

async function inserts(bench: Bench, measure: Measure): Promise<void> {
  const big = insertRequest('big', 0, BIG_ROWS, DIM);
  await measure('64 MiB inserts', () => repeat(() => insertOnce(bench, big)));
  await create(bench, 'shards', 4);
  const sharded = insertRequest('shards', 0, BIG_ROWS, DIM);
  await measure('64 MiB inserts, 4 shards', () => repeat(() => insertOnce(bench, sharded)));
  await bench.client.dropCollection({ collection_name: 'shards' });
}

async function insertOnce({ call }: Bench, request: Buffer): Promise<void> {
  checkMutation(await call('Insert', request));
}

async function repeat(work: () => Promise<void>): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) await work();
}

async function loadFromLog(bench: Bench): Promise<void> {
  await create(bench, 'log', 1);
  for (let i = 0; i < 20; i++) await insertOnce(bench, insertRequest('log', 0, 10_000, DIM));
  await bench.loop();
  await ok(
    bench.client.createIndex({
      collection_name: 'log',
      field_name: 'vector',
      index_type: 'FLAT',
      metric_type: 'L2',
    }),
  );
  await ok(bench.client.loadCollectionSync({ collection_name: 'log' }));
}

async function restore({ client }: Bench, target: string): Promise<void> {
  const { job_id, status } = await client.restoreSnapshot({
    snapshot_name: 's',
    source_collection_name: 'big',
    target_collection_name: target,
  });
  await ok(Promise.resolve(status));
  for (;;) {
    const { info } = await client.getRestoreSnapshotState({ job_id });
    if (info.state === 'RestoreSnapshotCompleted') return;
    if (info.state === 'RestoreSnapshotFailed') throw new Error(info.reason);
    await pause(2);
  }
}

async function buildIndex({ client }: Bench): Promise<void> {
  await ok(
    client.createIndex({
      collection_name: 'big',
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: 'L2',
      params: { M: 8, efConstruction: 40 },
    }),
  );
  for (;;) {
    const { index_descriptions } = await client.describeIndex({ collection_name: 'big' });
    if (index_descriptions.every((i) => String(i.state) === 'Finished' && Number(i.pending_index_rows) === 0))
      return;
    await pause(50);
  }
}

async function create({ client }: Bench, name: string, shards: number): Promise<void> {
  await ok(
    client.createCollection({
      collection_name: name,
      shards_num: shards,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}
