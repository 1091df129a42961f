/**
 * Time and memory to create, describe and drop a snapshot against the number of segments; what writes notice of it; what keeping the
 * references of many snapshots costs. `--segments 1,1000,100000`, `--parts create,writes,references`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import vm from 'node:vm';
import { ok } from '../demo/table.ts';
import { Catalog } from '../src/catalog/catalog.ts';
import { MemoryKv } from '../src/catalog/memory.ts';
import { SnapshotReferences } from '../src/coordinator/snapshot/meta.ts';
import { snapshotTables } from '../src/coordinator/snapshot-service.ts';
import { coreTables } from '../src/coordinator/tables.ts';
import type { BuildId, CollectionId, SegmentId, SnapshotId } from '../src/model/ids.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { silentLog } from '../src/support/log.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { aboveIdle, type Bench, peak, withBench } from './fixture.ts';
import { checkMutation, insertRequest } from './insert-request.ts';
import { manySegments } from './many-segments.ts';
import { heading, ms, printTable, quantile, timed } from './report.ts';

/** A compaction of what the writes leave is not what is measured. */
const QUIET = ['--dataCoord.enableCompaction', 'false'];
const DIM = 8;
const REPEATS = 100;
const WRITES = 2000;
const SNAPSHOTS = 1000;
const SEGMENTS_EACH = 10_000;
/** Of the segments of a snapshot, those the one before it does not have. */
const FRESH_EACH = 100;

const { values: flags } = parseArgs({
  options: { segments: { type: 'string' }, parts: { type: 'string' } },
  strict: false,
});
const COUNTS = String(flags['segments'] ?? '1,1000,100000')
  .split(',')
  .map(Number);
const PARTS = String(flags['parts'] ?? 'create,writes,references').split(',');
const MOST = Math.max(...COUNTS);

heading('Snapshot');
if (PARTS.includes('create')) await creates();
if (PARTS.includes('writes')) await writes();
if (PARTS.includes('references')) await references();

async function creates(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const segments of COUNTS)
    await withBench(
      QUIET,
      async (bench) => {
        rows.push(await measure(bench, segments));
      },
      (dir) => manySegments(dir, segments, DIM),
    );
  printTable(
    [
      'segments',
      'create p50 ms',
      'p99 ms',
      'first ms',
      'describe p50 ms',
      'p99 ms',
      'drop p50 ms',
      'objects gone after p50 ms',
      'memory above idle, one',
      'all in a row',
      'longest block of the event loop, ms',
      'server ready after ms',
      'peak RSS',
    ],
    rows,
  );
}

async function measure(bench: Bench, segments: number): Promise<(string | number)[]> {
  const { client, server } = bench;
  const at = { collection_name: 'many' };
  const create: number[] = [];
  const describe: number[] = [];
  const drop: number[] = [];
  const gone: number[] = [];
  const objects = join(bench.dir, 'objects', 'snapshots');
  const round = async (name: string) => {
    const snapshot = { ...at, snapshot_name: name };
    create.push(await timed(() => ok(client.createSnapshot(snapshot))));
    describe.push(await timed(() => ok(client.describeSnapshot(snapshot).then((r) => r.status))));
    const dropped = performance.now();
    drop.push(await timed(() => ok(client.dropSnapshot(snapshot))));
    // What a drop leaves to do is done before the next create.
    while (existsSync(objects)) await pause(5);
    gone.push(performance.now() - dropped);
  };
  await ok(client.hasCollection(at).then((r) => r.status));
  // What a start leaves to do is done.
  await pause(2000);
  await bench.loop();
  const one = await aboveIdle(server, () => round('first'));
  const all = await aboveIdle(server, async () => {
    for (let i = 1; i < (segments > 10_000 ? 20 : REPEATS); i++) await round(`s${i}`);
  });
  const loop = await bench.loop();
  return [
    segments,
    ms(quantile(create, 0.5)),
    ms(quantile(create, 0.99)),
    ms(create[0] as number),
    ms(quantile(describe, 0.5)),
    ms(quantile(describe, 0.99)),
    ms(quantile(drop, 0.5)),
    ms(quantile(gone, 0.5)),
    memory(one),
    memory(all),
    ms(loop.longestOwnMs),
    server.readyMs,
    await peak(server),
  ];
}

function memory(above: number | undefined): string {
  return above === undefined ? 'unknown' : `${above} MB`;
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs);
  });
}

/** Inserts of one row, one after another, to the collection of which snapshots are made without a pause, and without. */
async function writes(): Promise<void> {
  const rows: (string | number)[][] = [];
  await withBench(
    QUIET,
    async (bench) => {
      let id = 0;
      const write = async () => {
        const request = insertRequest('many', id++, 1, DIM);
        return timed(async () => checkMutation(await bench.call('Insert', request)));
      };
      for (let i = 0; i < 200; i++) await write();
      const measured = async (what: string) => {
        const times: number[] = [];
        while (times.length < WRITES) times.push(await write());
        rows.push([what, ms(quantile(times, 0.5)), ms(quantile(times, 0.99)), ms(Math.max(...times))]);
      };
      await measured('alone');
      let isOver = false;
      let created = 0;
      const creating = (async () => {
        while (!isOver) {
          const snapshot = { collection_name: 'many', snapshot_name: `w${created++}` };
          await ok(bench.client.createSnapshot(snapshot));
          await ok(bench.client.dropSnapshot(snapshot));
        }
      })();
      await measured(`during creates at ${MOST} segments`);
      isOver = true;
      await creating;
      rows.at(-1)?.push(created);
      rows[0]?.push(0);
    },
    (dir) => manySegments(dir, MOST, DIM),
  );
  printTable(['one-row inserts', 'p50 ms', 'p99 ms', 'max ms', 'snapshots made meanwhile'], rows);
}

/** In this process: adding and removing one snapshot's references while a thousand others are there. */
async function references(): Promise<void> {
  v8.setFlagsFromString('--expose_gc');
  const collect = vm.runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return (heapUsed + arrayBuffers) / 2 ** 20;
  };
  const catalog = await Catalog.open({
    kv: new MemoryKv(),
    tables: [...coreTables, ...snapshotTables],
    highWater: () => 0n,
  });
  const index = new SnapshotReferences({
    catalog,
    store: new MemoryStore(() => 0),
    clock: systemClock,
    log: silentLog,
    loadTimeoutMs: 1000,
  });
  const collectionId = 1n as CollectionId;
  const listOf = (first: number, count: number) => ({
    segmentIds: Array.from({ length: count }, (_, i) => BigInt(first + i) as SegmentId),
    buildIds: Array.from({ length: count }, (_, i) => BigInt(1e9 + first + i) as BuildId),
  });
  const add = async (id: number, first: number, count = SEGMENTS_EACH) => {
    const { segmentIds, buildIds } = listOf(first, count);
    const snapshotId = BigInt(id) as SnapshotId;
    return timed(async () => {
      index.begin({ snapshotId, collectionId, compactionProtectedUntilMs: 0 });
      await index.add(snapshotId, segmentIds, buildIds);
    });
  };
  const remove = (id: number) => timed(() => index.remove(BigInt(id) as SnapshotId));
  const before = used();
  const early: number[] = [];
  for (let id = 1; id <= SNAPSHOTS; id++) {
    const took = await add(id, id * FRESH_EACH);
    if (id <= 50) early.push(took);
  }
  const memory = used() - before;
  const late: number[] = [];
  const removed: number[] = [];
  const small: number[] = [];
  for (let i = 0; i < 50; i++) {
    const id = SNAPSHOTS + 1 + i;
    late.push(await add(id, id * FRESH_EACH));
    removed.push(await remove(id - SNAPSHOTS));
    small.push(await add(5000 + i, 500, 10));
  }
  const asked = await timed(async () => {
    for (let i = 0; i < 1000; i++) index.snapshotsOf(collectionId, BigInt(100_000 + i * 7) as SegmentId);
  });
  printTable(
    [
      'snapshots x segments (and builds)',
      'add one, of the first 50, ms',
      `add one of ${SNAPSHOTS}, ms`,
      'p99 ms',
      'remove one, ms',
      'p99 ms',
      'add one of 10 segments, ms',
      'snapshotsOf, µs',
      'memory',
    ],
    [
      [
        `${SNAPSHOTS} x ${SEGMENTS_EACH}`,
        ms(quantile(early, 0.5)),
        ms(quantile(late, 0.5)),
        ms(quantile(late, 0.99)),
        ms(quantile(removed, 0.5)),
        ms(quantile(removed, 0.99)),
        ms(quantile(small, 0.5)),
        ms(asked),
        `${Math.round(memory)} MB`,
      ],
    ],
  );
}
