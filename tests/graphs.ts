/** Graphs of the vector index room in an arena, with the exact search beside them. */
import assert from 'node:assert/strict';
import { type Block, bytesOf, floatsOf, VectorArena } from '../src/vector-index/arena.ts';
import { scanScratchBytes, scanTopK } from '../src/vector-index/flat.ts';
import { HnswIndex, type HnswSearch } from '../src/vector-index/hnsw.ts';
import { buildHnsw } from '../src/vector-index/hnsw-build.ts';
import type { Metric } from '../src/vector-index/metric.ts';
import type { TopK } from '../src/vector-index/top-k.ts';

export const GRAPH_PARAMS = { M: 16, efConstruction: 100 };

/** An index over `vectors`, with the exact search beside it. */
export class Fixture {
  readonly arena = new VectorArena({ maxBytes: 256 * 1024 * 1024 });
  readonly vectors: Block;
  readonly graph: Block;
  readonly dim: number;
  readonly metric: Metric;
  readonly rowCount: number;

  constructor(data: Float32Array, dim: number, metric: Metric, image: Uint8Array) {
    const [vectors, graph] = this.arena.allocateGroup([data.byteLength, image.byteLength]);
    assert.ok(vectors !== undefined && graph !== undefined);
    floatsOf(vectors).set(data);
    bytesOf(graph).set(image);
    this.vectors = vectors;
    this.graph = graph;
    this.dim = dim;
    this.metric = metric;
    this.rowCount = data.length / dim;
  }

  open(): Promise<HnswIndex> {
    return HnswIndex.open(this.arena, this.vectors, this.graph, this);
  }

  exact(search: Omit<HnswSearch, 'ef'>): TopK {
    const { metric, dim, rowCount } = this;
    const input = { ...search, metric, dim, from: 0, to: rowCount, vectorsOffset: this.vectors.byteOffset };
    return scanTopK(this.arena.kernels(this.vectors, scanScratchBytes(input)), input);
  }
}

export const builtGraph = async (data: Float32Array, dim: number, metric: Metric, params = GRAPH_PARAMS) => {
  const fixture = new Fixture(data, dim, metric, buildHnsw({ vectors: data, dim, metric, params }));
  return { fixture, index: await fixture.open() };
};

/** Share of the exact hits found, over all queries. */
export function recallOf(found: TopK, exact: TopK): number {
  let hits = 0;
  let [foundAt, exactAt] = [0, 0];
  exact.counts.forEach((count, q) => {
    const foundCount = found.counts[q] ?? 0;
    const rows = new Set(found.rows.subarray(foundAt, foundAt + foundCount));
    for (const row of exact.rows.subarray(exactAt, exactAt + count)) if (rows.has(row)) hits++;
    foundAt += foundCount;
    exactAt += count;
  });
  return hits / Math.max(1, exact.rows.length);
}
