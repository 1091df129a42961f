// Building the graph, row after row, in the place it is stored.
import {
  OUTSIDE, NONE, batchKeys, batchRows, capacityOf, descend, ignoreChains, keysOf4, levelOf, linksOf, M, maxLevel, entryRow, measure,
  normOf, padRows, resultCount, results, setEntry, use, vectorOf, walk,
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

function insert(table: usize, row: u32, efConstruction: u32): void {
  const level = levelOf(row);
  if (level == OUTSIDE) return;
  if (entryRow == NONE) {
    setEntry(table, row, level);
    return;
  }
  const query = vectorOf(row);
  const inverse = normOf(row);
  let start = descend(query, inverse, maxLevel, min(level, maxLevel));
  for (let at = <i32>min(level, maxLevel); at >= 0; at--) {
    walk(query, inverse, start, at, efConstruction, 0, -Infinity, NONE);
    sortMax(results, resultCount);
    start = load<u64>(results);
    const list = linksOf(row, at);
    const taken = choose(results, resultCount, M);
    writeLinks(list, taken, capacityOf(at));
    for (let i: u32 = 0; i < taken; i++) addLink(load<u32>(list + (<usize>i << 2)), row, at);
  }
  if (level > maxLevel) setEntry(table, row, level);
}

/** Inserts rows [from, to); all link lists hold NONE before the first. The table's entry row is NONE then. */
export function insertRows(table: usize, from: u32, to: u32, efConstruction: u32, sortedAt: usize, chosenAt: usize): void {
  use(table);
  ignoreChains();
  sorted = sortedAt;
  chosen = chosenAt;
  for (let row = from; row < to; row++) insert(table, row, efConstruction);
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
