// Distances of bit vectors and their exact scan. Reads up to 15 bytes behind a row; the masked ones are ignored.
import { begin, offerBelow, scanned } from './flat';

/** As `BinaryMetric` and the width of its elements are numbered. */
const HAMMING: u32 = 0;
const JACCARD: u32 = 1;
const ELEMENTS_8: u32 = 2;
const ELEMENTS_16: u32 = 3;
const ELEMENTS_32: u32 = 4;

// @ts-ignore: decorator
@inline
function tailBytes(bytes: u32): v128 {
  return i8x16.lt_s(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>(bytes & 15)));
}

// Sixteen-bit sums hold the bits of 65,520 bytes; a vector has at most 32,768.
// @ts-ignore: decorator
@inline
function addBits(sums: v128, bits: v128): v128 {
  return i16x8.add(sums, i16x8.extadd_pairwise_i8x16_u(i8x16.popcnt(bits)));
}

// @ts-ignore: decorator
@inline
function total(sums: v128): u32 {
  const four = i32x4.extadd_pairwise_i16x8_u(sums);
  return i32x4.extract_lane(four, 0) + i32x4.extract_lane(four, 1) + i32x4.extract_lane(four, 2) + i32x4.extract_lane(four, 3);
}

// @ts-ignore: decorator
@inline
function hamming(a: usize, b: usize, bytes: u32): f32 {
  let sums = i16x8.splat(0);
  const end = a + (bytes & ~15);
  for (; a < end; a += 16, b += 16) sums = addBits(sums, v128.xor(v128.load(a), v128.load(b)));
  if (bytes & 15) sums = addBits(sums, v128.and(tailBytes(bytes), v128.xor(v128.load(a), v128.load(b))));
  return <f32>total(sums);
}

/** 1 - |a and b| / |a or b|; 1 when both are empty. */
// @ts-ignore: decorator
@inline
function jaccard(a: usize, b: usize, bytes: u32): f32 {
  let both = i16x8.splat(0), either = both;
  const end = a + (bytes & ~15);
  for (; a < end; a += 16, b += 16) {
    const x = v128.load(a), y = v128.load(b);
    both = addBits(both, v128.and(x, y));
    either = addBits(either, v128.or(x, y));
  }
  if (bytes & 15) {
    const mask = tailBytes(bytes);
    const x = v128.and(mask, v128.load(a)), y = v128.and(mask, v128.load(b));
    both = addBits(both, v128.and(x, y));
    either = addBits(either, v128.or(x, y));
  }
  const all = total(either);
  return all == 0 ? 1 : <f32>(all - total(both)) / <f32>all;
}

/** The share of elements that differ, for elements of 1, 2, 4 or 8 bytes. */
function elements(kind: u32, a: usize, b: usize, bytes: u32): f32 {
  let equal: u32 = 0;
  const shift = kind - ELEMENTS_8;
  const end = a + (bytes & ~15);
  for (; a < end; a += 16, b += 16) equal += equalLanes(kind, v128.load(a), v128.load(b));
  if (bytes & 15) {
    // The lanes behind the end must not be equal.
    const mask = tailBytes(bytes);
    equal += equalLanes(kind, v128.and(mask, v128.load(a)), v128.or(v128.and(mask, v128.load(b)), v128.not(mask)));
  }
  const count = bytes >> shift;
  return <f32>(count - equal) / <f32>count;
}

function equalLanes(kind: u32, x: v128, y: v128): u32 {
  if (kind == ELEMENTS_8) return popcnt(i8x16.bitmask(i8x16.eq(x, y)));
  if (kind == ELEMENTS_16) return popcnt(i16x8.bitmask(i16x8.eq(x, y)));
  if (kind == ELEMENTS_32) return popcnt(i32x4.bitmask(i32x4.eq(x, y)));
  return popcnt(i64x2.bitmask(i64x2.eq(x, y)));
}

/** Distance of two vectors of `bytes` bytes. */
// @ts-ignore: decorator
@inline
export function bitKey(kind: u32, a: usize, b: usize, bytes: u32): f32 {
  if (kind == HAMMING) return hamming(a, b, bytes);
  if (kind == JACCARD) return jaccard(a, b, bytes);
  return elements(kind, a, b, bytes);
}

/** As `scan` in flat.ts, over rows of `bytes` bytes. */
export function scanBits(
  kind: u32, vectors: usize, bytes: u32, from: u32, to: u32, allowed: usize,
  query: usize, heap: usize, k: u32, size: u32, innerKey: f32, outerKey: f32,
): u32 {
  begin(heap, k, size, innerKey, outerKey);
  if (allowed == 0) {
    let at = vectors + <usize>from * bytes;
    for (let row = from; row < to; row++, at += bytes) offerBelow(bitKey(kind, at, query, bytes), row);
    return scanned();
  }
  for (let base = from & ~31; base < to; base += 32) {
    let word = load<u32>(allowed + (<usize>(base >> 5) << 2));
    if (base < from) word &= <u32>-1 << (from - base);
    if (to - base < 32) word &= ~(<u32>-1 << (to - base));
    for (; word != 0; word &= word - 1) {
      const row = base + ctz(word);
      offerBelow(bitKey(kind, vectors + <usize>row * bytes, query, bytes), row);
    }
  }
  return scanned();
}
