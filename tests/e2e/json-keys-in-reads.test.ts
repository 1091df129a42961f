import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const COUNT = 240;
const brands = ['acme', 'bolt', 'core', null] as const;

/** Of every kind of value: text, numbers, Bools, lists, nothing. */
const anything = ['x', 'a', 12, -3.5, true, false, [1], null, undefined, 'true', '12', 1e30] as const;
const kindOf = (id: number): string => JSON.stringify(anything[id % 12] ?? null);

const row = (id: number) => ({
  id,
  n: id % 3,
  brand: brands[id % 4],
  meta: {
    'k, of:a': { deep: ['z', (id * 7) % 50] },
    brand: brands[id % 4],
    ...(anything[id % 12] === undefined ? {} : { any: anything[id % 12] }),
  },
  color: ['red', 'green', 'blue'][id % 3],
  vector: [Math.fround(Math.sin(id)), Math.fround(Math.cos(id * 1.7))],
});

async function create(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      enable_dynamic_field: true,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'n', data_type: DataType.Int8 },
        { name: 'brand', data_type: DataType.VarChar, max_length: 20, nullable: true },
        { name: 'meta', data_type: DataType.JSON, nullable: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
      ],
      index_params: [{ field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }],
    }),
  );
  await load(client, collection_name);
  const data = Array.from({ length: COUNT }, (_, id) => row(id));
  await succeed(client.insert({ collection_name, data: data.slice(0, 130) }));
  await flush(client, collection_name);
  await succeed(client.insert({ collection_name, data: data.slice(130) }));
}

const query = [0.3, 0.4];
const distance = ({ vector }: ReturnType<typeof row>): number =>
  vector.reduce((sum, x, i) => sum + Math.fround(x - (query[i] ?? 0)) ** 2, 0);
const near = Array.from({ length: COUNT }, (_, id) => row(id)).sort((a, b) => distance(a) - distance(b));

/** Groups by their best rows. */
function grouped(keyOf: (each: ReturnType<typeof row>) => unknown, size: number, limit: number): number[] {
  const groups = new Map<string, number[]>();
  for (const each of near) {
    const key = JSON.stringify(keyOf(each));
    const group = groups.get(key) ?? [];
    if (group.length < size) group.push(each.id);
    groups.set(key, group);
  }
  return [...groups.values()].slice(0, limit).flat();
}

describe('keys of JSON fields in grouping and ordering', () => {
  const fixture = sharedServer();
  const collection_name = 'json_keys';
  type Found = { id: string; group_by_field_values?: Record<string, unknown> }[];
  const search = async (more: object, name = collection_name): Promise<Found> =>
    (
      await succeed(
        fixture.client.search({ collection_name: name, data: query, limit: 10, ...more } as never),
      )
    ).results as never;
  const idsOf = (found: Found): number[] => found.map(({ id }) => Number(id));
  const strict = { group_size: 3, strict_group_size: true };

  test('a search is grouped by a key of a JSON field: group_by_field meta["brand"], null and missing are one group', async () => {
    await create(fixture.client, collection_name);
    const found = await search({ group_by_field: 'meta["brand"]', ...strict });
    assert.deepEqual(
      idsOf(found),
      grouped(({ brand }) => brand, 3, 10),
    );
    for (const { id, group_by_field_values } of found)
      assert.equal(group_by_field_values?.['meta["brand"]'] ?? null, brands[Number(id) % 4]);
    assert.deepEqual(
      idsOf(await search({ group_by_field: 'meta["k, of:a"]["deep"][1]', ...strict, limit: 7 })),
      grouped(({ id }) => (id * 7) % 50, 3, 7),
    );
  });

  test('a search is grouped by a key of the dynamic field, by its name alone or below $meta', async () => {
    for (const group_by_field of ['color', '$meta["color"]'])
      assert.deepEqual(
        idsOf(await search({ group_by_field, ...strict })),
        grouped(({ color }) => color, 3, 10),
        group_by_field,
      );
  });

  test('a group holds one kind of value: the text "true" is not the Bool, the text "12" not the number', async () => {
    const found = await search({
      group_by_field: 'meta["any"]',
      group_size: 2,
      strict_group_size: true,
      limit: 20,
    });
    assert.deepEqual(
      idsOf(found),
      grouped(({ id }) => kindOf(id), 2, 20),
    );
    for (const { id, group_by_field_values } of found) {
      const value = anything[Number(id) % 12] ?? null;
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      assert.equal(group_by_field_values?.['meta["any"]'] ?? null, value === null ? null : text);
    }
  });

  test('a search is grouped by several fields: one group for each combination, at most one key of a JSON field among them', async () => {
    const both = await search({ params: { group_by_fields: 'n,brand' }, ...strict, limit: 5 });
    assert.deepEqual(
      idsOf(both),
      grouped(({ n, brand }) => [n, brand], 3, 5),
    );
    for (const { id, group_by_field_values } of both) {
      assert.equal(Number(group_by_field_values?.['n']), Number(id) % 3);
      assert.equal(group_by_field_values?.['brand'] ?? null, brands[Number(id) % 4]);
    }
    assert.deepEqual(
      idsOf(await search({ params: { group_by_fields: '["n", "meta[\\"brand\\"]"]' }, ...strict, limit: 5 })),
      grouped(({ n, brand }) => [n, brand], 3, 5),
    );
  });

  test('hits are ordered by keys of JSON fields: Bools, numbers by value, texts, the rest, null as the greatest', async () => {
    const sorted = (compare: (a: number, b: number) => number, count: number): number[] =>
      near
        .slice(0, count)
        .map(({ id }) => id)
        .sort((a, b) => compare(a, b));
    const deep = (id: number) => (id * 7) % 50;
    assert.deepEqual(
      idsOf(await search({ limit: 40, order_by_fields: 'meta["k, of:a"]["deep"][1]:desc' })),
      sorted((a, b) => deep(b) - deep(a), 40),
    );
    const kinds = ['false', 'true', '-3.5', '12', '1e+30', '"12"', '"a"', '"true"', '"x"', '[1]'];
    const rank = (id: number): number => (kindOf(id) === 'null' ? 100 : kinds.indexOf(kindOf(id)));
    assert.deepEqual(
      idsOf(await search({ limit: 60, order_by_fields: [{ field: 'meta["any"]', order: 'asc' }] })),
      sorted((a, b) => rank(a) - rank(b), 60),
    );
    assert.deepEqual(
      idsOf(await search({ limit: 60, order_by_fields: 'meta["any"]:asc:nulls_first' })),
      sorted((a, b) => (rank(a) === 100 ? -1 : rank(a)) - (rank(b) === 100 ? -1 : rank(b)), 60),
    );
    const colors = ['blue', 'green', 'red'];
    assert.deepEqual(
      idsOf(await search({ limit: 30, order_by_fields: 'color:desc,meta["brand"]:asc' })),
      sorted(
        (a, b) =>
          colors.indexOf(row(b).color as string) - colors.indexOf(row(a).color as string) ||
          (a % 4) - (b % 4),
        30,
      ),
    );
    const groups = await search({
      group_by_field: 'meta["brand"]',
      limit: 4,
      order_by_fields: 'meta["brand"]:desc',
    });
    assert.deepEqual(
      groups.map(({ id }) => Number(id) % 4),
      [3, 2, 1, 0],
    );
  });

  test('what cannot be grouped or ordered is refused; a restored collection is read alike', async () => {
    const { client } = fixture;
    const ask = (more: object) => client.search({ collection_name, data: query, limit: 3, ...more } as never);
    for (const [more, words] of [
      [{ group_by_field: 'meta' }, 'unsupported data type JSON'],
      [{ group_by_field: 'nothing["x"]["y"]', order_by_fields: 'vector' }, 'unsortable type FloatVector'],
      [{ order_by_fields: 'meta' }, 'unsortable type JSON'],
      [{ params: { group_by_fields: 'meta["a"],meta["b"]' } }, 'once by each field'],
      [{ params: { group_by_fields: 'color,meta["b"]' } }, 'at most one key of a JSON field'],
      [{ group_by_field: 'n', params: { group_by_fields: 'brand' } }, 'exclude one another'],
    ] as const)
      await refused(ask(more), { code: 1100, error_code: 'IllegalArgument', words } as never);
    const snapshot_name = 'json_keys';
    await succeed(client.createSnapshot({ collection_name, snapshot_name }));
    await restore(client, {
      source_collection_name: collection_name,
      snapshot_name,
      target_collection_name: 'json_keys_again',
    });
    await load(client, 'json_keys_again');
    assert.deepEqual(
      idsOf(await search({ group_by_field: 'meta["brand"]', ...strict }, 'json_keys_again')),
      grouped(({ brand }) => brand, 3, 10),
    );
  });
});
