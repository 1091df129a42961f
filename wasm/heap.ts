// Binary heaps of 64-bit entries: the upper half orders by key, the lower half is the row, so that equal keys are
// ordered by row and every answer is determined.

/** Orders like the float; -0 counts as 0. */
// @ts-ignore: decorator
@inline
export function pack(key: f32, row: u32): u64 {
  const bits = reinterpret<i32>(key + <f32>0);
  return ((<u64>(<u32>bits ^ (<u32>(bits >> 31) | 0x80000000))) << 32) | <u64>row;
}

// @ts-ignore: decorator
@inline
export function keyOf(entry: u64): f32 {
  const bits = <u32>(entry >> 32);
  return reinterpret<f32>(bits & 0x80000000 ? bits ^ 0x80000000 : ~bits);
}

// @ts-ignore: decorator
@inline
export function rowOf(entry: u64): u32 {
  return <u32>entry;
}

/** Adds to a heap of `size` whose largest entry is at the root. There must be room. */
export function pushMax(heap: usize, size: u32, entry: u64): void {
  let at = size;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = load<u64>(heap + (<usize>parent << 3));
    if (above >= entry) break;
    store<u64>(heap + (<usize>at << 3), above);
    at = parent;
  }
  store<u64>(heap + (<usize>at << 3), entry);
}

/** Puts `entry` in place of the root and restores the order. */
export function replaceMax(heap: usize, size: u32, entry: u64): void {
  let at: u32 = 0;
  for (;;) {
    let child: u32 = 2 * at + 1;
    if (child >= size) break;
    let below = load<u64>(heap + (<usize>child << 3));
    if (child + 1 < size) {
      const right = load<u64>(heap + (<usize>child << 3), 8);
      if (right > below) {
        below = right;
        child++;
      }
    }
    if (below <= entry) break;
    store<u64>(heap + (<usize>at << 3), below);
    at = child;
  }
  store<u64>(heap + (<usize>at << 3), entry);
}

/** Adds to a heap of `size` whose smallest entry is at the root. There must be room. */
export function pushMin(heap: usize, size: u32, entry: u64): void {
  let at = size;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = load<u64>(heap + (<usize>parent << 3));
    if (above <= entry) break;
    store<u64>(heap + (<usize>at << 3), above);
    at = parent;
  }
  store<u64>(heap + (<usize>at << 3), entry);
}

/** Removes the root of a heap of `size` entries, which was read before. */
export function popMin(heap: usize, size: u32): void {
  const last = size - 1;
  const entry = load<u64>(heap + (<usize>last << 3));
  let at: u32 = 0;
  for (;;) {
    let child: u32 = 2 * at + 1;
    if (child >= last) break;
    let below = load<u64>(heap + (<usize>child << 3));
    if (child + 1 < last) {
      const right = load<u64>(heap + (<usize>child << 3), 8);
      if (right < below) {
        below = right;
        child++;
      }
    }
    if (below >= entry) break;
    store<u64>(heap + (<usize>at << 3), below);
    at = child;
  }
  store<u64>(heap + (<usize>at << 3), entry);
}

/** Turns a heap with the largest entry at the root into an ascending array. */
export function sortMax(heap: usize, size: u32): void {
  for (let rest = size; rest > 1; ) {
    rest--;
    const largest = load<u64>(heap);
    const last = load<u64>(heap + (<usize>rest << 3));
    replaceMax(heap, rest, last);
    store<u64>(heap + (<usize>rest << 3), largest);
  }
}
