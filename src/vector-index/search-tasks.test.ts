import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bitmapOf, clusteredVectors } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import type { Workers } from '../support/workers.ts';
import { bytesOf, floatsOf, VectorArena } from './arena.ts';
import { scanScratchBytes, scanTopK } from './flat.ts';
import { HnswIndex } from './hnsw.ts';
import { RowNorms } from './row-norms.ts';
import { scanInWorkers, searchHnswInWorker, startHnswBuild } from './search-tasks.ts';

/** One real thread, one task at a time. */
class OneThread implements Workers {
  readonly #thread = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const tasks = import(${JSON.stringify(new URL('./search-tasks.js', import.meta.url).href)}).then((m) => m.vectorTasks());
     parentPort.on('message', async ({ id, task, input }) => {
       try {
         const { output, transfer } = await (await tasks)[task](input);
         parentPort.postMessage({ id, output }, transfer);
       } catch (error) { parentPort.postMessage({ id, code: error.code ?? 'internal', message: String(error) }); }
     });`,
    { eval: true },
  );
  #next = 0;

  run<Input, Output>(task: string, input: Input, transfer: readonly ArrayBuffer[] = []): Promise<Output> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const listen = (reply: { id: number; output: Output; code?: string; message?: string }) => {
        if (reply.id !== id) return;
        this.#thread.off('message', listen);
        if (reply.code === undefined) resolve(reply.output);
        else reject(Object.assign(new Error(reply.message), { code: reply.code }));
      };
      this.#thread.on('message', listen);
      this.#thread.postMessage({ id, task, input }, [...transfer]);
    });
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}

const dim = 24;
const rowCount = 4000;
const data = clusteredVectors(rowCount, dim, { clusters: 40, latent: 8 });
const queries = clusteredVectors(5, dim, { clusters: 40, latent: 8, offset: 1 });

test('a worker builds, scans and searches over the memory of this thread with the same answers', async () => {
  const workers = new OneThread();
  try {
    const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
    const vectors = arena.allocate(data.byteLength);
    floatsOf(vectors).set(data);
    const scan = {
      dim,
      metric: 'IP' as const,
      from: 0,
      to: rowCount,
      queries,
      queryCount: 5,
      k: 10,
      vectorsOffset: vectors.byteOffset,
      allowed: bitmapOf(rowCount, (row) => row % 3 === 0),
    };
    const inline = scanTopK(arena.kernels(vectors, scanScratchBytes(scan)), scan);
    assert.deepEqual(await scanInWorkers(workers, arena, vectors, scan, 3), inline);
    const norms = new RowNorms(arena, vectors, dim);
    norms.extendTo(rowCount);
    const cosine = { ...scan, metric: 'COSINE' as const };
    assert.deepEqual(
      await scanInWorkers(workers, arena, vectors, { ...cosine, normsOffset: norms.offset }, 3),
      scanTopK(arena.kernels(vectors, scanScratchBytes(cosine)), cosine),
    );

    const moved = data.slice();
    const build = startHnswBuild(workers, {
      vectors: moved,
      dim,
      metric: 'IP',
      params: { M: 8, efConstruction: 60 },
    });
    assert.equal(moved.length, 0, 'the vectors were moved, not copied');
    const image = await build.image;
    assert.ok(build.rowsDone() > rowCount - 200);
    // Grown by this thread after the worker has seen it.
    const graph = arena.allocateBeside(vectors, image.byteLength);
    bytesOf(graph).set(image);
    const index = await HnswIndex.open(arena, vectors, graph, { rowCount, dim, metric: 'IP' });
    const search = { queries, queryCount: 5, k: 10, ef: 50 };
    const used = arena.usedBytes;
    assert.deepEqual(
      await searchHnswInWorker(workers, arena, graph, index.ref, search),
      index.search(search),
    );
    assert.ok(arena.usedBytes <= used + 1024 * 1024, 'scratch is given back');
  } finally {
    await workers.close();
  }
});

test('a build in a worker is cancelled', async () => {
  const workers = new OneThread();
  try {
    const build = startHnswBuild(workers, {
      vectors: data.slice(),
      dim,
      metric: 'L2',
      params: { M: 16, efConstruction: 400 },
    });
    build.cancel();
    await assert.rejects(
      build.image,
      (error) => isDbError(error, 'cancelled') || (error as { code?: string }).code === 'cancelled',
    );
  } finally {
    await workers.close();
  }
});
