/** Searches over lists of vectors in slices of some milliseconds: a batch of rows with some queries at a time. */
import type { ListColumn } from '../model/rows.ts';
import type { VectorArena } from '../vector-index/arena.ts';
import type { Kernels } from '../vector-index/kernels.ts';
import {
  addListKeys,
  bestLists,
  bestScratchBytes,
  itemScratchBytes,
  itemsOf,
  type ListBatch,
  listBatches,
  listScratchBytes,
  placesOfItems,
  queryValues,
  scanItemBatch,
} from '../vector-index/lists.ts';
import { mergeTopK, type TopK } from '../vector-index/top-k.ts';
import type { ListRequest, NearestRequest, NearestRows } from './vectors.ts';

/** Bytes of items compared in one slice, over all its query vectors. */
const SLICE_BYTES = 16 * 2 ** 20;
/** Bytes of items in a batch; a row with more is one by itself. */
const BATCH_BYTES = 2 ** 20;
/** Query vectors that share a batch in one slice. */
const TILE_VECTORS = 64;
const BYTES_PER_UNIT = 64;

/** Scratch in some memory of the arena, for as long as `work` lasts. */
async function withKernels<T>(
  arena: VectorArena,
  work: (kernels: (scratchBytes: number) => Kernels) => Promise<T>,
): Promise<T> {
  const anchor = arena.allocate(1);
  try {
    return await work((scratchBytes) => arena.kernels(anchor, scratchBytes));
  } finally {
    arena.free(anchor);
  }
}

/** Ends of runs of queries that hold about `TILE_VECTORS` together. */
function* tilesOf(offsets: Uint32Array, queryCount: number): Generator<readonly [number, number]> {
  for (let from = 0; from < queryCount; ) {
    let to = from + 1;
    while (to < queryCount && (offsets[to + 1] ?? 0) - (offsets[from] ?? 0) <= TILE_VECTORS) to++;
    yield [from, to];
    from = to;
  }
}

type Scanned = Pick<NearestRequest, 'rowCount' | 'allowed' | 'k' | 'pacer'>;

interface Tile {
  readonly queryCount: number;
  readonly vectors: number;
  readonly itemBytes: number;
  search(batch: ListBatch): TopK | Promise<TopK>;
}

/** The best of all batches, the memory of two of them at once. */
async function scanTile(
  column: ListColumn,
  { rowCount, allowed, k, pacer }: Scanned,
  metric: ListRequest['metric'] | NearestRequest['metric'],
  { queryCount, vectors, itemBytes, search }: Tile,
): Promise<TopK> {
  const together = Math.max(1, Math.min(vectors, TILE_VECTORS));
  const maxItems = Math.max(1, Math.floor(Math.min(BATCH_BYTES, SLICE_BYTES / together) / itemBytes));
  let best: TopK = {
    counts: new Uint32Array(queryCount),
    rows: new Uint32Array(0),
    scores: new Float32Array(0),
  };
  for (const batch of listBatches(column, rowCount, allowed, maxItems)) {
    if (batch.itemCount > 0) best = mergeTopK(metric, k, [best, await search(batch)]);
    await pacer.spend((batch.itemCount * itemBytes * together) / BYTES_PER_UNIT + batch.rows.length * 4);
  }
  return best;
}

export function scanLists(
  arena: VectorArena,
  column: ListColumn,
  request: ListRequest,
): Promise<NearestRows> {
  const { metric, k, radius, rangeFilter, queryCount, pacer } = request;
  const { offsets } = request.queries;
  const { dim } = itemsOf(request.queries);
  const values = queryValues(itemsOf(request.queries));
  const itemBytes = values.byteLength / Math.max(1, offsets[queryCount] ?? 1);
  return withKernels(arena, async (kernels) => {
    const answers: TopK[] = [];
    for (const [from, to] of tilesOf(offsets, queryCount)) {
      const queries = { metric, dim, values, offsets, from, to };
      const [start, last] = [offsets[from] ?? 0, offsets[to] ?? 0];
      const search = async (batch: ListBatch): Promise<TopK> => {
        const scan = { column, batch, k, radius, rangeFilter };
        const sums = new Float32Array((to - from) * batch.rows.length);
        const bytes = batch.itemCount * itemBytes;
        const step = Math.max(1, Math.min(TILE_VECTORS, Math.floor(SLICE_BYTES / bytes)));
        for (let first = start; first < last; first += step) {
          const end = Math.min(last, first + step);
          addListKeys(kernels(listScratchBytes(scan, queries)), scan, queries, sums, { first, end });
          // The last step is paid for by the caller.
          if (end < last) await pacer.spend((bytes * (end - first)) / BYTES_PER_UNIT);
        }
        return bestLists(kernels(bestScratchBytes(scan)), scan, queries, sums);
      };
      const tile = { queryCount: to - from, vectors: last - start, itemBytes, search };
      answers.push(await scanTile(column, request, metric, tile));
    }
    return joined(answers);
  });
}

export function scanItems(
  arena: VectorArena,
  column: ListColumn,
  request: NearestRequest,
): Promise<NearestRows> {
  const { metric, dim, elementBits, k, radius, rangeFilter, queryCount, rowCount } = request;
  const width = request.queries.length / queryCount;
  return withKernels(arena, async (kernels) => {
    const answers: TopK[] = [];
    for (let from = 0; from < queryCount; from += TILE_VECTORS) {
      const count = Math.min(TILE_VECTORS, queryCount - from);
      const values = request.queries.subarray(from * width, (from + count) * width);
      const queries = { metric, dim, elementBits, queries: values, queryCount: count };
      const search = (batch: ListBatch): TopK => {
        const scan = { column, batch, k, radius, rangeFilter };
        return scanItemBatch(kernels(itemScratchBytes(scan, queries)), scan, queries);
      };
      const tile = { queryCount: count, vectors: count, itemBytes: values.byteLength / count, search };
      answers.push(await scanTile(column, request, metric, tile));
    }
    const all = joined(answers);
    return { ...all, ...placesOfItems(column, rowCount, all.rows) };
  });
}

/** Answers of different queries one after another. */
export function joined(answers: readonly TopK[]): NearestRows {
  const total = answers.reduce((sum, { rows }) => sum + rows.length, 0);
  const all = {
    counts: Uint32Array.from(answers.flatMap(({ counts }) => [...counts])),
    rows: new Uint32Array(total),
    scores: new Float32Array(total),
  };
  let at = 0;
  for (const { rows, scores } of answers) {
    all.rows.set(rows, at);
    all.scores.set(scores, at);
    at += rows.length;
  }
  return all;
}
