/** Indexes of scalar fields in a query node: made, used, taken over, dropped; and what searches with filters find. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../tests/field-schema.ts';
import { collectionId, PlainLog, partitions } from '../../tests/query-world.ts';
import { clusteredVectors, floatQueries, slowSearch } from '../../tests/vectors.ts';
import { filterOf } from '../expr/check.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { primaryKeysOf } from '../expr/primary-keys.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, SegmentId } from '../model/ids.ts';
import type { IndexRecord, SegmentFile, SegmentRecord } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { BUILD_SCALAR_INDEX, scalarIndexTasks } from '../scalar-index/tasks.ts';
import { loadTasks } from '../segment/load.ts';
import { encodeRows } from '../segment/rows-file.ts';
import { MemoryStore } from '../storage/memory.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { systemClock } from '../support/system-clock.ts';
import type { Workers } from '../support/workers.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { buildHnsw } from '../vector-index/hnsw-build.ts';
import type { CollectionView } from './api.ts';
import { ArenaEngine } from './arena-engine.ts';
import { LocalQueryNode } from './querynode.ts';
import { WorkerFiles } from './segment-files.ts';

const ID = 100 as FieldId;
const NUMBER = 101 as FieldId;
const FIRST = 102 as FieldId;
const VECTOR = 103 as FieldId;
const LATER = 104 as FieldId;
const DIM = 16;

const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: ID, isPrimaryKey: true }),
    fieldSchema('number', { fieldId: NUMBER, dataType: 'Int32' }),
    fieldSchema('first', { fieldId: FIRST, dataType: 'Float' }),
    fieldSchema('v', { fieldId: VECTOR, dataType: 'FloatVector', dim: DIM }),
  ],
  enableDynamicField: false,
  version: 1,
};
const withLater: CollectionSchema = {
  ...schema,
  fields: [...schema.fields, fieldSchema('later', { fieldId: LATER, dataType: 'Int64', nullable: true })],
  version: 2,
};

const vectorIndex = { indexId: 1n, fieldId: VECTOR, params: { metric_type: 'L2' } } as unknown as IndexRecord;
const indexOn = (indexId: bigint, fieldId: FieldId): IndexRecord =>
  ({ indexId, fieldId, params: { index_type: 'INVERTED' } }) as unknown as IndexRecord;

/** A segment; `number` is a permutation of the rows. */
async function open(rowCount: number, { maxBytes = 2 ** 27, hasGraph = false } = {}) {
  const vectors = clusteredVectors(rowCount, DIM, { latent: 8, clusters: 60 });
  const store = new MemoryStore(() => 0);
  const put = async (kind: 'rows' | 'index', bytes: Uint8Array): Promise<SegmentFile> => ({
    kind,
    key: kind,
    sizeBytes: bytes.length,
    ...(await store.put(kind, bytes)),
  });
  const numbers = Int32Array.from({ length: rowCount }, (_, row) => (row * 7919) % rowCount);
  const firsts = Float32Array.from({ length: rowCount }, (_, row) => vectors[row * DIM] ?? 0);
  const columns = new Map<FieldId, Column>([
    [
      ID,
      {
        layout: 'fixed',
        type: 'Int64',
        values: BigInt64Array.from({ length: rowCount }, (_, row) => BigInt(row)),
      },
    ],
    [NUMBER, { layout: 'fixed', type: 'Int32', values: numbers }],
    [FIRST, { layout: 'fixed', type: 'Float', values: firsts }],
    [VECTOR, { layout: 'vector', type: 'FloatVector', dim: DIM, values: vectors }],
  ]);
  const ts = 5n as HybridTime;
  const rows = await put('rows', encodeRows(schema.fields, [{ ts, rows: { rowCount, columns } }]));
  const graphs = hasGraph
    ? [
        {
          indexId: 1n as IndexId,
          buildId: 1n as BuildId,
          fieldId: VECTOR,
          kind: 'HNSW',
          file: await put(
            'index',
            buildHnsw({ vectors, dim: DIM, metric: 'L2', params: { M: 12, efConstruction: 60 } }),
          ),
        },
      ]
    : [];
  const segment: SegmentRecord = {
    segmentId: 1n as SegmentId,
    collectionId,
    partitionId: partitions[0]!,
    channel: 'dml_0',
    level: 'L1',
    state: 'flushed',
    rowCount,
    minTs: ts,
    maxTs: ts,
    files: [rows],
    indexes: graphs,
  };
  const arena = new VectorArena({ maxBytes, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
  const counts = { builds: 0, scans: 0, tests: 0 };
  class Watched extends ArenaEngine {
    override scan(...given: Parameters<ArenaEngine['scan']>): ReturnType<ArenaEngine['scan']> {
      counts.scans++;
      return super.scan(...given);
    }
  }
  const engine = new Watched({ arena });
  const inline = inlineWorkers({ ...loadTasks({ store }), ...scalarIndexTasks() });
  const workers: Workers = {
    run: (task, ...rest) => {
      if (task === BUILD_SCALAR_INDEX) counts.builds++;
      return inline.run(task, ...rest);
    },
    close: () => inline.close(),
  };
  const node = new LocalQueryNode({
    streamingNode: new PlainLog().node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: {
      compile(filter) {
        const compiled = compileFilter(filter);
        const evaluate: typeof compiled.evaluate = (...given) => {
          counts.tests++;
          return compiled.evaluate(...given);
        };
        return { ...compiled, evaluate };
      },
      primaryKeys: primaryKeysOf,
    },
    clock: systemClock,
    workers,
  });
  const viewWith = (...indexes: readonly IndexRecord[]): CollectionView => ({
    collectionId,
    schema,
    channels: ['dml_0'],
    partitionIds: partitions,
    segments: [segment],
    unflushed: [],
    indexes: [vectorIndex, ...indexes],
  });
  const count = (text: string, of = schema) => node.count({ collectionId, filter: filterOf(text, of) });
  return { node, arena, counts, viewWith, count, vectors, numbers, firsts };
}

test('an index is made when a view brings it, once; it answers; its memory is counted until it is dropped', async () => {
  const { node, arena, counts, viewWith, count } = await open(5000);
  await node.load(viewWith());
  assert.deepEqual([counts.builds, arena.reservedBytes], [0, 0]);
  assert.equal(await count('number < 100 and first < 1000'), 100);
  assert.ok(counts.tests > 0);
  await node.update(viewWith(indexOn(2n, NUMBER)));
  await node.update(viewWith(indexOn(2n, NUMBER)));
  assert.equal(counts.builds, 1);
  const ofOne = arena.reservedBytes;
  assert.ok(ofOne > 5000 * 8, `${ofOne}`);
  counts.tests = 0;
  assert.equal(await count('number < 100'), 100);
  assert.equal(counts.tests, 0);
  await node.update(viewWith(indexOn(2n, NUMBER), indexOn(3n, FIRST)));
  assert.equal(counts.builds, 2);
  assert.ok(arena.reservedBytes > ofOne);
  assert.equal(await count('number < 100 and first < 1000'), 100);
  assert.equal(counts.tests, 0);
  await node.update(viewWith(indexOn(3n, FIRST)));
  await node.update(viewWith());
  assert.equal(arena.reservedBytes, 0);
  assert.equal(await count('number < 100'), 100);
  assert.ok(counts.tests > 0);
  await node.close();
});

test('an index that was there before the load is loaded with the segment; a release gives its memory back', async () => {
  const { node, arena, counts, viewWith, count } = await open(5000);
  await node.load(viewWith(indexOn(2n, NUMBER)));
  assert.equal(await count('number >= 4990'), 10);
  assert.deepEqual([counts.builds, counts.tests], [1, 0]);
  assert.ok(arena.reservedBytes > 0);
  await node.release(collectionId);
  assert.deepEqual([arena.reservedBytes, arena.usedBytes], [0, 0]);
  await node.close();
});

test('an index for which queryNode.memoryLimit has no room is refused; readers go on without it', async () => {
  const { node, arena, counts, viewWith, count } = await open(5000, { maxBytes: 2 ** 20 });
  await node.load(viewWith());
  const free = 2 ** 20 - arena.committedBytes;
  const taken = arena.reserve(free);
  await assert.rejects(node.update(viewWith(indexOn(2n, NUMBER))), { code: 'resource-exhausted' });
  assert.equal(arena.reservedBytes, free);
  assert.equal(await count('number < 10'), 10);
  assert.ok(counts.tests > 0);
  taken.free();
  await node.close();
});

test('a field that was added after the segment was loaded has no structure there, and reads null', async () => {
  const { node, counts, viewWith, count } = await open(1300);
  await node.load(viewWith());
  await node.update({ ...viewWith(indexOn(2n, LATER)), schema: withLater });
  assert.equal(counts.builds, 0);
  assert.equal(await count('later is null', withLater), 1300);
  assert.equal(await count('later == 1', withLater), 0);
  await node.close();
});

test('a small segment has no structure: its rows are tested as fast', async () => {
  const { node, counts, viewWith, count } = await open(1023);
  await node.load(viewWith(indexOn(2n, NUMBER)));
  assert.equal(await count('number < 10'), 10);
  assert.deepEqual([counts.builds, counts.tests > 0], [0, true]);
  await node.close();
});

test('recall@10 is at least 0.95 at 50 %, 10 %, 1 % and 0.1 %, whether the filter has to do with the vectors or not; few rows are all compared', async () => {
  const rowCount = 8000;
  const queryCount = 40;
  const { node, counts, viewWith, vectors, numbers, firsts } = await open(rowCount, { hasGraph: true });
  await node.load(viewWith(indexOn(2n, NUMBER), indexOn(3n, FIRST)));
  const sorted = firsts.slice().sort();
  const queries = clusteredVectors(queryCount, DIM, { latent: 8, clusters: 60, offset: 5 });
  const search = (text: string | undefined) =>
    node.search({
      collectionId,
      fieldId: VECTOR,
      queries: floatQueries(DIM, queries),
      queryCount,
      topK: 10,
      offset: 0,
      metric: 'L2',
      outputFields: [],
      ...(text === undefined ? {} : { filter: filterOf(text, schema) }),
    });
  const inOrder = Array.from({ length: queryCount }, (_, query) =>
    slowSearch('L2', vectors, DIM, queries.subarray(query * DIM, (query + 1) * DIM)),
  );
  const recallOf = async (text: string | undefined, passes: (row: number) => boolean): Promise<number> => {
    const { keys, counts: found } = await search(text);
    let hits = 0;
    let wanted = 0;
    let from = 0;
    for (const [query, all] of inOrder.entries()) {
      const best = new Set(
        all
          .filter(({ row }) => passes(row))
          .slice(0, 10)
          .map(({ row }) => BigInt(row)),
      );
      const to = from + (found[query] ?? 0);
      for (const key of keys.values.slice(from, to)) if (best.has(key as bigint)) hits++;
      wanted += best.size;
      from = to;
    }
    return hits / wanted;
  };
  assert.ok((await recallOf(undefined, () => true)) >= 0.95);
  for (const share of [0.5, 0.1, 0.01, 0.001]) {
    const most = share * rowCount;
    const edge = sorted[most]!;
    const cases: readonly (readonly [string, (row: number) => boolean])[] = [
      [`number < ${most}`, (row) => numbers[row]! < most],
      [`first < ${edge}`, (row) => firsts[row]! < edge],
    ];
    for (const [text, passes] of cases) {
      counts.scans = 0;
      const recall = await recallOf(text, passes);
      assert.ok(recall >= 0.95, `${text}: ${recall}`);
      if (share > 0.01) continue;
      assert.equal(counts.scans, 1, `${text} is scanned`);
      assert.equal(recall, 1, text);
    }
  }
  await node.close();
});
