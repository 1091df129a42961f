// Distances of one vector to four rows at once. Every row is summed in the same order wherever it is computed
// (scan, graph, remainders), so that a score never depends on how the work was cut.
// Reads up to 12 bytes behind the last row; the masked lanes are ignored. The arena keeps slack at the end of a memory.

/** Lanes of the last, partial group of four that belong to the row. */
// @ts-ignore: decorator
@inline
export function tailMask(dim: u32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(<i32>(dim & 3)));
}

// @ts-ignore: decorator
@inline
function sum4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

// @ts-ignore: decorator
@inline
function square(x: v128, y: v128): v128 {
  const difference = f32x4.sub(x, y);
  return f32x4.mul(difference, difference);
}

/** Squared Euclidean distances of `q` to rows `a`..`d`. */
export function l2x4(q: usize, a: usize, b: usize, c: usize, d: usize, dim: u32): v128 {
  let a0 = f32x4.splat(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
  const end8 = q + ((dim & ~7) << 2);
  while (q < end8) {
    const x = v128.load(q);
    const y = v128.load(q, 16);
    a0 = f32x4.add(a0, square(v128.load(a), x));
    b0 = f32x4.add(b0, square(v128.load(b), x));
    c0 = f32x4.add(c0, square(v128.load(c), x));
    d0 = f32x4.add(d0, square(v128.load(d), x));
    a1 = f32x4.add(a1, square(v128.load(a, 16), y));
    b1 = f32x4.add(b1, square(v128.load(b, 16), y));
    c1 = f32x4.add(c1, square(v128.load(c, 16), y));
    d1 = f32x4.add(d1, square(v128.load(d, 16), y));
    q += 32; a += 32; b += 32; c += 32; d += 32;
  }
  if (dim & 4) {
    const x = v128.load(q);
    a0 = f32x4.add(a0, square(v128.load(a), x));
    b0 = f32x4.add(b0, square(v128.load(b), x));
    c0 = f32x4.add(c0, square(v128.load(c), x));
    d0 = f32x4.add(d0, square(v128.load(d), x));
    q += 16; a += 16; b += 16; c += 16; d += 16;
  }
  if (dim & 3) {
    const mask = tailMask(dim);
    const x = v128.load(q);
    a1 = f32x4.add(a1, v128.and(mask, square(v128.load(a), x)));
    b1 = f32x4.add(b1, v128.and(mask, square(v128.load(b), x)));
    c1 = f32x4.add(c1, v128.and(mask, square(v128.load(c), x)));
    d1 = f32x4.add(d1, v128.and(mask, square(v128.load(d), x)));
  }
  return sum4(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1));
}

/** Dot products of `q` with rows `a`..`d`. */
export function dotx4(q: usize, a: usize, b: usize, c: usize, d: usize, dim: u32): v128 {
  let a0 = f32x4.splat(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
  const end8 = q + ((dim & ~7) << 2);
  while (q < end8) {
    const x = v128.load(q);
    const y = v128.load(q, 16);
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a), x));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b), x));
    c0 = f32x4.add(c0, f32x4.mul(v128.load(c), x));
    d0 = f32x4.add(d0, f32x4.mul(v128.load(d), x));
    a1 = f32x4.add(a1, f32x4.mul(v128.load(a, 16), y));
    b1 = f32x4.add(b1, f32x4.mul(v128.load(b, 16), y));
    c1 = f32x4.add(c1, f32x4.mul(v128.load(c, 16), y));
    d1 = f32x4.add(d1, f32x4.mul(v128.load(d, 16), y));
    q += 32; a += 32; b += 32; c += 32; d += 32;
  }
  if (dim & 4) {
    const x = v128.load(q);
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a), x));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b), x));
    c0 = f32x4.add(c0, f32x4.mul(v128.load(c), x));
    d0 = f32x4.add(d0, f32x4.mul(v128.load(d), x));
    q += 16; a += 16; b += 16; c += 16; d += 16;
  }
  if (dim & 3) {
    const mask = tailMask(dim);
    const x = v128.load(q);
    a1 = f32x4.add(a1, v128.and(mask, f32x4.mul(v128.load(a), x)));
    b1 = f32x4.add(b1, v128.and(mask, f32x4.mul(v128.load(b), x)));
    c1 = f32x4.add(c1, v128.and(mask, f32x4.mul(v128.load(c), x)));
    d1 = f32x4.add(d1, v128.and(mask, f32x4.mul(v128.load(d), x)));
  }
  return sum4(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1));
}

/** 1 / sqrt of squared norms; 0 where the norm is 0, so that a zero vector is similar to nothing. */
// @ts-ignore: decorator
@inline
export function inverseNorms(squares: v128): v128 {
  const zero = f32x4.splat(0);
  return v128.and(f32x4.div(f32x4.splat(1), f32x4.sqrt(squares)), f32x4.ne(squares, zero));
}

// Two rows at once: a scan reads two far apart streams in strict order, which memory delivers faster than one or four.
// A scan is bound by the number of instructions: sixteen floats a turn, and inlined into its loop. Eight a turn for cosines,
// whose sums take all registers.

// @ts-ignore: decorator
@inline
function sum2(a: v128, b: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  return f32x4.add(ab, v128.shuffle<f32>(ab, ab, 2, 3, 2, 3));
}

/** Squared Euclidean distances of `q` to rows `a` and `b`, in lanes 0 and 1. */
// @ts-ignore: decorator
@inline
export function l2x2(q: usize, a: usize, b: usize, dim: u32): v128 {
  let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0;
  const end16 = q + ((dim & ~15) << 2);
  while (q < end16) {
    const x = v128.load(q), y = v128.load(q, 16), z = v128.load(q, 32), w = v128.load(q, 48);
    a0 = f32x4.add(a0, square(v128.load(a), x));
    a1 = f32x4.add(a1, square(v128.load(a, 16), y));
    b0 = f32x4.add(b0, square(v128.load(b), x));
    b1 = f32x4.add(b1, square(v128.load(b, 16), y));
    a0 = f32x4.add(a0, square(v128.load(a, 32), z));
    a1 = f32x4.add(a1, square(v128.load(a, 48), w));
    b0 = f32x4.add(b0, square(v128.load(b, 32), z));
    b1 = f32x4.add(b1, square(v128.load(b, 48), w));
    q += 64; a += 64; b += 64;
  }
  if (dim & 8) {
    const x = v128.load(q);
    const y = v128.load(q, 16);
    a0 = f32x4.add(a0, square(v128.load(a), x));
    a1 = f32x4.add(a1, square(v128.load(a, 16), y));
    b0 = f32x4.add(b0, square(v128.load(b), x));
    b1 = f32x4.add(b1, square(v128.load(b, 16), y));
    q += 32; a += 32; b += 32;
  }
  if (dim & 4) {
    const x = v128.load(q);
    a0 = f32x4.add(a0, square(v128.load(a), x));
    b0 = f32x4.add(b0, square(v128.load(b), x));
    q += 16; a += 16; b += 16;
  }
  if (dim & 3) {
    const mask = tailMask(dim);
    const x = v128.load(q);
    a1 = f32x4.add(a1, v128.and(mask, square(v128.load(a), x)));
    b1 = f32x4.add(b1, v128.and(mask, square(v128.load(b), x)));
  }
  return sum2(f32x4.add(a0, a1), f32x4.add(b0, b1));
}

/** Dot products of `q` with rows `a` and `b`, in lanes 0 and 1. */
// @ts-ignore: decorator
@inline
export function dotx2(q: usize, a: usize, b: usize, dim: u32): v128 {
  let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0;
  const end16 = q + ((dim & ~15) << 2);
  while (q < end16) {
    const x = v128.load(q), y = v128.load(q, 16), z = v128.load(q, 32), w = v128.load(q, 48);
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a), x));
    a1 = f32x4.add(a1, f32x4.mul(v128.load(a, 16), y));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b), x));
    b1 = f32x4.add(b1, f32x4.mul(v128.load(b, 16), y));
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a, 32), z));
    a1 = f32x4.add(a1, f32x4.mul(v128.load(a, 48), w));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b, 32), z));
    b1 = f32x4.add(b1, f32x4.mul(v128.load(b, 48), w));
    q += 64; a += 64; b += 64;
  }
  if (dim & 8) {
    const x = v128.load(q);
    const y = v128.load(q, 16);
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a), x));
    a1 = f32x4.add(a1, f32x4.mul(v128.load(a, 16), y));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b), x));
    b1 = f32x4.add(b1, f32x4.mul(v128.load(b, 16), y));
    q += 32; a += 32; b += 32;
  }
  if (dim & 4) {
    const x = v128.load(q);
    a0 = f32x4.add(a0, f32x4.mul(v128.load(a), x));
    b0 = f32x4.add(b0, f32x4.mul(v128.load(b), x));
    q += 16; a += 16; b += 16;
  }
  if (dim & 3) {
    const mask = tailMask(dim);
    const x = v128.load(q);
    a1 = f32x4.add(a1, v128.and(mask, f32x4.mul(v128.load(a), x)));
    b1 = f32x4.add(b1, v128.and(mask, f32x4.mul(v128.load(b), x)));
  }
  return sum2(f32x4.add(a0, a1), f32x4.add(b0, b1));
}

/** Cosines in lanes 0 and 1: `dotx2` times `inverseQuery` over the rows' norms, which are summed in the same pass over memory. */
export function cosx2(q: usize, a: usize, b: usize, dim: u32, inverseQuery: f32): v128 {
  let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, na = a0, nb = a0, ma = a0, mb = a0;
  const end8 = q + ((dim & ~7) << 2);
  while (q < end8) {
    const x = v128.load(q), y = v128.load(q, 16);
    const v = v128.load(a), w = v128.load(a, 16);
    a0 = f32x4.add(a0, f32x4.mul(v, x));
    a1 = f32x4.add(a1, f32x4.mul(w, y));
    na = f32x4.add(na, f32x4.mul(v, v));
    ma = f32x4.add(ma, f32x4.mul(w, w));
    const t = v128.load(b), u = v128.load(b, 16);
    b0 = f32x4.add(b0, f32x4.mul(t, x));
    b1 = f32x4.add(b1, f32x4.mul(u, y));
    nb = f32x4.add(nb, f32x4.mul(t, t));
    mb = f32x4.add(mb, f32x4.mul(u, u));
    q += 32; a += 32; b += 32;
  }
  if (dim & 4) {
    const x = v128.load(q), v = v128.load(a), t = v128.load(b);
    a0 = f32x4.add(a0, f32x4.mul(v, x));
    na = f32x4.add(na, f32x4.mul(v, v));
    b0 = f32x4.add(b0, f32x4.mul(t, x));
    nb = f32x4.add(nb, f32x4.mul(t, t));
    q += 16; a += 16; b += 16;
  }
  if (dim & 3) {
    const mask = tailMask(dim);
    const x = v128.and(mask, v128.load(q)), v = v128.and(mask, v128.load(a)), t = v128.and(mask, v128.load(b));
    a1 = f32x4.add(a1, f32x4.mul(v, x));
    ma = f32x4.add(ma, f32x4.mul(v, v));
    b1 = f32x4.add(b1, f32x4.mul(t, x));
    mb = f32x4.add(mb, f32x4.mul(t, t));
  }
  const dots = sum2(f32x4.add(a0, a1), f32x4.add(b0, b1));
  const norms = sum2(f32x4.add(na, ma), f32x4.add(nb, mb));
  return f32x4.mul(f32x4.mul(dots, f32x4.splat(inverseQuery)), inverseNorms(norms));
}
