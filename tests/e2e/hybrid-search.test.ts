import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FunctionType, RRFRanker, WeightedRanker } from '@zilliz/milvus2-sdk-node';
import { refused, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';
import { type Article, articles, createShop, idsOf, nearest, type VectorField, vector } from './shop.ts';

type Scored = { readonly row: Article; readonly score: number };

/** Lists fused by key, best first. */
function fused(
  lists: readonly (readonly Scored[])[],
  partOf: (list: number, rank: number, score: number) => number,
) {
  const scores = new Map<number, number>();
  for (const [i, list] of lists.entries())
    for (const [at, { row, score }] of list.entries())
      scores.set(row.id, (scores.get(row.id) ?? 0) + partOf(i, at + 1, score));
  return [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}

const rrf = (lists: readonly (readonly Scored[])[], k = 60) => fused(lists, (_, rank) => 1 / (k + rank));

function assertFused(
  found: readonly { id?: unknown; score: number }[],
  wanted: readonly (readonly [number, number])[],
): void {
  assert.deepEqual(
    idsOf(found),
    wanted.map(([id]) => id),
  );
  for (const [i, [id, score]] of wanted.entries())
    assert.ok(
      Math.abs((found[i]?.score ?? Number.NaN) - score) < 1e-5,
      `${id}: ${found[i]?.score}, not ${score}`,
    );
}

const shape = vector(5000);
const color = vector(6000);
const words = { 1: 2, 3: 1, 7: 0.25 };
const two = [
  { anns_field: 'shape', data: shape },
  { anns_field: 'color', data: color },
];
const rerankFunction = (params: Record<string, unknown>, input_field_names: string[] = []) => ({
  name: 'ranker',
  type: FunctionType.RERANK,
  input_field_names,
  params,
});

describe('hybrid search fuses the hits of several searches', () => {
  const fixture = sharedServer();
  const collection_name = 'hybrid';

  test('RRF ranks dense, sparse and distance searches together, by the older parameters and by a function, and without a ranker', async () => {
    const { client } = fixture;
    await createShop(client, collection_name);
    const data = [...two, { anns_field: 'words', data: words }];
    const lists = (['shape', 'color', 'words'] as VectorField[]).map((field, i) =>
      nearest(field, [shape, color, words][i]!).slice(0, 8),
    );
    const ask = async (rerank?: object) =>
      (
        await succeed(
          client.hybridSearch({
            collection_name,
            data,
            limit: 8,
            output_fields: ['price', 'category'],
            ...(rerank ? { rerank } : {}),
          } as never),
        )
      ).results as never as { id: string; score: number; price: number; category: string | null }[];
    for (const [rerank, k] of [
      [RRFRanker(60), 60],
      [RRFRanker(7), 7],
      [rerankFunction({ reranker: 'rrf', k: 7 }), 7],
      [undefined, 60],
    ] as const) {
      const found = await ask(rerank);
      assertFused(found, rrf(lists, k).slice(0, 8));
      for (const { id, price, category } of found) {
        assert.equal(price, articles[Number(id)]!.price);
        assert.equal(category, articles[Number(id)]!.category);
      }
    }
  });

  test('weights count the score of each search: similarities as they are, distances turned round, or all normalized', async () => {
    const { client } = fixture;
    const lists = [nearest('shape', shape).slice(0, 10), nearest('color', color).slice(0, 10)];
    const turned = (score: number) => 1 - (2 * Math.atan(score)) / Math.PI;
    const weights = [0.3, 0.9];
    const ask = async (rerank: object) =>
      (await succeed(client.hybridSearch({ collection_name, data: two, limit: 10, rerank } as never)))
        .results as never;
    assertFused(
      await ask(WeightedRanker(weights)),
      fused(lists, (list, _, score) => weights[list]! * (list === 0 ? turned(score) : score)).slice(0, 10),
    );
    assertFused(
      await ask(rerankFunction({ reranker: 'weighted', weights, norm_score: true })),
      fused(lists, (list, _, score) => weights[list]! * (list === 0 ? turned(score) : (1 + score) / 2)).slice(
        0,
        10,
      ),
    );
  });

  test('each search has its own filter, template, limit and parameters', async () => {
    const { client } = fixture;
    const data = [
      {
        anns_field: 'shape',
        data: shape,
        expr: 'price < {most}',
        exprValues: { most: 9 },
        limit: 4,
        params: { ef: 50 },
      },
      { anns_field: 'color', data: color, expr: 'in_stock', limit: 6 },
    ];
    const lists = [
      nearest(
        'shape',
        shape,
        articles.filter(({ price }) => price < 9),
      ).slice(0, 4),
      nearest(
        'color',
        color,
        articles.filter(({ in_stock }) => in_stock),
      ).slice(0, 6),
    ];
    const { results } = await succeed(
      client.hybridSearch({ collection_name, data, limit: 10, rerank: RRFRanker() } as never),
    );
    assertFused(results as never, rrf(lists));
  });

  test('several queries, offset and round_decimal go for the fused list', async () => {
    const { client } = fixture;
    const queries = [vector(1), vector(2), vector(3)];
    const data = ['shape', 'color'].map((anns_field) => ({ anns_field, data: queries }));
    const ask = async (more: object) =>
      (
        await succeed(
          client.hybridSearch({ collection_name, data, limit: 5, rerank: RRFRanker(), ...more } as never),
        )
      ).results as never as { id: string; score: number }[][];
    const wanted = (query: number[], depth: number) =>
      rrf([nearest('shape', query).slice(0, depth), nearest('color', query).slice(0, depth)]);
    const found = await ask({});
    assert.equal(found.length, 3);
    for (const [i, query] of queries.entries()) assertFused(found[i]!, wanted(query, 5).slice(0, 5));
    const next = await ask({ offset: 5 });
    for (const [i, query] of queries.entries()) assertFused(next[i]!, wanted(query, 10).slice(5, 10));
    const raw = new RawClient(fixture.server.address);
    const placeholder_group = encoded('common.PlaceholderGroup', {
      placeholders: [{ tag: '$0', type: 101, values: [Buffer.from(new Float32Array(shape).buffer)] }],
    });
    const requests = ['shape', 'color'].map((value) => ({
      placeholder_group,
      nq: 1,
      search_params: [
        { key: 'anns_field', value },
        { key: 'topk', value: '5' },
      ],
    }));
    const rank_params = [
      { key: 'limit', value: '5' },
      { key: 'round_decimal', value: '3' },
    ];
    const { results } = await raw.answer('HybridSearch', { collection_name, requests, rank_params });
    raw.close();
    const scores = (results as { scores: number[] }).scores;
    assert.equal(scores.length, 5);
    for (const score of scores) assert.equal(score, Math.fround(Math.round(score * 1000) / 1000));
  });

  test('fused hits are grouped: so many groups of so many hits, the best group first', async () => {
    const { client } = fixture;
    const { results } = await succeed(
      client.hybridSearch({
        collection_name,
        data: two,
        limit: 3,
        group_by_field: 'category',
        group_size: 2,
        strict_group_size: true,
        rerank: RRFRanker(),
        output_fields: ['category'],
      } as never),
    );
    const groupedList = (field: VectorField, query: number[]) => {
      const sizes = new Map<string | null, number>();
      const kept = nearest(field, query).filter(({ row: { category } }) => {
        sizes.set(category, (sizes.get(category) ?? 0) + 1);
        return sizes.get(category)! <= 2;
      });
      const best = [...new Set(kept.map(({ row }) => row.category))].slice(0, 3);
      return best.flatMap((category) => kept.filter(({ row }) => row.category === category));
    };
    const all = rrf([groupedList('shape', shape), groupedList('color', color)]);
    const categories = [...new Set(all.map(([id]) => articles[id]!.category))].slice(0, 3);
    const wanted = categories.flatMap((category) =>
      all.filter(([id]) => articles[id]!.category === category).slice(0, 2),
    );
    assertFused(results as never, wanted);
  });

  test('a decay function ranks the best score of every hit by its distance from an origin', async () => {
    const { client } = fixture;
    const decay = rerankFunction(
      { reranker: 'decay', function: 'exp', origin: 5, scale: 4, offset: 1, decay: 0.5 },
      ['price'],
    );
    const { results } = await succeed(
      client.hybridSearch({ collection_name, data: two, limit: 8, rerank: decay } as never),
    );
    const turned = (score: number) => 1 - (2 * Math.atan(score)) / Math.PI;
    const best = new Map<number, number>();
    for (const [i, list] of [
      nearest('shape', shape).slice(0, 8),
      nearest('color', color).slice(0, 8),
    ].entries())
      for (const { row, score } of list)
        best.set(row.id, Math.max(best.get(row.id) ?? -10, i === 0 ? turned(score) : score));
    const wanted = [...best]
      .map(([id, score]) => {
        const distance = Math.max(0, Math.abs(articles[id]!.price - 5) - 1);
        return [id, score * 0.5 ** (distance / 4)] as const;
      })
      .sort((a, b) => b[1] - a[1])
      .slice(0, 8);
    assertFused(results as never, wanted);
  });

  test('searches that do not fit together, and rankers that do not fit them, are refused by name', async () => {
    const { client } = fixture;
    const invalid = (more: object, words_: string, code = 1100) =>
      refused(client.hybridSearch({ collection_name, data: two, limit: 5, ...more } as never), {
        code,
        words: words_,
      });
    await invalid({ rerank: WeightedRanker([0.5]) }, 'length of weights');
    await invalid({ rerank: WeightedRanker([0.5, 1.5]) }, 'weight should be in range');
    await invalid({ rerank: RRFRanker(20_000) }, 'k should be in range');
    await invalid({ rerank: { strategy: 'magic', params: {} } }, 'magic');
    await invalid({ rerank: rerankFunction({ reranker: 'boost', weight: 2 }) }, 'boost');
    await invalid({ rerank: rerankFunction({ reranker: 'model', provider: 'tei' }) }, 'model reranker', 10);
    await invalid({ data: [two[0], { anns_field: 'color', data: [color, color] }] }, 'nq');
    await invalid(
      { data: [two[0], { anns_field: 'color', data: color, expr: 'nonsense' }] },
      "field 'nonsense' does not exist",
    );
    await invalid({ limit: 16_385 }, 'topk');
    await invalid({ output_fields: ['nope'] }, 'nope');
    const raw = new RawClient(fixture.server.address);
    await refused(
      raw.status('HybridSearch', { collection_name, rank_params: [{ key: 'limit', value: '3' }] }),
      {
        code: 1100,
        words: 'needs search requests',
      },
    );
    raw.close();
  });
});
