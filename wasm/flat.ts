// Exact scan of contiguous rows.
import { cosx2, dotx2, inverseNorms, l2x2 } from './distance';
import { keyOf, pack, pushMax, replaceMax, rowOf, sortMax } from './heap';

/** 1 / |row| of every row, or 0: COSINE then sums the norms with the products, which takes the same sums but longer. */
let rowNorms: usize = 0;

/**
 * Ascending keys of rows `a` and `b`, which lie at `atA` and `atB`: squared distance for L2 (0), negated similarity for IP (1)
 * and COSINE (2).
 */
// @ts-ignore: decorator
@inline
function keys2(metric: u32, q: usize, atA: usize, atB: usize, a: u32, b: u32, dim: u32, inverseQuery: f32): v128 {
  if (metric == 0) return l2x2(q, atA, atB, dim);
  let similarity: v128;
  if (metric == 2 && rowNorms == 0) similarity = cosx2(q, atA, atB, dim, inverseQuery);
  else {
    similarity = dotx2(q, atA, atB, dim);
    if (metric == 2) {
      const norms = v128.load32_lane(rowNorms + (<usize>b << 2), v128.load32_zero(rowNorms + (<usize>a << 2)), 1);
      similarity = f32x4.mul(f32x4.mul(similarity, f32x4.splat(inverseQuery)), norms);
    }
  }
  return f32x4.sub(f32x4.splat(0), similarity);
}

/** `keys2` as a call, where the rows are too few or too far apart for its size to pay. */
function keysOf2(metric: u32, q: usize, atA: usize, atB: usize, a: u32, b: u32, dim: u32, inverseQuery: f32): v128 {
  return keys2(metric, q, atA, atB, a, b, dim, inverseQuery);
}

/** `keys2` of items `a` and `b`; `norms` as in `scan`. */
export function pairKeys(
  metric: u32, q: usize, atA: usize, atB: usize, a: u32, b: u32, dim: u32, inverseQuery: f32, norms: usize,
): v128 {
  rowNorms = norms;
  return keysOf2(metric, q, atA, atB, a, b, dim, inverseQuery);
}

/** 1 / |vector|, 0 for a zero vector. */
export function inverseNorm(vector: usize, dim: u32): f32 {
  return f32x4.extract_lane(inverseNorms(dotx2(vector, vector, vector, dim)), 0);
}

/** Puts 1 / |row| for every row into `norms`. */
export function writeInverseNorms(vectors: usize, dim: u32, rowCount: u32, norms: usize): void {
  const stride = <usize>dim << 2;
  for (let row: u32 = 0; row < rowCount; row++)
    store<f32>(norms + (<usize>row << 2), inverseNorm(vectors + <usize>row * stride, dim));
}

let heapAt: usize = 0;
let heapSize: u32 = 0;
let heapLimit: u32 = 0;
/** No key above this one is wanted. Never NaN, so that a NaN is never wanted. */
let worst: f32 = 0;
let inner: f32 = 0;
let outer: f32 = 0;
/** Bitset that `offer` asks, or 0: distances of rows that do not count are cheaper than holes in a dense run. */
let asked: usize = 0;

/** Makes ready for `offer`. */
export function begin(heap: usize, k: u32, size: u32, innerKey: f32, outerKey: f32): void {
  heapAt = heap;
  heapSize = size;
  heapLimit = k;
  inner = innerKey;
  outer = outerKey;
  asked = 0;
  worst = size == k ? keyOf(load<u64>(heap)) : outerKey;
}

/** Entries of the heap. */
// @ts-ignore: decorator
@inline
export function scanned(): u32 {
  return heapSize;
}

// @ts-ignore: decorator
@inline
export function offerBelow(key: f32, row: u32): void {
  if (key <= worst) offer(key, row);
}

/** Only keys in [inner, outer) count; a NaN is in no interval. Among equal keys the smaller row wins, whatever comes first. */
function offer(key: f32, row: u32): void {
  if (!(key < outer && key >= inner)) return;
  if (asked != 0 && !((load<u32>(asked + (<usize>(row >> 5) << 2)) >> (row & 31)) & 1)) return;
  const entry = pack(key, row);
  if (heapSize < heapLimit) {
    pushMax(heapAt, heapSize++, entry);
    if (heapSize < heapLimit) return;
  } else if (entry < load<u64>(heapAt)) replaceMax(heapAt, heapSize, entry);
  worst = keyOf(load<u64>(heapAt));
}

// @ts-ignore: decorator
@inline
function offer2(keys: v128, a: u32, b: u32): void {
  const wanted = i32x4.bitmask(f32x4.le(keys, f32x4.splat(worst)));
  if (wanted & 3) {
    if (wanted & 1) offer(f32x4.extract_lane(keys, 0), a);
    if (wanted & 2) offer(f32x4.extract_lane(keys, 1), b);
  }
}

/**
 * Adds rows [from, to) to the `size` entries of a heap of at most `k`, and returns its new size.
 * `allowed`: bitset of rows, 0 for all; `list`: room for 1024 rows, used with `allowed`. `norms`: for COSINE 1 / |row| of
 * every row, 0 when not at hand.
 */
export function scan(
  metric: u32, vectors: usize, norms: usize, dim: u32, from: u32, to: u32, allowed: usize, list: usize,
  query: usize, inverseQuery: f32, heap: usize, k: u32, size: u32, innerKey: f32, outerKey: f32,
): u32 {
  rowNorms = norms;
  begin(heap, k, size, innerKey, outerKey);
  if (allowed == 0) scanAll(metric, vectors, dim, from, to, query, inverseQuery);
  else
    for (let start = from; start < to; ) {
      const end = min(to, (start & ~1023) + 1024);
      scanAllowed(metric, vectors, dim, start, end, allowed, list, query, inverseQuery);
      start = end;
    }
  return heapSize;
}

function scanAll(metric: u32, vectors: usize, dim: u32, from: u32, to: u32, query: usize, inverseQuery: f32): void {
  const stride = <usize>dim << 2;
  const half = (to - from) >> 1;
  let a = vectors + <usize>from * stride;
  let b = a + <usize>half * stride;
  const end = from + half;
  for (let row = from; row < end; row++, a += stride, b += stride)
    offer2(keys2(metric, query, a, b, row, row + half, dim, inverseQuery), row, row + half);
  if (end + half < to) offer(f32x4.extract_lane(keysOf2(metric, query, b, b, to - 1, to - 1, dim, inverseQuery), 0), to - 1);
}

function scanAllowed(
  metric: u32, vectors: usize, dim: u32, from: u32, to: u32, allowed: usize, list: usize, query: usize, inverseQuery: f32,
): void {
  const stride = <usize>dim << 2;
  let count: u32 = 0;
  for (let base = from & ~31; base < to; base += 32) count += popcnt(load<u32>(allowed + (<usize>(base >> 5) << 2)));
  if (count * 4 > to - from) {
    asked = allowed;
    scanAll(metric, vectors, dim, from, to, query, inverseQuery);
    asked = 0;
    return;
  }
  count = 0;
  for (let base = from & ~31; base < to; base += 32) {
    let word = load<u32>(allowed + (<usize>(base >> 5) << 2));
    if (base < from) word &= <u32>-1 << (from - base);
    if (to - base < 32) word &= ~(<u32>-1 << (to - base));
    for (; word != 0; word &= word - 1, count++) store<u32>(list + (<usize>count << 2), base + ctz(word));
  }
  const half = count >> 1;
  for (let i: u32 = 0; i < half; i++) {
    const a = load<u32>(list + (<usize>i << 2));
    const b = load<u32>(list + (<usize>(i + half) << 2));
    const keys = keysOf2(metric, query, vectors + <usize>a * stride, vectors + <usize>b * stride, a, b, dim, inverseQuery);
    offer2(keys, a, b);
  }
  if (count & 1) {
    const row = load<u32>(list + (<usize>(count - 1) << 2));
    const at = vectors + <usize>row * stride;
    offer(f32x4.extract_lane(keysOf2(metric, query, at, at, row, row, dim, inverseQuery), 0), row);
  }
}

/** Sorts the heap and writes rows and ascending keys. */
export function drain(heap: usize, size: u32, rows: usize, keys: usize): void {
  sortMax(heap, size);
  for (let i: u32 = 0; i < size; i++) {
    const entry = load<u64>(heap + (<usize>i << 3));
    store<u32>(rows + (<usize>i << 2), rowOf(entry));
    store<f32>(keys + (<usize>i << 2), keyOf(entry));
  }
}

/** A read-only pass over two halves of a range at once: what memory can deliver. Returns the xor of all words. */
export function readPass(at: usize, bytes: usize): u32 {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  const half = (bytes >> 1) & ~31;
  for (const end = at + half; at < end; at += 32) {
    a = v128.xor(a, v128.load(at));
    b = v128.xor(b, v128.load(at, 16));
    c = v128.xor(c, v128.load(at + half));
    d = v128.xor(d, v128.load(at + half, 16));
  }
  const all = v128.xor(v128.xor(a, b), v128.xor(c, d));
  return i32x4.extract_lane(all, 0) ^ i32x4.extract_lane(all, 1) ^ i32x4.extract_lane(all, 2) ^ i32x4.extract_lane(all, 3);
}
