import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { builtGraph, GRAPH_PARAMS, recallOf } from '../../tests/graphs.ts';
import { clusteredVectors } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import { seededRandom } from '../support/random.ts';
import { backgroundClock } from '../support/system-clock.ts';
import { ThreadWorkers } from '../support/system-workers.ts';
import type { Workers } from '../support/workers.ts';
import { buildHnsw, HnswBuild } from './hnsw-build.ts';
import type { Metric } from './metric.ts';

const metrics: readonly Metric[] = ['L2', 'IP', 'COSINE'];
const params = GRAPH_PARAMS;
const dim = 32;
const shape = { clusters: 60, latent: 12 };
const script = new URL('../graph-worker.js', import.meta.url);

const threads = (maxThreads: number) =>
  new ThreadWorkers({ script, maxThreads, maxQueued: 8, idleMs: 1000, clock: backgroundClock });

/** A build over `vectors`, not run yet. */
function opened(vectors: Float32Array, metric: Metric, helpers: number): HnswBuild {
  const build = new HnswBuild({ rowCount: vectors.length / dim, dim, metric, params }, helpers);
  build.vectors.set(vectors);
  return build;
}

/** Workers that do with a task what the test says. */
const workersThat = (run: () => Promise<unknown>): Workers => ({
  run: run as Workers['run'],
  close: () => Promise.resolve(),
});

test('the bytes of an index do not depend on how many threads build it', async () => {
  const vectors = clusteredVectors(1500, dim, shape);
  vectors.copyWithin(dim, 0, 5 * dim);
  vectors[700 * dim] = Number.NaN;
  const workers = threads(2);
  try {
    for (const metric of metrics) {
      const alone = Buffer.from(buildHnsw({ vectors, dim, metric, params }));
      for (const count of [1, 2]) {
        const together = await opened(vectors, metric, count).runWith({ workers, count });
        assert.ok(alone.equals(together), `${metric}, ${count} helpers`);
      }
    }
  } finally {
    await workers.close();
  }
});

test('help that never comes, or comes late, changes nothing', async () => {
  const vectors = clusteredVectors(600, dim, shape);
  const build = opened(vectors, 'L2', 3);
  const image = await build.runWith({ workers: workersThat(() => Promise.resolve()), count: 3 });
  assert.ok(Buffer.from(image).equals(buildHnsw({ vectors, dim, metric: 'L2', params })));
});

test('a build that is stopped lets its helpers go', async () => {
  const vectors = clusteredVectors(1500, dim, shape);
  const workers = threads(1);
  try {
    const stopped = opened(vectors, 'L2', 1).runWith({ workers, count: 1 }, (rows) => rows < 500);
    await assert.rejects(stopped, (error) => isDbError(error, 'cancelled'));
    const again = await opened(vectors, 'L2', 1).runWith({ workers, count: 1 });
    assert.ok(Buffer.from(again).equals(buildHnsw({ vectors, dim, metric: 'L2', params })));
  } finally {
    await workers.close();
  }
});

test('a build fails when a helper dies over a row it has claimed', async () => {
  const vectors = clusteredVectors(20_000, dim, shape);
  const dying = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', ({ input: { build } }) => {
      const words = new Int32Array(build.memory.buffer, build.control, 16);
      for (;;) {
        const claim = Atomics.load(words, 0);
        if (words[2] === 1 && (claim & 4095) < 32 && Atomics.compareExchange(words, 0, claim, claim + 1) === claim) process.exit(3);
      }
    });`;
  const workers = new ThreadWorkers({
    script: new URL(`data:text/javascript,${encodeURIComponent(dying)}`),
    maxThreads: 1,
    maxQueued: 1,
    idleMs: 1000,
    clock: backgroundClock,
  });
  const failing = opened(vectors, 'L2', 1).runWith({ workers, count: 1 });
  await assert.rejects(failing, (error) => isDbError(error, 'internal'));
  await workers.close();
});

test('a thread that is ended in the middle of a build takes its helpers along', async () => {
  const from = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const program = `(async () => {
    const { parentPort } = require('node:worker_threads');
    const { HnswBuild } = await import(${from('./hnsw-build.js')});
    const { ThreadWorkers } = await import(${from('../support/system-workers.js')});
    const { backgroundClock } = await import(${from('../support/system-clock.js')});
    const workers = new ThreadWorkers({ script: new URL(${JSON.stringify(script.href)}), maxThreads: 1, maxQueued: 1,
      idleMs: 1000, clock: backgroundClock });
    const build = new HnswBuild({ rowCount: 200_000, dim: 32, metric: 'L2', params: { M: 16, efConstruction: 400 } }, 1);
    for (let i = 0; i < build.vectors.length; i++) build.vectors[i] = (Math.imul(i, 0x9e3779b1) >>> 8) / 2 ** 24;
    parentPort.postMessage('begins');
    await build.runWith({ workers, count: 1 });
    parentPort.postMessage('ended');
  })();`;
  const worker = new Worker(program, { eval: true });
  const told: unknown[] = [];
  worker.on('message', (message) => told.push(message));
  await once(worker, 'message');
  await sleep(300);
  await worker.terminate();
  assert.deepEqual(told, ['begins']);
});

test('rows much nearer to each other than to the rest are told apart, whatever the metric', async () => {
  const random = seededRandom(5);
  const spots = clusteredVectors(20, dim, shape);
  // A hundred rows about each of 20 spots, as far from each other as a rounding error of the grid.
  const vectors = Float32Array.from(
    { length: 2000 * dim },
    (_, i) => (spots[(Math.floor(i / dim) % 20) * dim + (i % dim)] ?? 0) * (1 + 1e-5 * (random.next() - 0.5)),
  );
  for (const metric of ['L2', 'COSINE'] as const) {
    const { fixture, index } = await builtGraph(vectors, dim, metric);
    const search = { queries: vectors.subarray(0, 60 * dim), queryCount: 60, k: 10, way: 'graph' as const };
    const share = recallOf(index.search({ ...search, ef: 100 }), fixture.exact(search));
    assert.ok(share >= 0.95, `${metric}: recall ${share}`);
  }
});

test('a few rows far off, and numbers very large or very small, cost no recall', async () => {
  const vectors = clusteredVectors(1500, dim, shape);
  const queries = clusteredVectors(60, dim, { ...shape, offset: 1 });
  for (const { factor, far } of [
    { factor: 1, far: 1e6 },
    { factor: 1e17, far: 1 },
    { factor: 1e-16, far: 1 },
  ])
    for (const metric of far === 1 ? metrics : (['L2', 'COSINE'] as const)) {
      const data = vectors.map((x, i) => x * factor * (Math.floor(i / dim) % 1000 === 7 ? far : 1));
      const { fixture, index } = await builtGraph(data, dim, metric);
      const search = {
        queries: queries.map((x) => x * factor),
        queryCount: 60,
        k: 10,
        way: 'graph' as const,
      };
      const share = recallOf(index.search({ ...search, ef: 64 }), fixture.exact(search));
      assert.ok(share >= 0.95, `${metric}, rows times ${factor}, some times ${far}: recall ${share}`);
    }
});

test('rows of any length are found, whatever the metric', async () => {
  for (const width of [1, 2, 7, 8, 9, 17, 100])
    for (const metric of metrics) {
      const options = { clusters: 40, latent: Math.min(width, 8) };
      const vectors = clusteredVectors(1500, width, options);
      const { fixture, index } = await builtGraph(vectors, width, metric);
      const queries = clusteredVectors(40, width, { ...options, offset: 1 });
      const search = { queries, queryCount: 40, k: 10, way: 'graph' as const };
      const share = recallOf(index.search({ ...search, ef: 64 }), fixture.exact(search));
      // On a line all rows of one sign have the same cosine, which any of them may stand for.
      assert.ok(share >= 0.95 || width === 1, `${metric} ${width}: recall ${share}`);
    }
});

test('rows that come sorted cost no recall, even where the grid is too coarse for them', async () => {
  const rowCount = 6000;
  const options = { clusters: 60, latent: 12 };
  const mixed = clusteredVectors(rowCount, dim, options);
  const order = Array.from({ length: rowCount }, (_, row) => row).sort(
    (a, b) => (mixed[a * dim] ?? 0) - (mixed[b * dim] ?? 0),
  );
  for (const spread of [1, 3e-4]) {
    // Small spreads about ten places far from each other.
    const data = Float32Array.from({ length: rowCount * dim }, (_, i) => {
      const at = Math.floor(i / dim);
      const place = spread < 1 && i % dim === 0 ? 3 * Math.floor(at / 600) : 0;
      return place + spread * (mixed[(order[at] ?? 0) * dim + (i % dim)] ?? 0);
    });
    const seen: number[] = [];
    buildHnsw({ vectors: data, dim, metric: 'L2', params, onProgress: (rows) => seen.push(rows) > 0 });
    assert.equal(seen.filter((rows) => rows === 0).length, spread < 1 ? 2 : 1, 'builds that were begun');
    const { fixture, index } = await builtGraph(data, dim, 'L2');
    const search = {
      queries: data.filter((_, i) => Math.floor(i / dim) % 100 === 7),
      queryCount: 60,
      k: 10,
      way: 'graph' as const,
    };
    const share = recallOf(index.search({ ...search, ef: 32 }), fixture.exact(search));
    assert.ok(share >= 0.99, `spread ${spread}: recall ${share}`);
  }
});
