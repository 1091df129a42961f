import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { clusteredVectors } from '../vectors.ts';
import { flush, load, sharedServer, succeed } from './fixture.ts';

const DIM = 16;
const ROWS = 10_000;
const K = 10;
const QUERIES = 10;

const data = clusteredVectors(ROWS, DIM, { latent: 8, clusters: 60 });
const queries = clusteredVectors(QUERIES, DIM, { latent: 8, clusters: 60, offset: 5 });
const vectorOf = (of: Float32Array, at: number): number[] =>
  Array.from(of.subarray(at * DIM, (at + 1) * DIM));
/** From 0 to 1, without regard to the vectors. */
const place = (id: number): number => ((id * 7919) % ROWS) / ROWS;

const shares = [
  [0.5, 'halfway'],
  [0.1, 'tenthpart'],
  [0.01, 'hundredth'],
  [0.001, 'thousandth'],
] as const;

const row = (id: number) => ({
  id,
  meta: { place: place(id), kind: `k${id % 7}`, note: 'documents are long, and most of them are not read' },
  text: [
    `number ${id} of many`,
    ...shares.flatMap(([share, word]) => (place(id) < share ? [word] : [])),
  ].join(' '),
  spot: `POINT (${place(id) * 100} ${(id % 50) + 0.5})`,
  vector: vectorOf(data, id),
});

/** No index answers any of them. */
const filters = (share: number, word: string): readonly string[] => [
  `meta["place"] < ${share}`,
  `text like "%${word}%"`,
  `text =~ "${word.slice(0, 3)}[a-z]+"`,
  `TEXT_MATCH(text, "${word}")`,
  `ST_WITHIN(spot, 'POLYGON ((-1 -1, ${(share * 100 - 0.001).toFixed(3)} -1, ${(share * 100 - 0.001).toFixed(3)} 60, 0 101, -1 60, -1 -1))')`,
];

async function create(client: MilvusClient, collection_name: string, index_type: string): Promise<void> {
  const fields = [
    { name: 'id', data_type: DataType.Int64, is_primary_key: true },
    { name: 'meta', data_type: DataType.JSON },
    { name: 'text', data_type: DataType.VarChar, max_length: 200, enable_analyzer: true, enable_match: true },
    { name: 'spot', data_type: DataType.Geometry },
    { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
  ];
  await succeed(client.createCollection({ collection_name, fields, shards_num: 1 }));
  for (let from = 0; from < ROWS; from += 2000) {
    const rows = Array.from({ length: 2000 }, (_, i) => row(from + i));
    await succeed(client.insert({ collection_name, data: rows }));
  }
  await flush(client, collection_name);
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type, metric_type: 'L2', params: {} }),
  );
  await load(client, collection_name);
}

const distance = (id: number, query: number): number => {
  let sum = 0;
  for (let d = 0; d < DIM; d++) sum += ((data[id * DIM + d] ?? 0) - (queries[query * DIM + d] ?? 0)) ** 2;
  return sum;
};

const nearest = (query: number, share: number): Set<string> => {
  const passing = Array.from({ length: ROWS }, (_, id) => id).filter((id) => place(id) < share);
  return new Set(
    passing
      .sort((a, b) => distance(a, query) - distance(b, query))
      .slice(0, K)
      .map(String),
  );
};

describe('filters of any selectivity', () => {
  const server = sharedServer();

  /** The part of the true nearest that searches with the filter find. */
  async function recallOf(collection_name: string, filter: string, share: number): Promise<number> {
    let hits = 0;
    let wanted = 0;
    for (let query = 0; query < QUERIES; query++) {
      const { results } = await succeed(
        server.client.search({ collection_name, data: vectorOf(queries, query), limit: K, filter }),
      );
      const best = nearest(query, share);
      assert.equal(results.length, best.size, filter);
      for (const { id } of results) {
        assert.ok(place(Number(id)) < share, `${filter} lets ${id} pass`);
        if (best.has(String(id))) hits++;
      }
      wanted += best.size;
    }
    return hits / wanted;
  }

  test('filters keep recall at 50, 10, 1 and 0.1 %: JSON paths, LIKE, regular expressions, TEXT_MATCH and geometries without an index, over HNSW', async () => {
    await create(server.client, 'graph', 'HNSW');
    for (const [share, word] of shares)
      for (const filter of filters(share, word)) {
        const recall = await recallOf('graph', filter, share);
        assert.ok(recall >= 0.95, `${filter}: ${recall}`);
      }
  });

  test('filters of any selectivity are exact over FLAT, whether the filter or the vectors come first', async () => {
    await create(server.client, 'flat', 'FLAT');
    for (const [share, word] of shares)
      for (const filter of filters(share, word))
        assert.equal(await recallOf('flat', filter, share), 1, filter);
  });
});
