/** Conditions on the items of arrays: the items of a block are rows of a block of their own, and the same loops run over them. */
import type { Column, ListColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { type Answer, NO, type RowTest, UNKNOWN, YES } from './answer.ts';
import type { FilterSource } from './columns.ts';
import type { ItemTest, Quantifier } from './predicate.ts';
import type { Binder, InnerFilter } from './values.ts';

/** Which items of a block pass and which fail; of the rest the answer is unknown. Filled from the front. */
class ItemAnswers {
  readonly passed: Uint32Array;
  readonly failed: Uint32Array;
  readonly #source: FilterSource;
  readonly #offsets: Uint32Array;
  readonly #passes: InnerFilter;
  readonly #fails: InnerFilter;
  #items = 0;

  constructor(source: FilterSource, offsets: Uint32Array, passes: InnerFilter, fails: InnerFilter) {
    this.#source = source;
    this.#offsets = offsets;
    this.#passes = passes;
    this.#fails = fails;
    this.passed = new Uint32Array(Math.ceil(source.rowCount / 32));
    this.failed = new Uint32Array(this.passed.length);
  }

  prepare(toRow: number): boolean {
    const to = this.#offsets[toRow] as number;
    if (to <= this.#items) return false;
    this.#passes.evaluate(this.#source, this.#items, to, this.passed);
    this.#fails.evaluate(this.#source, this.#items, to, this.failed);
    this.#items = to;
    return true;
  }
}

const isSet = (bits: Uint32Array, at: number): boolean =>
  (((bits[at >>> 5] as number) >>> (at & 31)) & 1) === 1;

/** Null rows are unknown. */
export function itemsTest(binder: Binder, test: ItemTest): RowTest {
  const { offsets, valid } = binder.columns.list(test.fieldId);
  const [passes, fails] = binder.once(test, (): readonly [InnerFilter, InnerFilter] => [
    binder.compiled(test.item),
    binder.compiled({ kind: 'not', item: test.item }),
  ]);
  const source = binder.columns.items(test.fieldId, offsets[offsets.length - 1] as number, itemsOf);
  const { passed, failed } = binder.needs(new ItemAnswers(source, offsets, passes, fails));
  const decide = quantifiers[test.mode];
  return (row) => {
    if (valid?.[row] === 0) return UNKNOWN;
    const from = offsets[row] as number;
    const to = offsets[row + 1] as number;
    let yes = 0;
    let no = 0;
    for (let at = from; at < to; at++) {
      if (isSet(passed, at)) yes++;
      else if (isSet(failed, at)) no++;
    }
    return decide(yes, to - from - no, to - from, test.count);
  };
}

/** Items that pass for certain, that may pass, all of them, and how many are asked for. */
type Decide = (sure: number, possible: number, all: number, count: number) => Answer;

const between = (isSure: boolean, isPossible: boolean): Answer => (isSure ? YES : isPossible ? UNKNOWN : NO);

const quantifiers: Readonly<Record<Quantifier, Decide>> = {
  any: (sure, possible) => between(sure > 0, possible > 0),
  all: (sure, possible, all) => between(sure === all, possible === all),
  least: (sure, possible, _, count) => between(sure >= count, possible >= count),
  most: (sure, possible, _, count) => between(possible <= count, sure <= count),
  exact: (sure, possible, _, count) =>
    between(sure === count && possible === count, sure <= count && possible >= count),
};

/** The first items of a list column as a column. */
function itemsOf(column: Column, items: number): Column {
  assert(column.layout === 'list', 'a condition on items reads lists');
  const { items: all }: ListColumn = column;
  if (all.layout === 'bytes') return { ...all, offsets: all.offsets.subarray(0, items + 1) };
  return all.layout === 'fixed' ? { ...all, values: all.values.subarray(0, items) } : all;
}
