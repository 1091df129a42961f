/**
 * Exact search over rows that hold several vectors each. The lists lie in ordinary memory, in the type they came in; a batch of rows
 * at a time is copied to scratch, as floats or bits, and compared with some queries there. Copying costs a small part of
 * comparing with a list of queries.
 */
import { vectorWidth } from '../model/columns.ts';
import { isListMetric, type ListMetric, pairMetric } from '../model/metric.ts';
import type { ListColumn, VectorColumn } from '../model/rows.ts';
import { type NumberValues, widen } from '../model/vector-floats.ts';
import { assert } from '../support/assert.ts';
import { HitWriter, layQuery, type QueryValues, rowBytes, scanScratchBytes, scanTopK } from './flat.ts';
import { type Kernels, pieceBytes } from './kernels.ts';
import { bitsCode, keyRange, metricCode, type ScanMetric, type ScoreRange } from './metric.ts';
import type { TopK } from './top-k.ts';

/** Rows whose items are compared at once. */
export interface ListBatch {
  readonly rows: Uint32Array;
  /** Item `ends[i - 1]` to `ends[i]` of the batch are of row `rows[i]`. */
  readonly ends: Uint32Array;
  readonly itemCount: number;
}

/** Rows of a batch have words for themselves besides their items. */
const MAX_BATCH_ROWS = 65_536;
/** Scanned for rows at once. */
const ROWS_PER_LOOK = 65_536;

/** What is searched by single vectors: floats of numbers of any type, or bits. */
export function queryValues({ type, values }: VectorColumn): QueryValues {
  if (type === 'BinaryVector') return values as Uint8Array;
  if (values instanceof Float32Array) return values;
  const floats = new Float32Array(values.length);
  widen(type, values as NumberValues, floats);
  return floats;
}

export const itemsOf = ({ items }: ListColumn): VectorColumn => {
  assert(items.layout === 'vector', 'the lists hold vectors');
  return items;
};

/** The rows that count and have items, in batches of about `maxItems`; a batch without rows comes now and then. */
export function* listBatches(
  { offsets }: ListColumn,
  rowCount: number,
  allowed: Uint32Array | undefined,
  maxItems: number,
): Generator<ListBatch> {
  const rows = new Uint32Array(Math.min(rowCount, MAX_BATCH_ROWS));
  const ends = new Uint32Array(rows.length);
  let count = 0;
  let itemCount = 0;
  const batch = (): ListBatch => {
    const taken = { rows: rows.slice(0, count), ends: ends.slice(0, count), itemCount };
    count = 0;
    itemCount = 0;
    return taken;
  };
  const isAllowed = (row: number): boolean =>
    allowed === undefined || (((allowed[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 1;
  for (let row = 0; row < rowCount; row++) {
    if (row % ROWS_PER_LOOK === 0 && row > 0) yield batch();
    const items = isAllowed(row) ? (offsets[row + 1] ?? 0) - (offsets[row] ?? 0) : 0;
    if (items === 0) continue;
    if (count > 0 && (itemCount + items > maxItems || count === rows.length)) yield batch();
    itemCount += items;
    rows[count] = row;
    ends[count++] = itemCount;
  }
  if (count > 0) yield batch();
}

/** The items of a batch, one after another, as floats or bits. */
function layItems(
  kernels: Kernels,
  at: number,
  column: ListColumn,
  { rows, ends, itemCount }: ListBatch,
): void {
  const { type, dim, values } = itemsOf(column);
  const width = vectorWidth(type, dim);
  const floats = type === 'BinaryVector' ? undefined : kernels.floats(at, itemCount * width);
  const bytes = kernels.bytes(at, type === 'BinaryVector' ? itemCount * width : 0);
  for (let i = 0; i < rows.length; i++) {
    const first = column.offsets[rows[i] ?? 0] ?? 0;
    const start = i === 0 ? 0 : (ends[i - 1] ?? 0);
    const end = ends[i] ?? 0;
    const from = values.subarray(first * width, (first + end - start) * width);
    if (type === 'BinaryVector') bytes.set(from as Uint8Array, start * width);
    else if (floats !== undefined)
      widen(type, from as NumberValues, floats.subarray(start * width, end * width));
  }
}

/** Some queries of a column of lists. */
export interface ListQueries {
  readonly metric: ListMetric;
  readonly dim: number;
  /** All vectors of all queries. */
  readonly values: QueryValues;
  readonly offsets: Uint32Array;
  readonly from: number;
  readonly to: number;
}

export interface ListScan extends ScoreRange {
  readonly column: ListColumn;
  readonly batch: ListBatch;
  readonly k: number;
}

const bytesOfItem = (metric: ScanMetric | ListMetric, dim: number): number =>
  rowBytes({ metric: isListMetric(metric) ? pairMetric[metric] : metric, dim });

/** Scratch that `addListKeys` needs. */
export function listScratchBytes({ batch }: ListScan, { metric, dim }: ListQueries): number {
  const item = bytesOfItem(metric, dim);
  return (
    pieceBytes(batch.itemCount * item) +
    pieceBytes(item) +
    (pairMetric[metric] === 'COSINE' ? pieceBytes(batch.itemCount * 4) : 0) +
    2 * pieceBytes(batch.rows.length * 4)
  );
}

/**
 * Adds to `sums`, a float for each query from `queries.from` to `queries.to` and each row of the batch, the keys of the best items for the
 * query vectors from `first` to `end`. To be called for all vectors of the queries in their order.
 */
export function addListKeys(
  kernels: Kernels,
  { column, batch }: ListScan,
  queries: ListQueries,
  sums: Float32Array,
  { first, end }: { readonly first: number; readonly end: number },
): void {
  const { metric, dim, offsets } = queries;
  const rowCount = batch.rows.length;
  const layout = kernels.layout();
  const items = layout.take(batch.itemCount * bytesOfItem(metric, dim));
  const query = layout.take(bytesOfItem(metric, dim));
  const norms = pairMetric[metric] === 'COSINE' ? layout.take(batch.itemCount * 4) : 0;
  const ends = layout.take(rowCount * 4);
  const at = layout.take(rowCount * 4);
  layItems(kernels, items, column, batch);
  if (norms !== 0) kernels.run.writeInverseNorms(items, dim, batch.itemCount, norms);
  kernels.words(ends, rowCount).set(batch.ends);
  const pair = { metric: pairMetric[metric], dim, queries: queries.values };
  const addBest = adder(kernels, pair.metric, { items, norms, dim, ends, rowCount, query, sums: at });
  const inMemory = kernels.floats(at, rowCount);
  for (let q = queries.from; q < queries.to; q++) {
    const from = Math.max(first, offsets[q] ?? 0);
    const to = Math.min(end, offsets[q + 1] ?? 0);
    if (from >= to) continue;
    const own = sums.subarray((q - queries.from) * rowCount, (q - queries.from + 1) * rowCount);
    inMemory.set(own);
    for (let i = from; i < to; i++) {
      layQuery(kernels, pair, i, query);
      addBest();
    }
    own.set(inMemory);
  }
}

/** Scratch that `bestLists` needs. */
export function bestScratchBytes({ batch, k }: ListScan): number {
  const heap = Math.min(k, batch.rows.length);
  return pieceBytes(batch.rows.length * 4) + pieceBytes(heap * 8) + 2 * pieceBytes(heap * 4);
}

/** The `k` best rows of a batch for each query, by the sums of its keys. */
export function bestLists(kernels: Kernels, scan: ListScan, queries: ListQueries, sums: Float32Array): TopK {
  const { batch, k } = scan;
  const { inner, outer } = keyRange(queries.metric, scan);
  const rowCount = batch.rows.length;
  const heapSize = Math.min(k, rowCount);
  const layout = kernels.layout();
  const keys = layout.take(rowCount * 4);
  const heap = layout.take(heapSize * 8);
  const out = [layout.take(heapSize * 4), layout.take(heapSize * 4)] as const;
  const queryCount = queries.to - queries.from;
  const hits = new HitWriter(kernels, queries.metric, queryCount, ...out);
  for (let q = 0; q < queryCount; q++) {
    kernels.floats(keys, rowCount).set(sums.subarray(q * rowCount, (q + 1) * rowCount));
    const size = kernels.run.offerKeys(keys, 0, rowCount, 0, heap, heapSize, 0, inner, outer);
    hits.put(q, heap, size, heapSize, outer);
  }
  const found = hits.finish();
  return { ...found, rows: found.rows.map((i) => batch.rows[i] ?? 0) };
}

interface BatchPlace {
  readonly items: number;
  /** For COSINE: where 1 / |item| of the items stand. */
  readonly norms: number;
  readonly dim: number;
  readonly ends: number;
  readonly rowCount: number;
  readonly query: number;
  readonly sums: number;
}

/** Adds each row's best key with the query in place to the row's sum. */
function adder(
  { run }: Kernels,
  metric: ScanMetric,
  { items, norms, dim, ends, rowCount, query, sums }: BatchPlace,
): () => void {
  if (metric === 'HAMMING' || metric === 'JACCARD' || metric === 'MHJACCARD') {
    const code = bitsCode(metric, dim);
    return () => run.addBestBitKeys(code, items, dim / 8, ends, rowCount, query, sums);
  }
  return () => {
    const inverse = metric === 'COSINE' ? run.inverseNorm(query, dim) : 1;
    run.addBestKeys(metricCode[metric], items, norms, dim, ends, rowCount, query, inverse, sums);
  };
}

/** Single vectors to be found among all items. */
export interface ItemQueries {
  readonly metric: ScanMetric;
  readonly dim: number;
  readonly elementBits?: number | undefined;
  readonly queries: QueryValues;
  readonly queryCount: number;
}

const itemScan = ({ batch, k, radius, rangeFilter }: ListScan, queries: ItemQueries) => ({
  ...queries,
  k,
  radius,
  rangeFilter,
  from: 0,
  to: batch.itemCount,
});

/** Scratch that `scanItemBatch` needs. */
export const itemScratchBytes = (scan: ListScan, queries: ItemQueries): number =>
  pieceBytes(scan.batch.itemCount * bytesOfItem(queries.metric, queries.dim)) +
  scanScratchBytes({ ...itemScan(scan, queries), allowed: undefined });

/** The `k` best items of a batch for each query; `rows` of the answer are items of the column. */
export function scanItemBatch(kernels: Kernels, scan: ListScan, queries: ItemQueries): TopK {
  const { batch, column } = scan;
  const bytes = pieceBytes(batch.itemCount * bytesOfItem(queries.metric, queries.dim));
  const { byteOffset, byteLength } = kernels.scratch;
  layItems(kernels, byteOffset, column, batch);
  const rest = kernels.withScratch({ byteOffset: byteOffset + bytes, byteLength: byteLength - bytes });
  const found = scanTopK(rest, { ...itemScan(scan, queries), vectorsOffset: byteOffset });
  const itemOf = (item: number): number => {
    const i = upperBound(batch.ends, item, batch.ends.length);
    const start = i === 0 ? 0 : (batch.ends[i - 1] ?? 0);
    return (column.offsets[batch.rows[i] ?? 0] ?? 0) + item - start;
  };
  return { ...found, rows: found.rows.map(itemOf) };
}

/** Items of a column as their rows, and which item of its row each is. */
export function placesOfItems(
  { offsets }: ListColumn,
  rowCount: number,
  items: Uint32Array,
): { readonly rows: Uint32Array; readonly elements: Uint32Array } {
  const rows = items.map((item) => upperBound(offsets, item, rowCount + 1) - 1);
  return { rows, elements: items.map((item, i) => item - (offsets[rows[i] ?? 0] ?? 0)) };
}

/** The first of `count` rising numbers that is above `value`. */
function upperBound(numbers: Uint32Array, value: number, count: number): number {
  let low = 0;
  for (let high = count; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
