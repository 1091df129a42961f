/**
 * The last rows of a unit that were deleted, and when: a reader of an earlier moment sees them. Only deletes that came one by one while
 * the unit was there: of those that were known before, the first of several for a row cannot be told.
 */
const MAX_DEATHS = 65_536;

export class Deaths {
  #rows: number[] = [];
  #times: bigint[] = [];

  /** Times do not fall, but for deletes that come late from files: those are left out. */
  add(row: number, ts: bigint): void {
    const last = this.#times.at(-1);
    if (last !== undefined && ts < last) return;
    if (this.#rows.length >= MAX_DEATHS) {
      this.#rows = this.#rows.slice(MAX_DEATHS / 2);
      this.#times = this.#times.slice(MAX_DEATHS / 2);
    }
    this.#rows.push(row);
    this.#times.push(ts);
  }

  /** Rows that died later than `ts`. */
  after(ts: bigint): readonly number[] {
    let from = 0;
    let to = this.#times.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#times[middle] as bigint) <= ts) from = middle + 1;
      else to = middle;
    }
    return this.#rows.slice(from);
  }
}
