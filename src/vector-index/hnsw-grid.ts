/**
 * Rows as points of a grid of 16-bit numbers, which graphs are built over (wasm/grid.ts), in an order in which rows that are near each
 * other often stand together: a row then finds what the one before it has read still in the processor's caches. Searches see none of it.
 */

import type { HnswShape } from './hnsw-build.ts';
import type { Kernels } from './kernels.ts';

/** Below, points are not smaller than the rows. */
const MIN_DIM = 8;
/** Rows are sorted by the nearest of so many among them. */
const PIVOTS = 256;
/**
 * Only so many rows are sorted among themselves, and fewer at first: each such part is spread over all rows there are, so that the
 * graph grows everywhere as it does by rows that come in any order.
 */
const MAX_SORTED = 16_384;
const FIRST_UNSORTED = 1024;

/** Numbers of a point; undefined for rows that are better left as they are. */
export const gridLanes = ({ dim, metric }: Pick<HnswShape, 'dim' | 'metric'>): number | undefined =>
  dim < MIN_DIM ? undefined : Math.ceil((metric === 'IP' ? dim + 1 : dim) / 8) * 8;

/** Sizes of the areas a grid needs, in bytes. */
export const gridBytes = ({ rowCount, dim }: HnswShape, lanes: number) => ({
  points: rowCount * lanes * 2,
  rows: rowCount * 4,
  mean: (dim + 8) * 4,
  pivots: PIVOTS * lanes * 2,
  nearests: Math.min(rowCount, MAX_SORTED) * 4,
});

/** Offsets of those areas, and of what points are made of. */
export interface GridPlace extends Readonly<Record<keyof ReturnType<typeof gridBytes>, number>> {
  readonly vectors: number;
  readonly dim: number;
  readonly rowCount: number;
  readonly levels: Uint8Array;
  readonly levelsAt: number;
  /** 0, or for COSINE 1 / length of each row. */
  readonly inverses: number;
  /** 0, or for IP the last coordinate of each row. */
  readonly heights: number;
  readonly lanes: number;
}

/** Squares of smaller numbers lose their digits. */
const MIN_SQUARE = 1e-30;
/** The sum of squares is off by less. */
const ROUNDED_UP = 1.001;
const OUTSIDE = 255;

/**
 * Writes all points, and to `rows` the row of each. Undefined: they are so large or small that squares do not hold their
 * distances; then there are none.
 */
export function writeGrid(kernels: Kernels, place: GridPlace): Uint32Array | undefined {
  const { vectors, dim, rowCount, levelsAt, inverses, heights, mean, lanes } = place;
  const { run } = kernels;
  kernels.floats(mean, dim + 8).fill(0);
  run.addToMean(vectors, dim, 0, rowCount, levelsAt, inverses, heights, 1 / rowCount, mean);
  const square = run.farthest(vectors, dim, 0, rowCount, levelsAt, inverses, heights, mean);
  if (!(square > MIN_SQUARE && square < Number.POSITIVE_INFINITY)) return undefined;
  const reach = Math.sqrt(square) * ROUNDED_UP;
  const write = (from: number, to: number, rows: number, points: number): void =>
    run.writeGrid(vectors, dim, from, to, rows, levelsAt, inverses, heights, mean, reach, points, lanes);
  sortRows(kernels, place, write);
  write(0, rowCount, place.rows, place.points);
  return kernels.words(place.rows, rowCount);
}

type Write = (from: number, to: number, rows: number, points: number) => void;

/** Fills `rows`. */
function sortRows(kernels: Kernels, place: GridPlace, write: Write): void {
  const { rowCount, lanes, points, pivots } = place;
  const rows = kernels.words(place.rows, rowCount);
  // For the moment the rows of the pivots.
  const count = choosePivots(place.levels, rows);
  write(0, count, place.rows, pivots);
  rows.forEach((_, row) => {
    rows[row] = row;
  });
  if (count === 0) return;
  const nearests = kernels.words(place.nearests, Math.min(rowCount, MAX_SORTED));
  for (let from = FIRST_UNSORTED, to = 0; from < rowCount; from = to) {
    to = Math.min(rowCount, from + Math.min(from, MAX_SORTED));
    write(from, to, 0, points);
    kernels.run.nearestPivots(points, lanes, from, to, pivots, count, place.nearests);
    const keys = Float64Array.from({ length: to - from }, (_, i) => (nearests[i] ?? 0) * 2 ** 32 + from + i);
    rows.set(
      keys.sort().map((key) => key % 2 ** 32),
      from,
    );
  }
}

/** Writes the rows of the pivots, spread over those in the graph, and returns their number, a multiple of 4. */
function choosePivots(levels: Uint8Array, rows: Uint32Array): number {
  const inGraph = levels.reduce((sum, level) => sum + (level === OUTSIDE ? 0 : 1), 0);
  const count = Math.min(PIVOTS, Math.floor(inGraph / 4) * 4);
  let seen = 0;
  let chosen = 0;
  levels.forEach((level, row) => {
    if (level === OUTSIDE) return;
    if (chosen < count && seen++ >= (chosen * inGraph) / count) rows[chosen++] = row;
  });
  return chosen & ~3;
}
