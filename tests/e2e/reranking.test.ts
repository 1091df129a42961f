import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FunctionType } from '@zilliz/milvus2-sdk-node';
import { flush, refused, sharedServer, succeed } from './fixture.ts';
import { createShop, idsOf, nearest, ROWS, type VectorField, vector } from './shop.ts';

const query = vector(7000);
/** Then the answer does not depend on how rows lie in segments. */
const everything = { limit: ROWS };
const rerank = (params: Record<string, unknown>, input_field_names: string[] = []) => ({
  name: 'ranker',
  type: FunctionType.RERANK,
  input_field_names,
  params,
});

describe('rerank functions of a search', () => {
  const fixture = sharedServer();
  const collection_name = 'reranked';
  const ask = async (anns_field: VectorField, ranker: object, more: object = {}) =>
    (
      await succeed(
        fixture.client.search({
          collection_name,
          anns_field,
          data: query,
          limit: 10,
          params: { ef: 100 },
          rerank: ranker,
          ...more,
        } as never),
      )
    ).results as never as { id: string; score: number }[];

  const same = (found: { id: string; score: number }[], wanted: { id: number; score: number }[]) => {
    assert.deepEqual(
      idsOf(found),
      wanted.map(({ id }) => id),
    );
    for (const [i, { score }] of wanted.entries())
      assert.ok(Math.abs(found[i]!.score - score) < 1e-5, `${found[i]!.score}, not ${score}`);
  };

  for (const curve of ['gauss', 'exp', 'linear'] as const)
    test(`${curve} decay: the score falls with the distance of a numeric field from the origin, null ratings last`, async () => {
      const { client } = fixture;
      if (!(await client.hasCollection({ collection_name })).value) {
        await createShop(client, collection_name);
        await flush(client, collection_name);
      }
      const factor = (value: number | null): number => {
        if (value === null) return 0;
        const distance = Math.max(0, Math.abs(value - 2) - 0.5);
        if (curve === 'gauss') return Math.exp((Math.log(0.4) / 1.5 ** 2) * distance ** 2);
        if (curve === 'exp') return Math.exp((Math.log(0.4) / 1.5) * distance);
        const end = 1.5 / (1 - 0.4);
        return Math.max(0, (end - distance) / end);
      };
      const ranker = rerank(
        { reranker: 'decay', function: curve, origin: 2, scale: 1.5, offset: 0.5, decay: 0.4 },
        ['rating'],
      );
      for (const field of ['shape', 'color'] as const) {
        const wanted = nearest(field, query)
          .slice(0, 10)
          .map(({ row, score }) => {
            const rising = field === 'shape' ? 1 - (2 * Math.atan(score)) / Math.PI : score;
            return { id: row.id, score: rising * factor(row.rating) };
          })
          .sort((a, b) => b.score - a.score);
        same(await ask(field, ranker), wanted);
        same(await ask(field, ranker, { limit: 4, offset: 6 }), wanted.slice(6));
      }
    });

  test('a boost weighs the candidates of every segment: the hits that match its filter; several multiply or add; a distance that shrinks comes first', async () => {
    for (const field of ['shape', 'color'] as const) {
      const best = nearest(field, query);
      const sign = field === 'shape' ? 1 : -1;
      const ranked = (scoreOf: (price: number, stock: boolean, score: number) => number) =>
        best
          .map(({ row, score }) => ({ id: row.id, score: scoreOf(row.price, row.in_stock, score) }))
          .sort((a, b) => sign * (a.score - b.score));
      same(
        await ask(field, rerank({ reranker: 'boost', filter: 'in_stock', weight: 0.25 }), everything),
        ranked((_, stock, score) => (stock ? score * 0.25 : score)),
      );
      const functions = [
        rerank({ reranker: 'boost', filter: 'in_stock', weight: 0.5 }),
        rerank({ reranker: 'boost', filter: 'price < 10', weight: 3 }),
      ];
      same(
        await ask(field, { functions, params: { boost_mode: 'Sum', function_mode: 'Sum' } }, everything),
        ranked((price, stock, score) => score + (stock ? 0.5 : 0) + (price < 10 ? 3 : 0)),
      );
      same(
        await ask(
          field,
          { functions, params: { boost_mode: 'Multiply', function_mode: 'Multiply' } },
          everything,
        ),
        ranked((price, stock, score) => score * (stock ? 0.5 : 1) * (price < 10 ? 3 : 1)),
      );
    }
  });

  test('a random score is the same for the same seed, another for another, and lies between 0 and the weight', async () => {
    const random = (seed: number) =>
      ask('shape', rerank({ reranker: 'boost', weight: 1, random_score: { seed, field: 'id' } }));
    const [first, again, other] = [await random(1), await random(1), await random(2)];
    assert.deepEqual(first, again);
    assert.notDeepEqual(idsOf(first), idsOf(other));
    const raw = new Map(nearest('shape', query).map(({ row, score }) => [row.id, score]));
    for (const { id, score } of first) assert.ok(score >= 0 && score <= raw.get(Number(id))! + 1e-6);
  });

  test('a boost and a decay go together, in any order', async () => {
    const boost = rerank({ reranker: 'boost', filter: 'in_stock', weight: 2 });
    const decay = rerank({ reranker: 'decay', function: 'exp', origin: 0, scale: 5 }, ['price']);
    const wanted = nearest('color', query)
      .map(({ row, score }) => ({
        id: row.id,
        score: score * (row.in_stock ? 2 : 1) * 0.5 ** (row.price / 5),
      }))
      .sort((a, b) => b.score - a.score);
    same(await ask('color', { functions: [boost, decay], params: {} }, everything), wanted);
    same(await ask('color', { functions: [decay, boost], params: {} }, everything), wanted);
  });

  test('rankers of models answer UNIMPLEMENTED, others that do not fit are refused', async () => {
    const invalid = (ranker: object, words: string, code = 1100, more: object = {}) =>
      refused(
        fixture.client.search({
          collection_name,
          anns_field: 'shape',
          data: query,
          limit: 3,
          rerank: ranker,
          ...more,
        } as never),
        { code, words },
      );
    await invalid(
      rerank({ reranker: 'model', provider: 'tei', queries: ['x'] }, ['category']),
      'model reranker',
      10,
    );
    await invalid(rerank({ reranker: 'rrf' }), 'hybrid');
    await invalid(rerank({ reranker: 'magic' }), 'magic');
    const decay = { reranker: 'decay', function: 'gauss', origin: 1, scale: 1 };
    await invalid(rerank(decay, []), 'exactly one input field');
    await invalid(rerank(decay, ['category']), 'must be numeric');
    await invalid(rerank({ ...decay, scale: 0 }, ['price']), 'scale');
    await invalid(rerank({ ...decay, decay: 1 }, ['price']), 'between 0 and 1');
    await invalid(rerank({ ...decay, function: 'cubic' }, ['price']), 'cubic');
    await invalid(rerank(decay, ['price']), 'grouping', 1100, { group_by_field: 'category' });
    await invalid(rerank({ reranker: 'boost', filter: 'in_stock' }), 'weight');
    await invalid(
      rerank({ reranker: 'boost', filter: 'nonsense', weight: 1 }),
      "field 'nonsense' does not exist",
    );
  });
});
