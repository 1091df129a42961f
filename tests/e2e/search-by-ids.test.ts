import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { load, refused, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';
import { articles, createShop, idsOf, nearest, type VectorField } from './shop.ts';

describe('search by ids looks for what the rows with these keys hold', () => {
  const fixture = sharedServer();
  const collection_name = 'by_ids';
  const ask = async (more: object) =>
    (
      await succeed(
        fixture.client.search({ collection_name, limit: 4, params: { ef: 100 }, ...more } as never),
      )
    ).results as never as { id: string; score: number }[][];

  test('one list of hits for each id, in their order, for dense and sparse vectors, flushed and growing, ids twice', async () => {
    await createShop(fixture.client, collection_name);
    const ids = [45, 3, 45, 20];
    for (const anns_field of ['shape', 'color', 'words'] as VectorField[]) {
      const found = await ask({ anns_field, ids });
      assert.deepEqual(
        found.map(idsOf),
        ids.map((id) =>
          nearest(anns_field, articles[id]![anns_field])
            .slice(0, 4)
            .map(({ row }) => row.id),
        ),
        anns_field,
      );
    }
  });

  test('with filters, ranges, groups and offsets', async () => {
    const own = articles[7]!.shape;
    const cheap = articles.filter(({ price }) => price < 10);
    const wanted = nearest('shape', own, cheap).map(({ row }) => row.id);
    const one = async (more: object) =>
      idsOf((await ask({ anns_field: 'shape', ids: [7], ...more })) as never);
    assert.deepEqual(await one({ filter: 'price < 10' }), wanted.slice(0, 4));
    assert.deepEqual(
      await one({ filter: 'price < {p}', exprValues: { p: 10 }, offset: 2 }),
      wanted.slice(2, 6),
    );
    const near = nearest('shape', own).filter(({ score }) => score < 1.5);
    assert.deepEqual(
      await one({ limit: 50, params: { radius: 1.5 } }),
      near.map(({ row }) => row.id),
    );
    const seen = new Set<unknown>();
    const groups = nearest('shape', own).filter(
      ({ row: { category } }) => !seen.has(category) && seen.add(category),
    );
    assert.deepEqual(
      await one({ group_by_field: 'category', limit: 3 }),
      groups.slice(0, 3).map(({ row }) => row.id),
    );
  });

  test('text keys', async () => {
    const { client } = fixture;
    const name = 'by_names';
    await succeed(
      client.createCollection({
        collection_name: name,
        fields: [
          { name: 'id', data_type: DataType.VarChar, max_length: 10, is_primary_key: true },
          { name: 'v', data_type: DataType.FloatVector, dim: 2, nullable: true },
        ],
        index_params: [{ field_name: 'v', index_type: 'FLAT', metric_type: 'L2' }],
      }),
    );
    await load(client, name);
    const data = ['a', 'b', 'c'].map((id, i) => ({ id, v: i === 2 ? null : [i, 0] }));
    await succeed(client.insert({ collection_name: name, data: data as never }));
    const { results } = await succeed(
      client.search({ collection_name: name, ids: ['b', 'a'], limit: 1 } as never),
    );
    assert.deepEqual(
      (results as never as { id: string }[][]).map(([hit]) => hit!.id),
      ['b', 'a'],
    );
    await refused(client.search({ collection_name: name, ids: ['c'], limit: 1 } as never), {
      code: 1100,
      words: 'no vector',
    });
  });

  test('an id without a row, of the wrong type, or in an iterator is refused', async () => {
    const { client } = fixture;
    const invalid = (more: object, words: string) =>
      refused(client.search({ collection_name, anns_field: 'shape', limit: 3, ...more } as never), {
        code: 1100,
        words,
      });
    await invalid({ ids: [1, 777] }, '777');
    const raw = new RawClient(fixture.server.address);
    const search_params = [
      { key: 'anns_field', value: 'shape' },
      { key: 'topk', value: '3' },
    ];
    await refused(
      raw.status('Search', { collection_name, ids: { str_id: { data: ['x'] } }, search_params }),
      {
        code: 1100,
        words: 'type of the primary key',
      },
    );
    raw.close();
    await invalid({ ids: [1], params: { iterator: true, search_iter_v2: true } }, 'needs a vector');
  });
});
