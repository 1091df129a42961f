/** Unique ids and hybrid timestamps: one source of each, never going backwards, across restarts too. */
import { type Catalog, put } from '../catalog/catalog.ts';
import { type HybridTime, hybridTime, physicalMs } from '../model/hybrid-time.ts';
import { assert } from '../support/assert.ts';
import type { Clock } from '../support/clock.ts';
import { idLeases } from './tables.ts';

/** Ids taken from the catalog at once. A crash wastes at most this many. */
const LEASE_SIZE = 10_000n;
const FIRST_ID = 1_000n;

/** Timestamps. Everything handed out is below what a restarted source hands out: the catalog and the log remember the highest. */
export class TimeSource {
  readonly #clock: Clock;
  #last: HybridTime = 0n as HybridTime;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The highest timestamp handed out or observed. */
  get last(): HybridTime {
    return this.#last;
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
