/**
 * Vectors, exact scans and graphs in the arena. Small work runs at once on this thread, in slices of some milliseconds; a large
 * scan goes to worker threads when there are any.
 */

import { isDbError } from '../errors/db-error.ts';
import type { ListColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import type { Workers } from '../support/workers.ts';
import { type Block, floatsOf, type VectorArena } from '../vector-index/arena.ts';
import { rowBytes, scanScratchBytes, scanTopK } from '../vector-index/flat.ts';
import { type HnswIndex, prefersScan } from '../vector-index/hnsw.ts';
import { RowNorms } from '../vector-index/row-norms.ts';
import { scanInWorkers } from '../vector-index/search-tasks.ts';
import { mergeTopK, type TopK } from '../vector-index/top-k.ts';
import { joined, scanItems, scanLists } from './list-scans.ts';
import type {
  GraphIndex,
  ListRequest,
  NearestRequest,
  NearestRows,
  VectorBlock,
  VectorEngine,
} from './vectors.ts';

/** Bytes of vectors that one slice reads, over all its queries: about two milliseconds. */
const SLICE_BYTES = 16 * 2 ** 20;
/** Bytes read in the time of one unit of the pacer. */
const BYTES_PER_UNIT = 64;
/** Scans that read more go to worker threads. */
const WORKER_BYTES = 64 * 2 ** 20;
/** Queries that share a pass over memory. */
const TILE_QUERIES = 16;
/** A scan of a smaller share of the rows is not worth the norms of all. */
const NORMS_MIN_SHARE = 0.25;
/** Rows a graph search looks at for each row it keeps. */
const ROWS_PER_RESULT = 12;

/** Vectors of a unit and, until a graph takes it, room for one in the same memory. */
export class ArenaVectors implements VectorBlock {
  readonly block: Block;
  readonly values: Float32Array<SharedArrayBuffer>;
  readonly arena: VectorArena;
  #room: Block | undefined;
  #norms: RowNorms | undefined;

  constructor(arena: VectorArena, floats: number, graphBytes: number | undefined) {
    const [block, room] = arena.allocateGroup(
      graphBytes === undefined ? [floats * 4] : [floats * 4, graphBytes],
    );
    assert(block !== undefined, 'a group has its blocks');
    this.arena = arena;
    this.block = block;
    this.#room = room;
    this.values = floatsOf(block).subarray(0, floats);
  }

  /** A block for a graph, the caller's to free. Throws `resource-exhausted` when the memory of the vectors is full. */
  takeRoom(bytes: number): Block {
    const room = this.#room;
    this.#room = undefined;
    if (room?.byteLength === bytes) return room;
    if (room !== undefined) this.arena.free(room);
    return this.arena.allocateBeside(this.block, bytes);
  }

  /** The norms of the rows, made when first asked for. Undefined: there is no room for them. */
  norms(dim: number): RowNorms | undefined {
    try {
      this.#norms ??= new RowNorms(this.arena, this.block, dim);
    } catch (error) {
      // Scans then sum the norms themselves: slower, with the same scores.
      if (!isDbError(error, 'resource-exhausted')) throw error;
    }
    return this.#norms;
  }

  free(): void {
    this.#norms?.free();
    if (this.#room !== undefined) this.arena.free(this.#room);
    this.arena.free(this.block);
  }
}

export interface ArenaEngineOptions {
  readonly arena: VectorArena;
  /** For large scans; they should not wait there behind long work. Absent: large scans run in slices on this thread. */
  readonly workers?: Workers;
  /** Worker threads that one scan may take. */
  readonly scanThreads?: number;
}

export class ArenaEngine implements VectorEngine {
  readonly #arena: VectorArena;
  readonly #workers: Workers | undefined;
  readonly #scanThreads: number;

  constructor({ arena, workers, scanThreads = 2 }: ArenaEngineOptions) {
    this.#arena = arena;
    this.#workers = workers;
    this.#scanThreads = scanThreads;
  }

  reserve(bytes: number): { free(): void } {
    return this.#arena.reserve(bytes);
  }

  allocate(floats: number, graphBytes?: number): ArenaVectors {
    return new ArenaVectors(this.#arena, floats, graphBytes);
  }

  async scan(vectors: VectorBlock, request: NearestRequest): Promise<NearestRows> {
    assert(vectors instanceof ArenaVectors, 'vectors lie in the arena');
    const { queryCount, rowCount, allowedCount } = request;
    const normsOffset = await normsOf(vectors, request);
    if (this.#workers !== undefined && allowedCount * rowBytes(request) * queryCount > WORKER_BYTES) {
      const scan = { ...scanOf(request, vectors.block, normsOffset), from: 0, to: rowCount };
      return scanInWorkers(this.#workers, this.#arena, vectors.block, scan, this.#scanThreads);
    }
    return inTiles(request, TILE_QUERIES, (tile) => this.#scanTile(vectors.block, normsOffset, tile));
  }

  scanLists(column: ListColumn, request: ListRequest): Promise<NearestRows> {
    return scanLists(this.#arena, column, request);
  }

  scanItems(column: ListColumn, request: NearestRequest): Promise<NearestRows> {
    return scanItems(this.#arena, column, request);
  }

  async #scanTile(block: Block, normsOffset: number | undefined, request: NearestRequest): Promise<TopK> {
    const { metric, queryCount, rowCount, allowedCount, k } = request;
    const bytesPerRow = rowBytes(request) * queryCount * Math.max(allowedCount / rowCount, 1 / 64);
    const sliceRows = Math.max(1024, Math.ceil(SLICE_BYTES / bytesPerRow / 32) * 32);
    const scan = scanOf(request, block, normsOffset);
    const parts: TopK[] = [];
    for (let from = 0; from < rowCount; from += sliceRows) {
      const slice = { ...scan, from, to: Math.min(rowCount, from + sliceRows) };
      parts.push(scanTopK(this.#arena.kernels(block, scanScratchBytes(slice)), slice));
      await request.pacer.spend(((slice.to - from) * bytesPerRow) / BYTES_PER_UNIT);
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : mergeTopK(metric, k, parts);
  }
}

/** An index of the vector room as the query node searches it. */
export function graphOf(index: HnswIndex, vectors: ArenaVectors, engine: VectorEngine): GraphIndex {
  const { header } = index;
  return {
    metric: header.metric,
    async search(request) {
      const { rowCount, allowedCount, dim, ef } = request;
      if (prefersScan(allowedCount, rowCount, ef)) return engine.scan(vectors, request);
      const bytesPerQuery = ef * ROWS_PER_RESULT * dim * 4;
      const tileQueries = Math.max(1, Math.floor(SLICE_BYTES / bytesPerQuery));
      return inTiles(request, tileQueries, async (tile) => {
        const { queries } = tile;
        assert(queries instanceof Float32Array, 'a graph is searched with floats');
        const hits = index.search({ ...tile, queries, ef });
        await request.pacer.spend((tile.queryCount * bytesPerQuery) / BYTES_PER_UNIT);
        return hits;
      });
    },
  };
}

/** Where the norms stand for a scan that is faster with them; rows that came since the last such scan get theirs now. */
async function normsOf(vectors: ArenaVectors, request: NearestRequest): Promise<number | undefined> {
  const { dim, metric, rowCount, allowedCount, pacer } = request;
  if (metric !== 'COSINE' || allowedCount < rowCount * NORMS_MIN_SHARE) return undefined;
  const norms = vectors.norms(dim);
  if (norms === undefined) return undefined;
  const bytesPerRow = dim * 4;
  while (norms.rows < rowCount) {
    const from = norms.rows;
    norms.extendTo(Math.min(rowCount, from + Math.ceil(SLICE_BYTES / bytesPerRow)));
    await pacer.spend(((norms.rows - from) * bytesPerRow) / BYTES_PER_UNIT);
  }
  return norms.offset;
}

const scanOf = (request: NearestRequest, block: Block, normsOffset: number | undefined) => {
  const { dim, metric, elementBits, queries, queryCount, allowed, k, radius, rangeFilter } = request;
  return {
    dim,
    metric,
    elementBits,
    queries,
    queryCount,
    allowed,
    k,
    radius,
    rangeFilter,
    vectorsOffset: block.byteOffset,
    normsOffset,
  };
};

/** Some queries at a time; answers one after another. */
async function inTiles(
  request: NearestRequest,
  tileQueries: number,
  work: (tile: NearestRequest) => Promise<TopK>,
): Promise<NearestRows> {
  const { queryCount } = request;
  const width = request.queries.length / queryCount;
  if (queryCount <= tileQueries) return work(request);
  const answers: TopK[] = [];
  for (let from = 0; from < queryCount; from += tileQueries) {
    const to = Math.min(queryCount, from + tileQueries);
    const queries = request.queries.subarray(from * width, to * width);
    answers.push(await work({ ...request, queries, queryCount: to - from }));
  }
  return joined(answers);
}
