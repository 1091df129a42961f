/**
 * How rows are compared. The kernels order by an ascending key, callers see Milvus's score: squared distance for L2, similarity
 * for IP and COSINE. A row whose key is not finite is never a hit. COSINE divides by both norms, summed in the same pass or kept
 * beside the rows with the same result, so that stored vectors stay as they were given; a zero vector has similarity 0 to
 * everything.
 */
import { DbError } from '../errors/db-error.ts';

export type Metric = 'L2' | 'IP' | 'COSINE';

/** As the kernels and the index file number them. */
export const metricCode = { L2: 0, IP: 1, COSINE: 2 } as const satisfies Record<Metric, number>;

export const MAX_DIM = 32_768;
export const MAX_TOP_K = 16_384;

/** The lowest finite 32-bit float. */
const LOWEST_KEY = -3.4028234663852886e38;

/** The caller's score of a kernel's key. */
export const scoreOfKey = (metric: Metric, key: number): number => (metric === 'L2' ? key : 0 - key);

/** Negative when `a` is the better score. */
export const compareScores = (metric: Metric, a: number, b: number): number =>
  metric === 'L2' ? a - b : b - a;

/** Bounds of a range search in the metric's own score: L2 rangeFilter <= d < radius; IP and COSINE radius < s <= rangeFilter. */
export interface ScoreRange {
  readonly radius?: number | undefined;
  readonly rangeFilter?: number | undefined;
}

/** The same bounds for keys: inner <= key < outer. Throws `parameter-invalid` for a NaN bound or an empty range. */
export function keyRange(
  metric: Metric,
  range: ScoreRange,
): { readonly inner: number; readonly outer: number } {
  const { radius, rangeFilter } = range;
  if (Number.isNaN(radius) || Number.isNaN(rangeFilter))
    throw new DbError('parameter-invalid', 'radius and range_filter must be numbers');
  const sign = metric === 'L2' ? 1 : -1;
  const outer = radius === undefined ? Number.POSITIVE_INFINITY : sign * radius;
  const inner = Math.max(LOWEST_KEY, rangeFilter === undefined ? LOWEST_KEY : sign * rangeFilter);
  if (radius !== undefined && inner >= outer)
    throw new DbError(
      'parameter-invalid',
      metric === 'L2'
        ? 'range_filter must be below radius for L2'
        : `range_filter must be above radius for ${metric}`,
    );
  return { inner, outer };
}
