import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';

const DIM = 8;
const COUNT = 1500;

/** A cheap generator that repeats itself on every run. */
function vectors(count: number, seed: number): number[][] {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  };
  return Array.from({ length: count }, () => Array.from({ length: DIM }, next));
}

const base = vectors(COUNT, 1);
const queries = vectors(3, 77);

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
const score: Readonly<Record<string, (a: readonly number[], b: readonly number[]) => number>> = {
  L2: (a, b) => a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0),
  IP: dot,
  COSINE: (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
};

interface Hit {
  readonly id: string;
  readonly score: number;
}

/** The right answer, computed here. */
function nearest(metric: string, query: readonly number[], ids: readonly number[] = [...base.keys()]): Hit[] {
  const hits = ids.map((id) => ({ id: String(id), score: score[metric]!(query, base[id]!) }));
  return hits.sort((a, b) => (metric === 'L2' ? a.score - b.score : b.score - a.score));
}

function assertHits(
  found: readonly { id: unknown; score: number }[],
  expected: readonly Hit[],
  where: string,
): void {
  assert.deepEqual(
    found.map(({ id }) => id),
    expected.map(({ id }) => id),
    where,
  );
  for (const [i, { score: wanted }] of expected.entries())
    assert.ok(
      Math.abs((found[i]?.score ?? Number.NaN) - wanted) < 1e-5,
      `${where}: score ${found[i]?.score}, not ${wanted}`,
    );
}

async function collection(
  client: MilvusClient,
  name: string,
  index_type: string,
  metric_type: string,
): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name: name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'third', data_type: DataType.Int8 },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await succeed(
    client.createIndex({
      collection_name: name,
      field_name: 'vector',
      index_type,
      metric_type,
      params: index_type === 'HNSW' ? { M: 16, efConstruction: 200 } : {},
    }),
  );
  await load(client, name);
}

const insert = (client: MilvusClient, collection_name: string, from: number, to: number) =>
  succeed(
    client.insert({
      collection_name,
      data: base.slice(from, to).map((vector, i) => ({ id: from + i, third: (from + i) % 3, vector })),
    }),
  );

/** Waits until every flushed row is in the index. */
async function indexed(client: MilvusClient, collection_name: string): Promise<void> {
  for (;;) {
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
    if (index_descriptions.every(({ state }) => state === 'Finished')) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('search answers the nearest rows with the right scores', () => {
  const fixture = sharedServer();

  async function check(collection_name: string, metric: string, where: string): Promise<void> {
    const { client } = fixture;
    const params = { ef: 400 };
    const { results } = await succeed(client.search({ collection_name, data: queries, limit: 10, params }));
    assert.equal(results.length, queries.length);
    for (const [i, query] of queries.entries())
      assertHits(results[i] as never, nearest(metric, query).slice(0, 10), `${where}, query ${i}`);
    const filter = 'third == 1 and id < 1400';
    const { results: some } = await succeed(
      client.search({
        collection_name,
        data: queries[0]!,
        limit: 5,
        filter,
        output_fields: ['id', 'third', 'vector'],
        params,
      }),
    );
    const expected = nearest(
      metric,
      queries[0]!,
      [...base.keys()].filter((id) => id % 3 === 1 && id < 1400),
    );
    assertHits(some as never, expected.slice(0, 5), `${where}, filtered`);
    for (const hit of some) {
      assert.equal(hit['third'], 1);
      assert.deepEqual([...(hit['vector'] as number[])], base[Number(hit.id)]);
    }
  }

  for (const metric of ['L2', 'IP', 'COSINE'])
    for (const index of ['FLAT', 'HNSW', 'AUTOINDEX', ...(metric === 'L2' ? ['IVF_FLAT'] : [])])
      test(`${metric} with ${index}: growing, growing and flushed, flushed, restored; several queries, filters, output fields`, async () => {
        const { client } = fixture;
        const name = `${metric}_${index}`;
        await collection(client, name, index, metric);
        await insert(client, name, 0, 1200);
        await insert(client, name, 1200, COUNT);
        await check(name, metric, 'growing');
        await flush(client, name);
        await indexed(client, name);
        await check(name, metric, 'flushed');
        await succeed(client.delete({ collection_name: name, filter: 'id >= 1200' }));
        await insert(client, name, 1200, COUNT);
        await check(name, metric, 'growing and flushed');
        await succeed(client.createSnapshot({ collection_name: name, snapshot_name: 's' }));
        const target = `${name}_again`;
        await restore(client, {
          snapshot_name: 's',
          source_collection_name: name,
          target_collection_name: target,
        });
        await load(client, target);
        await check(target, metric, 'restored');
      });

  test('after a kill -9 the same searches have the same answers', async () => {
    await fixture.restart('kill');
    for (const metric of ['L2', 'IP', 'COSINE'])
      for (const name of [`${metric}_HNSW`, `${metric}_HNSW_again`, `${metric}_FLAT_again`])
        await check(name, metric, `${name} after kill -9`);
  });

  test('range search keeps the hits between range_filter and radius, in every metric', async () => {
    const { client } = fixture;
    for (const metric of ['L2', 'IP', 'COSINE'])
      for (const collection_name of [`${metric}_FLAT`, `${metric}_HNSW_again`]) {
        const ranked = nearest(metric, queries[1]!);
        const [range_filter, radius] = [
          (ranked[4]!.score + ranked[5]!.score) / 2,
          (ranked[11]!.score + ranked[12]!.score) / 2,
        ];
        const ask = async (params: Record<string, number>) =>
          (
            await succeed(
              client.search({
                collection_name,
                data: queries[1]!,
                limit: 100,
                params: { ...params, ef: 400 },
              }),
            )
          ).results;
        assertHits(
          (await ask({ radius, range_filter })) as never,
          ranked.slice(5, 12),
          `${collection_name} range`,
        );
        assertHits((await ask({ radius })) as never, ranked.slice(0, 12), `${collection_name} radius`);
      }
  });

  test('offset skips the best hits, limit beyond the rows answers what there is', async () => {
    const { client } = fixture;
    for (const collection_name of ['L2_FLAT', 'L2_HNSW', 'L2_AUTOINDEX_again']) {
      const ranked = nearest('L2', queries[2]!);
      const ask = async (more: object) =>
        (
          await succeed(
            client.search({ collection_name, data: queries[2]!, limit: 5, params: { ef: 400 }, ...more }),
          )
        ).results;
      assertHits((await ask({ offset: 7 })) as never, ranked.slice(7, 12), 'offset');
      assertHits(
        (await ask({ limit: 50, filter: 'id in [1, 2, 3]' })) as never,
        nearest('L2', queries[2]!, [1, 2, 3]),
        'few',
      );
      assert.deepEqual(await ask({ filter: 'id == -1' }), []);
    }
  });

  test('an empty collection answers no hits; a deleted row is no hit; an upserted one counts once, where it is now', async () => {
    const { client } = fixture;
    const collection_name = 'changing';
    await collection(client, collection_name, 'HNSW', 'L2');
    const ask = async (limit = 3) =>
      (await succeed(client.search({ collection_name, data: base[5]!, limit }))).results.map(({ id }) => id);
    assert.deepEqual(await ask(), []);
    await insert(client, collection_name, 0, 10);
    for (const isFlushed of [false, true]) {
      if (isFlushed) await flush(client, collection_name);
      assert.equal((await ask())[0], '5');
    }
    await succeed(client.delete({ collection_name, ids: [5] }));
    assert.ok(!(await ask(10)).includes('5'));
    await succeed(client.upsert({ collection_name, data: [{ id: 7, third: 0, vector: base[5]! }] }));
    const found = await ask(20);
    assert.equal(found[0], '7');
    assert.equal(found.length, 9);
  });

  test('search in partitions sees their rows only; two vector fields must be told apart; scores are rounded when asked', async () => {
    const { client } = fixture;
    const collection_name = 'parted';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'a', data_type: DataType.FloatVector, dim: DIM },
          { name: 'b', data_type: DataType.FloatVector, dim: 1 },
        ],
        index_params: [
          { field_name: 'a', index_type: 'FLAT', metric_type: 'L2' },
          { field_name: 'b', index_type: 'HNSW', metric_type: 'IP' },
        ],
      }),
    );
    await succeed(client.createPartition({ collection_name, partition_name: 'p' }));
    const rows = base.slice(0, 20).map((a, id) => ({ id, a, b: [id] }));
    await succeed(client.insert({ collection_name, data: rows.slice(0, 10) }));
    await succeed(client.insert({ collection_name, partition_name: 'p', data: rows.slice(10) }));
    const best = async (partition_names: string[]) =>
      (
        await succeed(
          client.search({
            collection_name,
            anns_field: 'b',
            data: [1],
            limit: 1,
            partition_names,
            output_fields: ['id'],
          }),
        )
      ).results.map(({ id, score: s }) => [id, s]);
    for (const isFlushed of [false, true]) {
      if (isFlushed) await flush(client, collection_name);
      assert.deepEqual(await best(['_default']), [['9', 9]]);
      assert.deepEqual(await best(['p']), [['19', 19]]);
      assert.deepEqual(await best(['p', '_default']), [['19', 19]]);
    }
    const { results } = await succeed(
      client.search({
        collection_name,
        anns_field: 'a',
        data: queries[0]!,
        limit: 3,
        params: { round_decimal: 2 },
      }),
    );
    for (const { score: s } of results)
      assert.ok(Math.abs(s * 100 - Math.round(s * 100)) < 1e-4, `${s} is not rounded`);
    const raw = new RawClient(fixture.server.address);
    await refused(raw.status('Search', { collection_name, search_params: [{ key: 'topk', value: '3' }] }), {
      code: 1100,
      words: 'anns_field',
    });
    raw.close();
  });

  test('bad search parameters are refused, each by name', async () => {
    const { client } = fixture;
    const request = { collection_name: 'L2_HNSW', data: queries[0]! };
    const invalid = (more: object, words: string, code = 1100) =>
      refused(client.search({ ...request, limit: 5, ...more }), { code, words });
    await invalid({ limit: 0 }, 'topk');
    await invalid({ limit: -1 }, 'topk');
    await invalid({ limit: 16_385 }, 'topk');
    await invalid({ offset: -1 }, 'offset');
    await invalid({ limit: 10_000, offset: 10_000 }, 'offset');
    await invalid({ params: { ef: 0 } }, 'ef');
    await invalid({ params: { ef: 'many' } }, 'ef');
    await invalid({ params: { ef: 100_000 } }, 'ef');
    await invalid({ metric_type: 'IP' }, 'metric type not match');
    await invalid({ params: { radius: 1, range_filter: 2 } }, 'range_filter');
    await invalid({ params: { radius: 'far' } }, 'radius');
    await invalid({ data: [1, 2, 3] }, 'dimension');
    await invalid({ data: [...queries[0]!.slice(1), Number.NaN] }, 'not a number');
    await invalid({ filter: 'third >' }, 'filter at');
    await invalid({ output_fields: ['nope'] }, 'nope');
    await invalid({ partition_names: ['nope'] }, 'partition not found', 200);
  });
});
