/** `array_contains`, `json_contains` and their `_all` and `_any`: which of some constants the items of a row's array are. */
import type { FieldId } from '../model/ids.ts';
import { NO, type RowTest, UNKNOWN, YES } from './answer.ts';
import { numberKey } from './fold.ts';
import { ARRAY, FALSE, type JsonValues, parsed, TEXT, TRUE } from './json-column.ts';
import type { Constant, Leaf } from './predicate.ts';
import { TextIndex } from './text.ts';
import { type Binder, jsonScalar } from './values.ts';

/** The position among the distinct constants of the item at `at`; -1 when it is none of them. */
type ItemSlot = (at: number) => number;

/** The distinct constants of a list, each with a slot of its own. */
class Slots {
  count = 0;
  readonly numbers = new Map<number | bigint, number>();
  readonly bools = new Map<boolean, number>();
  readonly lists: { readonly list: readonly Constant[]; readonly slot: number }[] = [];
  readonly #texts: TextIndex;
  readonly #textSlots: readonly number[];

  constructor(constants: readonly Constant[]) {
    const texts = new Map<string, number>();
    for (const constant of constants) {
      if (typeof constant === 'string') this.#claim(texts, constant);
      else if (typeof constant === 'boolean') this.#claim(this.bools, constant);
      else if (typeof constant === 'object') this.#claimList(constant);
      else this.#claim(this.numbers, numberKey(constant));
    }
    this.#texts = new TextIndex([...texts.keys()]);
    this.#textSlots = [...texts.values()];
  }

  text(data: Uint8Array, start: number, end: number): number {
    return this.#textSlots[this.#texts.find(data, start, end)] ?? -1;
  }

  #claim<K>(slots: Map<K, number>, key: K): void {
    if (!slots.has(key)) slots.set(key, this.count++);
  }

  #claimList(list: readonly Constant[]): void {
    if (!this.lists.some((known) => sameConstant(known.list, list)))
      this.lists.push({ list, slot: this.count++ });
  }
}

/** Unknown for rows without the array, or with something else in its place. */
export function containsLeaf(
  binder: Binder,
  { array, mode, list }: Extract<Leaf, { kind: 'contains' }>,
): RowTest {
  const slots = binder.once(list, () => new Slots(list));
  if (array.kind === 'json') {
    const { offsets, isArray, values } = binder.needs(binder.columns.jsonItems(array));
    const scan = scanOf(mode, slots.count, jsonSlot(values, slots));
    return (row) => (isArray[row] === 0 ? UNKNOWN : scan(offsets[row] as number, offsets[row + 1] as number));
  }
  const { offsets, valid } = binder.columns.list(array.fieldId);
  const scan = scanOf(mode, slots.count, itemSlot(binder, array.fieldId, array.elementType === 'int', slots));
  return (row) => (valid?.[row] === 0 ? UNKNOWN : scan(offsets[row] as number, offsets[row + 1] as number));
}

/** Whether the array at a path is the one of the leaf. */
export function sameLeaf(binder: Binder, { value, list }: Extract<Leaf, { kind: 'same' }>): RowTest {
  const slots = binder.once(list, () => new Slots([list]));
  const { values } = binder.needs(binder.columns.json(value));
  const slotOf = jsonSlot(values, slots);
  return (row) => {
    if (values.kinds[row] !== ARRAY) return UNKNOWN;
    return slotOf(row) >= 0 ? YES : NO;
  };
}

function scanOf(
  mode: 'any' | 'all',
  wanted: number,
  slotOf: ItemSlot,
): (start: number, end: number) => typeof YES | typeof NO {
  if (mode === 'any')
    return (start, end) => {
      for (let at = start; at < end; at++) if (slotOf(at) >= 0) return YES;
      return NO;
    };
  const seenIn = new Uint32Array(wanted);
  let scan = 0;
  return (start, end) => {
    scan = (scan + 1) >>> 0;
    let missing = wanted;
    for (let at = start; at < end && missing > 0; at++) {
      const slot = slotOf(at);
      if (slot < 0 || seenIn[slot] === scan) continue;
      seenIn[slot] = scan;
      missing--;
    }
    return missing === 0 ? YES : NO;
  };
}

function itemSlot(binder: Binder, fieldId: FieldId, isInteger: boolean, slots: Slots): ItemSlot {
  const { items } = binder.columns.list(fieldId);
  if (items.layout === 'bytes') {
    const { data, offsets } = items;
    return (at) => slots.text(data, offsets[at] as number, offsets[at + 1] as number);
  }
  const { values } = isInteger ? binder.columns.itemIntegers(fieldId) : items;
  if (items.type === 'Bool') return (at) => slots.bools.get(values[at] === 1) ?? -1;
  return (at) => slots.numbers.get(numberKey(values[at] as number | bigint)) ?? -1;
}

function jsonSlot(values: JsonValues, slots: Slots): ItemSlot {
  // Apart, because a string may spell the same bytes as an array.
  const textSlots: number[] = [];
  const listSlots: number[] = [];
  return (at) => {
    const kind = values.kinds[at];
    const code = values.codes[at] as number;
    if (kind === TEXT) {
      textSlots[code] ??= textSlot(values, code, slots);
      return textSlots[code];
    }
    if (kind === ARRAY) {
      listSlots[code] ??= listSlot(values, code, slots);
      return listSlots[code];
    }
    if (kind === TRUE || kind === FALSE) return slots.bools.get(kind === TRUE) ?? -1;
    const scalar = jsonScalar(values, at);
    return typeof scalar === 'number' || typeof scalar === 'bigint'
      ? (slots.numbers.get(numberKey(scalar)) ?? -1)
      : -1;
  };
}

function textSlot({ texts }: JsonValues, code: number, slots: Slots): number {
  return slots.text(texts.data, texts.offsets[code] as number, texts.offsets[code + 1] as number);
}

function listSlot({ texts }: JsonValues, code: number, slots: Slots): number {
  if (slots.lists.length === 0) return -1;
  const item = parsed(
    Buffer.from(texts.data.subarray(texts.offsets[code], texts.offsets[code + 1])).toString(),
  );
  return slots.lists.find(({ list }) => sameConstant(list, item))?.slot ?? -1;
}

/** Recursion is bounded by the constant, which the parser bounds. */
function sameConstant(constant: Constant, item: unknown): boolean {
  if (typeof constant === 'object')
    return (
      Array.isArray(item) &&
      item.length === constant.length &&
      constant.every((inner, i) => sameConstant(inner, item[i]))
    );
  if (typeof constant === 'bigint' && typeof item === 'number')
    return constant === BigInt(Math.trunc(item)) && Number.isInteger(item);
  return constant === item;
}
