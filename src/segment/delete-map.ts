/**
 * Deletes of one channel: for every key the highest timestamp at which it was deleted. Taking the maximum is commutative and
 * idempotent, so deletes may come in any order, any number of times, from the log and from files, with the same result.
 * A row is dead when its timestamp is strictly below. A delete covers all partitions or one.
 */
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId } from '../model/ids.ts';

import { compareKeys, hashKey, type KeyColumn } from './key-column.ts';

const SHARDS = 256;
const FIRST_CAPACITY = 16;

/** A growing open-addressing table. The deletes of a channel are spread over many, so that one that grows is small. */
class Shard {
  #capacity = FIRST_CAPACITY;
  #count = 0;
  #keys: KeyColumn;
  /** 0: the slot is empty. */
  #slots: Int32Array;
  #times: BigInt64Array = new BigInt64Array(FIRST_CAPACITY);

  constructor(type: KeyColumn['type']) {
    this.#keys =
      type === 'Int64'
        ? { type, halves: new Int32Array(2 * FIRST_CAPACITY) }
        : { type, offsets: new Uint32Array(FIRST_CAPACITY + 1), data: new Uint8Array(FIRST_CAPACITY * 16) };
    this.#slots = new Int32Array(2 * FIRST_CAPACITY);
  }

  get count(): number {
    return this.#count;
  }

  /** `known`: so late a delete of the key was there. */
  put(keys: KeyColumn, at: number, hash: number, ts: bigint): 'known' | 'raised' | 'new' {
    const slot = this.#slotOf(keys, at, hash);
    const held = (this.#slots[slot] ?? 0) - 1;
    if (held >= 0) {
      if ((this.#times[held] ?? 0n) >= ts) return 'known';
      this.#times[held] = ts;
      return 'raised';
    }
    this.#slots[slot] = this.#count + 1;
    this.#append(keys, at);
    this.#times[this.#count++] = ts;
    if (this.#count === this.#capacity) this.#grow();
    return 'new';
  }

  get(keys: KeyColumn, at: number, hash: number): bigint {
    return this.#times[(this.#slots[this.#slotOf(keys, at, hash)] ?? 0) - 1] ?? 0n;
  }

  visit(visitor: (keys: KeyColumn, at: number, ts: bigint) => void): void {
    for (let i = 0; i < this.#count; i++) visitor(this.#keys, i, this.#times[i] ?? 0n);
  }

  /** Without the deletes before `ts`; undefined when none is left. */
  since(ts: bigint): Shard | undefined {
    let left: Shard | undefined;
    for (let i = 0; i < this.#count; i++) {
      const time = this.#times[i] ?? 0n;
      if (time < ts) continue;
      left ??= new Shard(this.#keys.type);
      left.put(this.#keys, i, hashKey(this.#keys, i), time);
    }
    return left;
  }

  #slotOf(keys: KeyColumn, at: number, hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = (hash >>> 8) & mask;
    for (;;) {
      const held = this.#slots[slot] ?? 0;
      if (held === 0 || compareKeys(this.#keys, held - 1, keys, at) === 0) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #append(from: KeyColumn, at: number): void {
    const own = this.#keys;
    if (own.type === 'Int64' && from.type === 'Int64') {
      own.halves[2 * this.#count] = from.halves[2 * at] ?? 0;
      own.halves[2 * this.#count + 1] = from.halves[2 * at + 1] ?? 0;
    } else if (own.type === 'VarChar' && from.type === 'VarChar') {
      const bytes = from.data.subarray(from.offsets[at], from.offsets[at + 1]);
      const start = own.offsets[this.#count] ?? 0;
      let data = own.data;
      if (start + bytes.length > data.length) {
        data = new Uint8Array(2 * (start + bytes.length));
        data.set(own.data);
        this.#keys = { ...own, data };
      }
      data.set(bytes, start);
      own.offsets[this.#count + 1] = start + bytes.length;
    }
  }

  #grow(): void {
    this.#capacity *= 2;
    const times = new BigInt64Array(this.#capacity);
    times.set(this.#times);
    this.#times = times;
    const own = this.#keys;
    if (own.type === 'Int64') {
      const halves = new Int32Array(2 * this.#capacity);
      halves.set(own.halves);
      this.#keys = { type: 'Int64', halves };
    } else {
      const offsets = new Uint32Array(this.#capacity + 1);
      offsets.set(own.offsets);
      this.#keys = { ...own, offsets };
    }
    this.#slots = new Int32Array(2 * this.#capacity);
    for (let i = 0; i < this.#count; i++)
      this.#slots[this.#slotOf(this.#keys, i, hashKey(this.#keys, i))] = i + 1;
  }
}

class DeleteTable {
  readonly #shards: (Shard | undefined)[] = new Array<Shard | undefined>(SHARDS).fill(undefined);
  size = 0;
  /** None is older. Not exact: a key that was deleted again is younger. */
  minTs = 0n;
  maxTs = 0n;

  put(keys: KeyColumn, at: number, ts: bigint): 'known' | 'raised' | 'new' {
    const hash = hashKey(keys, at);
    const index = hash & (SHARDS - 1);
    const shard = this.#shards[index] ?? new Shard(keys.type);
    this.#shards[index] = shard;
    const outcome = shard.put(keys, at, hash, ts);
    if (this.size === 0 || ts < this.minTs) this.minTs = ts;
    if (ts > this.maxTs) this.maxTs = ts;
    if (outcome === 'new') this.size++;
    return outcome;
  }

  get(keys: KeyColumn, at: number): bigint {
    const hash = hashKey(keys, at);
    return this.#shards[hash & (SHARDS - 1)]?.get(keys, at, hash) ?? 0n;
  }

  *shards(): Generator<Shard> {
    for (const shard of this.#shards) if (shard !== undefined) yield shard;
  }

  /** Yields after every slice how many keys it looked at. */
  *prune(ts: bigint): Generator<number> {
    this.minTs = ts;
    for (const [i, shard] of this.#shards.entries()) {
      if (shard === undefined) continue;
      const left = shard.since(ts);
      this.#shards[i] = left;
      this.size -= shard.count - (left?.count ?? 0);
      yield shard.count;
    }
  }
}

/** Some of the deletes of one partition scope. */
export type DeleteSlice = Pick<Shard, 'count' | 'visit'>;

/** Deletes of one partition, or of all: how many keys, and the timestamps between which they lie. */
export interface DeleteScope {
  readonly partitionId: PartitionId;
  readonly size: number;
  readonly minTs: bigint;
  readonly maxTs: bigint;
}

export class DeleteMap {
  readonly #tables = new Map<PartitionId, DeleteTable>();
  #maxTs = 0n;

  /** Keys, counted once for every partition scope. */
  get size(): number {
    let size = 0;
    for (const table of this.#tables.values()) size += table.size;
    return size;
  }

  /** Rows written at or after it have no delete here. */
  get maxTs(): bigint {
    return this.#maxTs;
  }

  /** Whether it was news: no delete of the key so late was known. */
  put(partitionId: PartitionId, keys: KeyColumn, at: number, ts: HybridTime): boolean {
    let table = this.#tables.get(partitionId);
    if (table === undefined) {
      table = new DeleteTable();
      this.#tables.set(partitionId, table);
    }
    if (ts > this.#maxTs) this.#maxTs = ts;
    return table.put(keys, at, ts) !== 'known';
  }

  /** Highest timestamp at which a key of this partition was deleted; 0 for never. */
  get(partitionId: PartitionId, keys: KeyColumn, at: number): bigint {
    const everywhere = this.#tables.get(ALL_PARTITIONS)?.get(keys, at) ?? 0n;
    const here = this.#tables.get(partitionId)?.get(keys, at) ?? 0n;
    return here > everywhere ? here : everywhere;
  }

  /** Deletes that cover a partition, in slices. A slice that changes while it is walked may show either value. */
  *covering(partitionId: PartitionId): Generator<DeleteSlice> {
    for (const scope of [ALL_PARTITIONS, partitionId]) yield* this.#tables.get(scope)?.shards() ?? [];
  }

  scopes(): readonly DeleteScope[] {
    return [...this.#tables].map(([partitionId, { size, minTs, maxTs }]) => ({
      partitionId,
      size,
      minTs,
      maxTs,
    }));
  }

  /** Forgets the deletes of a scope that are older than `ts`, in slices; yields after each how many keys it looked at. */
  *prune(partitionId: PartitionId, ts: bigint): Generator<number> {
    const table = this.#tables.get(partitionId);
    if (table !== undefined) yield* table.prune(ts);
    if (table?.size === 0) this.#tables.delete(partitionId);
  }
}
