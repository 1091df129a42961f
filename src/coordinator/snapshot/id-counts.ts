/**
 * How many snapshots hold each id. An entry is twelve bytes in typed arrays: the collector of garbage sees none of them, and as many ids
 * fit as memory holds. Spread over shards, so that one that grows or shrinks is small.
 */
import { assert } from '../../support/assert.ts';
import { inSlices } from '../../support/slices.ts';
import type { IdList } from './id-list.ts';

const SHARDS = 256;
const FIRST_CAPACITY = 16;
/** Smaller shards keep their room: snapshots that come and go would make garbage of it every time. */
const SHRINKS_FROM = 1024;

/** An open-addressing table with linear probing; a slot is empty when its count is 0. An id is kept as the two halves it lies in memory. */
class Shard {
  #capacity = FIRST_CAPACITY;
  #size = 0;
  #halves = new Int32Array(2 * FIRST_CAPACITY);
  #counts = new Uint32Array(FIRST_CAPACITY);

  of(first: number, second: number, hash: number): number {
    return this.#counts[this.#slotOf(first, second, hash)] ?? 0;
  }

  up(first: number, second: number, hash: number): void {
    const slot = this.#slotOf(first, second, hash);
    const count = this.#counts[slot] ?? 0;
    this.#counts[slot] = count + 1;
    if (count > 0) return;
    this.#halves[2 * slot] = first;
    this.#halves[2 * slot + 1] = second;
    this.#size++;
    if (4 * this.#size > 3 * this.#capacity) this.#resize(2 * this.#capacity);
  }

  down(first: number, second: number, hash: number): void {
    const slot = this.#slotOf(first, second, hash);
    const count = this.#counts[slot] ?? 0;
    assert(count > 0, 'an id is taken back that was not counted');
    this.#counts[slot] = count - 1;
    if (count > 1) return;
    this.#size--;
    this.#close(slot);
    if (this.#capacity > SHRINKS_FROM && 8 * this.#size < this.#capacity) this.#resize(this.#capacity / 2);
  }

  /** Moves up what stands behind the gap only because the slots before it were taken. */
  #close(gap: number): void {
    const mask = this.#capacity - 1;
    let empty = gap;
    for (let at = (gap + 1) & mask; this.#counts[at] !== 0; at = (at + 1) & mask) {
      const home = slotFor(hashOf(this.#halves[2 * at] ?? 0, this.#halves[2 * at + 1] ?? 0), mask);
      // Not past its home: the way from there to `at` must lead over the gap.
      if (((at - home) & mask) < ((at - empty) & mask)) continue;
      this.#counts[empty] = this.#counts[at] ?? 0;
      this.#halves.copyWithin(2 * empty, 2 * at, 2 * at + 2);
      this.#counts[at] = 0;
      empty = at;
    }
  }

  /** Where the id is, or the empty slot where it would be: there is always one. */
  #slotOf(first: number, second: number, hash: number): number {
    const mask = this.#capacity - 1;
    let slot = slotFor(hash, mask);
    while (
      this.#counts[slot] !== 0 &&
      (this.#halves[2 * slot] !== first || this.#halves[2 * slot + 1] !== second)
    )
      slot = (slot + 1) & mask;
    return slot;
  }

  #resize(capacity: number): void {
    const [halves, counts] = [this.#halves, this.#counts];
    this.#capacity = capacity;
    this.#halves = new Int32Array(2 * capacity);
    this.#counts = new Uint32Array(capacity);
    for (let at = 0; at < counts.length; at++) {
      const count = counts[at] ?? 0;
      if (count === 0) continue;
      const [first, second] = [halves[2 * at] ?? 0, halves[2 * at + 1] ?? 0];
      const slot = this.#slotOf(first, second, hashOf(first, second));
      this.#counts[slot] = count;
      this.#halves[2 * slot] = first;
      this.#halves[2 * slot + 1] = second;
    }
  }
}

export class IdCounts {
  readonly #shards = Array.from({ length: SHARDS }, () => new Shard());
  readonly #asked = new BigInt64Array(1);
  readonly #askedHalves = new Int32Array(this.#asked.buffer);

  of(id: bigint): number {
    this.#asked[0] = id;
    const [first, second] = [this.#askedHalves[0] ?? 0, this.#askedHalves[1] ?? 0];
    const hash = hashOf(first, second);
    return this.#shard(hash).of(first, second, hash);
  }

  /** Once more (1) or once less (-1) for each of `ids`, in slices. What is taken back was counted before. */
  async change(ids: IdList, by: 1 | -1): Promise<void> {
    const halves = new Int32Array(ids.buffer, ids.byteOffset, 2 * ids.length);
    await inSlices({ length: ids.length }, (_, i) => {
      const [first, second] = [halves[2 * i] ?? 0, halves[2 * i + 1] ?? 0];
      const hash = hashOf(first, second);
      if (by === 1) this.#shard(hash).up(first, second, hash);
      else this.#shard(hash).down(first, second, hash);
    });
  }

  #shard(hash: number): Shard {
    return this.#shards[hash & (SHARDS - 1)] as Shard;
  }
}

/** The finalizer of MurmurHash3 over both halves. */
function hashOf(first: number, second: number): number {
  let hash = first ^ Math.imul(second, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** The low bits have chosen the shard. */
const slotFor = (hash: number, mask: number): number => (hash >>> 8) & mask;
