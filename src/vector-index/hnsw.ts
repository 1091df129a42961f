/**
 * Searching an HNSW index file where it lies: graph and vectors are two blocks of one arena memory. A bitmap says which rows
 * count (filter and deletes); when few do, or when the walk turns out dearer than a scan, the answer is exact.
 */

import { setImmediate } from 'node:timers/promises';
import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { type Block, bytesOf, type VectorArena } from './arena.ts';
import { checkShape, HitWriter, scanScratchBytes, scanTopK } from './flat.ts';
import {
  checkHnsw,
  type GraphPlace,
  graphScratchBytes,
  HNSW_MAX_EF,
  type HnswExpectation,
  type HnswHeader,
  layGraph,
} from './hnsw-file.ts';
import { type Kernels, pieceBytes } from './kernels.ts';
import { keyRange, type ScoreRange } from './metric.ts';
import type { TopK } from './top-k.ts';

/** An opened index as plain data: may be posted to a worker thread with the memory. */
export interface HnswRef extends GraphPlace {
  readonly header: HnswHeader;
}

export interface HnswSearch extends ScoreRange {
  /** `queryCount * dim` floats. */
  readonly queries: Float32Array;
  readonly queryCount: number;
  /** 1 to 16384. */
  readonly k: number;
  /** Width of the walk, 1 to 32768; raised to `k`. */
  readonly ef: number;
  /** Bit `row` set: the row counts. Absent: every row counts. */
  readonly allowed?: Uint32Array | undefined;
  /** Absent: whichever is cheaper. Tests and benches force one. */
  readonly way?: 'graph' | 'scan';
}

/**
 * Keys a walk computes per result wanted, over the share of rows that count; a scan computes one per row that counts, and
 * cheaper. Measured in bench/kernels.bench.ts.
 */
const KEYS_PER_RESULT = 12;
/** A scan's key costs this share of a walk's. */
const SCAN_KEY_COST = 0.5;

const bitCount = (bits: Uint32Array): number => {
  let count = 0;
  for (const word of bits) {
    let v = word - ((word >>> 1) & 0x5555_5555);
    v = (v & 0x3333_3333) + ((v >>> 2) & 0x3333_3333);
    count += Math.imul((v + (v >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  return count;
};

/** Whether a scan over `allowed` of `rowCount` rows is the cheaper way. */
export const prefersScan = (allowed: number, rowCount: number, ef: number): boolean =>
  allowed * SCAN_KEY_COST <= (KEYS_PER_RESULT * ef * rowCount) / Math.max(allowed, 1);

interface Plan {
  readonly ef: number;
  readonly candidates: number;
  /** Keys a walk may compute before a scan is the better way. */
  readonly budget: number;
  readonly isExact: boolean;
}

function planOf(header: HnswHeader, search: HnswSearch): Plan {
  const { rowCount } = header;
  const ef = Math.max(1, Math.min(Math.max(search.ef, search.k), rowCount));
  const allowed = search.allowed === undefined ? rowCount : bitCount(search.allowed);
  const budget =
    search.way === 'graph'
      ? rowCount
      : Math.ceil(Math.max(allowed * SCAN_KEY_COST, 4 * KEYS_PER_RESULT * ef));
  const isScanCheaper = search.way === undefined ? prefersScan(allowed, rowCount, ef) : search.way === 'scan';
  return {
    ef,
    budget,
    candidates: Math.min(rowCount, budget) + 2 * header.M,
    isExact: header.entryRow === undefined || isScanCheaper,
  };
}

const scanShape = (header: HnswHeader, search: HnswSearch) => ({
  dim: header.dim,
  metric: header.metric,
  from: 0,
  to: header.rowCount,
  k: search.k,
  queries: search.queries,
  queryCount: search.queryCount,
  allowed: search.allowed,
  radius: search.radius,
  rangeFilter: search.rangeFilter,
});

const bitmapBytes = (header: HnswHeader): number => Math.ceil(header.rowCount / 32) * 4;

/** Scratch that `searchHnsw` needs. */
export function hnswScratchBytes(header: HnswHeader, search: HnswSearch): number {
  const plan = planOf(header, search);
  const walking =
    pieceBytes(bitmapBytes(header)) +
    pieceBytes(header.dim * 4) +
    2 * pieceBytes(plan.ef * 4) +
    graphScratchBytes(header, plan.ef, plan.candidates);
  return Math.max(walking, scanScratchBytes(scanShape(header, search)));
}

function checkSearch(header: HnswHeader, search: HnswSearch): void {
  checkShape({ ...search, dim: header.dim, metric: header.metric });
  const { ef, allowed } = search;
  if (!(Number.isInteger(ef) && ef >= 1 && ef <= HNSW_MAX_EF))
    throw new DbError('parameter-invalid', `ef ${ef} is not between 1 and ${HNSW_MAX_EF}`);
  assert(
    allowed === undefined || allowed.length === Math.ceil(header.rowCount / 32),
    'the bitmap is of this segment',
  );
}

/** The `k` nearest rows that count, for each query. Throws `parameter-invalid`. */
export function searchHnsw(kernels: Kernels, index: HnswRef, search: HnswSearch): TopK {
  const { header } = index;
  checkSearch(header, search);
  const scan = (shape: { readonly queries: Float32Array; readonly queryCount: number }): TopK =>
    scanTopK(kernels, { ...scanShape(header, search), ...shape, vectorsOffset: index.vectorsOffset });
  const plan = planOf(header, search);
  if (plan.isExact) return scan(search);
  const { dim, metric } = header;
  const { inner, outer } = keyRange(metric, search);
  const layout = kernels.layout();
  const bitmapAt = search.allowed === undefined ? 0 : layout.take(bitmapBytes(header));
  if (search.allowed !== undefined) kernels.words(bitmapAt, search.allowed.length).set(search.allowed);
  const query = layout.take(dim * 4);
  const hits = new HitWriter(
    kernels,
    metric,
    search.queryCount,
    layout.take(plan.ef * 4),
    layout.take(plan.ef * 4),
  );
  const graph = layGraph(kernels, layout, header, index, { results: plan.ef, candidates: plan.candidates });
  const tooDear: number[] = [];
  for (let q = 0; q < search.queryCount; q++) {
    kernels.floats(query, dim).set(search.queries.subarray(q * dim, (q + 1) * dim));
    const inverse = metric === 'COSINE' ? kernels.run.inverseNorm(query, dim) : 1;
    const size = kernels.run.searchGraph(graph.table, query, inverse, plan.ef, bitmapAt, inner, plan.budget);
    if (size < 0) tooDear.push(q);
    else hits.put(q, graph.results, size, search.k, outer);
  }
  // Last, because a scan uses the same scratch.
  for (const q of tooDear)
    hits.set(q, scan({ queries: search.queries.subarray(q * dim, (q + 1) * dim), queryCount: 1 }));
  return hits.finish();
}

/** An opened index: its file was checked, and its blocks stay the caller's to free after the last search. */
export class HnswIndex {
  readonly ref: HnswRef;
  readonly #arena: VectorArena;
  readonly #graph: Block;

  private constructor(arena: VectorArena, graph: Block, ref: HnswRef) {
    this.#arena = arena;
    this.#graph = graph;
    this.ref = ref;
  }

  /**
   * Checks the image in `graph` and opens it over `vectors`, a block of the same memory with `rowCount * dim` floats. Lets other
   * work run between steps of some milliseconds. Throws `data-integrity` for a damaged or foreign file.
   */
  static async open(
    arena: VectorArena,
    vectors: Block,
    graph: Block,
    expected: HnswExpectation,
  ): Promise<HnswIndex> {
    assert(vectors.memoryId === graph.memoryId, 'vectors and graph lie in one memory');
    assert(vectors.byteLength >= expected.rowCount * expected.dim * 4, 'the block holds the rows');
    const scratchBytes = pieceBytes(expected.rowCount / 8) + 64 * 1024;
    const checking = checkHnsw(
      () => arena.kernels(graph, scratchBytes),
      bytesOf(graph),
      graph.byteOffset,
      expected,
    );
    for (let step = checking.next(); ; step = checking.next()) {
      if (step.done) {
        const ref = { header: step.value, vectorsOffset: vectors.byteOffset, graphOffset: graph.byteOffset };
        return new HnswIndex(arena, graph, ref);
      }
      await setImmediate();
    }
  }

  get header(): HnswHeader {
    return this.ref.header;
  }

  /** Searches on the calling thread. */
  search(search: HnswSearch): TopK {
    return searchHnsw(
      this.#arena.kernels(this.#graph, hnswScratchBytes(this.ref.header, search)),
      this.ref,
      search,
    );
  }
}
