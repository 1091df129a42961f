// What building and searching the graph share: the index in memory, keys of a batch of rows, the walk of one level.
// Source: Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
// World graphs", arXiv 1603.09320. Own: batches of four rows, tie order by row, identical rows kept out of the graph.
import { dotx4, l2x4 } from './distance';
import { gridx4 } from './grid';
import { keyOf, pack, popMin, pushMax, pushMin, replaceMax, rowOf } from './heap';

export const NONE: u32 = 0xffffffff;
/** Level of a row that is not in the graph: identical to an earlier one, whose chain leads to it, or not finite. */
export const OUTSIDE: u32 = 255;
/** As `metric` while building over points of the grid: `vectors` are points, `dim` their 16-bit numbers. */
export const GRID: u32 = 3;

// Offsets of the sections in this memory, and counts; `use` takes them from a table of words written by the caller.
export let vectors: usize = 0;
export let dim: u32 = 0;
export let metric: u32 = 0;
export let rowCount: u32 = 0;
export let M: u32 = 0;
export let links0: usize = 0;
export let upper: usize = 0;
export let upperRefs: usize = 0;
export let levels: usize = 0;
export let norms: usize = 0;
export let chains: usize = 0;
export let entryRow: u32 = 0;
export let maxLevel: u32 = 0;
export let visited: usize = 0;
export let candidates: usize = 0;
export let candidateLimit: u32 = 0;
export let results: usize = 0;
/** Rows of a batch and their keys: room for 2M + 8. */
export let batchRows: usize = 0;
export let batchKeys: usize = 0;
export let stride: usize = 0;

export function use(table: usize): void {
  vectors = load<u32>(table);
  dim = load<u32>(table, 4);
  metric = load<u32>(table, 8);
  rowCount = load<u32>(table, 12);
  M = load<u32>(table, 16);
  links0 = load<u32>(table, 20);
  upper = load<u32>(table, 24);
  upperRefs = load<u32>(table, 28);
  levels = load<u32>(table, 32);
  norms = load<u32>(table, 36);
  chains = load<u32>(table, 40);
  entryRow = load<u32>(table, 44);
  maxLevel = load<u32>(table, 48);
  visited = load<u32>(table, 52);
  candidates = load<u32>(table, 56);
  candidateLimit = load<u32>(table, 60);
  results = load<u32>(table, 64);
  batchRows = load<u32>(table, 68);
  batchKeys = load<u32>(table, 72);
  stride = <usize>dim << (metric == GRID ? 1 : 2);
}

/** Until the next `use`, identical rows are not found through each other: only rows of the graph are linked. */
export function ignoreChains(): void {
  chains = 0;
}

// @ts-ignore: decorator
@inline
export function vectorOf(row: u32): usize {
  return vectors + <usize>row * stride;
}

// @ts-ignore: decorator
@inline
export function levelOf(row: u32): u32 {
  return load<u8>(levels + <usize>row);
}

/** The row's number beside its vector: 1 / |row| for COSINE; while building for IP its height (see `keysOf4`); else 0. */
// @ts-ignore: decorator
@inline
export function normOf(row: u32): f32 {
  return norms == 0 ? 0 : load<f32>(norms + (<usize>row << 2));
}

// @ts-ignore: decorator
@inline
function normsOf4(a: u32, b: u32, c: u32, d: u32): v128 {
  let four = f32x4.splat(normOf(a));
  four = f32x4.replace_lane(four, 1, normOf(b));
  four = f32x4.replace_lane(four, 2, normOf(c));
  return f32x4.replace_lane(four, 3, normOf(d));
}

// @ts-ignore: decorator
@inline
export function capacityOf(level: u32): u32 {
  return level == 0 ? 2 * M : M;
}

/** The links of a row on a level it has: rows from the front, then NONE. */
// @ts-ignore: decorator
@inline
export function linksOf(row: u32, level: u32): usize {
  if (level == 0) return links0 + <usize>row * ((2 * <usize>M) << 2);
  const list = load<u32>(upperRefs + (<usize>row << 2)) + level - 1;
  return upper + <usize>list * (<usize>M << 2);
}

/**
 * Keys of four rows against a vector. Building for IP adds the product of the heights, sqrt(R^2 - |row|^2) with R the longest
 * row: one more coordinate that puts all rows on a sphere, where the greatest product is the nearest neighbour and
 * short rows have neighbours too. A query has height 0. Source: Bachrach et al., RecSys 2014. A NaN becomes +Infinity, so that every entry has an order. */
// @ts-ignore: decorator
@inline
export function keysOf4(query: usize, inverse: f32, rows: usize): v128 {
  const a = load<u32>(rows), b = load<u32>(rows, 4), c = load<u32>(rows, 8), d = load<u32>(rows, 12);
  if (metric == GRID) return gridx4(query, vectorOf(a), vectorOf(b), vectorOf(c), vectorOf(d), dim);
  let keys: v128;
  if (metric == 0) keys = l2x4(query, vectorOf(a), vectorOf(b), vectorOf(c), vectorOf(d), dim);
  else {
    keys = dotx4(query, vectorOf(a), vectorOf(b), vectorOf(c), vectorOf(d), dim);
    if (metric == 2) keys = f32x4.mul(f32x4.mul(keys, f32x4.splat(inverse)), normsOf4(a, b, c, d));
    else if (norms != 0) keys = f32x4.add(keys, f32x4.mul(f32x4.splat(inverse), normsOf4(a, b, c, d)));
    keys = f32x4.sub(f32x4.splat(0), keys);
  }
  return v128.bitselect(keys, f32x4.splat(Infinity), f32x4.eq(keys, keys));
}

/** Repeats the last of `count` rows until a whole group of four is filled. */
// @ts-ignore: decorator
@inline
export function padRows(rows: usize, count: u32): void {
  const end = rows + (<usize>count << 2);
  const last = load<u32>(end - 4);
  store<u32>(end, last);
  store<u32>(end, last, 4);
  store<u32>(end, last, 8);
}

/** Keys of the `count` rows of the batch. */
export function measure(query: usize, inverse: f32, count: u32): void {
  if (count == 0) return;
  padRows(batchRows, count);
  for (let at: usize = 0, end = <usize>count << 2; at < end; at += 16)
    v128.store(batchKeys + at, keysOf4(query, inverse, batchRows + at));
}

/** Walks greedily on every level above `to`, from `from` down; returns the entry of the row it ends at. */
export function descend(query: usize, inverse: f32, from: u32, to: u32): u64 {
  store<u32>(batchRows, entryRow);
  measure(query, inverse, 1);
  let best = pack(load<f32>(batchKeys), entryRow);
  for (let level = from; level > to; level--) {
    for (;;) {
      const list = linksOf(rowOf(best), level);
      let count: u32 = 0;
      for (; count < M; count++) {
        const row = load<u32>(list + (<usize>count << 2));
        if (row == NONE) break;
        store<u32>(batchRows + (<usize>count << 2), row);
      }
      measure(query, inverse, count);
      const before = best;
      for (let i: u32 = 0; i < count; i++) {
        const entry = pack(load<f32>(batchKeys + (<usize>i << 2)), load<u32>(batchRows + (<usize>i << 2)));
        if (entry < best) best = entry;
      }
      if (best == before) break;
    }
  }
  return best;
}

/** Puts the links of `row` that were not seen before into the batch, marks them, and returns their number. */
// @ts-ignore: decorator
@inline
function gather(row: u32, level: u32, capacity: u32): u32 {
  let count: u32 = 0;
  let list = linksOf(row, level);
  for (const end = list + (<usize>capacity << 2); list < end; list += 4) {
    const next = load<u32>(list);
    if (next == NONE) break;
    const word = visited + (<usize>(next >> 5) << 2);
    const bits = load<u32>(word);
    const bit = <u32>1 << (next & 31);
    store<u32>(batchRows + (<usize>count << 2), next);
    store<u32>(word, bits | bit);
    count += <u32>((bits & bit) == 0);
  }
  return count;
}

export let resultCount: u32 = 0;
let width: u32 = 0;
let filter: usize = 0;
let innerKey: f32 = 0;

// @ts-ignore: decorator
@inline
function keep(entry: u64): void {
  if (resultCount < width) pushMax(results, resultCount++, entry);
  else if (entry < load<u64>(results)) replaceMax(results, width, entry);
}

// @ts-ignore: decorator
@inline
function counts(row: u32): bool {
  return filter == 0 || ((load<u32>(filter + (<usize>(row >> 5) << 2)) >> (row & 31)) & 1) != 0;
}

/** Takes a row, and all rows identical to it, into the results where they count. */
function accept(key: f32, row: u32): void {
  if (!(key >= innerKey)) return;
  if (counts(row)) keep(pack(key, row));
  if (chains == 0) return;
  for (let next = load<u32>(chains + (<usize>row << 2)); next != NONE; next = load<u32>(chains + (<usize>next << 2)))
    if (counts(next)) keep(pack(key, next));
}

/**
 * The `ef` nearest rows of a level reached from `start`, left as a heap in `results` with its size in `resultCount`.
 * `allowed` (0 for all) and `inner` choose what counts as a result; the walk goes through every row.
 * False: more than `budget` keys or more candidates than there is room for would have been needed.
 */
export function walk(
  query: usize, inverse: f32, start: u64, level: u32, ef: u32, allowed: usize, inner: f32, budget: u32,
): bool {
  memory.fill(visited, 0, <usize>((rowCount + 31) >> 5) << 2);
  width = ef;
  filter = allowed;
  innerKey = inner;
  resultCount = 0;
  const capacity = capacityOf(level);
  const first = rowOf(start);
  store<u32>(visited + (<usize>(first >> 5) << 2), <u32>1 << (first & 31));
  store<u64>(candidates, start);
  let waiting: u32 = 1;
  accept(keyOf(start), first);
  while (waiting > 0) {
    const nearest = load<u64>(candidates);
    if (resultCount == width && nearest > load<u64>(results)) break;
    popMin(candidates, waiting--);
    const count = gather(rowOf(nearest), level, capacity);
    if (count > budget || waiting + count > candidateLimit) return false;
    budget -= count;
    measure(query, inverse, count);
    for (let i: u32 = 0; i < count; i++) {
      const row = load<u32>(batchRows + (<usize>i << 2));
      const key = load<f32>(batchKeys + (<usize>i << 2));
      const entry = pack(key, row);
      if (resultCount < width || entry < load<u64>(results)) {
        pushMin(candidates, waiting++, entry);
        accept(key, row);
      }
    }
  }
  return true;
}

/** Puts an entry in its place among the ascending results; the last of `width` falls out. Returns the place. */
function place(entry: u64): u32 {
  let low: u32 = 0, high = resultCount;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u64>(results + (<usize>middle << 3)) < entry) low = middle + 1;
    else high = middle;
  }
  if (resultCount < width) resultCount++;
  const stop = results + (<usize>low << 3);
  let at = results + (<usize>(resultCount - 1) << 3);
  for (; at >= stop + 16; at -= 16) v128.store(at - 8, v128.load(at - 16));
  if (at > stop) store<u64>(at, load<u64>(at - 8));
  store<u64>(stop, entry);
  return low;
}

/** An entry whose lowest bit tells whether the links of its row were followed; entries order as before. */
// @ts-ignore: decorator
@inline
function marked(key: f32, row: u32): u64 {
  return (pack(key, 0)) | (<u64>row << 1);
}

/**
 * What `walk` finds where all rows count and chains do not, as an ascending array instead of a heap. What is nearest and not yet
 * followed stands in the array, too, so there is no heap of candidates; with some hundred results moving them is the cheaper way.
 */
export function walkNear(query: usize, inverse: f32, start: u64, level: u32, ef: u32): void {
  memory.fill(visited, 0, <usize>((rowCount + 31) >> 5) << 2);
  width = ef;
  const capacity = capacityOf(level);
  const first = rowOf(start);
  store<u32>(visited + (<usize>(first >> 5) << 2), <u32>1 << (first & 31));
  store<u64>(results, marked(keyOf(start), first));
  resultCount = 1;
  for (let next: u32 = 0; next < resultCount; ) {
    const at = results + (<usize>next << 3);
    const nearest = load<u64>(at);
    next++;
    if (nearest & 1) continue;
    store<u64>(at, nearest | 1);
    const count = gather(<u32>nearest >> 1, level, capacity);
    measure(query, inverse, count);
    for (let i: u32 = 0; i < count; i++) {
      const entry = marked(load<f32>(batchKeys + (<usize>i << 2)), load<u32>(batchRows + (<usize>i << 2)));
      if (resultCount == width && entry > load<u64>(results + (<usize>(width - 1) << 3))) continue;
      next = min(next, place(entry));
    }
  }
  for (let at = results, end = results + (<usize>resultCount << 3); at < end; at += 8)
    store<u32>(at, load<u32>(at) >> 1);
}

/** Adds an entry to the ascending results that `walkNear` left, or a sorted `walk`. */
export function addNear(entry: u64): void {
  if (resultCount < width || entry < load<u64>(results + (<usize>(width - 1) << 3))) place(entry);
}

/** Nearest rows among those that count; the size of the heap in `results`, or -1 when `budget` did not suffice. */
export function searchGraph(
  table: usize, query: usize, inverse: f32, ef: u32, allowed: usize, inner: f32, budget: u32,
): i32 {
  use(table);
  const start = descend(query, inverse, maxLevel, 0);
  return walk(query, inverse, start, 0, ef, allowed, inner, budget) ? <i32>resultCount : -1;
}

/**
 * Whether every number that searches follow leads to where they may go, for rows [from, to): then no search can leave its
 * memory or run in circles. Candidates only enter once (`visited`), greedy steps strictly improve, chains ascend.
 */
export function checkGraph(table: usize, from: u32, to: u32, upperCount: u32): bool {
  use(table);
  for (let row = from; row < to; row++) {
    const level = levelOf(row);
    if (chains != 0) {
      const next = load<u32>(chains + (<usize>row << 2));
      if (next != NONE && (next <= row || next >= rowCount || levelOf(next) != OUTSIDE)) return false;
    }
    if (level == OUTSIDE) continue;
    if (level > maxLevel) return false;
    if (level > 0) {
      const list = load<u32>(upperRefs + (<usize>row << 2));
      if (level > upperCount || list > upperCount - level) return false;
    }
    for (let at: u32 = 0; at <= level; at++) {
      const links = linksOf(row, at);
      for (let i: u32 = 0, capacity = capacityOf(at); i < capacity; i++) {
        const next = load<u32>(links + (<usize>i << 2));
        if (next == NONE) continue;
        if (next >= rowCount) return false;
        const reached = levelOf(next);
        if (reached == OUTSIDE || reached < at) return false;
      }
    }
  }
  return true;
}
