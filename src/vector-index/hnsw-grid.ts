/** Rows as points of a grid of 16-bit numbers, which graphs are built over (wasm/grid.ts). Searches never see it. */

import type { HnswShape } from './hnsw-build.ts';
import type { Kernels } from './kernels.ts';

/** Below, points are not smaller than the rows. */
const MIN_DIM = 8;

/** Numbers of a point; undefined for rows that are better left as they are. */
export const gridLanes = ({ dim, metric }: Pick<HnswShape, 'dim' | 'metric'>): number | undefined =>
  dim < MIN_DIM ? undefined : Math.ceil((metric === 'IP' ? dim + 1 : dim) / 8) * 8;

/** Offsets of what the points are made of, and of where they go; `mean` has room for `dim + 8` floats. */
export interface GridPlace {
  readonly vectors: number;
  readonly dim: number;
  readonly rowCount: number;
  readonly levels: number;
  /** 0, or for COSINE 1 / length of each row. */
  readonly inverses: number;
  /** 0, or for IP the last coordinate of each row. */
  readonly heights: number;
  readonly mean: number;
  readonly offset: number;
  readonly lanes: number;
}

/** Squares of smaller numbers lose their digits. */
const MIN_SQUARE = 1e-30;
/** The sum of squares is off by less. */
const ROUNDED_UP = 1.001;

/** Writes all points. False: rows all alike, or so large or small that squares do not hold their distances; then there are none. */
export function writeGrid(kernels: Kernels, place: GridPlace): boolean {
  const { vectors, dim, rowCount, levels, inverses, heights, mean, offset, lanes } = place;
  const { run } = kernels;
  kernels.floats(mean, dim + 8).fill(0);
  run.addToMean(vectors, dim, 0, rowCount, levels, inverses, heights, 1 / rowCount, mean);
  const square = run.farthest(vectors, dim, 0, rowCount, levels, inverses, heights, mean);
  if (!(square > MIN_SQUARE && square < Number.POSITIVE_INFINITY)) return false;
  const reach = Math.sqrt(square) * ROUNDED_UP;
  run.writeGrid(vectors, dim, 0, rowCount, levels, inverses, heights, mean, reach, offset, lanes);
  return true;
}
