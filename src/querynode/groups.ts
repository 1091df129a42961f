/**
 * Nearest rows by group. A unit is asked for some of its nearest rows; while they do not fill enough groups it is asked for more, without
 * the rows of the groups that are full, each time four times as many, exactly, until all have been seen. So an answer costs a bounded
 * multiple of its hits where groups are spread, and never more than a scan with all rows as its answer.
 */
import { isSmallerBetter } from '../model/metric.ts';
import { compareKeys } from '../segment/key-column.ts';
import { present } from '../support/assert.ts';
import { mapLimited } from '../support/limiter.ts';
import type { GroupBy } from './api.ts';
import { countRows, forEachRow } from './bitmap.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import { type Hit, seenKey } from './reduce.ts';
import type { ValueKey } from './values.ts';
import type { NearestRows } from './vectors.ts';

const MIN_ROWS = 64;
const FIRST_FACTOR = 2;
const GROWTH = 4;
const WORDS_PER_SLICE = 256;
const COST_PER_ROW = 15;
const HITS_PER_SLICE = 512;
const COST_PER_HIT = 40;

export interface GroupSearch {
  readonly selections: readonly Selection[];
  /** Of every selection: what tells the groups of its rows apart. */
  readonly keys: readonly ((row: number) => ValueKey)[];
  readonly groupBy: GroupBy;
  /** Groups wanted. */
  readonly limit: number;
  readonly isLargerBetter: boolean;
  readonly parallelUnits: number;
  readonly pacer: Pacer;
  /** Of one query. `isExact`: no hit may be missed. */
  nearest(selection: Selection, k: number, isExact: boolean): Promise<NearestRows>;
}

/** The hits of one group, best first. */
export interface Group {
  readonly key: ValueKey;
  readonly hits: Hit[];
}

/** The best groups, by their best hits. `unit` of a hit: the place of its selection. */
export async function nearestGroups(search: GroupSearch): Promise<Group[]> {
  const { selections, parallelUnits, groupBy, limit } = search;
  const units = selections.map((selection, unit) => new UnitGroups(search, selection, unit));
  const inUnits = (work: (unit: UnitGroups) => Promise<void>) =>
    mapLimited(units, parallelUnits, (unit) => work(unit));
  await inUnits((unit) => unit.findGroups());
  const best = mergedGroups(search, units);
  if (!groupBy.isStrict || groupBy.size === 1) return best.slice(0, limit);
  const wanted = new Set(best.slice(0, limit).map(({ key }) => key));
  await inUnits((unit) => unit.fill(wanted));
  return mergedGroups(search, units)
    .filter(({ key }) => wanted.has(key))
    .slice(0, limit);
}

/** Pure but for what it reads of the units: their groups as one list. A key counts once, with its best hit. */
function mergedGroups({ groupBy, isLargerBetter, selections }: GroupSearch, units: readonly UnitGroups[]) {
  const all = units.flatMap((unit) =>
    [...unit.groups].flatMap(([key, hits]) => hits.map((hit) => ({ key, hit }))),
  );
  const sign = isLargerBetter ? -1 : 1;
  const keysOf = ({ unit }: Hit) => present(selections[unit], 'selection').view.unit.keys;
  all.sort(
    ({ hit: a }, { hit: b }) =>
      sign * (a.score - b.score) ||
      compareKeys(keysOf(a), a.row, keysOf(b), b.row) ||
      (a.element ?? 0) - (b.element ?? 0),
  );
  const seen = new Set<string | bigint>();
  const groups = new Map<ValueKey, Hit[]>();
  for (const { key, hit } of all) {
    const row = seenKey(keysOf(hit), hit.row);
    const once = hit.element === undefined ? row : `${row}/${hit.element}`;
    if (seen.has(once)) continue;
    seen.add(once);
    const hits = groups.get(key);
    if (hits === undefined) groups.set(key, [hit]);
    else if (hits.length < groupBy.size) hits.push(hit);
  }
  return Array.from(groups, ([key, hits]): Group => ({ key, hits }));
}

/** The groups of one unit as far as they are known. */
class UnitGroups {
  /** Best first, at most as many hits as a group has. */
  readonly groups = new Map<ValueKey, Hit[]>();
  readonly #search: GroupSearch;
  readonly #selection: Selection;
  readonly #unit: number;
  readonly #keyOf: (row: number) => ValueKey;
  #k: number;
  #isExact = false;
  /** Every selected row has been seen. */
  #isExhausted = false;

  constructor(search: GroupSearch, selection: Selection, unit: number) {
    this.#search = search;
    this.#selection = selection;
    this.#unit = unit;
    this.#keyOf = present(search.keys[unit], 'the keys of a selection');
    this.#k = Math.max(MIN_ROWS, FIRST_FACTOR * search.limit * search.groupBy.size);
  }

  /** As many groups as are wanted; in the strict mode the best of them filled. */
  async findGroups(): Promise<void> {
    while (!this.#isExhausted && !this.#hasEnough()) await this.#round((key) => !this.#isFull(key));
  }

  /** Fills the groups as far as the unit has rows of them. */
  async fill(wanted: ReadonlySet<ValueKey>): Promise<void> {
    const isOpen = (key: ValueKey): boolean => wanted.has(key) && !this.#isFull(key);
    while (!this.#isExhausted && [...wanted].some(isOpen)) await this.#round(isOpen);
  }

  #isFull(key: ValueKey): boolean {
    return (this.groups.get(key)?.length ?? 0) >= this.#search.groupBy.size;
  }

  #hasEnough(): boolean {
    return this.groups.size >= this.#search.limit;
  }

  /** The next nearest rows among those whose group is open. */
  async #round(isOpen: (key: ValueKey) => boolean): Promise<void> {
    const selection = this.#isExact ? await this.#selectOpen(isOpen) : this.#selection;
    const found =
      selection.count === 0 ? undefined : await this.#search.nearest(selection, this.#k, this.#isExact);
    if (found !== undefined) await this.#take(found);
    // Only an exact answer says that nothing is left. What it left out is in full groups, or not wanted.
    if (this.#isExact && (found?.rows.length ?? 0) < this.#k) this.#isExhausted = true;
    if (this.#isExact) this.#k *= GROWTH;
    this.#isExact = true;
  }

  async #take({ rows, scores, elements }: NearestRows): Promise<void> {
    for (let from = 0; from < rows.length; from += HITS_PER_SLICE) {
      const to = Math.min(rows.length, from + HITS_PER_SLICE);
      for (let i = from; i < to; i++) this.#add(rows[i] ?? 0, scores[i] ?? 0, elements?.[i]);
      await this.#search.pacer.spend((to - from) * COST_PER_HIT);
    }
  }

  #add(row: number, score: number, element: number | undefined): void {
    const key = this.#keyOf(row);
    const hits = this.groups.get(key) ?? [];
    if (hits.some((hit) => hit.row === row && hit.element === element)) return;
    const sign = this.#search.isLargerBetter ? -1 : 1;
    const hit = { unit: this.#unit, row, score };
    hits.push(element === undefined ? hit : { ...hit, element });
    hits.sort((a, b) => sign * (a.score - b.score));
    if (hits.length > this.#search.groupBy.size) hits.pop();
    this.groups.set(key, hits);
  }

  async #selectOpen(isOpen: (key: ValueKey) => boolean): Promise<Selection> {
    const { view, rows } = this.#selection;
    const open = new Uint32Array(rows.length);
    for (let from = 0; from < rows.length; from += WORDS_PER_SLICE) {
      const to = Math.min(rows.length, from + WORDS_PER_SLICE);
      forEachRow(rows, from, to, (row) => {
        if (isOpen(this.#keyOf(row))) open[row >>> 5] = (open[row >>> 5] ?? 0) | (1 << (row & 31));
      });
      await this.#search.pacer.spend((to - from) * 32 * COST_PER_ROW);
    }
    return { view, rows: open, count: countRows(open) };
  }
}

/** Of a metric: whether the larger score is the better. */
export const isLargerBetter = (metric: Parameters<typeof isSmallerBetter>[0]): boolean =>
  !isSmallerBetter(metric);
