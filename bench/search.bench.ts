/** Latency and recall at 10 over 100,000 real word vectors, through the official client. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { ok } from '../demo/table.ts';
import { DIM, loadWords, syntheticWords, type Words } from '../demo/words.ts';
import { type Bench, peak, withBench } from './fixture.ts';
import { heading, ms, printTable, quantile } from './report.ts';

const COUNT = 100_000;
const QUERIES = 500;
const K = 10;

heading('Search');
const { values: flags } = parseArgs({ options: { synthetic: { type: 'boolean' } }, strict: false });
const cache = join(import.meta.dirname, '../../.cache/words');
const held = COUNT + QUERIES;
const words = flags['synthetic']
  ? syntheticWords(held)
  : await loadWords(cache, held, (text) => console.log(text));
const queries = Array.from({ length: QUERIES }, (_, i) =>
  words.vectors.subarray((COUNT + i) * DIM, (COUNT + i + 1) * DIM),
);
const truth = queries.map((query) => nearest(words, query));
console.log(
  `${words.source}: ${COUNT} rows of ${DIM} floats, ${QUERIES} queries that are not among them, COSINE, k = ${K}\n`,
);

const rows: (string | number)[][] = [];
await withBench([], async (bench) => {
  for (const [collection, index] of [
    ['flat', 'FLAT'],
    ['graph', 'HNSW'],
  ] as const) {
    const buildMs = await fill(bench, collection, index);
    const settings = index === 'FLAT' ? [{}] : [16, 32, 64, 128].map((ef) => ({ ef }));
    for (const params of settings)
      for (const lanes of [1, 8]) rows.push(await measure(bench, collection, index, params, lanes, buildMs));
    rows.push(await measure(bench, collection, index, {}, 1, buildMs, 'bucket == 3'));
  }
});
printTable(
  [
    'index',
    'ef',
    'filter',
    'clients',
    'recall@10',
    'p50 ms',
    'p99 ms',
    'queries/s',
    'insert to indexed, s',
    'peak RSS',
  ],
  rows,
);

async function fill({ client }: Bench, collection: string, index: string): Promise<number> {
  const started = performance.now();
  await ok(
    client.createCollection({
      collection_name: collection,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'bucket', data_type: DataType.Int32 },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await ok(
    client.createIndex({
      collection_name: collection,
      field_name: 'vector',
      index_type: index,
      metric_type: 'COSINE',
      params: index === 'HNSW' ? { M: 16, efConstruction: 128 } : {},
    }),
  );
  for (let from = 0; from < COUNT; from += 5_000) {
    const data = Array.from({ length: 5_000 }, (_, i) => ({
      id: from + i,
      bucket: (from + i) % 100,
      vector: [...words.vectors.subarray((from + i) * DIM, (from + i + 1) * DIM)],
    }));
    await ok(client.insert({ collection_name: collection, data }).then((r) => r.status));
  }
  await ok(client.flushSync({ collection_names: [collection] }).then((r) => r.status));
  await ok(client.loadCollectionSync({ collection_name: collection }));
  for (;;) {
    const { index_descriptions } = await client.describeIndex({ collection_name: collection });
    if (index_descriptions.every((i) => String(i.state) === 'Finished' && Number(i.pending_index_rows) === 0))
      break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return performance.now() - started;
}

async function measure(
  bench: Bench,
  collection: string,
  index: string,
  params: { ef?: number },
  lanes: number,
  buildMs: number,
  filter = '',
): Promise<(string | number)[]> {
  const times: number[] = [];
  let found = 0;
  let next = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (next < QUERIES) {
        const at = next++;
        const from = performance.now();
        const { status, results } = await bench.client.search({
          collection_name: collection,
          data: [...(queries[at] as Float32Array)],
          limit: K,
          params,
          filter,
        });
        times.push(performance.now() - from);
        await ok(Promise.resolve(status));
        found += results.filter(({ id }) => truth[at]?.has(Number(id))).length;
      }
    }),
  );
  const took = performance.now() - started;
  const recall = filter === '' ? (found / (QUERIES * K)).toFixed(4) : '';
  return [
    index,
    params.ef ?? '',
    filter,
    lanes,
    recall,
    ms(quantile(times, 0.5)),
    ms(quantile(times, 0.99)),
    Math.round((QUERIES / took) * 1000),
    (buildMs / 1000).toFixed(1),
    await peak(bench.server),
  ];
}

function nearest({ vectors }: Words, query: Float32Array): Set<number> {
  const scores = new Float64Array(COUNT);
  for (let row = 0; row < COUNT; row++) {
    let dot = 0;
    let norm = 0;
    for (let i = 0, at = row * DIM; i < DIM; i++, at++) {
      const value = vectors[at] as number;
      dot += value * (query[i] as number);
      norm += value * value;
    }
    scores[row] = norm === 0 ? 0 : dot / Math.sqrt(norm);
  }
  const order = Int32Array.from(scores.keys()).sort((a, b) => (scores[b] as number) - (scores[a] as number));
  return new Set(order.subarray(0, K));
}
