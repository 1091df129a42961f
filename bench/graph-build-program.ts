/**
 * A program of its own for one index build of bench/graph-builds.ts: vectors straight from a file into the build's memory, as a data
 * node has them, then the graph, then searches. Arguments: a `VectorSet` as JSON, threads. Prints a `BuildResult`.
 */
import { openSync, readFileSync, readSync } from 'node:fs';
import { backgroundClock } from '../src/support/system-clock.ts';
import { ThreadWorkers } from '../src/support/system-workers.ts';
import { bytesOf, VectorArena } from '../src/vector-index/arena.ts';
import { HnswIndex } from '../src/vector-index/hnsw.ts';
import { HnswBuild } from '../src/vector-index/hnsw-build.ts';
import type { BuildResult } from './graph-builds.ts';
import type { Answers, VectorSet } from './peers/sets.ts';

const [given = '', threads = '1'] = process.argv.slice(2);
const { dim, metric, rows, queries, vectorsFile, queriesFile, truthFile } = JSON.parse(given) as VectorSet;
const helperCount = Number(threads) - 1;
const k = 10;
/** Of this process alone: what the system tells as its most (`maxRSS`) begins with that of the process that started it. */
const mostMb = () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

function readInto(target: Uint8Array): void {
  const file = openSync(vectorsFile, 'r');
  for (let at = 0; at < target.length; ) at += readSync(file, target, at, target.length - at, at);
}

const plainMb = mostMb();
const build = new HnswBuild(
  { rowCount: rows, dim, metric, params: { M: 16, efConstruction: 128 } },
  helperCount,
);
readInto(new Uint8Array(build.vectors.buffer, build.vectors.byteOffset, build.vectors.byteLength));
const workers = new ThreadWorkers({
  script: new URL('../src/graph-worker.js', import.meta.url),
  maxThreads: Math.max(1, helperCount),
  maxQueued: helperCount,
  idleMs: 1000,
  clock: backgroundClock,
});
const started = performance.now();
const before = cpuSeconds();
const image = helperCount === 0 ? build.run() : await build.runWith({ workers, count: helperCount });
const processorSeconds = cpuSeconds() - before;
const wallSeconds = (performance.now() - started) / 1000;
const peakMb = mostMb() - plainMb;
await workers.close();

const arena = new VectorArena({ maxBytes: 2 ** 32 });
const [vectors, graph] = arena.allocateGroup([rows * dim * 4, image.byteLength]);
if (vectors === undefined || graph === undefined) throw new Error('no room');
readInto(bytesOf(vectors));
bytesOf(graph).set(image);
const index = await HnswIndex.open(arena, vectors, graph, { rowCount: rows, dim, metric });
const bytes = readFileSync(queriesFile);
const asked = new Float32Array(bytes.buffer, bytes.byteOffset, queries * dim);
const truth = (JSON.parse(readFileSync(truthFile, 'utf8')) as Answers).all;
const recalls = [16, 32, 64].map((ef) => {
  let hits = 0;
  for (let q = 0; q < queries; q++) {
    const query = asked.subarray(q * dim, (q + 1) * dim);
    const found = new Set(index.search({ queries: query, queryCount: 1, k, ef }).rows);
    hits += (truth[q] ?? []).filter((row) => found.has(row)).length;
  }
  return hits / (queries * k);
});
const result: BuildResult = {
  processorSeconds,
  wallSeconds,
  peakMb,
  vectorsMb: vectors.byteLength / 2 ** 20,
  recalls,
};
process.stdout.write(JSON.stringify(result));
