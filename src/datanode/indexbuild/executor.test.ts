import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId } from '../../model/ids.ts';
import { MemoryStore } from '../../storage/memory.ts';
import { crc32 } from '../../support/crc32.ts';
import { inlineWorkers } from '../../support/inline-workers.ts';
import type { Workers } from '../../support/workers.ts';
import type { BuildIndexWork, NodeProgress } from '../api.ts';
import { indexBuildExecutor } from './executor.ts';
import { graphParamsOf, indexBuildTasks } from './task.ts';

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
function workersOver(store: MemoryStore): Workers {
  const tasks = indexBuildTasks({
    store,
    async readVectors(_file, _field, _rowCount, into) {
      const floats = new Float32Array((await store.get('rows')).buffer);
      if (floats.length !== into.length) throw new DbError('data-integrity', 'rows are missing');
      into.set(floats);
    },
    openGraph(rowCount, dim, { M, efConstruction }) {
      const vectors = new Float32Array(new SharedArrayBuffer(rowCount * dim * 4));
      const build = async () => new Uint8Array(Float32Array.of(dim, M, efConstruction, ...vectors).buffer);
      return { vectors, build };
    },
  });
  return inlineWorkers(tasks);
}

async function storeWith(floats: number): Promise<MemoryStore> {
  const store = new MemoryStore(() => 0);
  await store.put('rows', new Uint8Array(new Float32Array(floats).fill(1).buffer));
  return store;
}

const context = (signal = new AbortController().signal, seen: NodeProgress[] = []) => ({
  signal,
  progress: (done: NodeProgress) => seen.push(done),
});

test('an index is built from the vector column and written under its build id', async () => {
  const store = await storeWith(8);
  const seen: NodeProgress[] = [];
  const { file } = await indexBuildExecutor(workersOver(store))(work, context(undefined, seen));
  assert.equal(file?.key, 'segments/1/2/3/index/101/9.index');
  const bytes = await store.get(file?.key ?? '');
  assert.deepEqual([...new Float32Array(bytes.buffer)], [4, 16, 360, ...new Array<number>(8).fill(1)]);
  assert.equal(file?.sizeBytes, bytes.length);
  assert.equal(file?.crc32, crc32(bytes));
  assert.deepEqual(seen, [{ bytes: 32, files: 1 }]);
});

test('a segment without rows gets no index', async () => {
  const store = await storeWith(0);
  const output = await indexBuildExecutor(workersOver(store))({ ...work, rowCount: 0 }, context());
  assert.deepEqual(output, { kind: 'build-index' });
});

test('rows that are not what the record tells are refused, nothing is written', async () => {
  const store = await storeWith(4);
  await assert.rejects(indexBuildExecutor(workersOver(store))(work, context()), (error) =>
    isDbError(error, 'data-integrity'),
  );
  assert.equal(await store.stat('segments/1/2/3/index/101/9.index'), undefined);
});

test('an attempt that was dropped does not begin', async () => {
  const store = await storeWith(8);
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(
    indexBuildExecutor(workersOver(store))(work, context(stop.signal)),
    (error) => error instanceof Error && error.name === 'AbortError',
  );
  assert.equal(await store.stat('segments/1/2/3/index/101/9.index'), undefined);
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
