/** What the query node needs of the vector room: memory for vectors, exact scans, graph indexes. */
import { vectorBytes } from '../model/columns.ts';
import type { DenseMetric, ListMetric } from '../model/metric.ts';
import type { ListColumn, VectorColumn } from '../model/rows.ts';
import type { VectorType } from '../model/schema.ts';
import type { QueryValues } from '../vector-index/flat.ts';
import type { ScanMetric } from '../vector-index/metric.ts';
import type { Pacer } from './pacer.ts';

/**
 * Memory that worker threads and kernels see; undefined until written. Vectors of numbers of every type lie there as floats, bits
 * as bytes (`bitsOf`).
 */
export interface VectorBlock {
  readonly values: Float32Array<SharedArrayBuffer>;
  free(): void;
}

/** Nearest rows of one unit. */
export interface NearestRequest {
  readonly dim: number;
  readonly metric: ScanMetric;
  /** For MHJACCARD: bits of an element. */
  readonly elementBits?: number | undefined;
  /** `queryCount` vectors of floats or bits. */
  readonly queries: QueryValues;
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
  /** Single vectors of lists: which item of its row each hit is. */
  readonly elements?: Uint32Array;
}

/** Rows of lists whose vectors are together nearest to a list of vectors. */
export interface ListRequest extends Omit<NearestRequest, 'metric' | 'elementBits' | 'dim' | 'queries'> {
  readonly metric: ListMetric;
  readonly queries: ListColumn;
}

/** A loaded graph. */
export interface GraphIndex {
  readonly metric: DenseMetric;
  /** Nearest rows as far as a search of width `ef` finds them. */
  search(request: NearestRequest & { readonly ef: number }): Promise<NearestRows>;
}

export interface VectorEngine {
  /** Counts memory that lies elsewhere. Throws `resource-exhausted` when there is none left. */
  reserve(bytes: number): { free(): void };
  /** With room for a graph of `graphBytes`, if given. Throws `resource-exhausted` when there is no memory left. */
  allocate(floats: number, graphBytes?: number): VectorBlock;
  /** Exact. Never holds the event loop for long. */
  scan(vectors: VectorBlock, request: NearestRequest): Promise<NearestRows>;
  /** Exact, over the rows of a column of lists. */
  scanLists(column: ListColumn, request: ListRequest): Promise<NearestRows>;
  /** Exact, over every vector in the lists; says which it was. */
  scanItems(column: ListColumn, request: NearestRequest): Promise<NearestRows>;
}

/** Floats of memory that `rowCount` vectors take in a block. */
export const blockFloats = (type: VectorType, dim: number, rowCount: number): number =>
  type === 'BinaryVector' ? Math.ceil((rowCount * vectorBytes(type, dim)) / 4) : rowCount * dim;

/** The vectors of a block as the column that is kept: bits, or floats whatever the type of the numbers is. */
export function blockColumn(
  type: VectorType,
  dim: number,
  rowCount: number,
  { buffer, byteOffset }: Float32Array,
): VectorColumn {
  if (type === 'BinaryVector') {
    const values = new Uint8Array(buffer, byteOffset, rowCount * vectorBytes(type, dim));
    return { layout: 'vector', type, dim, values };
  }
  const values = new Float32Array(buffer, byteOffset, rowCount * dim);
  return { layout: 'vector', type: 'FloatVector', dim, values };
}
