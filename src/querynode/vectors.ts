/** What the query node needs of the vector room: memory for vectors, exact scans, graph indexes. */
import type { SearchRequest } from './api.ts';
import type { Pacer } from './pacer.ts';

/** Floats in memory that worker threads and kernels see. Undefined until written. */
export interface VectorBlock {
  readonly values: Float32Array<SharedArrayBuffer>;
  free(): void;
}

/** Nearest rows of one unit. */
export interface NearestRequest {
  readonly dim: number;
  readonly metric: SearchRequest['metric'];
  /** `queryCount * dim` floats. */
  readonly queries: Float32Array;
  readonly queryCount: number;
  readonly rowCount: number;
  /** Rows to consider. Absent: all. */
  readonly allowed?: Uint32Array | undefined;
  readonly allowedCount: number;
  /** Rows per query. */
  readonly k: number;
  /** Exclusive bound on the far side, in scores. */
  readonly radius?: number | undefined;
  /** Inclusive bound on the near side, in scores. */
  readonly rangeFilter?: number | undefined;
  readonly pacer: Pacer;
}

/** Queries one after another, best first, `counts[q]` hits for query `q`. */
export interface NearestRows {
  readonly counts: Uint32Array;
  readonly rows: Uint32Array;
  readonly scores: Float32Array;
}

/** A loaded graph. */
export interface GraphIndex {
  readonly metric: SearchRequest['metric'];
  /** Nearest rows as far as a search of width `ef` finds them. */
  search(request: NearestRequest & { readonly ef: number }): Promise<NearestRows>;
}

export interface VectorEngine {
  /** With room for a graph of `graphBytes`, if given. Throws `resource-exhausted` when there is no memory left. */
  allocate(floats: number, graphBytes?: number): VectorBlock;
  /** Exact. Never holds the event loop for long. */
  scan(vectors: VectorBlock, request: NearestRequest): Promise<NearestRows>;
}
