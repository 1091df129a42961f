/**
 * The last rows of a unit that were deleted, and when: a reader of an earlier moment sees them. Only deletes that came one by one while
 * the unit was there: of those that were known before, the first of several for a row cannot be told.
 */
const FIRST_DEATHS = 16;
/** Twelve bytes each. */
const MAX_DEATHS = 16_384;

export class Deaths {
  #rows = new Uint32Array(0);
  #times = new BigInt64Array(0);
  #count = 0;

  /** Times do not fall, but for deletes that are read again from the log: those are left out. */
  add(row: number, ts: bigint): void {
    if (this.#count > 0 && ts < (this.#times[this.#count - 1] as bigint)) return;
    if (this.#count === this.#rows.length) this.#makeRoom();
    this.#rows[this.#count] = row;
    this.#times[this.#count++] = ts;
  }

  /** Rows that died later than `ts`. */
  after(ts: bigint): Uint32Array {
    return this.#rows.slice(this.#firstAfter(ts), this.#count);
  }

  /** When they died: in the order of `after`, which is that of time. */
  timesAfter(ts: bigint): BigInt64Array {
    return this.#times.slice(this.#firstAfter(ts), this.#count);
  }

  #firstAfter(ts: bigint): number {
    let from = 0;
    let to = this.#count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#times[middle] as bigint) <= ts) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** The older half is forgotten when there are as many as may be. */
  #makeRoom(): void {
    const isFull = this.#count >= MAX_DEATHS;
    const forgotten = isFull ? MAX_DEATHS / 2 : 0;
    const capacity = isFull ? MAX_DEATHS : Math.max(FIRST_DEATHS, 2 * this.#count);
    const rows = new Uint32Array(capacity);
    const times = new BigInt64Array(capacity);
    rows.set(this.#rows.subarray(forgotten, this.#count));
    times.set(this.#times.subarray(forgotten, this.#count));
    this.#rows = rows;
    this.#times = times;
    this.#count -= forgotten;
  }
}
