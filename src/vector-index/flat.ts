/**
 * Exact nearest rows over contiguous floats. Work is bounded by the row range given, so that a long scan is cut into slices or
 * spread over threads; `mergeTopK` joins the answers, which do not depend on the cuts.
 */

import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import type { Kernels } from './kernels.ts';
import { pieceBytes } from './kernels.ts';
import {
  keyRange,
  MAX_DIM,
  MAX_TOP_K,
  type Metric,
  metricCode,
  type ScoreRange,
  scoreOfKey,
} from './metric.ts';
import type { TopK } from './top-k.ts';

export interface ScanInput extends ScoreRange {
  /** Where row 0 begins in the kernels' memory: `dim` floats a row, no gaps, 4-aligned. */
  readonly vectorsOffset: number;
  /**
   * For COSINE: where `writeInverseNorms` has put those of at least the rows [0, to), 4-aligned. Absent: they are summed in the
   * pass, which takes longer and gives the same scores.
   */
  readonly normsOffset?: number | undefined;
  readonly dim: number;
  readonly metric: Metric;
  /** Rows [from, to). */
  readonly from: number;
  readonly to: number;
  /** `queryCount * dim` floats. */
  readonly queries: Float32Array;
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

type ScanShape = Pick<ScanInput, 'dim' | 'k' | 'queryCount' | 'from' | 'to' | 'allowed'>;

const heapEntries = (input: ScanShape): number => Math.max(1, Math.min(input.k, input.to - input.from));
const tileOf = (input: ScanShape): number =>
  Math.max(
    1,
    Math.min(TILE_QUERIES, input.queryCount, Math.floor(TILE_HEAP_BYTES / (16 * heapEntries(input)))),
  );

/** Scratch that `scanTopK` needs. */
export function scanScratchBytes(input: ScanShape): number {
  const perQuery = pieceBytes(input.dim * 4) + pieceBytes(heapEntries(input) * 8);
  const bitmap =
    input.allowed === undefined ? 0 : pieceBytes(Math.ceil(input.to / 32) * 4) + pieceBytes(LIST_BYTES);
  return bitmap + tileOf(input) * perQuery + 2 * pieceBytes(heapEntries(input) * 4);
}

/** Throws `parameter-invalid` for a shape outside the limits. */
export function checkShape(input: Pick<ScanInput, 'dim' | 'k' | 'queryCount' | 'queries'>): void {
  const { dim, k, queryCount, queries } = input;
  if (!(Number.isInteger(dim) && dim >= 1 && dim <= MAX_DIM))
    throw new DbError('parameter-invalid', `dim ${dim}`);
  if (!(Number.isInteger(k) && k >= 1 && k <= MAX_TOP_K))
    throw new DbError('parameter-invalid', `topk ${k} is not between 1 and ${MAX_TOP_K}`);
  if (!Number.isInteger(queryCount) || queries.length !== queryCount * dim)
    throw new DbError(
      'parameter-invalid',
      `${queryCount} queries of ${dim} floats are not ${queries.length} floats`,
    );
}

/** The `k` best rows of [from, to) for each query. Throws `parameter-invalid`. */
export function scanTopK(kernels: Kernels, input: ScanInput): TopK {
  checkShape(input);
  const { dim, queries, queryCount } = input;
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
    query: layout.take(dim * 4),
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
    tile === 1 ? input.to - input.from : Math.max(4, Math.floor(TILE_ROW_BYTES / (dim * 16)) * 4);
  for (let first = 0; first < queryCount; first += tile) {
    const active = slots.slice(0, queryCount - first);
    active.forEach((slot, i) => {
      kernels.floats(slot.query, dim).set(queries.subarray((first + i) * dim, (first + i + 1) * dim));
      slot.inverse = input.metric === 'COSINE' ? kernels.run.inverseNorm(slot.query, dim) : 1;
      slot.size = 0;
    });
    for (let row = input.from; row < input.to; row += tileRows) {
      const end = Math.min(row + tileRows, input.to);
      for (const slot of active)
        // biome-ignore format: one call, as the kernel declares it.
        slot.size = kernels.run.scan(
          metricCode[input.metric], input.vectorsOffset, input.normsOffset ?? 0, dim, row, end, allowed, list,
          slot.query, slot.inverse, slot.heap, entries, slot.size, inner, outer,
        );
    }
    active.forEach((slot, i) => {
      out.put(first + i, slot.heap, slot.size, entries, outer);
    });
  }
  return out.finish();
}

/** Collects what the kernels leave in their heaps, query by query in any order. */
export class HitWriter {
  readonly #kernels: Kernels;
  readonly #metric: Metric;
  readonly #rowsAt: number;
  readonly #keysAt: number;
  readonly #rows: Uint32Array[];
  readonly #scores: Float32Array[];

  /** `rowsAt` and `keysAt`: scratch for as many words as a heap may have entries. */
  constructor(kernels: Kernels, metric: Metric, queryCount: number, rowsAt: number, keysAt: number) {
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
