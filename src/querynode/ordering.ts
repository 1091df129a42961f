/** Things in the order of fields. */
import type { OrderField, ValuePlace } from './api.ts';
import type { Pacer } from './pacer.ts';
import { compareScalars, type Scalar } from './values.ts';

export type Direction = Omit<OrderField, keyof ValuePlace>;

/** Pure. Negative, zero or positive: the first direction whose values differ decides. Nulls are equal to one another. */
export function compareRows(
  directions: readonly Direction[],
  a: readonly (Scalar | undefined)[],
  b: readonly (Scalar | undefined)[],
): number {
  for (const [i, { isDescending, nullsFirst }] of directions.entries()) {
    const [left, right] = [a[i], b[i]];
    if (left === undefined || right === undefined) {
      if (left === right) continue;
      return (left === undefined) === nullsFirst ? -1 : 1;
    }
    const order = compareScalars(left, right);
    if (order !== 0) return isDescending ? -order : order;
  }
  return 0;
}

/** Pure. The items by their values; of equal ones the one that stood before. */
export function ordered<Item>(
  items: readonly Item[],
  directions: readonly Direction[],
  valuesOf: (item: Item) => readonly (Scalar | undefined)[],
): Item[] {
  return items
    .map((item) => ({ item, values: valuesOf(item) }))
    .sort((a, b) => compareRows(directions, a.values, b.values))
    .map(({ item }) => item);
}

const RUN = 1024;
const COST_PER_COMPARE = 15;

/** Places of the rows in their order, as `ordered` has it, in slices: for many rows. Merge sort. */
export async function orderedPlaces(
  rows: readonly (readonly (Scalar | undefined)[])[],
  directions: readonly Direction[],
  pacer: Pacer,
): Promise<Uint32Array> {
  const compare = (a: number, b: number): number => compareRows(directions, rows[a] ?? [], rows[b] ?? []);
  let from = Uint32Array.from(rows, (_, place) => place);
  for (let start = 0; start < from.length; start += RUN) {
    from.subarray(start, start + RUN).sort((a, b) => compare(a, b) || a - b);
    await pacer.spend(RUN * COST_PER_COMPARE * 10);
  }
  let to = new Uint32Array(from.length);
  for (let width = RUN; width < from.length; width *= 2) {
    for (let start = 0; start < from.length; start += 2 * width)
      await mergeRuns({ from, to, start, middle: start + width, end: start + 2 * width }, compare, pacer);
    [from, to] = [to, from];
  }
  return from;
}

interface Runs {
  readonly from: Uint32Array;
  readonly to: Uint32Array;
  readonly start: number;
  readonly middle: number;
  readonly end: number;
}

async function mergeRuns(
  { from, to, start, middle, end }: Runs,
  compare: (a: number, b: number) => number,
  pacer: Pacer,
): Promise<void> {
  const [first, last] = [Math.min(middle, from.length), Math.min(end, from.length)];
  let [left, right] = [start, first];
  for (let at = start; at < last; at++) {
    const isLeft =
      left < first && (right >= last || compare(from[left] as number, from[right] as number) <= 0);
    to[at] = from[isLeft ? left++ : right++] as number;
    if (at % RUN === 0) await pacer.spend(RUN * COST_PER_COMPARE);
  }
}

interface Entry {
  readonly values: readonly (Scalar | undefined)[];
  /** Number of the offer. */
  readonly at: number;
}

/** Pure. The first `count` of what was offered, in order; of equal ones the one that was offered before. A heap, its last on top. */
export class FirstOf {
  readonly #directions: readonly Direction[];
  readonly #count: number;
  readonly #heap: Entry[] = [];
  #offered = 0;

  constructor(directions: readonly Direction[], count: number) {
    this.#directions = directions;
    this.#count = count;
  }

  offer(values: readonly (Scalar | undefined)[]): void {
    const at = this.#offered++;
    if (this.#count === 0) return;
    const entry = { values, at };
    const heap = this.#heap;
    if (heap.length < this.#count) {
      heap.push(entry);
      this.#rise();
    } else if (this.#compare(entry, heap[0] as Entry) < 0) {
      heap[0] = entry;
      this.#sink();
    }
  }

  /** Numbers of the offers, in order. */
  places(): Uint32Array {
    const places = [...this.#heap].sort((a, b) => this.#compare(a, b));
    return Uint32Array.from(places, ({ at }) => at);
  }

  #compare(a: Entry, b: Entry): number {
    return compareRows(this.#directions, a.values, b.values) || a.at - b.at;
  }

  #isAfter(i: number, j: number): boolean {
    return this.#compare(this.#heap[i] as Entry, this.#heap[j] as Entry) > 0;
  }

  #rise(): void {
    for (let at = this.#heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isAfter(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && this.#isAfter(right, left) ? right : left;
      if (!this.#isAfter(child, at)) return;
      this.#swap(child, at);
      at = child;
    }
  }

  #swap(i: number, j: number): void {
    const held = this.#heap[i] as Entry;
    this.#heap[i] = this.#heap[j] as Entry;
    this.#heap[j] = held;
  }
}
