/** Unique ids and hybrid timestamps: one source of each, never going backwards, across restarts too. */
import { type Catalog, put } from '../catalog/catalog.ts';
import { type HybridTime, hybridTime, physicalMs } from '../model/hybrid-time.ts';
import { assert } from '../support/assert.ts';
import type { Clock } from '../support/clock.ts';
import { idLeases } from './tables.ts';

/** Ids taken from the catalog at once. A crash wastes at most this many. */
const LEASE_SIZE = 10_000n;
const FIRST_ID = 1_000n;

function later(a: HybridTime, b: HybridTime): HybridTime {
  if (a > b) return a;
  return b;
}

/**
 * Timestamps. Everything that anybody has seen is below what a restarted source hands out, whatever the wall clock says then: the catalog and
 * the log remember the highest. So `next` is for what becomes durable before it is seen; `TimestampLease` hands out the others.
 */
export class TimeSource {
  readonly #clock: Clock;
  #last: HybridTime = 0n as HybridTime;
  #reserved: HybridTime = 0n as HybridTime;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The highest timestamp handed out or observed. */
  get last(): HybridTime {
    return this.#last;
  }

  /** What a restart has to begin above: the catalog stores it with every commit. */
  get highWater(): HybridTime {
    return later(this.#last, this.#reserved);
  }

  /** What the clock says, and not below the last timestamp. An indication: nothing is taken, later ones may equal it. */
  get now(): HybridTime {
    return later(this.#last, hybridTime(this.#clock.nowMs()));
  }

  /** The next commits store this high-water mark, unless theirs is higher. */
  reserve(ts: HybridTime): void {
    if (ts > this.#reserved) this.#reserved = ts;
  }

  /** A timestamp above every earlier one, at or after the wall clock. */
  next(): HybridTime {
    const now = hybridTime(this.#clock.nowMs());
    this.#last = (now > this.#last ? now : this.#last + 1n) as HybridTime;
    return this.#last;
  }

  /** Never hand out `ts` or anything below it again. */
  observe(ts: bigint): void {
    if (ts > this.#last) this.#last = ts as HybridTime;
  }

  /** Wall-clock part of the last timestamp, milliseconds. */
  get lastMs(): number {
    return physicalMs(this.#last);
  }
}

/** How far ahead of the clock timestamps are leased, and how far ahead of it a restart may begin. */
const TIMESTAMP_LEASE_MS = 3000;

/** Timestamps that somebody is told without anything being written for them: up to a mark that the catalog has. */
export class TimestampLease {
  readonly #time: TimeSource;
  readonly #catalog: Catalog;
  #leasedTo: HybridTime = 0n as HybridTime;
  #leasing: Promise<void> | undefined;

  constructor(time: TimeSource, catalog: Catalog) {
    this.#time = time;
    this.#catalog = catalog;
  }

  /** Rejects when the catalog cannot be written; some three seconds of timestamps need one write. */
  async next(): Promise<HybridTime> {
    const ts = this.#time.next();
    await this.cover(ts);
    return ts;
  }

  /** Resolves when no restart hands out `ts` or anything below it: then it may be told. */
  async cover(ts: HybridTime): Promise<void> {
    while (ts > this.#leasedTo) {
      this.#leasing ??= this.#lease().finally(() => {
        this.#leasing = undefined;
      });
      await this.#leasing;
    }
  }

  async #lease(): Promise<void> {
    const to = hybridTime(this.#time.lastMs + TIMESTAMP_LEASE_MS);
    this.#time.reserve(to);
    await this.#catalog.commitSure([]);
    this.#leasedTo = to;
  }
}

/** Ids, leased from the catalog in batches. */
export class IdSource {
  readonly #catalog: Catalog;
  #next = 0n;
  #end = 0n;
  #leasing: Promise<void> | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** One fresh id. */
  async next<Id extends bigint>(): Promise<Id> {
    return this.range<Id>(1);
  }

  /** The first of `count` consecutive fresh ids. */
  async range<Id extends bigint>(count: number): Promise<Id> {
    while (this.#end - this.#next < BigInt(count)) {
      this.#leasing ??= this.#lease(BigInt(count)).finally(() => {
        this.#leasing = undefined;
      });
      await this.#leasing;
    }
    const first = this.#next;
    this.#next += BigInt(count);
    return first as Id;
  }

  /** False: neither this process nor one before it has given out the id. */
  mayHaveGiven(id: bigint): boolean {
    return id < this.#nextLease;
  }

  get #nextLease(): bigint {
    return this.#catalog.get(idLeases, 'global')?.nextId ?? FIRST_ID;
  }

  async #lease(count: bigint): Promise<void> {
    const was = this.#catalog.get(idLeases, 'global');
    const start = this.#nextLease;
    const nextId = start + (count > LEASE_SIZE ? count : LEASE_SIZE);
    await this.#catalog.commitSure([put(idLeases, { nextId }, was)]);
    assert(nextId > this.#end, 'ids go backwards');
    this.#next = start;
    this.#end = nextId;
  }
}
