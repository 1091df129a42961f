// Vectors as points of a grid of 16-bit whole numbers, for building: half the bytes of floats, and distances that are whole
// numbers, the same whatever order they are summed in. All metrics become squared Euclidean distances of points: L2 of the rows
// themselves, COSINE of the rows at length 1, IP of the rows with their height as one more coordinate (see `keysOf4`). Points are
// moved by the mean and scaled so that the farthest is `REACH` from the origin: no difference of two coordinates leaves 16 bits,
// no squared distance 31.
import { tailMask } from './distance';
import { OUTSIDE } from './graph';

/** As the longest point has it, before rounding. */
const REACH: f32 = 16383;

// @ts-ignore: decorator
@inline
function square(x: v128, y: v128): v128 {
  const difference = i16x8.sub(x, y);
  return i32x4.dot_i16x8_s(difference, difference);
}

/** Squared distances of the point `q` to the points `a`..`d`, each of `lanes` numbers, a multiple of 8. */
// @ts-ignore: decorator
@inline
export function gridx4(q: usize, a: usize, b: usize, c: usize, d: usize, lanes: u32): v128 {
  let a0 = i32x4.splat(0), b0 = a0, c0 = a0, d0 = a0;
  const end16 = q + ((lanes & ~15) << 1);
  while (q < end16) {
    const x = v128.load(q), y = v128.load(q, 16);
    a0 = i32x4.add(a0, square(v128.load(a), x));
    b0 = i32x4.add(b0, square(v128.load(b), x));
    c0 = i32x4.add(c0, square(v128.load(c), x));
    d0 = i32x4.add(d0, square(v128.load(d), x));
    a0 = i32x4.add(a0, square(v128.load(a, 16), y));
    b0 = i32x4.add(b0, square(v128.load(b, 16), y));
    c0 = i32x4.add(c0, square(v128.load(c, 16), y));
    d0 = i32x4.add(d0, square(v128.load(d, 16), y));
    q += 32; a += 32; b += 32; c += 32; d += 32;
  }
  if (lanes & 8) {
    const x = v128.load(q);
    a0 = i32x4.add(a0, square(v128.load(a), x));
    b0 = i32x4.add(b0, square(v128.load(b), x));
    c0 = i32x4.add(c0, square(v128.load(c), x));
    d0 = i32x4.add(d0, square(v128.load(d), x));
  }
  const ab = i32x4.add(v128.shuffle<i32>(a0, b0, 0, 4, 1, 5), v128.shuffle<i32>(a0, b0, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c0, d0, 0, 4, 1, 5), v128.shuffle<i32>(c0, d0, 2, 6, 3, 7));
  return f32x4.convert_i32x4_s(i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7)));
}

/** What a row's floats are multiplied with before anything else. */
// @ts-ignore: decorator
@inline
function lengthFactor(row: u32, inverses: usize): f32 {
  return inverses == 0 ? 1 : load<f32>(inverses + (<usize>row << 2));
}

/** Four floats of a row from number `i` on; those behind its end are 0. */
// @ts-ignore: decorator
@inline
function four(at: usize, i: u32, dim: u32): v128 {
  const floats = v128.load(at + (<usize>i << 2));
  return dim - i >= 4 ? floats : v128.and(floats, tailMask(dim));
}

/**
 * Adds rows [from, to) that are in the graph to `mean`, `dim + 1` floats with room for three more, each weighed with `weight`.
 * `inverses`: 0 or a factor a row; `heights`: 0 or the last coordinate of each.
 */
export function addToMean(
  vectors: usize, dim: u32, from: u32, to: u32, levels: usize, inverses: usize, heights: usize, weight: f32, mean: usize,
): void {
  for (let row = from; row < to; row++) {
    if (load<u8>(levels + <usize>row) == OUTSIDE) continue;
    const at = vectors + <usize>row * (<usize>dim << 2);
    const factor = f32x4.splat(lengthFactor(row, inverses) * weight);
    for (let i: u32 = 0; i < dim; i += 4) {
      const sum = mean + (<usize>i << 2);
      v128.store(sum, f32x4.add(v128.load(sum), f32x4.mul(four(at, i, dim), factor)));
    }
    if (heights == 0) continue;
    const sum = mean + (<usize>dim << 2);
    store<f32>(sum, load<f32>(sum) + load<f32>(heights + (<usize>row << 2)) * weight);
  }
}

/** The largest squared distance of those rows from `mean`. */
export function farthest(
  vectors: usize, dim: u32, from: u32, to: u32, levels: usize, inverses: usize, heights: usize, mean: usize,
): f32 {
  let most: f32 = 0;
  for (let row = from; row < to; row++) {
    if (load<u8>(levels + <usize>row) == OUTSIDE) continue;
    const at = vectors + <usize>row * (<usize>dim << 2);
    const factor = f32x4.splat(lengthFactor(row, inverses));
    let sums = f32x4.splat(0);
    for (let i: u32 = 0; i < dim; i += 4) {
      const x = f32x4.sub(f32x4.mul(four(at, i, dim), factor), four(mean, i, dim));
      sums = f32x4.add(sums, f32x4.mul(x, x));
    }
    let sum = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3);
    if (heights != 0) {
      const x = load<f32>(heights + (<usize>row << 2)) - load<f32>(mean + (<usize>dim << 2));
      sum += x * x;
    }
    most = max(most, sum);
  }
  return most;
}

/**
 * Writes the points of places [from, to), `lanes` numbers each, room for `dim` and a height. `rows`: the row of each place, or 0 for
 * those of the same number. The point of a row that is not in the graph is the origin.
 */
export function writeGrid(
  vectors: usize, dim: u32, from: u32, to: u32, rows: usize, levels: usize, inverses: usize, heights: usize, mean: usize,
  reach: f32, grid: usize, lanes: u32,
): void {
  const scale = REACH / reach;
  for (let place = from; place < to; place++) {
    const row = rows == 0 ? place : load<u32>(rows + (<usize>place << 2));
    const point = grid + <usize>place * (<usize>lanes << 1);
    memory.fill(point, 0, <usize>lanes << 1);
    if (load<u8>(levels + <usize>row) == OUTSIDE) continue;
    const at = vectors + <usize>row * (<usize>dim << 2);
    const factor = f32x4.splat(lengthFactor(row, inverses));
    for (let i: u32 = 0; i < dim; i += 4) {
      const x = f32x4.sub(f32x4.mul(four(at, i, dim), factor), four(mean, i, dim));
      const whole = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x, f32x4.splat(scale))));
      v128.store64_lane(point + (<usize>i << 1), i16x8.narrow_i32x4_s(whole, whole), 0);
    }
    if (heights == 0) continue;
    const x = load<f32>(heights + (<usize>row << 2)) - load<f32>(mean + (<usize>dim << 2));
    store<i16>(point + (<usize>dim << 1), <i16>nearest(x * scale));
  }
}

/** For each point [from, to) of the grid the number of the nearest of `count` others, a multiple of 4, at `nearests`; the first of equal ones. */
export function nearestPivots(grid: usize, lanes: u32, from: u32, to: u32, pivots: usize, count: u32, nearests: usize): void {
  const stride = <usize>lanes << 1;
  for (let place = from; place < to; place++, nearests += 4) {
    const point = grid + <usize>place * stride;
    let best: f32 = Infinity;
    let nearest: u32 = 0;
    for (let i: u32 = 0; i < count; i += 4) {
      const a = pivots + <usize>i * stride;
      const keys = gridx4(point, a, a + stride, a + 2 * stride, a + 3 * stride, lanes);
      if (!v128.any_true(f32x4.lt(keys, f32x4.splat(best)))) continue;
      const k0 = f32x4.extract_lane(keys, 0), k1 = f32x4.extract_lane(keys, 1), k2 = f32x4.extract_lane(keys, 2), k3 = f32x4.extract_lane(keys, 3);
      if (k0 < best) { best = k0; nearest = i; }
      if (k1 < best) { best = k1; nearest = i + 1; }
      if (k2 < best) { best = k2; nearest = i + 2; }
      if (k3 < best) { best = k3; nearest = i + 3; }
    }
    store<u32>(nearests, nearest);
  }
}
