import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { createItems, item, succeed, withServer } from './fixture.ts';

async function ids(client: MilvusClient, collection = 'items'): Promise<number[]> {
  const { data } = await succeed(
    client.query({ collection_name: collection, filter: 'id >= 0', output_fields: ['id'], limit: 16_000 }),
  );
  return data.map((row) => Number(row['id'])).sort((a, b) => a - b);
}

/** Writes until it is told to stop, and remembers what the server has acknowledged. */
class Writer {
  readonly inserted = new Set<number>();
  readonly deleted = new Set<number>();
  /** Sent, answer unknown: may or may not have happened. */
  readonly attempted = new Set<number>();
  stopped = false;
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  async run(client: MilvusClient): Promise<void> {
    this.stopped = false;
    while (!this.stopped) await this.#turn(client).catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    if (!this.stopped) throw error;
  }

  async #turn(client: MilvusClient): Promise<void> {
    const rows = Array.from({ length: 5 }, () => item(this.#next++));
    await succeed(client.insert({ collection_name: 'items', data: rows }));
    for (const { id } of rows) this.inserted.add(id);
    const victim = rows[0]!.id;
    this.attempted.add(victim);
    await succeed(client.delete({ collection_name: 'items', filter: `id == ${victim}` }));
    this.deleted.add(victim);
  }
}

/** When each has written a few times more, however slow the machine. */
async function allHaveWritten(writers: readonly Writer[]): Promise<void> {
  const before = writers.map(({ inserted }) => inserted.size);
  while (writers.some(({ inserted }, i) => inserted.size < before[i]! + 20)) await sleep(10);
}

test('every acknowledged write survives kill -9 in the middle of writing', () =>
  withServer(async (fixture) => {
    await createItems(fixture.client);
    const writers = [0, 1, 2, 3].map((lane) => new Writer(lane * 1_000_000));
    for (let round = 0; round < 3; round++) {
      const running = writers.map((writer) => writer.run(fixture.client));
      await Promise.race([...running, allHaveWritten(writers)]);
      if (round === 1) await succeed(fixture.client.flush({ collection_names: ['items'] }));
      await Promise.race([...running, allHaveWritten(writers)]);
      for (const writer of writers) writer.stopped = true;
      await fixture.server.kill();
      await Promise.all(running);
      await fixture.restart('kill');
      const found = new Set(await ids(fixture.client));
      for (const { inserted, attempted, deleted } of writers) {
        for (const id of inserted) assert.ok(found.has(id) || attempted.has(id), `row ${id} is lost`);
        for (const id of deleted) assert.ok(!found.has(id), `deleted row ${id} is back`);
      }
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
