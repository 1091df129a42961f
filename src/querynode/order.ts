/** Chosen rows in primary-key order. Of rows with one key only the newest counts. */

import { compareKeys, type KeyColumn } from '../segment/key-column.ts';
import { forEachRow } from './bitmap.ts';
import type { RowRefs } from './gather.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

/** The rows of a view that were chosen. */
export interface Selection {
  readonly view: UnitView;
  readonly rows: Uint32Array;
  readonly count: number;
}

const WORDS_PER_SLICE = 512;
const COST_PER_ROW = 3;
const COMPARES_PER_SLICE = 8192;
const COST_PER_COMPARE = 4;

/** References are into `selections`. Rows `offset` to `offset + limit` of the order. */
export async function orderRows(
  selections: readonly Selection[],
  range: { readonly offset: number; readonly limit: number },
  pacer: Pacer,
): Promise<RowRefs> {
  const end = range.offset + range.limit;
  const total = selections.reduce((sum, { count }) => sum + count, 0);
  if (end < total / 4) {
    const rows = new Candidates(selections, end);
    await collect(selections, pacer, (unit, row) => rows.offer(unit, row));
    const first = rows.ordered();
    // Rows of one key may have crowded out others: only all rows together tell.
    if (!first.hasTwins) return cut(first.refs, range);
  }
  const rows = new Candidates(selections, total);
  await collect(selections, pacer, (unit, row) => rows.append(unit, row));
  return cut(await rows.sort(pacer), range);
}

function cut({ units, rows }: RowRefs, { offset, limit }: { offset: number; limit: number }): RowRefs {
  const end = Math.min(rows.length, offset + limit);
  return { units: units.slice(offset, end), rows: rows.slice(offset, end) };
}

async function collect(
  selections: readonly Selection[],
  pacer: Pacer,
  visit: (unit: number, row: number) => void,
): Promise<void> {
  for (const [unit, { rows }] of selections.entries())
    for (let from = 0; from < rows.length; from += WORDS_PER_SLICE) {
      const to = Math.min(rows.length, from + WORDS_PER_SLICE);
      forEachRow(rows, from, to, (row) => visit(unit, row));
      await pacer.spend((to - from) * 32 * COST_PER_ROW);
    }
}

/** A list of rows that can be kept as a heap with the last in key order on top. */
class Candidates {
  readonly #views: readonly UnitView[];
  readonly #keys: readonly KeyColumn[];
  readonly #units: Uint32Array;
  readonly #rows: Uint32Array;
  #count = 0;

  constructor(selections: readonly Selection[], capacity: number) {
    this.#views = selections.map(({ view }) => view);
    this.#keys = this.#views.map(({ unit }) => unit.keys);
    this.#units = new Uint32Array(capacity);
    this.#rows = new Uint32Array(capacity);
  }

  append(unit: number, row: number): void {
    this.#units[this.#count] = unit;
    this.#rows[this.#count++] = row;
  }

  offer(unit: number, row: number): void {
    if (this.#count < this.#rows.length) {
      this.append(unit, row);
      this.#rise(this.#count - 1);
    } else if (this.#count > 0 && this.#compareTo(unit, row, 0) < 0) {
      this.#units[0] = unit;
      this.#rows[0] = row;
      this.#sink(0, this.#count);
    }
  }

  /** What a heap holds, in order. */
  ordered(): { readonly refs: RowRefs; readonly hasTwins: boolean } {
    for (let end = this.#count - 1; end > 0; end--) {
      this.#swap(0, end);
      this.#sink(0, end);
    }
    const all = { units: this.#units.subarray(0, this.#count), rows: this.#rows.subarray(0, this.#count) };
    const refs = this.#newest(all);
    return { refs, hasTwins: refs.rows.length < this.#count };
  }

  /** Everything appended, in order. Natural merge sort: what is in order already costs one look. */
  async sort(pacer: Pacer): Promise<RowRefs> {
    const count = this.#count;
    let from = Uint32Array.from({ length: count }, (_, i) => i);
    let to = new Uint32Array(count);
    let runs = await this.#runs(pacer);
    while (runs.length > 2) {
      const merged = [0];
      for (let i = 0; i + 1 < runs.length; i += 2) {
        const end = runs[i + 2] ?? count;
        await this.#merge(from, to, [runs[i] ?? 0, runs[i + 1] ?? count, end], pacer);
        merged.push(end);
      }
      [from, to] = [to, from];
      runs = merged.at(-1) === count ? merged : [...merged, count];
    }
    return this.#newest({
      units: from.map((i) => this.#units[i] ?? 0),
      rows: from.map((i) => this.#rows[i] ?? 0),
    });
  }

  /** Starts of the runs that are in order, and the end. */
  async #runs(pacer: Pacer): Promise<number[]> {
    const runs = [0];
    for (let i = 1; i < this.#count; i++) {
      if (this.#compare(i - 1, i) > 0) runs.push(i);
      if (i % COMPARES_PER_SLICE === 0) await pacer.spend(COMPARES_PER_SLICE * COST_PER_COMPARE);
    }
    runs.push(this.#count);
    return runs;
  }

  async #merge(
    from: Uint32Array,
    to: Uint32Array,
    [start, middle, end]: readonly [number, number, number],
    pacer: Pacer,
  ): Promise<void> {
    let left = start;
    let right = middle;
    for (let at = start; at < end; at++) {
      const takeLeft =
        right >= end || (left < middle && this.#compare(from[left] ?? 0, from[right] ?? 0) <= 0);
      to[at] = (takeLeft ? from[left++] : from[right++]) ?? 0;
      if (at % COMPARES_PER_SLICE === 0) await pacer.spend(COMPARES_PER_SLICE * COST_PER_COMPARE);
    }
    await pacer.spend(((end - start) % COMPARES_PER_SLICE) * COST_PER_COMPARE);
  }

  /** The first of every key of rows in order. */
  #newest(refs: RowRefs): RowRefs {
    const { units, rows } = refs;
    let kept = Math.min(1, rows.length);
    for (let i = 1; i < rows.length; i++) {
      const isTwin =
        compareKeys(
          this.#keysOf(units[i]),
          rows[i] ?? 0,
          this.#keysOf(units[kept - 1]),
          rows[kept - 1] ?? 0,
        ) === 0;
      if (isTwin) continue;
      units[kept] = units[i] ?? 0;
      rows[kept++] = rows[i] ?? 0;
    }
    return { units: units.subarray(0, kept), rows: rows.subarray(0, kept) };
  }

  #keysOf(unit: number | undefined): KeyColumn {
    return this.#keys[unit ?? 0] as KeyColumn;
  }

  #compare(i: number, j: number): number {
    return this.#compareTo(this.#units[i] ?? 0, this.#rows[i] ?? 0, j);
  }

  /** By key, then the newest first, then by place, so that the order is total. */
  #compareTo(unit: number, row: number, j: number): number {
    const otherUnit = this.#units[j] ?? 0;
    const otherRow = this.#rows[j] ?? 0;
    const byKey = compareKeys(this.#keysOf(unit), row, this.#keysOf(otherUnit), otherRow);
    if (byKey !== 0) return byKey;
    const ts = this.#timestamp(unit, row);
    const otherTs = this.#timestamp(otherUnit, otherRow);
    if (ts !== otherTs) return ts > otherTs ? -1 : 1;
    return unit - otherUnit || row - otherRow;
  }

  #timestamp(unit: number, row: number): bigint {
    return this.#views[unit]?.unit.timestampAt(row) ?? 0n;
  }

  #rise(start: number): void {
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#compare(at, parent) <= 0) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(start: number, end: number): void {
    for (let at = start; ; ) {
      let child = 2 * at + 1;
      if (child >= end) return;
      if (child + 1 < end && this.#compare(child + 1, child) > 0) child++;
      if (this.#compare(at, child) >= 0) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(i: number, j: number): void {
    const unit = this.#units[i] ?? 0;
    const row = this.#rows[i] ?? 0;
    this.#units[i] = this.#units[j] ?? 0;
    this.#rows[i] = this.#rows[j] ?? 0;
    this.#units[j] = unit;
    this.#rows[j] = row;
  }
}
