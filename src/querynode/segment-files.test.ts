import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  batchOf,
  collectionId,
  DIM,
  deleteParts,
  insertParts,
  PlainLog,
  partitions,
  plainOf,
  plainRows,
  schemaOf,
  TAG,
  VECTOR,
  viewOf,
} from '../../tests/query-world.ts';
import { floatQueries } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import { filterOf } from '../expr/check.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { primaryKeysOf } from '../expr/primary-keys.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type BuildId, type IndexId, type SegmentId } from '../model/ids.ts';
import type { FileKind, SegmentFile, SegmentRecord } from '../model/records.ts';
import { encodeDeletes } from '../segment/deletes-file.ts';
import { LOAD_DELETES, LOAD_SEGMENT, loadTasks } from '../segment/load.ts';
import { encodeRows } from '../segment/rows-file.ts';
import { MemoryStore } from '../storage/memory.ts';
import { systemClock } from '../support/system-clock.ts';
import type { Workers } from '../support/workers.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { buildHnsw } from '../vector-index/hnsw-build.ts';
import { vectorTasks } from '../vector-index/search-tasks.ts';
import { ArenaEngine } from './arena-engine.ts';
import { LocalQueryNode } from './querynode.ts';
import { WorkerFiles } from './segment-files.ts';

const schema = schemaOf('Int64');
const rows = Array.from({ length: 3000 }, (_, i) => ({ key: (i * 7919) % 3001, tag: i }));

async function world(run?: Workers['run']) {
  const store = new MemoryStore(() => 0);
  const tasks = { ...loadTasks({ store }), ...vectorTasks() };
  const workers = {
    run: run ?? (async (task: string, input: unknown) => (await tasks[task]!(input as never)).output),
    close: () => Promise.resolve(),
  } as Workers;
  const arena = new VectorArena({ maxBytes: 2 ** 26, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
  const engine = new ArenaEngine({ arena, workers });
  const log = new PlainLog();
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
    clock: systemClock,
  });
  const put = async (kind: FileKind, key: string, bytes: Uint8Array): Promise<SegmentFile> => ({
    kind,
    key,
    sizeBytes: bytes.length,
    ...(await store.put(key, bytes)),
  });
  const batch = batchOf('Int64', rows);
  const vectors = batch.columns.get(VECTOR);
  assert(vectors?.layout === 'vector' && vectors.values instanceof Float32Array);
  const image = buildHnsw({
    vectors: vectors.values,
    dim: DIM,
    metric: 'L2',
    params: { M: 8, efConstruction: 100 },
  });
  const base = {
    collectionId,
    partitionId: partitions[0]!,
    channel: 'dml_0',
    state: 'flushed',
    minTs: 5n as HybridTime,
    maxTs: 5n as HybridTime,
    indexes: [],
  } as const;
  const segment: SegmentRecord = {
    ...base,
    segmentId: 1n as SegmentId,
    level: 'L1',
    rowCount: rows.length,
    files: [await put('rows', 'rows', encodeRows(schema.fields, [{ ts: 5n as HybridTime, rows: batch }]))],
    indexes: [
      {
        indexId: 1n as IndexId,
        buildId: 1n as BuildId,
        fieldId: VECTOR,
        kind: 'HNSW',
        file: await put('index', 'graph', image),
      },
    ],
  };
  const keys = { type: 'Int64', values: BigInt64Array.from([rows[10]!.key, rows[12]!.key], BigInt) } as const;
  const deletes: SegmentRecord = {
    ...base,
    segmentId: 2n as SegmentId,
    partitionId: ALL_PARTITIONS,
    level: 'L0',
    rowCount: 2,
    files: [await put('deletes', 'deletes', encodeDeletes([{ ts: 6n as HybridTime, keys }]))],
  };
  return { arena, store, log, node, segment, deletes };
}

const nearest = async (node: LocalQueryNode, filter?: string) => {
  const found = await node.search({
    collectionId,
    fieldId: VECTOR,
    queries: floatQueries(3, [11, 0, 1, 500, 2, 1]),
    queryCount: 2,
    topK: 5,
    offset: 0,
    metric: 'L2',
    ef: 64,
    ...(filter === undefined ? {} : { filter: filterOf(filter, schema) }),
    outputFields: [TAG],
  });
  return plainRows(found.rows).map((row) => row[TAG]);
};

test('flushed rows, their deletes and their graph are loaded from files and searched with rows of the log', async () => {
  const { arena, log, node, segment, deletes } = await world();
  await node.load(viewOf(schema, [{ ...segment, indexes: [] }, deletes]));
  assert.equal(await node.count({ collectionId }), rows.length - 2);
  const exact = await nearest(node);
  assert(!exact.includes(10) && !exact.includes(12) && exact.includes(11));
  await node.update(viewOf(schema, [segment, deletes]));
  assert.deepEqual(await nearest(node), exact);
  log.write(
    deleteParts('Int64', ALL_PARTITIONS, [rows[11]!.key]).map((part) => ({ ...part, channel: 'dml_0' })),
  );
  log.write(insertParts('Int64', partitions[1]!, [{ key: 5000, tag: 500 }]));
  assert(!(await nearest(node)).includes(11));
  const everyThird = await nearest(node, 'tag % 3 == 0');
  assert(everyThird.length === 10 && everyThird.every((tag) => (tag as number) % 3 === 0));
  const key = rows[77]!.key;
  const fields = schema.fields.map(({ fieldId }) => fieldId);
  const byKey = await node.query({
    collectionId,
    outputFields: fields,
    filter: filterOf(`pk in [${key}, -4]`, schema),
  });
  assert.deepEqual(plainRows(byKey), [plainOf('Int64', rows[77]!)]);
  const texts = await node.query({
    collectionId,
    outputFields: [TAG],
    filter: filterOf(`text == "text ${key} 77"`, schema),
  });
  assert.deepEqual(plainRows(texts), [{ [TAG]: 77 }]);
  await node.release(collectionId);
  assert.equal(arena.usedBytes, 0);
  await node.close();
});

for (const damage of ['rows', 'deletes', 'graph'])
  test(`a flipped bit in the ${damage} file stops the load and frees its memory`, async () => {
    const { arena, store, node, segment, deletes } = await world();
    const bytes = await store.get(damage);
    const at = bytes.length >> 1;
    bytes[at] = bytes[at]! ^ 4;
    await store.put(damage, bytes);
    await assert.rejects(node.load(viewOf(schema, [segment, deletes])), (error) => {
      assert(isDbError(error, 'data-integrity'), String(error));
      assert.match(error.message, new RegExp(damage));
      return true;
    });
    assert.equal(arena.usedBytes, 0);
    await node.close();
  });

test('a load that is given up cuts off what threads read of it, and frees its memory', async () => {
  const cut: string[] = [];
  const { arena, node, segment, deletes } = await world(
    (task, _input, _transfer, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          cut.push(task);
          reject(signal.reason);
        });
      }),
  );
  const load = node.load(viewOf(schema, [segment, deletes]));
  const refused = assert.rejects(load, (error) => isDbError(error));
  await new Promise((resolve) => setImmediate(resolve));
  await node.close();
  await refused;
  assert.deepEqual(cut.sort(), [LOAD_DELETES, LOAD_SEGMENT].sort());
  assert.equal(arena.usedBytes, 0);
});
