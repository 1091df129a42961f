/**
 * What restores cost the coordinator. A job of 100,000 segments on memory storage, over data nodes that answer at once: time of the
 * coordinator's thread per task, memory above idle, how long unrelated calls over the wire take meanwhile. Then an idle server with 1,000 ended jobs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { spawnServer } from '../demo/server.ts';
import { put } from '../src/catalog/catalog.ts';
import { LmdbKv } from '../src/catalog/lmdb.ts';
import { MemoryKv } from '../src/catalog/memory.ts';
import type { Coordinator } from '../src/coordinator/api.ts';
import { openFoundations } from '../src/coordinator/compose.ts';
import { createCoordinator } from '../src/coordinator/coordinator.ts';
import { type CopyJob, copyJobs } from '../src/coordinator/copy-segment/job.ts';
import { Cluster } from '../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../src/coordinator/scheduler/scheduler.ts';
import type { SnapshotLimits } from '../src/coordinator/snapshot/limits.ts';
import { SnapshotService, snapshotTables } from '../src/coordinator/snapshot-service.ts';
import type { CopySegmentWork } from '../src/datanode/api.ts';
import { LocalDataNode } from '../src/datanode/datanode.ts';
import type { JobId, NodeId } from '../src/model/ids.ts';
import { MilvusServer } from '../src/proxy/server.ts';
import { openDataDir } from '../src/storage/data-dir.ts';
import { indexKey, segmentPrefix } from '../src/storage/keys.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { silentLog } from '../src/support/log.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { systemRandom } from '../src/support/system-random.ts';
import { FakeQueryNode, FakeStreamingNode, LogDisk } from '../tests/control/fake-nodes.ts';
import { LoopGauge } from './loop-gauge.ts';
import { writeManySegments } from './many-segments.ts';
import { type ProbeCall, startProbe } from './probe.ts';
import { heading, ms, printTable, quantile } from './report.ts';

const { values: flags } = parseArgs({
  options: { segments: { type: 'string' }, seconds: { type: 'string' }, 'per-task': { type: 'string' } },
  strict: false,
});
const SEGMENTS = Number(flags['segments'] ?? 100_000);
const IDLE_SECONDS = Number(flags['seconds'] ?? 20);
const SETTLE_SECONDS = 30;
const ENDED_JOBS = 1000;
const NODES = 4;
const MB = 2 ** 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Answers in another turn of the event loop, as one that really stores does. */
class TurnKv extends MemoryKv {
  override async commit(...args: Parameters<MemoryKv['commit']>): ReturnType<MemoryKv['commit']> {
    const outcome = await super.commit(...args);
    await nextTurn();
    return outcome;
  }
}

/** Names the files a copy would have made. */
async function answerAtOnce({ sources, targets }: CopySegmentWork) {
  const segments = targets.map(({ place, newBuildIds }, i) => ({
    segmentId: place.segmentId,
    files: (sources[i]?.files ?? []).map((file) => ({
      ...file,
      key: `${segmentPrefix(place)}${file.key.slice(file.key.lastIndexOf('/') + 1)}`,
    })),
    indexes: (sources[i]?.indexes ?? []).map((index) => {
      const buildId = newBuildIds.get(index.buildId) ?? index.buildId;
      return { ...index, buildId, file: { ...index.file, key: indexKey(place, index.fieldId, buildId) } };
    }),
  }));
  await nextTurn();
  return { kind: 'copy-segment' as const, segments, bytesByMethod: {} };
}

async function openCoordinator(limits: Partial<SnapshotLimits>) {
  const store = new MemoryStore(() => systemClock.nowMs());
  const foundations = await openFoundations(new TurnKv(), systemClock, snapshotTables);
  await writeManySegments(foundations, store, { count: SEGMENTS, dim: 128, rowsBytes: 1000 });
  const cluster = new Cluster(systemClock);
  for (let n = 1; n <= NODES; n++)
    cluster.join(
      new LocalDataNode({
        nodeId: BigInt(n) as NodeId,
        slots: 4,
        log: silentLog,
        executors: { 'copy-segment': answerAtOnce },
      }),
    );
  const scheduler = new TaskScheduler({ cluster, clock: systemClock, random: systemRandom, log: silentLog });
  void scheduler.run(new AbortController().signal);
  const streamingNode = new FakeStreamingNode(new LogDisk(), foundations.registry, foundations.time);
  const queryNode = new FakeQueryNode(streamingNode);
  const parts = { ...foundations, clock: systemClock, log: silentLog, streamingNode, queryNode, scheduler };
  const coordinator = await createCoordinator({
    ...parts,
    snapshots: (rooms) =>
      new SnapshotService({
        ...parts,
        ...rooms,
        store,
        random: systemRandom,
        fingerprints: { of: () => Promise.reject(new Error('not part of this bench')) } as never,
        checker: { check: () => Promise.reject(new Error('not part of this bench')) },
        limits,
      }),
  });
  const proxy = await MilvusServer.listen({
    ...parts,
    coordinator,
    workers: { run: () => Promise.reject(new Error('no rows here')), close: () => Promise.resolve() },
    filters: { check: () => undefined, primaryKeysOf: () => undefined },
    port: 0,
  } as unknown as Parameters<typeof MilvusServer.listen>[0]);
  return { coordinator, proxy };
}

/** Field `number` of a message as text. */
const textField = (number: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);

const unrelated: readonly ProbeCall[] = [
  { rpc: 'DescribeCollection', body: textField(3, 'many') },
  { rpc: 'ShowCollections', body: Buffer.alloc(0) },
  { rpc: 'ListDatabases', body: Buffer.alloc(0) },
];

/** A new collection every 20 ms, and gone again: what a caller that writes the catalog waits for. */
class Creator {
  readonly times: number[] = [];
  readonly #coordinator: Coordinator;
  #isOver = false;
  #running: Promise<void>;

  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
    this.#running = this.#run();
  }

  async stop(): Promise<readonly number[]> {
    this.#isOver = true;
    await this.#running;
    return this.times;
  }

  async #run(): Promise<void> {
    const { collection } = this.#coordinator.describeCollection({ database: '', name: 'many' });
    for (let n = 0; !this.#isOver; n++) {
      const at = { database: '', name: `other${n}` };
      const from = performance.now();
      await this.#coordinator.createCollection({ ...collection, ...at });
      this.times.push(performance.now() - from);
      await this.#coordinator.dropCollection(at);
      await sleep(20);
    }
  }
}

async function restore(coordinator: Coordinator, name: string): Promise<number> {
  const from = performance.now();
  const jobId = await coordinator.restoreSnapshot({
    source: { database: '', name: 'many' },
    name: 's',
    target: { database: '', name },
  });
  for (;;) {
    const { state, reason } = coordinator.restoreState(jobId);
    if (state === 'completed') return performance.now() - from;
    if (state === 'failed') throw new Error(reason);
    await sleep(5);
  }
}

/** In a process of its own: what one job leaves in memory is not there when the next one begins. */
async function runJob(perTask: number): Promise<(string | number)[]> {
  const { coordinator, proxy } = await openCoordinator({ maxSegmentsPerCopyTask: perTask });
  await coordinator.createSnapshot({
    at: { database: '', name: 'many' },
    name: 's',
    description: '',
    compactionProtectionSeconds: 0,
  });
  return measureJob(coordinator, `127.0.0.1:${proxy.port}`, perTask);
}

function printJobs(): void {
  const script = fileURLToPath(import.meta.url);
  const rows = [1, 100].map((perTask) => {
    const flagsOf = ['--per-task', `${perTask}`, '--segments', `${SEGMENTS}`];
    const out = execFileSync(process.execPath, [script, ...flagsOf], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return JSON.parse(out) as (string | number)[];
  });
  console.log(
    `A job of ${SEGMENTS.toLocaleString('en-US')} segments on memory storage, over ${NODES} data nodes that answer at once. Calls: one every 5 ms\nover the wire from another thread (DescribeCollection, ShowCollections, ListDatabases in turn), and a collection created every 20 ms.\n`,
  );
  printTable(
    [
      'segments per task',
      'call to completed, s',
      'this thread per task, us',
      'per segment, us',
      'peak RSS above idle, MB',
      'heap above idle after it, MB',
      'calls p99 idle, ms',
      'calls p99 with the job, ms',
      'create p99 idle, ms',
      'create p99 with the job, ms',
      'longest block, ms',
      'blocks > 10 ms',
    ],
    rows,
  );
}

async function measureJob(
  coordinator: Coordinator,
  address: string,
  perTask: number,
): Promise<(string | number)[]> {
  collect();
  await sleep(1000);
  const idle = process.memoryUsage();
  let peakRss = idle.rss;
  const sampling = setInterval(() => {
    peakRss = Math.max(peakRss, process.memoryUsage.rss());
  }, 20);
  const before = await threadMs();
  const tookMs = await restore(coordinator, 'alone');
  // Its tasks go when it is tidy.
  while (coordinator.copySegmentStats().tasks.completed > 0) await sleep(20);
  const active = (await threadMs()) - before;
  clearInterval(sampling);
  collect();
  const after = process.memoryUsage();
  const probe = startProbe(address, unrelated);
  const quiet = await withCalls(coordinator, probe, () => sleep(5000));
  const gauge = new LoopGauge();
  const busy = await withCalls(coordinator, probe, () => restore(coordinator, 'watched'));
  const blocks = gauge.stop();
  await probe.stop();
  const tasks = Math.ceil(SEGMENTS / perTask);
  const p99 = (values: readonly number[]) => ms(quantile(values, 0.99));
  return [
    perTask,
    (tookMs / 1000).toFixed(1),
    ((active * 1000) / tasks).toFixed(0),
    ((active * 1000) / SEGMENTS).toFixed(1),
    ((peakRss - idle.rss) / MB).toFixed(0),
    ((after.heapUsed - idle.heapUsed) / MB).toFixed(0),
    p99(quiet.calls),
    p99(busy.calls),
    p99(quiet.creates),
    p99(busy.creates),
    ms(blocks.longestMs),
    blocks.long,
  ];
}

async function withCalls(
  coordinator: Coordinator,
  probe: ReturnType<typeof startProbe>,
  work: () => Promise<unknown>,
) {
  await sleep(500);
  await probe.take();
  const creator = new Creator(coordinator);
  await work();
  // Calls that are under way count, too.
  await sleep(1000);
  return { creates: await creator.stop(), calls: await probe.take() };
}

/** 1,000 ended jobs in the catalog of a server that nobody asks anything. */
async function printIdle(): Promise<void> {
  const shares: Record<string, number> = {};
  for (const [what, count] of [
    ['no job', 0],
    ['1,000 ended jobs', ENDED_JOBS],
  ] as const) {
    const dir = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
    await writeEndedJobs(dir, count);
    // Without what other benches load into it: that looks at the event loop a thousand times a second.
    const server = await spawnServer(dir, []);
    // A server that was just started still compiles and collects what its start has left.
    await sleep(SETTLE_SECONDS * 1000);
    const from = await cpuMs(server.pid);
    await sleep(IDLE_SECONDS * 1000);
    shares[what] = ((await cpuMs(server.pid)) - from) / (IDLE_SECONDS * 10);
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
  printTable(
    ['idle server', `share of a core over ${IDLE_SECONDS} s, %`],
    Object.entries(shares).map(([what, share]) => [what, share.toFixed(2)]),
  );
}

/** Time of the main thread on a core: what others do on this machine does not count. */
async function threadMs(): Promise<number> {
  const text = await readFile(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
  return Number(text.split(' ')[0]) / 1e6;
}

/** Time on a core since its start, all threads that are there. */
async function cpuMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')),
  );
  return texts.reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1e6, 0);
}

async function writeEndedJobs(path: string, count: number): Promise<void> {
  const dir = await openDataDir(path);
  const { catalog, ids } = await openFoundations(await LmdbKv.open(dir.catalog), systemClock, snapshotTables);
  for (let n = 0; n < count; n++) {
    const jobId = await ids.next<JobId>();
    const job = {
      ...{ jobId, snapshotId: 1n, snapshotName: 's', sourceCollectionId: 1n, pinId: 1n, collectionId: jobId },
      ...{ databaseId: 1n, databaseName: 'default', collectionName: `copy${n}`, firstSegmentId: 1n },
      ...{ firstTaskId: 1n, firstBuildId: 1n, segmentCount: 10, taskCount: 1, firstPartitionId: 1n },
      ...{
        firstIndexId: 1n,
        totalBytes: 1e9,
        totalFiles: 30,
        totalRows: 1e6,
        createdAtMs: systemClock.nowMs(),
      },
      grouping: { maxSegments: 100, maxBytes: 1e9, maxFiles: 4096 },
      ...{ state: 'completed', endedAtMs: systemClock.nowMs(), isTidy: true },
    } as unknown as CopyJob;
    await catalog.commitSure([put(copyJobs, job, undefined)]);
  }
  await catalog.close();
  await dir.release();
}

if (flags['per-task'] !== undefined) {
  console.log(JSON.stringify(await runJob(Number(flags['per-task']))));
  process.exit(0);
}
heading('Scheduler');
printJobs();
if (IDLE_SECONDS > 0) await printIdle();
process.exit(0);
