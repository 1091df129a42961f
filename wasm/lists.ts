// Rows that hold several vectors each.
import { bitKey } from './bits';
import { begin, offerBelow, pairKeys, scanned } from './flat';

/**
 * Adds to `sums`, one float a row, the lowest key that `query` has with an item of the row. Row `i` holds the items
 * `ends[i - 1]` to `ends[i]` behind `items`, row 0 those from 0 on. A row without items becomes NaN: nothing is nearest to it.
 * `dim`: floats of an item. `norms`: for COSINE 1 / |item| of every item.
 */
export function addBestKeys(
  metric: u32, items: usize, norms: usize, dim: u32, ends: usize, rowCount: u32, query: usize, inverseQuery: f32, sums: usize,
): void {
  const stride = <usize>dim << 2;
  let item: u32 = 0;
  for (let row: u32 = 0; row < rowCount; row++) {
    const end = load<u32>(ends + (<usize>row << 2));
    let best: f32 = item == end ? NaN : Infinity;
    for (; item < end; item += 2) {
      const a = items + <usize>item * stride;
      const next = item + 1 < end ? item + 1 : item;
      const b = items + <usize>next * stride;
      const keys = pairKeys(metric, query, a, b, item, next, dim, inverseQuery, norms);
      best = min(best, min(f32x4.extract_lane(keys, 0), f32x4.extract_lane(keys, 1)));
    }
    item = end;
    const sum = sums + (<usize>row << 2);
    store<f32>(sum, load<f32>(sum) + best);
  }
}

/** The same for bit vectors of `bytes` bytes. */
export function addBestBitKeys(kind: u32, items: usize, bytes: u32, ends: usize, rowCount: u32, query: usize, sums: usize): void {
  let item: u32 = 0;
  for (let row: u32 = 0; row < rowCount; row++) {
    const end = load<u32>(ends + (<usize>row << 2));
    let best: f32 = item == end ? NaN : Infinity;
    for (; item < end; item++) best = min(best, bitKey(kind, items + <usize>item * bytes, query, bytes));
    const sum = sums + (<usize>row << 2);
    store<f32>(sum, load<f32>(sum) + best);
  }
}

/** Offers `count` keys, those of rows `first` on, to a heap as `scan` in flat.ts does. `allowed`: bitset of rows, 0 for all. */
export function offerKeys(
  keys: usize, first: u32, count: u32, allowed: usize, heap: usize, k: u32, size: u32, innerKey: f32, outerKey: f32,
): u32 {
  begin(heap, k, size, innerKey, outerKey);
  for (let i: u32 = 0; i < count; i++) {
    const row = first + i;
    if (allowed != 0 && !((load<u32>(allowed + (<usize>(row >> 5) << 2)) >> (row & 31)) & 1)) continue;
    offerBelow(load<f32>(keys + (<usize>i << 2)), row);
  }
  return scanned();
}
