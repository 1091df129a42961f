/**
 * How rows are compared. The kernels order by an ascending key, callers see Milvus's score: the key itself for distances (L2 is
 * squared), its negative for similarities. A row whose key is not finite is never a hit. COSINE divides by both norms, summed in the same pass or kept
 * beside the rows with the same result, so that stored vectors stay as they were given; a zero vector has similarity 0 to
 * everything.
 */
import { DbError } from '../errors/db-error.ts';
import { type BinaryMetric, type DenseMetric, isSmallerBetter, type MetricType } from '../model/metric.ts';

export type Metric = DenseMetric;
/** What an exact scan compares by. */
export type ScanMetric = DenseMetric | BinaryMetric;

/** As the kernels and the index file number them. */
export const metricCode = { L2: 0, IP: 1, COSINE: 2 } as const satisfies Record<Metric, number>;

export const isBinaryMetric = (metric: MetricType): metric is BinaryMetric =>
  metric === 'HAMMING' || metric === 'JACCARD' || metric === 'MHJACCARD';

/** Bits of an element of a MinHash signature, as the kernels number them. */
const elementCodes: ReadonlyMap<number, number> = new Map([
  [8, 2],
  [16, 3],
  [32, 4],
  [64, 5],
]);
export const DEFAULT_ELEMENT_BITS = 32;

/** As `wasm/bits.ts` numbers them. Throws `parameter-invalid` for elements of another width, or that do not fill `dim` bits. */
export function bitsCode(metric: BinaryMetric, dim: number, elementBits = DEFAULT_ELEMENT_BITS): number {
  if (metric === 'HAMMING') return 0;
  if (metric === 'JACCARD') return 1;
  const code = elementCodes.get(elementBits);
  if (code === undefined || dim % elementBits !== 0)
    throw new DbError(
      'parameter-invalid',
      `MinHash signatures of ${dim} bits do not consist of elements of ${elementBits} bits: 8, 16, 32 or 64`,
    );
  return code;
}

export const MAX_DIM = 32_768;
export const MAX_BITS = 8 * MAX_DIM;
export const MAX_TOP_K = 16_384;

/** The lowest finite 32-bit float. */
const LOWEST_KEY = -3.4028234663852886e38;

/** The caller's score of a kernel's key. */
export const scoreOfKey = (metric: MetricType, key: number): number =>
  isSmallerBetter(metric) ? key : 0 - key;

/** Negative when `a` is the better score. */
export const compareScores = (metric: MetricType, a: number, b: number): number =>
  isSmallerBetter(metric) ? a - b : b - a;

/** Bounds of a range search in the metric's own score: distances rangeFilter <= d < radius; similarities radius < s <= rangeFilter. */
export interface ScoreRange {
  readonly radius?: number | undefined;
  readonly rangeFilter?: number | undefined;
}

/** The same bounds for keys: inner <= key < outer. Throws `parameter-invalid` for a NaN bound or an empty range. */
export function keyRange(
  metric: MetricType,
  range: ScoreRange,
): { readonly inner: number; readonly outer: number } {
  const { radius, rangeFilter } = range;
  if (Number.isNaN(radius) || Number.isNaN(rangeFilter))
    throw new DbError('parameter-invalid', 'radius and range_filter must be numbers');
  const isDistance = isSmallerBetter(metric);
  const sign = isDistance ? 1 : -1;
  const outer = radius === undefined ? Number.POSITIVE_INFINITY : sign * radius;
  const inner = Math.max(LOWEST_KEY, rangeFilter === undefined ? LOWEST_KEY : sign * rangeFilter);
  if (radius !== undefined && inner >= outer)
    throw new DbError(
      'parameter-invalid',
      isDistance
        ? `range_filter must be below radius for ${metric}`
        : `range_filter must be above radius for ${metric}`,
    );
  return { inner, outer };
}
