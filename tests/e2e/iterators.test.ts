import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';
import { createShop, idsOf, nearest, vector } from './shop.ts';

const COUNT = 300;

/** Rows of which ten each have one vector: one score stands on several pages. */
const row = (id: number) => ({ id, n: id % 4, vector: [Math.floor(id / 10), 1] });

async function create(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'n', data_type: DataType.Int8 },
        { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
      ],
      index_params: [{ field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }],
    }),
  );
  await load(client, collection_name);
  const ids = Array.from({ length: COUNT }, (_, id) => id);
  await succeed(client.insert({ collection_name, data: ids.slice(0, 200).map(row) }));
  await flush(client, collection_name);
  await succeed(client.insert({ collection_name, data: ids.slice(200).map(row) }));
}

type Hit = { readonly id: string; readonly score: number; readonly n?: number };

async function collect(
  iterator: AsyncIterable<Hit[]>,
  between: (page: number) => Promise<unknown> = async () => 0,
): Promise<Hit[][]> {
  const pages: Hit[][] = [];
  for await (const page of iterator) {
    pages.push(page);
    await between(pages.length);
  }
  return pages;
}

const query = [7.25, 1];
const scoreOf = (id: number): number => (Math.floor(id / 10) - query[0]!) ** 2;
const wantedIds = (keep: (id: number) => boolean = () => true): number[] =>
  Array.from({ length: COUNT }, (_, id) => id).filter(keep);

/** Every id once, scores rising. */
function assertAll(pages: readonly (readonly Hit[])[], ids: readonly number[]): void {
  const hits = pages.flat();
  assert.deepEqual(
    hits.map(({ id }) => Number(id)).sort((a, b) => a - b),
    ids,
  );
  for (const [i, { id, score }] of hits.entries()) {
    assert.ok(Math.abs(score - scoreOf(Number(id))) < 1e-4);
    assert.ok(i === 0 || score >= hits[i - 1]!.score, 'the nearest come first');
  }
}

const pairs = (params: Record<string, unknown>) =>
  Object.entries(params).map(([key, value]) => ({ key, value: String(value) }));

describe('iterators', () => {
  const fixture = sharedServer();
  const collection_name = 'iterated';

  test('a search iterator hands out every row once, nearest first, whatever the size of its pages, rows of one score too', async () => {
    const { client } = fixture;
    await create(client, collection_name);
    for (const batchSize of [7, 30, 1000]) {
      const pages = await collect(await client.searchIterator({ collection_name, data: query, batchSize }));
      assertAll(pages, wantedIds());
      assert.ok(pages.every((page) => page.length <= batchSize));
    }
  });

  test('with a limit, a filter, a range and output fields', async () => {
    const { client } = fixture;
    const some = await collect(
      await client.searchIterator({ collection_name, data: query, batchSize: 8, limit: 20 }),
    );
    assert.deepEqual(
      some.map(({ length }) => length),
      [8, 8, 4],
    );
    const filtered = await collect(
      await client.searchIterator({
        collection_name,
        data: query,
        batchSize: 9,
        filter: 'n == 1',
        output_fields: ['id', 'n'],
      }),
    );
    assertAll(
      filtered,
      wantedIds((id) => id % 4 === 1),
    );
    assert.ok(filtered.flat().every(({ n }) => n === 1));
    const near = await collect(
      await client.searchIterator({
        collection_name,
        data: query,
        batchSize: 6,
        params: { radius: 20, range_filter: 2 },
      }),
    );
    assertAll(
      near,
      wantedIds((id) => scoreOf(id) >= 2 && scoreOf(id) < 20),
    );
  });

  test('an iterator sees the rows of its beginning while others insert, upsert and delete', async () => {
    const { client } = fixture;
    const name = 'moving';
    await create(client, name);
    const iterator = await client.searchIterator({ collection_name: name, data: query, batchSize: 25 });
    const pages = await collect(iterator, async (page) => {
      await succeed(
        client.insert({ collection_name: name, data: [{ ...row(1000 + page), vector: [7 + page, 1] }] }),
      );
      await succeed(
        client.upsert({
          collection_name: name,
          data: [row(page), row(200 + page), row(299 - page)].map((each) => ({ ...each, vector: [7, 1] })),
        }),
      );
      await succeed(client.delete({ collection_name: name, ids: [100 + page, 250 + page, 20 + page] }));
    });
    assertAll(pages, wantedIds());
    const after = await collect(
      await client.searchIterator({ collection_name: name, data: query, batchSize: 100 }),
    );
    const { data } = await succeed(client.count({ collection_name: name }));
    assert.equal(after.flat().length, Number(data));
  });

  test('an iterator goes on with rows that were deleted after its start, when flushes and compactions have moved them', async () => {
    const { client } = fixture;
    const name = 'compacted';
    await create(client, name);
    const move = async (ids: number[]) => {
      await succeed(client.delete({ collection_name: name, ids }));
      await flush(client, name);
      const { compactionID } = await succeed(client.compact({ collection_name: name }));
      for (let tries = 0; tries < 200; tries++) {
        const { executingPlanNo } = await succeed(client.getCompactionState({ compactionID }));
        if (Number(executingPlanNo) === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    };
    const iterator = await client.searchIterator({ collection_name: name, data: query, batchSize: 60 });
    const pages = await collect(iterator, async (page) => {
      if (page < 4) await move([page, 150 + page, 250 + page, 299 - page]);
    });
    assertAll(pages, wantedIds());
    const raw = new RawClient(fixture.server.address);
    const page = async (expr: string, guarantee_timestamp: string) => {
      const answer = await raw.answer('Query', {
        collection_name: name,
        expr,
        output_fields: ['id', 'vector'],
        guarantee_timestamp,
        query_params: pairs({ iterator: 'True', reduce_stop_for_best: 'True', limit: 100 }),
      });
      const column = (
        answer['fields_data'] as { field_name: string; scalars: { long_data: { data: string[] } } }[]
      ).find(({ field_name }) => field_name === 'id');
      return { ids: column!.scalars.long_data.data.map(Number), ts: String(answer['session_ts']) };
    };
    const first = await page('id >= 0', '0');
    await move([200, 201, 270]);
    await move([202, 271]);
    const rest = await page(`id > ${first.ids.at(-1)}`, first.ts);
    const last = await page(`id > ${rest.ids.at(-1)}`, first.ts);
    raw.close();
    const gone = [1, 2, 3].flatMap((at) => [at, 150 + at, 250 + at, 299 - at]);
    assert.deepEqual(
      [...first.ids, ...rest.ids, ...last.ids],
      wantedIds((id) => !gone.includes(id)),
    );
    const { data } = await succeed(client.count({ collection_name: name }));
    assert.equal(Number(data), COUNT - gone.length - 5);
  });

  test('a query iterator hands out every row that matches once, in the order of the primary key', async () => {
    const { client } = fixture;
    for (const [filter, keep] of [
      ['n >= 0', () => true],
      ['n == 2', (id: number) => id % 4 === 2],
    ] as const) {
      const pages = await collect(
        await client.queryIterator({ collection_name, filter, batchSize: 40, output_fields: ['id', 'n'] }),
      );
      assert.deepEqual(
        pages.flat().map(({ id }) => Number(id)),
        wantedIds(keep),
      );
    }
  });

  test('in every metric: cosine, inner product of sparse vectors, distances', async () => {
    const { client } = fixture;
    const name = 'shop';
    await createShop(client, name);
    const queries = { shape: vector(1), color: vector(2), words: { 1: 1, 7: 0.3 } };
    for (const anns_field of ['shape', 'color', 'words'] as const)
      for (const batchSize of [1, 7]) {
        const data = queries[anns_field];
        const pages = await collect(
          await client.searchIterator({
            collection_name: name,
            anns_field,
            data,
            batchSize,
            output_fields: ['id'],
          } as never),
        );
        const wanted = nearest(anns_field, data);
        const hits = pages.flat();
        assert.deepEqual(
          idsOf(hits).sort((a, b) => a - b),
          wanted.map(({ row: { id } }) => id).sort((a, b) => a - b),
        );
        for (const [i, { score }] of wanted.entries()) assert.ok(Math.abs(hits[i]!.score - score) < 1e-5);
      }
  });

  test('pages of a query that come back with the time of the first see its rows', async () => {
    const { client } = fixture;
    const name = 'queried';
    await create(client, name);
    const raw = new RawClient(fixture.server.address);
    const page = async (expr: string, more: object, guarantee_timestamp = '0') => {
      const answer = await raw.answer('Query', {
        collection_name: name,
        expr,
        output_fields: ['id'],
        guarantee_timestamp,
        query_params: pairs({ iterator: 'True', reduce_stop_for_best: 'True', limit: 100, ...more }),
      });
      const [column] = answer['fields_data'] as { scalars: { long_data: { data: string[] } } }[];
      return { ids: column!.scalars.long_data.data.map(Number), ts: String(answer['session_ts']) };
    };
    const first = await page('id >= 0', {});
    assert.ok(BigInt(first.ts) > 0n);
    await succeed(client.delete({ collection_name: name, filter: 'id >= 150 and id < 180' }));
    await succeed(client.upsert({ collection_name: name, data: [row(210), row(5)] }));
    await succeed(client.insert({ collection_name: name, data: [row(301)] }));
    const second = await page('id > 99', {}, first.ts);
    const third = await page('id > 199', { guarantee_timestamp: first.ts });
    raw.close();
    assert.deepEqual([...first.ids, ...second.ids, ...third.ids], wantedIds());
  });

  test('the older search iterator, which steps by ranges and leaves out what it has, is plain searching', async () => {
    const raw = new RawClient(fixture.server.address);
    const placeholder_group = encoded('common.PlaceholderGroup', {
      placeholders: [{ tag: '$0', type: 101, values: [Buffer.from(new Float32Array(query).buffer)] }],
    });
    const ask = async (dsl: string, params: object) => {
      const answer = await raw.answer('Search', {
        collection_name,
        dsl,
        placeholder_group,
        nq: 1,
        search_params: pairs({
          anns_field: 'vector',
          topk: 50,
          iterator: 'True',
          collection_id: '1',
          guarantee_timestamp: 0,
          round_decimal: -1,
          metric_type: 'L2',
          params: JSON.stringify(params),
        }),
      });
      const results = answer['results'] as {
        ids: { int_id: { data: string[] } };
        search_iterator_v2_results?: unknown;
      };
      assert.equal(results.search_iterator_v2_results ?? null, null);
      return results.ids.int_id.data.map(Number);
    };
    const first = await ask('', { ef: 200 });
    const bound = Math.max(...first.map(scoreOf));
    const atBound = first.filter((id) => scoreOf(id) === bound);
    const next = await ask(`id not in [${atBound.join()}]`, {
      ef: 200,
      range_filter: bound,
      radius: bound + 30,
    });
    raw.close();
    const wanted = wantedIds((id) => !first.includes(id) && scoreOf(id) >= bound && scoreOf(id) < bound + 30);
    assert.deepEqual(
      next.sort((a, b) => a - b),
      wanted
        .sort((a, b) => scoreOf(a) - scoreOf(b) || a - b)
        .slice(0, 50)
        .sort((a, b) => a - b),
    );
  });

  test('what an iterator cannot do is refused', async () => {
    const { client } = fixture;
    const params = { iterator: true, search_iter_v2: true, search_iter_batch_size: 5 };
    const invalid = (more: object, words: string) =>
      refused(client.search({ collection_name, data: query, limit: 5, params, ...more } as never), {
        code: 1100,
        words,
      });
    await invalid({ data: [query, query] }, 'one vector');
    await invalid({ group_by_field: 'n' }, 'groupBy');
    await invalid({ order_by_fields: 'n' }, 'order_by_fields');
    await invalid({ offset: 3 }, 'offset');
    await invalid({ params: { ...params, search_iter_batch_size: 0 } }, 'batch size');
    await invalid({ params: { ...params, search_iter_last_bound: 'far' } }, 'search_iter_last_bound');
    await invalid({ params: { ...params, guarantee_timestamp: '-7' } }, 'guarantee_timestamp');
  });
});
