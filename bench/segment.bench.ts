/** Encoding, decoding and loading of a segment of 100,000 rows (Int64, VarChar, JSON, 128 floats). An argument names a file to keep. */
import { writeFile } from 'node:fs/promises';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { FieldId } from '../src/model/ids.ts';
import type { Column } from '../src/model/rows.ts';
import type { FieldSchema } from '../src/model/schema.ts';
import { flushTasks } from '../src/segment/flush.ts';
import { loadTasks } from '../src/segment/load.ts';
import { bytesReader } from '../src/segment/parquet-reader.ts';
import { encodeRows, readColumns, readRowsMeta, readVectors } from '../src/segment/rows-file.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { MemoryWal } from '../src/wal/memory.ts';
import { decodeWrite, encodeWrite } from '../src/wal/message.ts';
import { field, keyColumn, textColumn, vectorColumn } from './segment-rows.ts';

const ROWS = 100_000;
const BATCH = 1000;
const DIM = 128;

const fields = [
  field(100, 'id', 'Int64'),
  field(101, 'title', 'VarChar'),
  field(102, 'meta', 'JSON'),
  field(103, 'vector', 'FloatVector', { dim: DIM }),
];
const batch = (n: number): ReadonlyMap<FieldId, Column> => {
  const from = n * BATCH;
  const columns: Column[] = [
    keyColumn(from, BATCH),
    textColumn('VarChar', from, BATCH, (i) => `title of the document ${i}`),
    textColumn('JSON', from, BATCH, (i) => `{"color":"red","price":${i},"tags":["a","b"],"in":true}`),
    vectorColumn(DIM, BATCH, n),
  ];
  return new Map(columns.map((column, i) => [(100 + i) as FieldId, column]));
};
const writes = Array.from({ length: ROWS / BATCH }, (_, n) => ({
  ts: BigInt(n) as HybridTime,
  rows: { rowCount: BATCH, columns: batch(n) },
}));

async function measure<T>(name: string, bytes: number, work: () => T | Promise<T>): Promise<T> {
  const times: number[] = [];
  let result: T | undefined;
  for (let i = 0; i < 5; i++) {
    const from = performance.now();
    result = await work();
    times.push(performance.now() - from);
  }
  const median = times.sort((a, b) => a - b)[2] as number;
  const rate = bytes === 0 ? '' : `, ${Math.round(bytes / median / 1e3)} MB/s`;
  console.log(`${name}: ${median.toFixed(1)} ms${rate}`);
  return result as T;
}

const file = await measure('encode rows file', 0, () => encodeRows(fields, writes));
console.log(`file: ${(file.length / 1e6).toFixed(1)} MB`);
if (process.argv[2] !== undefined) await writeFile(process.argv[2], file);
const reader = bytesReader(file);
const meta = await measure('footer', 0, () => readRowsMeta(reader));
for (const each of fields) await measure(`decode ${each.name}`, 0, () => readColumns(reader, meta, [each]));
const target = new Float32Array(new SharedArrayBuffer(ROWS * DIM * 4));
await measure('vectors into shared memory', target.byteLength, () =>
  readVectors(reader, meta, fields[3] as FieldSchema, target),
);

const wal = new MemoryWal();
const place = { collectionId: 1n, partitionId: 2n, segmentId: 3n };
const write = (n: number) => ({
  collectionId: 1n,
  ts: BigInt(n),
  parts: [{ kind: 'insert', channel: 'c', partitionId: 2n, rows: writes[n]?.rows }],
  segmentIds: [3n],
});
const messages = writes.map((_, n) => write(n) as unknown as Parameters<typeof encodeWrite>[0]);
await measure('encode 100 log records', file.length, () => messages.map((message) => encodeWrite(message)));
const payloads = messages.map((message) => new Uint8Array(Buffer.concat(encodeWrite(message))));
await measure('decode 100 log records', file.length, () => payloads.map((payload) => decodeWrite(payload)));
const positions = messages.map(
  (message, n) => wal.append(BigInt(n) as HybridTime, encodeWrite(message)).position,
);
wal.sync();
const store = new MemoryStore(() => 0);
const input = { place, level: 'L1', schema: { fields }, positions };
const { output } = (await measure('flush-segment', file.length, () =>
  flushTasks({ store, wal })['flush-segment']?.(input as never),
)) as { output: { files: unknown } };
const vectors = [{ fieldId: 103, buffer: target.buffer, byteOffset: 0 }];
await measure('load-segment', file.length, () =>
  loadTasks({ store })['load-segment']?.({ files: output.files, fields, vectors } as never),
);
