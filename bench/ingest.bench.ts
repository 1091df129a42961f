/**
 * What the server itself takes, without a client's encoder: rows per second from the request to durable in the log, with the event loop
 * watched while segments are flushed and indexed. Through the official client and beside other databases: bench/peers.
 */
import { DataType } from '@zilliz/milvus2-sdk-node';
import { ok } from '../demo/table.ts';
import { type Bench, peak, withBench } from './fixture.ts';
import { checkMutation, insertRequest } from './insert-request.ts';
import { heading, ms, printTable, quantile } from './report.ts';

const BATCH = 5_000;
const DIM = 128;

heading('Ingest');
const rows: (string | number)[][] = [];
await withBench(['--dataCoord.segment.maxSize', '64'], async (bench) => {
  const { client } = bench;
  await ok(
    client.createCollection({
      collection_name: 'ingest',
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await ok(
    client.createIndex({
      collection_name: 'ingest',
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: 'L2',
      params: { M: 16, efConstruction: 64 },
    }),
  );
  const requests = Array.from({ length: 8 }, (_, i) => insertRequest('ingest', i * BATCH, BATCH, DIM));
  await bench.loop();
  for (const lanes of [1, 4]) rows.push(await rawInserts(bench, requests, lanes, 60));
  rows.push(await singleRows(bench, 500));
  await ok(client.flushSync({ collection_names: ['ingest'] }).then((r) => r.status));
});
printTable(
  [
    'what',
    'rows/s',
    'MB/s of vectors',
    'p50 ms',
    'p99 ms',
    'longest block of the event loop, ms',
    'peak RSS',
  ],
  rows,
);

async function rawInserts(
  bench: Bench,
  requests: readonly Buffer[],
  lanes: number,
  count: number,
): Promise<(string | number)[]> {
  const times: number[] = [];
  let sent = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (sent < count) {
        const request = requests[sent++ % requests.length] as Buffer;
        const from = performance.now();
        checkMutation(await bench.call('Insert', request));
        times.push(performance.now() - from);
      }
    }),
  );
  return row(
    bench,
    `encoded requests, ${BATCH} x ${DIM}, ${lanes} at once`,
    count * BATCH,
    performance.now() - started,
    times,
  );
}

async function singleRows(bench: Bench, count: number): Promise<(string | number)[]> {
  const request = insertRequest('ingest', 1, 1, DIM);
  const times: number[] = [];
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    const from = performance.now();
    checkMutation(await bench.call('Insert', request));
    times.push(performance.now() - from);
  }
  return row(bench, 'encoded requests of one row, one at a time', count, performance.now() - started, times);
}

async function row(
  bench: Bench,
  what: string,
  count: number,
  tookMs: number,
  times: number[],
): Promise<(string | number)[]> {
  const perSecond = (count / tookMs) * 1000;
  return [
    what,
    Math.round(perSecond).toLocaleString('en'),
    ((perSecond * DIM * 4) / 1e6).toFixed(1),
    ms(quantile(times, 0.5)),
    ms(quantile(times, 0.99)),
    ms((await bench.loop()).longestOwnMs),
    await peak(bench.server),
  ];
}
