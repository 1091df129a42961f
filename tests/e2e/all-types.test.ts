import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MilvusClient, RowData } from '@zilliz/milvus2-sdk-node';
import { createEveryType, everyField, everyRow, plain } from './every-type.ts';
import { flush, load, restore, sharedServer, succeed } from './fixture.ts';

const withId = (rows: readonly object[], first = 0) =>
  rows.map((row, i) => ({ id: first + i, ...row })) as RowData[];

async function queried(client: MilvusClient, collection_name: string, filter: string): Promise<unknown> {
  const { data } = await succeed(client.query({ collection_name, filter, output_fields: ['*'] }));
  return data.map(plain);
}

async function searched(client: MilvusClient, collection_name: string, filter: string): Promise<unknown[]> {
  const { results } = await succeed(
    client.search({
      collection_name,
      filter,
      anns_field: 'vector',
      data: [0, 0, 0],
      limit: 10,
      output_fields: ['*'],
    }),
  );
  const rows = results.map(({ score: _, ...row }) => plain(row) as { id: string });
  return rows.sort((a, b) => Number(a.id) - Number(b.id));
}

async function compact(client: MilvusClient, collection_name: string): Promise<void> {
  const { compactionID } = await succeed(client.compact({ collection_name }));
  while (String((await succeed(client.getCompactionState({ compactionID }))).state) !== 'Completed')
    await new Promise((resolve) => setTimeout(resolve, 5));
}

/** With a dynamic field the official client sends each row as JSON would have it: without a sign of zero. */
const jsonOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

for (const isDynamic of [false, true])
  describe(`one collection with every data type, ${isDynamic ? 'and a dynamic field beside them' : 'and no other field'}`, () => {
    const fixture = sharedServer();
    const name = 'every';
    const sent = everyRow.map((row) => (isDynamic ? { ...row.sent, ...row.beside } : row.sent));
    const back = everyRow.map((row) => (isDynamic ? { ...jsonOf(row.back), $meta: row.beside } : row.back));
    const expected = (first = 0) =>
      back.map((row, i) => plain({ id: String(first + i), ...row })) as Record<string, unknown>[];

    /** All rows, by query and as the output of a search, whole and in one column. */
    async function check(collection: string, first = 0): Promise<void> {
      const { client } = fixture;
      const rows = expected(first);
      const filter = `id >= ${first} && id < ${first + rows.length}`;
      assert.deepEqual(await queried(client, collection, filter), rows);
      assert.deepEqual(await searched(client, collection, filter), rows);
    }

    test('extremes, -0, 2^63-1, empty and 64 KB texts, nulls and defaults: in by insert and upsert, out by query and search, growing and flushed', async () => {
      const { client } = fixture;
      await createEveryType(client, name, isDynamic);
      await succeed(client.insert({ collection_name: name, data: withId(sent) }));
      await check(name);
      await flush(client, name);
      await check(name);
      const reversed = withId([...sent].reverse());
      await succeed(client.upsert({ collection_name: name, data: reversed }));
      const turned = expected()
        .map(({ id: _, ...row }) => row)
        .reverse();
      assert.deepEqual(
        await queried(client, name, 'id >= 0'),
        turned.map((row, i) => ({ id: String(i), ...row })),
      );
      await succeed(client.upsert({ collection_name: name, data: withId(sent) }));
      await check(name);
    });

    test('one field after another is the same as all of them', async () => {
      const { client } = fixture;
      for (const field of everyField.map((each) => String(each.name))) {
        const { data } = await succeed(
          client.query({ collection_name: name, filter: 'id >= 0', output_fields: [field] }),
        );
        assert.deepEqual(
          data.map(plain),
          expected().map((row) => ({ id: row['id'], [field]: row[field] })),
          field,
        );
      }
    });

    test('compacted, and after a restart and kill -9', async () => {
      const { client } = fixture;
      await succeed(client.insert({ collection_name: name, data: withId(sent, 100) }));
      await flush(client, name);
      await compact(client, name);
      await check(name);
      await check(name, 100);
      await succeed(client.insert({ collection_name: name, data: withId(sent, 200) }));
      for (const how of ['stop', 'kill'] as const) {
        await fixture.restart(how);
        for (const first of [0, 100, 200]) await check(name, first);
      }
    });

    test('in a snapshot, restored, the schema with everything said of its fields', async () => {
      const { client } = fixture;
      const target_collection_name = `${name}_again`;
      await succeed(client.createSnapshot({ collection_name: name, snapshot_name: 's' }));
      await restore(client, { snapshot_name: 's', source_collection_name: name, target_collection_name });
      await load(client, target_collection_name);
      for (const first of [0, 100, 200]) await check(target_collection_name, first);
      const { schema: was } = await succeed(client.describeCollection({ collection_name: name }));
      const { schema: is } = await succeed(
        client.describeCollection({ collection_name: target_collection_name }),
      );
      assert.deepEqual({ ...is, name }, { ...was, name });
      assert.deepEqual(
        is.fields.map((field) => field.name),
        everyField.map((field) => field.name),
      );
      await fixture.restart('kill');
      for (const first of [0, 100, 200]) await check(target_collection_name, first);
    });
  });
