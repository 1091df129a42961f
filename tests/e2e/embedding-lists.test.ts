/** Searching the vectors of struct arrays: lists of vectors as a whole, and each by itself. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type FieldType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, sharedServer, succeed } from './fixture.ts';

const DIM = 4;
const COUNT = 120;

type Sub = 'floats' | 'halves' | 'bytes' | 'bits';
const subs: readonly FieldType[] = [
  { name: 'floats', data_type: DataType.FloatVector, dim: DIM },
  { name: 'halves', data_type: DataType.Float16Vector, dim: DIM },
  { name: 'bytes', data_type: DataType.Int8Vector, dim: DIM },
  { name: 'bits', data_type: DataType.BinaryVector, dim: 32 },
];

let state = 7;
const below = (limit: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};
const numbers = () => Array.from({ length: DIM }, () => below(41) - 20);
const clip = () => ({
  page: below(5),
  floats: numbers(),
  halves: numbers(),
  bytes: numbers(),
  bits: Array.from({ length: DIM }, () => below(256)),
});
const rows = Array.from({ length: COUNT }, (_, id) => ({
  id,
  vector: [id, 0],
  clips: Array.from({ length: below(5) }, clip),
}));
const query = [clip(), clip(), clip()];

const sum = (a: readonly number[], b: readonly number[], of: (x: number, y: number) => number): number =>
  a.reduce((total, x, i) => total + of(x, b[i]!), 0);
const ones = (value: number): number => value.toString(2).replaceAll('0', '').length;
const pair: Readonly<Record<string, (a: readonly number[], b: readonly number[]) => number>> = {
  L2: (a, b) => sum(a, b, (x, y) => (x - y) ** 2),
  IP: (a, b) => sum(a, b, (x, y) => x * y),
  COSINE: (a, b) =>
    sum(a, b, (x, y) => x * y) / (Math.sqrt(sum(a, a, (x) => x * x) * sum(b, b, (x) => x * x)) || 1),
  HAMMING: (a, b) => sum(a, b, (x, y) => ones(x ^ y)),
};
const isDistance = (metric: string): boolean => metric.endsWith('L2') || metric.endsWith('HAMMING');

interface Hit {
  readonly id: number;
  readonly element?: number;
  readonly score: number;
}
const ranked = (metric: string, hits: Hit[]): Hit[] =>
  hits.sort(
    (a, b) =>
      (isDistance(metric) ? a.score - b.score : b.score - a.score) ||
      a.id - b.id ||
      (a.element ?? 0) - (b.element ?? 0),
  );

/** Of each vector of the query its best match in the row, summed. */
const nearestLists = (sub: Sub, metric: string): Hit[] => {
  const of = pair[metric.replace(/^MAX_SIM_?/, '') || 'COSINE']!;
  const best = isDistance(metric) ? Math.min : Math.max;
  const filled = rows.filter(({ clips }) => clips.length > 0);
  const hits = filled.map(({ id, clips }) => ({
    id,
    score: query.reduce((total, each) => total + best(...clips.map((item) => of(item[sub], each[sub]))), 0),
  }));
  return ranked(metric, hits);
};
const nearestItems = (sub: Sub, metric: string): Hit[] =>
  ranked(
    metric,
    rows.flatMap(({ id, clips }) =>
      clips.map((item, element) => ({ id, element, score: pair[metric]!(item[sub], query[0]![sub]) })),
    ),
  );

type Found = readonly { readonly id: unknown; readonly score: number }[];
function assertHits(found: Found, expected: readonly Hit[], where: string): void {
  assert.equal(found.length, expected.length, where);
  for (const [i, { score, id }] of expected.entries()) {
    assert.ok(Math.abs(found[i]!.score - score) < 1e-3, `${where} ${i}: ${found[i]!.score}, not ${score}`);
    if (!where.includes('COSINE')) assert.equal(Number(found[i]!.id), id, where);
  }
}

async function create(
  client: MilvusClient,
  collection_name: string,
  metrics: Record<Sub, string>,
): Promise<void> {
  const index = (field_name: string, metric_type: string, index_type = 'FLAT') =>
    succeed(client.createIndex({ collection_name, field_name, index_type, metric_type }));
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        {
          name: 'clips',
          data_type: DataType.Array,
          element_type: DataType.Struct,
          max_capacity: 4,
          fields: [{ name: 'page', data_type: DataType.Int32 }, ...subs],
        } as never,
      ],
    }),
  );
  await index('vector', 'L2');
  for (const { name } of subs)
    await index(`clips[${name}]`, metrics[name as Sub], name === 'bits' ? 'BIN_FLAT' : 'HNSW');
  await load(client, collection_name);
  await succeed(client.insert({ collection_name, data: rows.slice(0, 100) as never }));
  await flush(client, collection_name);
  await succeed(client.insert({ collection_name, data: rows.slice(100) as never }));
}

describe('search of the vectors of struct arrays', () => {
  const fixture = sharedServer();

  test('embedding lists: the best match of each query vector, summed, by every metric of the MAX_SIM family', async () => {
    const { client } = fixture;
    const rounds: readonly Record<Sub, string>[] = [
      { floats: 'MAX_SIM_COSINE', halves: 'MAX_SIM_IP', bytes: 'MAX_SIM_L2', bits: 'MAX_SIM_HAMMING' },
      { floats: 'MAX_SIM_L2', halves: 'MAX_SIM', bytes: 'MAX_SIM_IP', bits: 'MAX_SIM_HAMMING' },
    ];
    for (const [round, metrics] of rounds.entries()) {
      const collection_name = `lists_${round}`;
      await create(client, collection_name, metrics);
      for (const [sub, metric] of Object.entries(metrics) as [Sub, string][]) {
        const base = { collection_name, anns_field: `clips[${sub}]`, data: query.map((each) => each[sub]) };
        const search = async (more: object): Promise<Found> =>
          (await succeed(client.search({ ...base, ...more } as never))).results as never;
        const all = nearestLists(sub, metric);
        const where = `${sub} ${metric}`;
        assertHits(await search({ limit: 10 }), all.slice(0, 10), where);
        assertHits(await search({ limit: 5, offset: 4 }), all.slice(4, 9), `${where}, offset`);
        assertHits(await search({ limit: 300 }), all, `${where}: rows without vectors are no hits`);
        const kept = all.filter(({ id }) => id > 30);
        assertHits(await search({ limit: 10, filter: 'id > 30' }), kept.slice(0, 10), `${where}, filter`);
      }
    }
  });

  test('single vectors: each item of a list is a hit of its own, with its place in the row', async () => {
    const { client } = fixture;
    const metrics = { floats: 'COSINE', halves: 'IP', bytes: 'L2', bits: 'HAMMING' } as const;
    await create(client, 'items', metrics);
    for (const [sub, metric] of Object.entries(metrics) as [Sub, string][]) {
      const answer = await succeed(
        client.search({
          collection_name: 'items',
          anns_field: `clips[${sub}]`,
          data: query[0]![sub],
          limit: 20,
          output_fields: ['id'],
        } as never),
      );
      assertHits(answer.results as never, nearestItems(sub, metric).slice(0, 20), `${sub} ${metric}`);
    }
  });

  test('a query that is no list for a list metric, or of another type, is refused in words', async () => {
    const { client } = fixture;
    const search = (field: string, data: unknown) =>
      client.search({ collection_name: 'lists_0', anns_field: field, data, limit: 3 } as never);
    await refused(search('clips[floats]', query[0]!.floats), { code: 1100, words: 'lists of vectors' });
    await refused(search('clips[floats]', [[1, 2]]), { code: 1100, words: 'dimension' });
    const index = { collection_name: 'lists_0', field_name: 'clips[floats]', index_name: 'other' };
    await refused(client.createIndex({ ...index, index_type: 'FLAT', metric_type: 'HAMMING' }), {
      code: 1100,
      words: 'metric type',
    });
  });
});
