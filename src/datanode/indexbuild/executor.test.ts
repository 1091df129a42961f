import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDbError } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { VectorColumn } from '../../model/rows.ts';
import { MemoryStore } from '../../storage/memory.ts';
import type { Workers } from '../../support/workers.ts';
import type { BuildIndexWork, NodeProgress } from '../api.ts';
import { indexBuildExecutor } from './executor.ts';
import { type BuildIndexInput, type GraphParams, graphParamsOf, indexBuildTasks } from './task.ts';

const work: BuildIndexWork = {
  kind: 'build-index',
  place: { collectionId: 1n as CollectionId, partitionId: 2n as PartitionId, segmentId: 3n as SegmentId },
  rowsFile: { kind: 'rows', key: 'rows', sizeBytes: 32, crc32: 0, etag: '' },
  rowCount: 2,
  field: {
    fieldId: 101 as FieldId,
    name: 'vec',
    description: '',
    dataType: 'FloatVector',
    dim: 4,
    isPrimaryKey: false,
    autoId: false,
    nullable: false,
    isDynamic: false,
    typeParams: {},
  },
  buildId: 9n as BuildId,
  params: { index_type: 'HNSW', metric_type: 'L2', M: '16' },
};

/** Rows are the floats themselves; the "graph" is the floats with its parameters in front. */
const parts = {
  readVectors: async (store: Pick<MemoryStore, 'get'>): Promise<VectorColumn> => {
    const bytes = await store.get('rows');
    return { layout: 'vector', type: 'FloatVector', dim: 4, values: new Float32Array(bytes.buffer) };
  },
  buildGraph: ({ values }: VectorColumn, { M, efConstruction }: GraphParams) =>
    new Uint8Array(Float32Array.of(M, efConstruction, ...values).buffer),
};

async function storeWith(floats: number): Promise<MemoryStore> {
  const store = new MemoryStore(() => 0);
  await store.put('rows', new Uint8Array(new Float32Array(floats).fill(1).buffer));
  return store;
}

const noWorkers: Workers = {
  run: () => Promise.reject(new Error('no worker was expected')),
  close: () => Promise.resolve(),
};

const context = (signal = new AbortController().signal, seen: NodeProgress[] = []) => ({
  signal,
  progress: (done: NodeProgress) => seen.push(done),
});

test('an index is built from the vector column and written under its build id', async () => {
  const store = await storeWith(8);
  const seen: NodeProgress[] = [];
  const { file } = await indexBuildExecutor(store, noWorkers, parts)(work, context(undefined, seen));
  assert.equal(file?.key, 'segments/1/2/3/index/101/9.index');
  const bytes = await store.get(file?.key ?? '');
  assert.deepEqual([...new Float32Array(bytes.buffer)], [16, 360, ...new Array<number>(8).fill(1)]);
  assert.equal(file?.sizeBytes, bytes.length);
  assert.deepEqual(seen, [{ bytes: 32, files: 1 }]);
});

test('a store that worker threads can open is opened there, and closed again', async () => {
  const inner = await storeWith(8);
  let closed = 0;
  const store = Object.assign(Object.create(inner) as MemoryStore, {
    location: { kind: 'local', root: '/data' },
    get: () => Promise.reject(new Error('not in this thread')),
  });
  const opened = {
    put: inner.put.bind(inner),
    get: inner.get.bind(inner),
    close: () => {
      closed++;
      return Promise.resolve();
    },
  } as unknown as MemoryStore;
  const tasks = indexBuildTasks((location) => {
    assert.equal(location.root, '/data');
    return Promise.resolve(opened);
  }, parts);
  const workers: Workers = {
    run: async (name, input) => {
      const task = tasks[name] as unknown as (
        input: BuildIndexInput,
      ) => Promise<{ readonly output: unknown }>;
      return (await task(input as BuildIndexInput)).output as never;
    },
    close: () => Promise.resolve(),
  };
  const { file } = await indexBuildExecutor(store, workers, parts)(work, context());
  assert.ok(file);
  assert.equal(closed, 1);
});

test('a column of the wrong length is refused, nothing is written', async () => {
  const store = await storeWith(4);
  await assert.rejects(indexBuildExecutor(store, noWorkers, parts)(work, context()), (error) =>
    isDbError(error, 'data-integrity'),
  );
  assert.equal(await store.stat('segments/1/2/3/index/101/9.index'), undefined);
});

test('an attempt that was dropped does not begin', async () => {
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(
    indexBuildExecutor(await storeWith(8), noWorkers, parts)(work, context(stop.signal)),
    (error) => error instanceof Error && error.name === 'AbortError',
  );
});

test('only a graph with a known metric and whole numbers is built', () => {
  assert.deepEqual(graphParamsOf({ index_type: 'HNSW', metric_type: 'IP', efConstruction: '40' }), {
    metric: 'IP',
    M: 30,
    efConstruction: 40,
  });
  for (const params of [
    { index_type: 'FLAT', metric_type: 'L2' },
    { index_type: 'HNSW', metric_type: 'HAMMING' },
    { index_type: 'HNSW', metric_type: 'L2', M: 'x' },
  ])
    assert.throws(
      () => graphParamsOf(params),
      (error) => isDbError(error, 'parameter-invalid'),
    );
});
