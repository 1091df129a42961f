/** Searches over lists of vectors in slices of some milliseconds: a batch of rows with some queries at a time. */
import type { ListColumn } from '../model/rows.ts';
import type { VectorArena } from '../vector-index/arena.ts';
import type { Kernels } from '../vector-index/kernels.ts';
import {
  itemScratchBytes,
  itemsOf,
  type ListBatch,
  listBatches,
  listScratchBytes,
  placesOfItems,
  queryValues,
  scanItemBatch,
  scanListBatch,
} from '../vector-index/lists.ts';
import { mergeTopK, type TopK } from '../vector-index/top-k.ts';
import type { ListRequest, NearestRequest, NearestRows } from './vectors.ts';

/** Bytes of items compared in one slice, over all its query vectors. */
const SLICE_BYTES = 16 * 2 ** 20;
/** Bytes of items in a batch; a row with more is one by itself. */
const BATCH_BYTES = 2 ** 20;
/** Query vectors that share a batch; a query with more is alone. */
const TILE_VECTORS = 32;
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
  search(batch: ListBatch): TopK;
}

/** The best of all batches, the memory of two of them at once. */
async function scanTile(
  column: ListColumn,
  { rowCount, allowed, k, pacer }: Scanned,
  metric: ListRequest['metric'] | NearestRequest['metric'],
  { queryCount, vectors, itemBytes, search }: Tile,
): Promise<TopK> {
  const bytes = Math.min(BATCH_BYTES, SLICE_BYTES / Math.max(1, vectors));
  const maxItems = Math.max(1, Math.floor(bytes / itemBytes));
  let best: TopK = {
    counts: new Uint32Array(queryCount),
    rows: new Uint32Array(0),
    scores: new Float32Array(0),
  };
  for (const batch of listBatches(column, rowCount, allowed, maxItems)) {
    if (batch.itemCount > 0) best = mergeTopK(metric, k, [best, search(batch)]);
    await pacer.spend((batch.itemCount * itemBytes * vectors) / BYTES_PER_UNIT + batch.rows.length * 4);
  }
  return best;
}

export function scanLists(
  arena: VectorArena,
  column: ListColumn,
  request: ListRequest,
): Promise<NearestRows> {
  const { metric, k, radius, rangeFilter, queryCount } = request;
  const { offsets } = request.queries;
  const { dim } = itemsOf(request.queries);
  const values = queryValues(itemsOf(request.queries));
  const itemBytes = (values.byteLength / Math.max(1, offsets[queryCount] ?? 1)) | 0;
  return withKernels(arena, async (kernels) => {
    const answers: TopK[] = [];
    for (const [from, to] of tilesOf(offsets, queryCount)) {
      const queries = { metric, dim, values, offsets, from, to };
      const vectors = (offsets[to] ?? 0) - (offsets[from] ?? 0);
      const search = (batch: ListBatch): TopK => {
        const scan = { column, batch, k, radius, rangeFilter };
        return scanListBatch(kernels(listScratchBytes(scan, queries)), scan, queries);
      };
      answers.push(
        await scanTile(column, request, metric, { queryCount: to - from, vectors, itemBytes, search }),
      );
    }
    return joined(answers);
  });
}

export function scanItems(
  arena: VectorArena,
  column: ListColumn,
  request: NearestRequest,
): Promise<NearestRows> {
  const { metric, dim, k, radius, rangeFilter, queryCount, rowCount } = request;
  const width = request.queries.length / queryCount;
  return withKernels(arena, async (kernels) => {
    const answers: TopK[] = [];
    for (let from = 0; from < queryCount; from += TILE_VECTORS) {
      const count = Math.min(TILE_VECTORS, queryCount - from);
      const values = request.queries.subarray(from * width, (from + count) * width);
      const queries = { metric, dim, queries: values, queryCount: count };
      const search = (batch: ListBatch): TopK => {
        const scan = { column, batch, k, radius, rangeFilter };
        return scanItemBatch(kernels(itemScratchBytes(scan, queries)), scan, queries);
      };
      const itemBytes = values.byteLength / count;
      answers.push(
        await scanTile(column, request, metric, { queryCount: count, vectors: count, itemBytes, search }),
      );
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
