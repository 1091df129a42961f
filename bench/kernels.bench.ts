/**
 * Vector kernels: how near an exact scan is to what memory delivers, how the graph index does against hnswlib-node and usearch, and
 * where a filtered search should scan instead of walk, and what building a graph costs. Run: `node .build/bench/kernels.bench.js
 * [--rows N] [--peers DIR] [--words DIR] [--rounds N]`; DIR/node_modules holds the peers, which are no dependencies of this project; the
 * words are those of bench/peers. `--only builds` leaves out the rest.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../src/support/random.ts';
import { bytesOf, floatsOf, VectorArena } from '../src/vector-index/arena.ts';
import { scanScratchBytes, scanTopK } from '../src/vector-index/flat.ts';
import { HnswIndex } from '../src/vector-index/hnsw.ts';
import { buildHnsw } from '../src/vector-index/hnsw-build.ts';
import { RowNorms } from '../src/vector-index/row-norms.ts';
import type { TopK } from '../src/vector-index/top-k.ts';
import { bitmapOf, clusteredVectors } from '../tests/vectors.ts';
import { benchBuilds } from './graph-builds.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    peers: { type: 'string' },
    words: { type: 'string', default: join(import.meta.dirname, '../../.cache/words') },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const rowCount = Number(values.rows ?? 100_000);
const dim = 128;
const queryCount = 1000;
const k = 10;
const M = 16;
const efConstruction = 128;

const print = (text: string) => process.stdout.write(`${text}\n`);
const row = (...cells: (string | number)[]) => print(cells.map((cell) => String(cell).padStart(13)).join(''));
const timeMs = (work: () => void): number => {
  const start = performance.now();
  work();
  return performance.now() - start;
};
const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const medianMs = (runs: number, work: () => void): number =>
  median(Array.from({ length: runs }, () => timeMs(work)));

const arena = new VectorArena({ maxBytes: 2 ** 31 });

function benchScan(): void {
  print(
    '\nExact scan, one thread; "limit" is a read-only pass over the same bytes, interleaved (medians of 15)',
  );
  row('rows x dim', 'metric', 'queries', 'ms/query', 'GB/s', 'limit GB/s', 'time/limit');
  for (const [rows, width] of [
    [100_000, 128],
    [20_000, 768],
    [100_000, 100],
    [400_000, 33],
  ] as const) {
    const block = arena.allocate(rows * width * 4);
    const norms = new RowNorms(arena, block, width);
    const random = seededRandom(1);
    floatsOf(block).forEach((_, i, floats) => {
      floats[i] = random.next() - 0.5;
    });
    norms.extendTo(rows);
    for (const metric of ['L2', 'IP', 'COSINE'] as const)
      for (const queries of [1, 16]) {
        const input = {
          vectorsOffset: block.byteOffset,
          // As the query node has them from the second scan on.
          normsOffset: norms.offset,
          dim: width,
          metric,
          from: 0,
          to: rows,
          k,
          queryCount: queries,
          queries: floatsOf(block).slice(0, queries * width),
        };
        const kernels = arena.kernels(block, scanScratchBytes(input));
        const scans: number[] = [];
        const limits: number[] = [];
        for (let run = 0; run < 15; run++) {
          limits.push(timeMs(() => kernels.run.readPass(block.byteOffset, block.byteLength)));
          scans.push(timeMs(() => scanTopK(kernels, input)) / queries);
        }
        const [scan, limit] = [median(scans), median(limits)];
        const rate = (ms: number) => (block.byteLength / ms / 1e6).toFixed(1);
        row(
          `${rows}x${width}`,
          metric,
          queries,
          scan.toFixed(2),
          rate(scan),
          rate(limit),
          (scan / limit).toFixed(2),
        );
      }
    norms.free();
    arena.free(block);
  }
}

const data = clusteredVectors(rowCount, dim);
const queries = clusteredVectors(queryCount, dim, { offset: 1 });
const oneQuery = Array.from({ length: queryCount }, (_, q) => queries.subarray(q * dim, (q + 1) * dim));

const recall = (found: readonly ArrayLike<number>[], exact: TopK): number => {
  let hits = 0;
  let at = 0;
  exact.counts.forEach((count, q) => {
    const rows = new Set(exact.rows.subarray(at, at + count));
    hits += Array.from(found[q] ?? []).filter((hit) => rows.has(hit)).length;
    at += count;
  });
  return hits / exact.rows.length;
};

interface Contender {
  readonly name: string;
  readonly buildSeconds: number;
  /** Rows found by one search at a time. */
  search(ef: number): (query: number) => ArrayLike<number>;
}

function own(image: Uint8Array, index: HnswIndex, buildSeconds: number): Contender {
  print(
    `own index file: ${(image.byteLength / 1e6).toFixed(1)} MB beside ${(data.byteLength / 1e6).toFixed(1)} MB of vectors`,
  );
  return {
    name: 'own',
    buildSeconds,
    search: (ef) => (q) => index.search({ queries: oneQuery[q] ?? queries, queryCount: 1, k, ef }).rows,
  };
}

interface HnswlibIndex {
  initIndex(rows: number, m: number, ef: number, seed: number): void;
  addPoint(point: number[], label: number): void;
  setEf(ef: number): void;
  searchKnn(point: number[], count: number): { neighbors: number[] };
}
interface UsearchIndex {
  add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
  save(path: string): void;
  load(path: string): void;
  search(query: Float32Array, count: number, threads: number): { keys: BigUint64Array };
}

/** A peer's module, or undefined with a word about it. */
function peer<T>(name: string): T | undefined {
  try {
    return createRequire(join(values.peers ?? import.meta.dirname, 'package.json'))(name) as T;
  } catch {
    print(`${name} is not installed (give --peers DIR): left out`);
    return undefined;
  }
}

function hnswlib(): Contender | undefined {
  const lib = peer<{ HierarchicalNSW: new (space: string, dim: number) => HnswlibIndex }>('hnswlib-node');
  if (lib === undefined) return undefined;
  const index = new lib.HierarchicalNSW('l2', dim);
  index.initIndex(rowCount, M, efConstruction, 100);
  const points = Array.from({ length: rowCount }, (_, i) =>
    Array.from(data.subarray(i * dim, (i + 1) * dim)),
  );
  const ms = timeMs(() =>
    points.forEach((point, i) => {
      index.addPoint(point, i);
    }),
  );
  const asked = oneQuery.map((query) => Array.from(query));
  return {
    name: 'hnswlib-node',
    buildSeconds: ms / 1000,
    search(ef) {
      index.setEf(ef);
      return (q) => index.searchKnn(asked[q] ?? [], k).neighbors;
    },
  };
}

function usearch(): Contender | undefined {
  const lib = peer<{ Index: new (options: object) => UsearchIndex }>('usearch');
  if (lib === undefined || values.peers === undefined) return undefined;
  const create = (ef: number) =>
    new lib.Index({
      metric: 'l2sq',
      dimensions: dim,
      connectivity: M,
      expansion_add: efConstruction,
      expansion_search: ef,
    });
  const index = create(64);
  const ms = timeMs(() => {
    index.add(
      BigUint64Array.from({ length: rowCount }, (_, i) => BigInt(i)),
      data,
      1,
    );
  });
  const path = join(values.peers, 'usearch.bench.bin');
  index.save(path);
  return {
    name: 'usearch',
    buildSeconds: ms / 1000,
    search(ef) {
      const loaded = create(ef);
      loaded.load(path);
      return (q) => Array.from(loaded.search(oneQuery[q]?.slice() ?? queries, k, 1).keys, Number);
    },
  };
}

function benchGraph(contenders: readonly Contender[], exact: TopK): void {
  print(
    `\nHNSW, ${rowCount} x ${dim} clustered, L2, k ${k}, M ${M}, efConstruction ${efConstruction}, one thread, one query per call;`,
  );
  print('QPS is the median of 5 rounds, contenders taking turns');
  row('engine', 'build s', ...[16, 32, 64].flatMap((ef) => [`ef${ef} QPS`, 'recall']));
  const cells = contenders.map(({ name, buildSeconds }) => [name, buildSeconds.toFixed(2)]);
  for (const ef of [16, 32, 64]) {
    const rates = contenders.map((): number[] => []);
    const found = contenders.map((): ArrayLike<number>[] => []);
    for (let round = 0; round < 6; round++)
      contenders.forEach((contender, i) => {
        const search = contender.search(ef);
        const answers: ArrayLike<number>[] = [];
        const ms = timeMs(() => {
          for (let q = 0; q < queryCount; q++) answers.push(search(q));
        });
        // The first round warms up.
        if (round > 0) rates[i]?.push((queryCount * 1000) / ms);
        found[i] = answers;
      });
    contenders.forEach((_, i) => {
      cells[i]?.push(median(rates[i] ?? []).toFixed(0), recall(found[i] ?? [], exact).toFixed(4));
    });
  }
  for (const line of cells) row(...line);
}

function benchFilters(index: HnswIndex, exactOf: (allowed: Uint32Array) => TopK): void {
  print('\nFiltered search, ef 64: QPS of either way and of the one chosen');
  row('rows kept', 'graph', 'recall', 'scan', 'chosen', 'recall');
  for (const every of [1.05, 2, 4, 6, 8, 10, 15, 20, 30, 50, 100]) {
    const random = seededRandom(every);
    const allowed = bitmapOf(rowCount, () => random.next() * every < 1);
    const exact = exactOf(allowed);
    const run = (way?: 'graph' | 'scan') => {
      const answers: Uint32Array[] = [];
      const count = way === undefined ? queryCount : 200;
      const once = () => {
        answers.length = 0;
        for (let q = 0; q < count; q++)
          answers.push(
            index.search({
              queries: oneQuery[q] ?? queries,
              queryCount: 1,
              k,
              ef: 64,
              allowed,
              ...(way && { way }),
            }).rows,
          );
      };
      const ms = medianMs(3, once);
      const shown: TopK = {
        ...exact,
        counts: exact.counts.subarray(0, count),
        rows: exact.rows.subarray(0, count * k),
      };
      return [((count * 1000) / ms).toFixed(0), recall(answers, shown).toFixed(4)] as const;
    };
    const [graph, scan, chosen] = [run('graph'), run('scan'), run()];
    row(`1/${every}`, graph[0], graph[1], scan[0], chosen[0], chosen[1]);
  }
}

async function main(): Promise<void> {
  if (values.only !== 'builds') await benchSearch();
  await benchBuilds({
    words: values.words,
    mostRows: Number(values.rows ?? 100_000),
    rounds: Number(values.rounds),
  });
}

async function benchSearch(): Promise<void> {
  benchScan();
  let image = new Uint8Array();
  const buildMs = timeMs(() => {
    image = buildHnsw({ vectors: data, dim, metric: 'L2', params: { M, efConstruction } });
  });
  const [vectors, graph] = arena.allocateGroup([data.byteLength, image.byteLength]);
  if (vectors === undefined || graph === undefined) throw new Error('no room');
  floatsOf(vectors).set(data);
  bytesOf(graph).set(image);
  const index = await HnswIndex.open(arena, vectors, graph, { rowCount, dim, metric: 'L2' });
  const exactOf = (allowed?: Uint32Array): TopK => {
    const input = {
      vectorsOffset: vectors.byteOffset,
      dim,
      metric: 'L2' as const,
      from: 0,
      to: rowCount,
      queries,
      queryCount,
      k,
      allowed,
    };
    return scanTopK(arena.kernels(vectors, scanScratchBytes(input)), input);
  };
  const contenders = [own(image, index, buildMs / 1000), hnswlib(), usearch()].filter(
    (one) => one !== undefined,
  );
  benchGraph(contenders, exactOf());
  benchFilters(index, exactOf);
}

await main();
