import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { type Harness, withClient } from '../../../tests/proxy/harness.ts';
import { inlineWorkers } from '../../support/inline-workers.ts';
import type { Workers } from '../../support/workers.ts';
import { writeTasks } from './prepared-write.ts';

const DIM = 128;
/** Some 1.5 MB: above what the event loop prepares itself. */
const ROWS = 3000;

interface Counted extends Workers {
  readonly tasks: string[];
}

/** Worker tasks as between threads, written down. */
function countedWorkers(): Counted {
  const inner = inlineWorkers(writeTasks());
  const tasks: string[] = [];
  return {
    tasks,
    run: (task, input, transfer) => {
      tasks.push(task);
      return inner.run(task, input, transfer);
    },
    close: () => inner.close(),
  };
}

async function withCollection(
  primaryKey: object,
  body: (harness: Harness, tasks: readonly string[]) => Promise<void>,
): Promise<void> {
  const workers = countedWorkers();
  await withClient(
    async (harness) => {
      const { client } = harness;
      const made = await client.createCollection({
        collection_name: 'c',
        shards_num: 3,
        fields: [
          { name: 'id', is_primary_key: true, ...primaryKey },
          { name: 't', data_type: DataType.VarChar, max_length: 10, nullable: true },
          { name: 'v', data_type: DataType.FloatVector, dim: DIM },
        ],
      } as never);
      assert.equal(made.error_code, 'Success', made.reason as string);
      await client.createIndex({
        collection_name: 'c',
        field_name: 'v',
        index_type: 'FLAT',
        metric_type: 'L2',
      });
      await client.loadCollection({ collection_name: 'c' });
      await body(harness, workers.tasks);
    },
    { workers },
  );
}

const vectorOf = (row: number): number[] => Array.from({ length: DIM }, (_, i) => Math.fround(row + i / DIM));
const rowsWith = (key: (row: number) => object, count = ROWS): never[] =>
  Array.from({ length: count }, (_, row) => ({
    ...key(row),
    t: row % 2 === 0 ? `t${row}` : null,
    v: vectorOf(row),
  })) as never[];

test('a large insert is prepared by a worker and every row comes back as it was; a small one is not', () =>
  withCollection({ data_type: DataType.VarChar, max_length: 10 }, async ({ client }, tasks) => {
    const answer = await client.insert({
      collection_name: 'c',
      data: rowsWith((row) => ({ id: `k${row}` })),
    });
    assert.equal(answer.status.error_code, 'Success', answer.status.reason as string);
    assert.deepEqual(tasks, ['prepare-write']);
    assert.equal(Number(answer.insert_cnt), ROWS);
    const { data } = await client.get({
      collection_name: 'c',
      ids: ['k0', 'k1', `k${ROWS - 1}`],
      output_fields: ['t', 'v'],
    });
    const byKey = new Map(data.map((row) => [row['id'], row]));
    for (const row of [0, 1, ROWS - 1]) {
      const found = byKey.get(`k${row}`);
      assert.equal(found?.['t'], row % 2 === 0 ? `t${row}` : null);
      assert.deepEqual(Array.from(found?.['v'] as number[]), vectorOf(row));
    }
    await client.insert({ collection_name: 'c', data: rowsWith((row) => ({ id: `s${row}` }), 2) });
    assert.equal(tasks.length, 1);
  }));

test('a large insert with auto ids gets an id for every row, a large upsert replaces by keys', () =>
  withCollection({ data_type: DataType.Int64, autoID: true }, async ({ client }, tasks) => {
    const answer = await client.insert({ collection_name: 'c', data: rowsWith(() => ({})) });
    assert.equal(answer.status.error_code, 'Success', answer.status.reason as string);
    const ids = 'int_id' in answer.IDs && answer.IDs.int_id ? answer.IDs.int_id.data.map(String) : [];
    assert.equal(new Set(ids).size, ROWS);
    const upserted = await client.upsert({
      collection_name: 'c',
      data: rowsWith((row) => ({ id: ids[row] })),
    });
    assert.equal(upserted.status.error_code, 'Success', upserted.status.reason as string);
    assert.deepEqual(tasks, ['prepare-write', 'prepare-write']);
    const count = await client.count({ collection_name: 'c' });
    assert.equal(Number(count.data), ROWS);
    const old = await client.get({ collection_name: 'c', ids: ids.slice(0, 5) });
    assert.deepEqual(old.data, []);
  }));

test('a large request that is wrong is refused with the same reason as a small one', () =>
  withCollection({ data_type: DataType.Int64 }, async ({ client }, tasks) => {
    const rows = (count: number) => {
      const data = rowsWith((row) => ({ id: row }), count) as { t: string | null }[];
      for (const row of data) row.t = 'x'.repeat(11);
      return data as never[];
    };
    const small = await client.insert({ collection_name: 'c', data: rows(1) });
    const large = await client.insert({ collection_name: 'c', data: rows(ROWS) });
    assert.deepEqual(tasks, ['prepare-write']);
    assert.match(small.status.reason as string, /exceeds max length/);
    assert.deepEqual([large.status.reason, large.status.code], [small.status.reason, small.status.code]);
    const duplicates = await client.upsert({ collection_name: 'c', data: rowsWith(() => ({ id: 1 })) });
    assert.match(duplicates.status.reason as string, /duplicate primary keys/);
  }));
