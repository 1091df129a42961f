import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { load, refused, sharedServer, succeed } from './fixture.ts';
import { type Article, articles, createShop, idsOf, nearest, vector } from './shop.ts';

const query = vector(8000);
/** Null as the greatest. */
const last = (value: number | null): number => value ?? 1e9;

describe('reads in the order of fields, and numbers of groups', () => {
  const fixture = sharedServer();
  const collection_name = 'ordered';
  const search = async (more: object) =>
    idsOf(
      (
        await succeed(
          fixture.client.search({
            collection_name,
            anns_field: 'shape',
            data: query,
            limit: 12,
            params: { ef: 100 },
            ...more,
          } as never),
        )
      ).results as never,
    );
  const rows = async (more: object) =>
    (
      await succeed(
        fixture.client.query({
          collection_name,
          filter: 'id >= 0',
          output_fields: ['price', 'rating'],
          ...more,
        } as never),
      )
    ).data as { id: string; [field: string]: unknown }[];
  const byKey = (compare: (a: Article, b: Article) => number, all: readonly Article[] = articles) =>
    [...all].sort((a, b) => compare(a, b) || a.id - b.id).map(({ id }) => id);

  test('a search puts its nearest hits in the order of fields, and takes the offset after that', async () => {
    await createShop(fixture.client, collection_name);
    const near = nearest('shape', query)
      .slice(0, 12)
      .map(({ row }) => row);
    const wanted = [...near].sort((a, b) => a.price - b.price).map(({ id }) => id);
    assert.deepEqual(await search({ order_by_fields: [{ field: 'price', order: 'asc' }] }), wanted);
    assert.deepEqual(await search({ limit: 5, offset: 7, order_by_fields: 'price' }), wanted.slice(7));
    const twice = [...near].sort((a, b) => Number(b.in_stock) - Number(a.in_stock) || a.price - b.price);
    assert.deepEqual(
      await search({
        order_by_fields: [
          { field: 'in_stock', order: 'desc' },
          { field: 'price', order: 'asc' },
        ],
      }),
      twice.map(({ id }) => id),
    );
  });

  test('nulls are the greatest values unless the order says where they go', async () => {
    const near = nearest('shape', query)
      .slice(0, 12)
      .map(({ row }) => row);
    const sorted = (compare: (a: Article, b: Article) => number) =>
      [...near].sort(compare).map(({ id }) => id);
    assert.deepEqual(
      await search({ order_by_fields: 'rating:asc' }),
      sorted((a, b) => last(a.rating) - last(b.rating)),
    );
    assert.deepEqual(
      await search({ order_by_fields: 'rating:desc' }),
      sorted((a, b) => last(b.rating) - last(a.rating)),
    );
    const first = (value: number | null) => value ?? -1e9;
    assert.deepEqual(
      await search({ order_by_fields: 'rating:asc:nulls_first' }),
      sorted((a, b) => first(a.rating) - first(b.rating)),
    );
  });

  test('a query orders all rows that match, then by primary key, and pages through them', async () => {
    const wanted = byKey((a, b) => b.price - a.price);
    const order_by_fields = [{ field: 'price', order: 'desc' }];
    assert.deepEqual(idsOf(await rows({ limit: 60, order_by_fields })), wanted);
    assert.deepEqual(idsOf(await rows({ limit: 9, offset: 20, order_by_fields })), wanted.slice(20, 29));
    assert.deepEqual(
      idsOf(
        await rows({
          limit: 60,
          order_by_fields: 'category:desc,rating:asc',
          output_fields: ['id', 'shape'],
        }),
      ),
      byKey(
        (a, b) =>
          (a.category === null ? 0 : 1) - (b.category === null ? 0 : 1) ||
          (a.category === b.category ? 0 : a.category! > b.category! ? -1 : 1) ||
          last(a.rating) - last(b.rating),
      ),
    );
    assert.deepEqual(
      idsOf(await rows({ limit: 5, order_by: 'price:asc', filter: 'price > {p}', exprValues: { p: 4 } })),
      byKey(
        (a, b) => a.price - b.price,
        articles.filter(({ price }) => price > 4),
      ).slice(0, 5),
    );
  });

  test('without an order rows come by primary key, with limit and offset; count(*) takes a filter and templates', async () => {
    assert.deepEqual(idsOf(await rows({ limit: 7, offset: 36 })), [36, 37, 38, 39, 40, 41, 42]);
    const counted = await rows({
      filter: 'price < {p} and in_stock',
      exprValues: { p: 9 },
      output_fields: ['count(*)'],
    });
    assert.equal(
      Number(counted[0]!['count(*)']),
      articles.filter(({ price, in_stock }) => price < 9 && in_stock).length,
    );
    await refused(
      fixture.client.query({ collection_name, filter: '', output_fields: ['count(*)'], limit: 3 } as never),
      {
        code: 1100,
        words: 'count entities with pagination',
      },
    );
  });

  test('groups of a query count, add up and compare their rows; nulls are a group and no value', async () => {
    const found = await rows({
      group_by_fields: ['category'],
      output_fields: [
        'category',
        'count(*)',
        'count(rating)',
        'sum(price)',
        'avg(rating)',
        'min(price)',
        'max(rating)',
      ],
    });
    const wanted = ['bags', 'coats', 'hats', 'shoes', null].map((category) => {
      const own = articles.filter((row) => row.category === category);
      const ratings = own.flatMap(({ rating }) => (rating === null ? [] : [rating]));
      return {
        category,
        'count(*)': own.length,
        'count(rating)': ratings.length,
        'sum(price)': own.reduce((sum, { price }) => sum + price, 0),
        'avg(rating)': ratings.reduce((sum, each) => sum + each, 0) / ratings.length,
        'min(price)': Math.min(...own.map(({ price }) => price)),
        'max(rating)': Math.max(...ratings),
      };
    });
    const plain = found.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([key, value]) => [key, key === 'category' ? value : Number(value)]),
      ),
    );
    assert.deepEqual(plain, wanted);
  });

  test('groups by several fields, filtered, ordered by an aggregate, a page of them; all rows as one group', async () => {
    const found = await rows({
      filter: 'category is not null',
      group_by_fields: ['category', 'in_stock'].slice(0, 1).concat('price'),
      output_fields: ['price', 'category', 'count(*)'],
      order_by_fields: 'count(*):desc,price:asc',
      limit: 3,
      offset: 1,
    });
    const counts = new Map<string, { category: string; price: number; count: number }>();
    for (const { category, price } of articles)
      if (category !== null) {
        const key = `${category} ${price}`;
        counts.set(key, { category, price, count: (counts.get(key)?.count ?? 0) + 1 });
      }
    const wanted = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.price - b.price || (a.category < b.category ? -1 : 1),
    );
    assert.deepEqual(
      found.map((row) => [row['category'], row['price'], Number(row['count(*)'])]),
      wanted.slice(1, 4).map(({ category, price, count }) => [category, price, count]),
    );
    const [one] = await rows({
      filter: 'price > 100',
      output_fields: ['count(*)', 'sum(price)', 'max(category)'],
    });
    assert.deepEqual(
      [Number(one!['count(*)']), one!['sum(price)'] ?? null, one!['max(category)'] ?? null],
      [0, null, null],
    );
  });

  test('what cannot be ordered or grouped is refused', async () => {
    const { client } = fixture;
    const invalid = (more: object, words: string, code = 1100) =>
      refused(client.query({ collection_name, filter: 'id >= 0', output_fields: ['id'], ...more } as never), {
        code,
        words,
      });
    await invalid({ order_by_fields: 'price:desc' }, 'explicit limit');
    await invalid({ order_by_fields: 'nope', limit: 3 }, 'nope');
    await invalid({ order_by_fields: 'shape', limit: 3 }, 'unsortable');
    await invalid({ order_by_fields: 'price:sideways', limit: 3 }, 'sideways');
    await invalid({ group_by_fields: ['rating'], output_fields: ['rating'] }, 'unsupported data type Double');
    await invalid(
      { group_by_fields: ['category'], output_fields: ['category', 'price'] },
      'not in group_by_fields',
    );
    await invalid(
      { group_by_fields: ['category'], output_fields: ['sum(category)'] },
      'does not support data type',
    );
    await invalid({ output_fields: ['avg(*)'] }, 'only count(*)');
  });

  test('parameters that only say how to work are accepted: consistency levels, hints, ignore_growing', async () => {
    const { client } = fixture;
    const wanted = nearest('shape', query)
      .slice(0, 12)
      .map(({ row }) => row.id);
    for (const consistency_level of ['Strong', 'Session', 'Bounded', 'Eventually'])
      assert.deepEqual(
        await search({ consistency_level, hints: 'iterative_filter', strict_cast: true }),
        wanted,
      );
    const flushed = nearest('shape', query, articles.slice(0, 40)).slice(0, 12);
    assert.deepEqual(
      await search({ ignore_growing: true }),
      flushed.map(({ row }) => row.id),
    );
    const dynamic = 'with_more';
    await succeed(
      client.createCollection({
        collection_name: dynamic,
        enable_dynamic_field: true,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'v', data_type: DataType.FloatVector, dim: 2 },
        ],
        index_params: [{ field_name: 'v', index_type: 'FLAT', metric_type: 'L2' }],
      }),
    );
    await load(client, dynamic);
    await refused(
      client.query({
        collection_name: dynamic,
        filter: 'id > 0',
        limit: 1,
        order_by_fields: 'size',
      } as never),
      {
        code: 10,
        words: 'key of a JSON field',
      },
    );
  });

  test('a delete takes a filter with templates', async () => {
    const { client } = fixture;
    const { delete_cnt } = await succeed(
      client.delete({ collection_name, filter: 'price in {prices}', exprValues: { prices: [1, 2] } }),
    );
    assert.equal(Number(delete_cnt), articles.filter(({ price }) => price === 1 || price === 2).length);
  });
});
