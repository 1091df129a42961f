import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createItems, item, succeed, withServer } from './fixture.ts';

async function ids(client: Parameters<typeof createItems>[0], collection = 'items'): Promise<number[]> {
  const { data } = await succeed(
    client.query({ collection_name: collection, filter: 'id >= 0', output_fields: ['id'], limit: 16_000 }),
  );
  return data.map((row) => Number(row['id'])).sort((a, b) => a - b);
}

test('every acknowledged write survives kill -9 in the middle of writing', () =>
  withServer(async (fixture) => {
    await createItems(fixture.client);
    const acknowledged = new Set<number>();
    const deleted = new Set<number>();
    let next = 0;
    for (let round = 0; round < 3; round++) {
      const { client, server } = fixture;
      let killed = false;
      const writers = Array.from({ length: 4 }, async () => {
        while (!killed) {
          const rows = Array.from({ length: 5 }, () => item(next++));
          try {
            await succeed(client.insert({ collection_name: 'items', data: rows }));
            for (const { id } of rows) acknowledged.add(id);
            if (rows[0]!.id % 3 === 0) {
              await succeed(client.delete({ collection_name: 'items', filter: `id == ${rows[0]!.id}` }));
              deleted.add(rows[0]!.id);
            }
          } catch (error) {
            if (!killed) throw error;
          }
        }
      });
      if (round === 1) await succeed(client.flush({ collection_names: ['items'] }));
      await new Promise((resolve) => setTimeout(resolve, 300));
      killed = true;
      await server.kill();
      await Promise.allSettled(writers);
      await fixture.restart('kill');
      const found = new Set(await ids(fixture.client));
      for (const id of acknowledged)
        if (!deleted.has(id)) assert.ok(found.has(id) || id % 3 === 0, `row ${id} is lost`);
      for (const id of deleted) assert.ok(!found.has(id), `deleted row ${id} is back`);
      assert.ok(acknowledged.size > 50);
    }
  }));

test('a clean stop and start keeps rows, deletes, indexes and the loaded state', () =>
  withServer(async (fixture) => {
    await createItems(fixture.client);
    await succeed(
      fixture.client.insert({
        collection_name: 'items',
        data: Array.from({ length: 50 }, (_, i) => item(i)),
      }),
    );
    await succeed(fixture.client.delete({ collection_name: 'items', filter: 'id in [3, 4]' }));
    await fixture.restart('stop');
    assert.deepEqual(
      await ids(fixture.client),
      [...Array(50).keys()].filter((id) => id !== 3 && id !== 4),
    );
    const { results } = await succeed(
      fixture.client.search({
        collection_name: 'items',
        data: item(7).vector,
        limit: 1,
        output_fields: ['name'],
      }),
    );
    assert.equal(results[0]!['name'], 'item 7 v0');
  }));
