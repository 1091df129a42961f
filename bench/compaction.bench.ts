/**
 * Compaction of ten segments of 10,000 rows (Int64 key, VarChar, 128 floats) in one thread, over files: a merge that keeps every row,
 * one without a fifth of them, and the look at a segment that stays as it is. MB are those of the source files;
 * what is written is durable, so the disk has its part in the time, the processor its own column.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../src/model/ids.ts';
import type { Column } from '../src/model/rows.ts';
import { putFile } from '../src/segment/checked-file.ts';
import { type CompactInput, type CompactResult, compactTasks } from '../src/segment/compact.ts';
import { encodeDeletes } from '../src/segment/deletes-file.ts';
import { encodeRows } from '../src/segment/rows-file.ts';
import { encodeStats } from '../src/segment/stats.ts';
import { deletesKey, rowsKey, statsKey } from '../src/storage/keys.ts';
import { LocalStore } from '../src/storage/local.ts';
import { heading, median, ms, printTable, timed } from './report.ts';
import { field, keyColumn, textColumn, vectorColumn } from './segment-rows.ts';

const SEGMENTS = 10;
const ROWS = 10_000;
const BATCH = 1000;
const DIM = 128;
const ROUNDS = 7;
const MB = 1e6;

const placeOf = (segmentId: number) => ({
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  segmentId: BigInt(segmentId) as SegmentId,
});
const fields = [
  field(100, 'id', 'Int64'),
  field(101, 'title', 'VarChar'),
  field(102, 'vector', 'FloatVector', { dim: DIM }),
];
const batch = (from: number): ReadonlyMap<FieldId, Column> =>
  new Map<FieldId, Column>([
    [100 as FieldId, keyColumn(from, BATCH)],
    [101 as FieldId, textColumn('VarChar', from, BATCH, (i) => `title of the document ${i}`)],
    [102 as FieldId, vectorColumn(DIM, BATCH, from)],
  ]);

async function putSegment(store: LocalStore, n: number) {
  const times = Array.from({ length: ROWS / BATCH }, (_, i) => BigInt(1 + n + i * SEGMENTS) as HybridTime);
  const writes = times.map((ts, i) => ({
    ts,
    rows: { rowCount: BATCH, columns: batch(n * ROWS + i * BATCH) },
  }));
  const stats = {
    rowCount: ROWS,
    minTs: times[0] as HybridTime,
    maxTs: times.at(-1) as HybridTime,
    minKey: BigInt(n * ROWS),
    maxKey: BigInt((n + 1) * ROWS - 1),
  };
  const place = placeOf(n + 1);
  const files = [
    await putFile(store, 'rows', rowsKey(place), encodeRows(fields, writes)),
    await putFile(store, 'stats', statsKey(place), encodeStats(stats)),
  ];
  return { rowCount: ROWS, files };
}

/** Deletes of the first and every `step`th further key. */
async function putDeletes(
  store: LocalStore,
  segmentId: number,
  from: number,
  count: number,
  step: number,
  ts = 1_000_000n,
) {
  const values = BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i * step));
  const bytes = encodeDeletes([{ ts: ts as HybridTime, keys: { type: 'Int64', values } }]);
  return {
    rowCount: count,
    files: [await putFile(store, 'deletes', deletesKey(placeOf(segmentId)), bytes)],
  };
}

async function run(store: LocalStore): Promise<void> {
  const tasks = compactTasks({ store });
  const sources = await Promise.all(Array.from({ length: SEGMENTS }, (_, n) => putSegment(store, n)));
  const one = sources.slice(0, 1);
  const schema = { description: '', fields, enableDynamicField: false, version: 1 };
  const whole = { place: placeOf(500), schema, sources, deletes: [], minKilled: 0 };
  const fifth = await putDeletes(store, 101, 0, (SEGMENTS * ROWS) / 5, 5);
  const few = await putDeletes(store, 102, 0, 100, 100);
  const far = await putDeletes(store, 103, 10 * SEGMENTS * ROWS, 20_000, 1);
  const all = await putDeletes(store, 104, 0, ROWS, 1);
  // Older than the rows of their keys, newer than the oldest row of the segment.
  const late = await putDeletes(store, 105, BATCH, ROWS - BATCH, 1, 2n);
  const cases: readonly (readonly [string, CompactInput])[] = [
    ['merge, every row stays', whole],
    ['merge, 20 % of the rows die', { ...whole, deletes: [fifth] }],
    ['one segment loses 20 % of its rows', { ...whole, sources: one, deletes: [fifth], minKilled: 1000 }],
    ['unchanged: 100 of 10,000 rows are dead', { ...whole, sources: one, deletes: [few], minKilled: 1000 }],
    ['unchanged: 20,000 deletes of other keys', { ...whole, sources: one, deletes: [far], minKilled: 1000 }],
    [
      'unchanged: 9,000 deletes that came before',
      { ...whole, sources: one, deletes: [late], minKilled: 1000 },
    ],
    ['one segment loses all its rows', { ...whole, sources: one, deletes: [all], minKilled: 1000 }],
  ];
  const rows: (string | number)[][] = [];
  for (const [name, input] of cases) {
    const times: number[] = [];
    const cpu: number[] = [];
    let result: CompactResult | undefined;
    for (let i = 0; i < ROUNDS; i++) {
      const before = process.cpuUsage();
      times.push(
        await timed(async () => {
          const done = await tasks['compact-segments']?.(input as never);
          result = done?.output as CompactResult;
        }),
      );
      const { user, system } = process.cpuUsage(before);
      cpu.push((user + system) / 1000);
    }
    const bytes = input.sources
      .flatMap(({ files }) => files)
      .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const count = input.sources.reduce((sum, { rowCount }) => sum + rowCount, 0);
    const took = median(times);
    rows.push([
      name,
      result?.killed ?? '',
      ms(took),
      ms(median(cpu)),
      Math.round((count / took) * 1000),
      Math.round(bytes / MB / (took / 1000)),
    ]);
  }
  printTable(['what', 'rows killed', 'ms', 'CPU ms', 'rows/s', 'MB/s'], rows);
  console.log(`peak memory of the process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);
}

heading('Compaction');
const dir = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
const store = await LocalStore.attach(dir);
try {
  await run(store);
} finally {
  await store.close();
  await rm(dir, { recursive: true, force: true });
}
