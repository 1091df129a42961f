import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';
import { type Article, articles, createShop, idsOf, nearest, vector } from './shop.ts';

const query = vector(4000);

/** Groups by their best rows, each with its best rows. */
function groups<Key>(
  rows: readonly Article[],
  keyOf: (row: Article) => Key,
  size: number,
  by: number[] = query,
): Article[][] {
  const all = new Map<Key, Article[]>();
  for (const { row } of nearest('shape', by, rows)) {
    const group = all.get(keyOf(row)) ?? [];
    if (group.length < size) group.push(row);
    all.set(keyOf(row), group);
  }
  return [...all.values()];
}

const categoryOf = ({ category }: Article) => category;
const ids = (rows: readonly Article[][]): number[] => rows.flat().map(({ id }) => id);

describe('grouping search', () => {
  const fixture = sharedServer();
  const collection_name = 'grouped';
  const ask = async (more: object, name = collection_name) =>
    (
      await succeed(
        fixture.client.search({
          collection_name: name,
          anns_field: 'shape',
          data: query,
          limit: 3,
          output_fields: ['category', 'price'],
          params: { ef: 100 },
          ...more,
        } as never),
      )
    ).results as never as {
      id: string;
      category: string | null;
      group_by_field_values?: Record<string, unknown>;
    }[];

  test('one hit of each group by default, nulls are a group, the value of the group comes with the hit', async () => {
    await createShop(fixture.client, collection_name);
    const found = await ask({ group_by_field: 'category', limit: 10 });
    assert.deepEqual(idsOf(found), ids(groups(articles, categoryOf, 1)));
    assert.equal(found.length, 5);
    for (const hit of found) {
      const { category } = articles[Number(hit.id)]!;
      assert.equal(hit.category, category);
      assert.equal(hit.group_by_field_values?.['category'] ?? null, category);
    }
  });

  test('group_size with strict_group_size fills the groups from every segment; limit and offset count groups', async () => {
    for (const [limit, offset, group_size] of [
      [2, 0, 3],
      [2, 1, 3],
      [3, 2, 30],
      [1, 4, 2],
    ] as const) {
      const found = await ask({
        group_by_field: 'category',
        group_size,
        strict_group_size: true,
        limit,
        offset,
      });
      assert.deepEqual(
        idsOf(found),
        ids(groups(articles, categoryOf, group_size).slice(offset, offset + limit)),
        `${limit} groups of ${group_size} behind ${offset}`,
      );
    }
  });

  test('without strict_group_size there are as many groups, of at most that size', async () => {
    const found = await ask({ group_by_field: 'category', group_size: 3, limit: 4 });
    const wanted = groups(articles, categoryOf, 3).slice(0, 4);
    assert.deepEqual(
      [...new Set(found.map(({ category }) => category))],
      wanted.map(([best]) => best!.category),
    );
    for (const [best] of wanted)
      assert.ok(found.filter(({ category }) => category === best!.category).length <= 3);
  });

  test('groups by integers, booleans and the primary key, with filters, for several queries', async () => {
    const cheap = articles.filter(({ price }) => price < 12);
    const filter = 'price < 12';
    assert.deepEqual(
      idsOf(await ask({ group_by_field: 'price', group_size: 2, strict_group_size: true, limit: 5, filter })),
      ids(groups(cheap, ({ price }) => price, 2).slice(0, 5)),
    );
    assert.deepEqual(
      idsOf(
        await ask({ group_by_field: 'in_stock', group_size: 4, strict_group_size: true, limit: 5, filter }),
      ),
      ids(groups(cheap, ({ in_stock }) => in_stock, 4)),
    );
    assert.deepEqual(
      idsOf(await ask({ group_by_field: 'id', limit: 5 })),
      ids(groups(articles, ({ id }) => id, 1).slice(0, 5)),
    );
    const other = vector(4001);
    const several = (await ask({ group_by_field: 'category', limit: 2, data: [query, other] })) as never as {
      id: string;
    }[][];
    assert.deepEqual(several.map(idsOf), [
      ids(groups(articles, categoryOf, 1).slice(0, 2)),
      ids(groups(articles, categoryOf, 1, other).slice(0, 2)),
    ]);
  });

  test('groups are the same flushed, restored, and after deletes', async () => {
    const { client } = fixture;
    const more = { group_by_field: 'category', group_size: 2, strict_group_size: true, limit: 5 };
    await flush(client, collection_name);
    assert.deepEqual(idsOf(await ask(more)), ids(groups(articles, categoryOf, 2)));
    await succeed(client.createSnapshot({ collection_name, snapshot_name: 's' }));
    await restore(client, {
      snapshot_name: 's',
      source_collection_name: collection_name,
      target_collection_name: 'again',
    });
    await load(client, 'again');
    assert.deepEqual(idsOf(await ask(more, 'again')), ids(groups(articles, categoryOf, 2)));
    await succeed(client.delete({ collection_name: 'again', filter: 'category == "hats" and id < 40' }));
    const left = articles.filter(({ category, id }) => category !== 'hats' || id >= 40);
    assert.deepEqual(idsOf(await ask(more, 'again')), ids(groups(left, categoryOf, 2)));
  });

  test('groups follow a scalar field when asked, hits in a group their similarity', async () => {
    const found = await ask({
      group_by_field: 'category',
      group_size: 2,
      strict_group_size: true,
      limit: 4,
      order_by_fields: [{ field: 'price', order: 'asc' }],
    });
    const wanted = groups(articles, categoryOf, 2)
      .slice(0, 4)
      .map((group, at) => ({ group, at }))
      .sort((a, b) => a.group[0]!.price - b.group[0]!.price || a.at - b.at);
    assert.deepEqual(idsOf(found), ids(wanted.map(({ group }) => group)));
  });

  test('what cannot be grouped is refused', async () => {
    const invalid = (more: object, words: string, code = 1100) =>
      refused(
        fixture.client.search({
          collection_name,
          anns_field: 'shape',
          data: query,
          limit: 3,
          ...more,
        } as never),
        { code, words },
      );
    await invalid({ group_by_field: 'nope' }, 'nope');
    await invalid({ group_by_field: 'rating' }, 'unsupported data type Double');
    await invalid({ group_by_field: 'color' }, 'unsupported data type FloatVector');
    await invalid({ group_by_field: 'category', group_size: 5000 }, 'group size');
    await invalid({ group_by_field: 'category', params: { radius: 1 } }, 'range-search');
    await invalid({ group_by_field: 'category["a"]' }, 'category["a"]');
  });
});
