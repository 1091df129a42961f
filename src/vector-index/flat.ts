/**
 * Exact nearest rows over contiguous vectors of floats or bits. Work is bounded by the row range given, so that a long scan is cut into slices or
 * spread over threads; `mergeTopK` joins the answers, which do not depend on the cuts.
 */

import { DbError } from '../errors/db-error.ts';
import type { MetricType } from '../model/metric.ts';
import { assert } from '../support/assert.ts';
import type { Kernels } from './kernels.ts';
import { pieceBytes } from './kernels.ts';
import {
  bitsCode,
  isBinaryMetric,
  keyRange,
  MAX_BITS,
  MAX_DIM,
  MAX_TOP_K,
  metricCode,
  type ScanMetric,
  type ScoreRange,
  scoreOfKey,
} from './metric.ts';
import type { TopK } from './top-k.ts';

/** Floats for dense metrics, bytes for metrics of bits. */
export type QueryValues = Float32Array | Uint8Array;

/** Bytes of a row. */
export const rowBytes = ({ metric, dim }: { readonly metric: MetricType; readonly dim: number }): number =>
  isBinaryMetric(metric) ? dim / 8 : dim * 4;

export interface ScanInput extends ScoreRange {
  /** Where row 0 begins in the kernels' memory: `rowBytes` a row, no gaps, 4-aligned. */
  readonly vectorsOffset: number;
  /**
   * For COSINE: where `writeInverseNorms` has put those of at least the rows [0, to), 4-aligned. Absent: they are summed in the
   * pass, which takes longer and gives the same scores.
   */
  readonly normsOffset?: number | undefined;
  /** Floats of a row, or bits for metrics of bits. */
  readonly dim: number;
  readonly metric: ScanMetric;
  /** For MHJACCARD: bits of an element. */
  readonly elementBits?: number | undefined;
  /** Rows [from, to). */
  readonly from: number;
  readonly to: number;
  /** `queryCount` rows of floats, or of bits eight to a byte. */
  readonly queries: QueryValues;
  readonly queryCount: number;
  /** 1 to 16384. */
  readonly k: number;
  /** Bit `row` set: the row counts. At least `to` bits. Absent: every row counts. */
  readonly allowed?: Uint32Array | undefined;
}

/** Queries that share a pass over memory; their heaps must stay small. */
const TILE_QUERIES = 16;
const TILE_HEAP_BYTES = 4 * 1024 * 1024;
/** Rows that stay in the second-level cache while every query of a tile reads them. */
const TILE_ROW_BYTES = 256 * 1024;

/** The kernel's list of allowed rows: 1024 words. */
const LIST_BYTES = 4096;

type ScanShape = Pick<ScanInput, 'metric' | 'dim' | 'k' | 'queryCount' | 'from' | 'to' | 'allowed'>;

const heapEntries = (input: ScanShape): number => Math.max(1, Math.min(input.k, input.to - input.from));
const tileOf = (input: ScanShape): number =>
  Math.max(
    1,
    Math.min(TILE_QUERIES, input.queryCount, Math.floor(TILE_HEAP_BYTES / (16 * heapEntries(input)))),
  );

/** Scratch that `scanTopK` needs. */
export function scanScratchBytes(input: ScanShape): number {
  const perQuery = pieceBytes(rowBytes(input)) + pieceBytes(heapEntries(input) * 8);
  const bitmap =
    input.allowed === undefined ? 0 : pieceBytes(Math.ceil(input.to / 32) * 4) + pieceBytes(LIST_BYTES);
  return bitmap + tileOf(input) * perQuery + 2 * pieceBytes(heapEntries(input) * 4);
}

/** Throws `parameter-invalid` for a shape outside the limits. */
export function checkShape(input: Pick<ScanInput, 'metric' | 'dim' | 'k' | 'queryCount' | 'queries'>): void {
  const { metric, dim, k, queryCount, queries } = input;
  const isBits = isBinaryMetric(metric);
  if (!(Number.isInteger(rowBytes(input)) && dim >= 1 && dim <= (isBits ? MAX_BITS : MAX_DIM)))
    throw new DbError('parameter-invalid', `dim ${dim}`);
  if (!(Number.isInteger(k) && k >= 1 && k <= MAX_TOP_K))
    throw new DbError('parameter-invalid', `topk ${k} is not between 1 and ${MAX_TOP_K}`);
  const isRight = isBits ? queries instanceof Uint8Array : queries instanceof Float32Array;
  if (!Number.isInteger(queryCount) || !isRight || queries.byteLength !== queryCount * rowBytes(input))
    throw new DbError(
      'parameter-invalid',
      `${queryCount} queries of dim ${dim} for ${metric} are not ${queries.byteLength} bytes`,
    );
}

/** The `k` best rows of [from, to) for each query. Throws `parameter-invalid`. */
export function scanTopK(kernels: Kernels, input: ScanInput): TopK {
  checkShape(input);
  const { queryCount } = input;
  const { inner, outer } = keyRange(input.metric, input);
  assert(input.allowed === undefined || input.allowed.length * 32 >= input.to, 'the bitmap covers the rows');
  const layout = kernels.layout();
  const words = Math.ceil(input.to / 32);
  const allowed = input.allowed === undefined ? 0 : layout.take(words * 4);
  if (input.allowed !== undefined) kernels.words(allowed, words).set(input.allowed.subarray(0, words));
  const list = input.allowed === undefined ? 0 : layout.take(LIST_BYTES);
  const entries = heapEntries(input);
  const tile = tileOf(input);
  const slots = Array.from({ length: tile }, () => ({
    query: layout.take(rowBytes(input)),
    heap: layout.take(entries * 8),
    inverse: 1,
    size: 0,
  }));
  const out = new HitWriter(
    kernels,
    input.metric,
    queryCount,
    layout.take(entries * 4),
    layout.take(entries * 4),
  );
  const tileRows =
    tile === 1 ? input.to - input.from : Math.max(4, Math.floor(TILE_ROW_BYTES / (rowBytes(input) * 4)) * 4);
  const scanSlot = scanner(kernels, input, { allowed, list, entries, inner, outer });
  for (let first = 0; first < queryCount; first += tile) {
    const active = slots.slice(0, queryCount - first);
    active.forEach((slot, i) => {
      layQuery(kernels, input, first + i, slot.query);
      slot.inverse = input.metric === 'COSINE' ? kernels.run.inverseNorm(slot.query, input.dim) : 1;
      slot.size = 0;
    });
    for (let row = input.from; row < input.to; row += tileRows) {
      const end = Math.min(row + tileRows, input.to);
      for (const slot of active) slot.size = scanSlot(slot, row, end);
    }
    active.forEach((slot, i) => {
      out.put(first + i, slot.heap, slot.size, entries, outer);
    });
  }
  return out.finish();
}

/** Copies query `index` into the kernels' memory. */
export function layQuery(
  kernels: Kernels,
  input: Pick<ScanInput, 'metric' | 'dim' | 'queries'>,
  index: number,
  at: number,
): void {
  const width = rowBytes(input);
  const { buffer, byteOffset } = input.queries;
  kernels.bytes(at, width).set(new Uint8Array(buffer, byteOffset + index * width, width));
}

/** One query of a tile: where it lies, and the heap of its best rows. */
interface Slot {
  readonly query: number;
  readonly heap: number;
  inverse: number;
  size: number;
}

interface ScanPlace {
  readonly allowed: number;
  readonly list: number;
  readonly entries: number;
  readonly inner: number;
  readonly outer: number;
}

/** The kernel of the metric: adds rows to a slot's heap and answers its size. */
function scanner(
  { run }: Kernels,
  input: ScanInput,
  { allowed, list, entries, inner, outer }: ScanPlace,
): (slot: Slot, from: number, to: number) => number {
  const { metric, dim, vectorsOffset, normsOffset = 0, elementBits } = input;
  if (isBinaryMetric(metric)) {
    const code = bitsCode(metric, dim, elementBits);
    return ({ query, heap, size }, from, to) =>
      // biome-ignore format: one call, as the kernel declares it.
      run.scanBits(code, vectorsOffset, dim / 8, from, to, allowed, query, heap, entries, size, inner, outer);
  }
  const code = metricCode[metric];
  return ({ query, inverse, heap, size }, from, to) =>
    // biome-ignore format: one call, as the kernel declares it.
    run.scan(
      code, vectorsOffset, normsOffset, dim, from, to, allowed, list,
      query, inverse, heap, entries, size, inner, outer,
    );
}

/** Collects what the kernels leave in their heaps, query by query in any order. */
export class HitWriter {
  readonly #kernels: Kernels;
  readonly #metric: MetricType;
  readonly #rowsAt: number;
  readonly #keysAt: number;
  readonly #rows: Uint32Array[];
  readonly #scores: Float32Array[];

  /** `rowsAt` and `keysAt`: scratch for as many words as a heap may have entries. */
  constructor(kernels: Kernels, metric: MetricType, queryCount: number, rowsAt: number, keysAt: number) {
    this.#kernels = kernels;
    this.#metric = metric;
    this.#rowsAt = rowsAt;
    this.#keysAt = keysAt;
    this.#rows = Array.from({ length: queryCount }, () => NO_ROWS);
    this.#scores = Array.from({ length: queryCount }, () => NO_SCORES);
  }

  /** The heap of `query` has `size` entries in any order; the best `limit` with keys below `outer` are its hits. */
  put(query: number, heap: number, size: number, limit: number, outer: number): void {
    this.#kernels.run.drain(heap, size, this.#rowsAt, this.#keysAt);
    const keys = this.#kernels.floats(this.#keysAt, Math.min(size, limit));
    let count = keys.length;
    while (count > 0 && !((keys[count - 1] ?? outer) < outer)) count--;
    this.#rows[query] = this.#kernels.words(this.#rowsAt, count).slice();
    this.#scores[query] = Float32Array.from(keys.subarray(0, count), (key) => scoreOfKey(this.#metric, key));
  }

  /** Hits of `query` that were found otherwise. */
  set(query: number, hits: Pick<TopK, 'rows' | 'scores'>): void {
    this.#rows[query] = hits.rows;
    this.#scores[query] = hits.scores;
  }

  finish(): TopK {
    const counts = Uint32Array.from(this.#rows, (rows) => rows.length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const rows = new Uint32Array(total);
    const scores = new Float32Array(total);
    let at = 0;
    this.#rows.forEach((part, i) => {
      rows.set(part, at);
      scores.set(this.#scores[i] ?? NO_SCORES, at);
      at += part.length;
    });
    return { counts, rows, scores };
  }
}

const NO_ROWS = new Uint32Array();
const NO_SCORES = new Float32Array();
