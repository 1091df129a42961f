// Building the graph in the place it is stored, some rows a step: first each row's own links are chosen, then those it chose are
// linked back. Within either half the order of the work makes no difference, so threads may share it and the bytes stay the same.
import {
  OUTSIDE, NONE, addNear, batchKeys, batchRows, capacityOf, descend, entryRow, ignoreChains, keysOf4, levelOf, linksOf, M, maxLevel,
  measure, normOf, padRows, resultCount, results, use, vectorOf, walk, walkNear,
} from './graph';
import { dotx2 } from './distance';
import { keyOf, pack, rowOf, sortMax } from './heap';

/** Entries of one row's links while they are chosen anew: room for 2M + 1. */
let sorted: usize = 0;
/** Rows chosen: room for 2M + 8. */
let chosen: usize = 0;

/** Whether no chosen row is nearer to `row` than `row` is to the vector that links are chosen for. */
function isDiverse(row: u32, key: f32, count: u32): bool {
  if (count == 0) return true;
  padRows(chosen, count);
  const query = vectorOf(row);
  const inverse = normOf(row);
  const limit = f32x4.splat(key);
  for (let at = chosen, end = chosen + (<usize>count << 2); at < end; at += 16)
    if (v128.any_true(f32x4.lt(keysOf4(query, inverse, at), limit))) return false;
  return true;
}

/** Chooses at most `limit` of `count` ascending entries (algorithm 4 of the paper, nothing added back). */
function choose(entries: usize, count: u32, limit: u32): u32 {
  let taken: u32 = 0;
  for (let i: u32 = 0; i < count && taken < limit; i++) {
    const entry = load<u64>(entries + (<usize>i << 3));
    if (!isDiverse(rowOf(entry), keyOf(entry), taken)) continue;
    store<u32>(chosen + (<usize>taken << 2), rowOf(entry));
    taken++;
  }
  return taken;
}

function writeLinks(list: usize, count: u32, capacity: u32): void {
  memory.copy(list, chosen, <usize>count << 2);
  memory.fill(list + (<usize>count << 2), 0xff, <usize>(capacity - count) << 2);
}

/** Links `row` to `next`; a full list is chosen anew. */
function addLink(row: u32, next: u32, level: u32): void {
  const capacity = capacityOf(level);
  const list = linksOf(row, level);
  let count: u32 = 0;
  for (; count < capacity; count++) {
    const old = load<u32>(list + (<usize>count << 2));
    if (old == NONE) {
      store<u32>(list + (<usize>count << 2), next);
      return;
    }
    store<u32>(batchRows + (<usize>count << 2), old);
  }
  store<u32>(batchRows + (<usize>count << 2), next);
  measure(vectorOf(row), normOf(row), count + 1);
  for (let i: u32 = 0; i <= count; i++) {
    const entry = pack(load<f32>(batchKeys + (<usize>i << 2)), load<u32>(batchRows + (<usize>i << 2)));
    let at = i;
    for (; at > 0; at--) {
      const before = load<u64>(sorted + (<usize>(at - 1) << 3));
      if (before <= entry) break;
      store<u64>(sorted + (<usize>at << 3), before);
    }
    store<u64>(sorted + (<usize>at << 3), entry);
  }
  writeLinks(list, choose(sorted, count + 1, capacity), capacity);
}

/** Offers rows [from, to) of `level` to the ascending results. */
function offer(query: usize, inverse: f32, from: u32, to: u32, level: u32): void {
  const room: u32 = 2 * M;
  for (let next = from; next < to; ) {
    let count: u32 = 0;
    for (; next < to && count < room; next++) {
      const its = levelOf(next);
      if (its == OUTSIDE || its < level) continue;
      store<u32>(batchRows + (<usize>count << 2), next);
      count++;
    }
    measure(query, inverse, count);
    for (let i: u32 = 0; i < count; i++)
      addNear(pack(load<f32>(batchKeys + (<usize>i << 2)), load<u32>(batchRows + (<usize>i << 2))));
  }
}

/** Wider walks keep a heap, where an entry costs less than to move half of the others. */
const MAX_NEAR: u32 = 1024;

/**
 * Chooses the links of `row` on every level up to the graph's highest, from what a walk finds and from the rows [first, row) of its step,
 * which are not linked yet, and writes them to its lists and to `proposal`, `M` words a level from 0 up. Reads no list of rows of its step
 * and writes none but its own: they may be proposed in any order, by several threads. True: on level 0 the `M`
 * nearest are within `blur`, too near for their order to be told.
 */
export function proposeLinks(
  table: usize, row: u32, first: u32, efConstruction: u32, chosenAt: usize, proposal: usize, blur: f32,
): bool {
  use(table);
  ignoreChains();
  chosen = chosenAt;
  const level = levelOf(row);
  if (level == OUTSIDE || entryRow == NONE) return false;
  const query = vectorOf(row);
  const inverse = normOf(row);
  const top = min(level, maxLevel);
  let start = descend(query, inverse, maxLevel, top);
  let isBlurred = false;
  for (let at = <i32>top; at >= 0; at--) {
    if (efConstruction > MAX_NEAR) {
      walk(query, inverse, start, at, efConstruction, 0, -Infinity, NONE);
      sortMax(results, resultCount);
    } else walkNear(query, inverse, start, at, efConstruction);
    start = load<u64>(results);
    offer(query, inverse, first, row, at);
    const taken = choose(results, resultCount, M);
    writeLinks(linksOf(row, at), taken, capacityOf(at));
    writeLinks(proposal + ((<usize>at * M) << 2), taken, M);
    if (at == 0 && resultCount >= M) isBlurred = keyOf(load<u64>(results + (<usize>(M - 1) << 3))) < blur;
  }
  return isBlurred;
}

/**
 * Links the rows that were proposed to by rows [from, to) back to these, as far as they belong to `shard` of `shards`: no other list
 * is touched, and each gets its links in the order of the rows, whoever does it. `slots`: of each row where in `proposals` its
 * levels begin, in units of `M` words.
 */
export function linkBack(
  table: usize, from: u32, to: u32, shard: u32, shards: u32, sortedAt: usize, chosenAt: usize, slots: usize, proposals: usize,
): void {
  use(table);
  ignoreChains();
  sorted = sortedAt;
  chosen = chosenAt;
  if (entryRow == NONE) return;
  for (let row = from; row < to; row++) {
    const level = levelOf(row);
    if (level == OUTSIDE) continue;
    let list = proposals + ((<usize>load<u32>(slots + (<usize>(row - from) << 2)) * M) << 2);
    for (let at: u32 = 0, top = min(level, maxLevel); at <= top; at++, list += <usize>M << 2)
      for (let i: u32 = 0; i < M; i++) {
        const next = load<u32>(list + (<usize>i << 2));
        if (next == NONE) break;
        if (next % shards == shard) addLink(next, row, at);
      }
  }
}

/**
 * Chains rows with identical bytes, ascending, and sets the level of all but the first to OUTSIDE. So it does with rows
 * whose squared norm is not finite: they are nobody's neighbour and would draw every link to themselves. `slots`: a table of
 * `slotMask + 1` words, all NONE, a power of two above `rowCount`. Returns the number of duplicates.
 */
export function chainDuplicates(
  vectors: usize, dim: u32, rowCount: u32, levels: usize, chains: usize, slots: usize, slotMask: u32,
): u32 {
  const bytes = <usize>dim << 2;
  let found: u32 = 0;
  for (let row = rowCount; row-- > 0; ) {
    const at = vectors + <usize>row * bytes;
    store<u32>(chains + (<usize>row << 2), NONE);
    if (!(f32x4.extract_lane(dotx2(at, at, at, dim), 0) < Infinity)) {
      store<u8>(levels + <usize>row, OUTSIDE);
      continue;
    }
    let hash: u32 = 0x811c9dc5;
    for (let word = at; word < at + bytes; word += 4) hash = rotl<u32>((hash ^ load<u32>(word)) * 0x9e3779b1, 15);
    hash ^= hash >> 16;
    for (let slot = hash & slotMask; ; slot = (slot + 1) & slotMask) {
      const place = slots + (<usize>slot << 2);
      const later = load<u32>(place);
      if (later != NONE && memory.compare(at, vectors + <usize>later * bytes, bytes) != 0) continue;
      if (later != NONE) {
        store<u32>(chains + (<usize>row << 2), later);
        store<u8>(levels + <usize>later, OUTSIDE);
        found++;
      }
      store<u32>(place, row);
      break;
    }
  }
  return found;
}
