/** Distinct values in order, and the rows of each. */
import { compareBytes, TextDictionary } from '../expr/text.ts';
import type { Keys } from './definition.ts';
import { keysOfIntegers, keysOfNumbers, orderOf } from './order.ts';

/** Row `rows[i]` has the value at `places[i]`; without places at the row itself. Rows rise. */
export interface RowValues {
  readonly rows: Uint32Array;
  readonly places: Uint32Array | undefined;
}

export interface Sorted {
  readonly keys: Keys;
  readonly rows: Uint32Array<ArrayBuffer>;
}

/** What is no number is in no order, and is left out. */
export function numberKeys(
  all: Float64Array | BigInt64Array,
  { rows, places }: RowValues,
  isBool: boolean,
): Sorted {
  const ordered = new Uint32Array(rows.length);
  let count = 0;
  const values = new (all.constructor as new (length: number) => typeof all)(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const value = all[places?.[i] ?? (rows[i] as number)] as number | bigint;
    if (Number.isNaN(value)) continue;
    values[count] = value;
    ordered[count++] = rows[i] as number;
  }
  const numbers = values.subarray(0, count);
  const order = orderOf(
    numbers instanceof BigInt64Array ? keysOfIntegers(numbers) : keysOfNumbers(numbers as Float64Array),
  );
  const grouped = groups(order, ordered, (a, b) => numbers[a] === numbers[b]);
  const distinct = narrowed(grouped.firsts, numbers);
  return {
    keys: { kind: isBool ? 'bool' : 'number', values: distinct, starts: grouped.starts },
    rows: grouped.rows,
  };
}

/** As Doubles where they hold all of them. */
function narrowed(
  places: Uint32Array,
  numbers: Float64Array | BigInt64Array,
): Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> {
  if (numbers instanceof Float64Array) return Float64Array.from(places, (place) => numbers[place] as number);
  const distinct = BigInt64Array.from(places, (place) => numbers[place] as bigint);
  const isSafe = [distinct[0], distinct.at(-1)].every(
    (end) => end === undefined || Number.isSafeInteger(Number(end)),
  );
  return isSafe ? Float64Array.from(distinct, Number) : distinct;
}

/** Places of the texts, that many bytes from each offset. */
export function textKeys(
  { data, offsets }: { readonly data: Uint8Array; readonly offsets: Uint32Array },
  { rows, places }: RowValues,
): Sorted {
  const dictionary = new TextDictionary();
  const codes = new Uint32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const at = places?.[i] ?? (rows[i] as number);
    codes[i] = dictionary.intern(data, offsets[at] as number, offsets[at + 1] as number);
  }
  const { size } = dictionary;
  const compare = (a: number, b: number): number =>
    compareBytes(
      dictionary.data,
      dictionary.data,
      dictionary.offsets[b] as number,
      dictionary.offsets[b + 1] as number,
      dictionary.offsets[a] as number,
      dictionary.offsets[a + 1] as number,
    );
  const sorted = Uint32Array.from({ length: size }, (_, code) => code).sort(compare);
  // The same text may have several codes.
  const ranks = new Uint32Array(size);
  let rank = 0;
  for (let i = 1; i < size; i++) {
    if (compare(sorted[i - 1] as number, sorted[i] as number) !== 0) rank++;
    ranks[sorted[i] as number] = rank;
  }
  const ofEntries = Uint32Array.from(codes, (code) => ranks[code] as number);
  const order = orderOf({ high: new Uint32Array(rows.length), low: ofEntries });
  const grouped = groups(order, rows, (a, b) => ofEntries[a] === ofEntries[b]);
  return {
    keys: { kind: 'text', ...texts(dictionary, grouped.firsts, codes), starts: grouped.starts },
    rows: grouped.rows,
  };
}

function texts(dictionary: TextDictionary, firsts: Uint32Array, codes: Uint32Array) {
  const offsets = new Uint32Array(firsts.length + 1);
  const from = (i: number): number => dictionary.offsets[codes[firsts[i] as number] as number] as number;
  const to = (i: number): number => dictionary.offsets[(codes[firsts[i] as number] as number) + 1] as number;
  for (let i = 0; i < firsts.length; i++) offsets[i + 1] = (offsets[i] as number) + to(i) - from(i);
  const data = new Uint8Array(offsets[firsts.length] as number);
  for (let i = 0; i < firsts.length; i++) data.set(dictionary.data.subarray(from(i), to(i)), offsets[i]);
  return { offsets, data };
}

/** Equal values stand behind each other in `order`: the first of each, where each begins, and the rows, of each value each row once. */
function groups(order: Uint32Array, rows: Uint32Array, areEqual: (a: number, b: number) => boolean) {
  const firsts = new Uint32Array(order.length);
  const starts = new Uint32Array(order.length + 1);
  const sorted = new Uint32Array(order.length);
  let groupCount = 0;
  let count = 0;
  for (let i = 0; i < order.length; i++) {
    const place = order[i] as number;
    const isNew = i === 0 || !areEqual(order[i - 1] as number, place);
    if (isNew) {
      firsts[groupCount] = place;
      starts[groupCount++] = count;
    } else if (sorted[count - 1] === rows[place]) continue;
    sorted[count++] = rows[place] as number;
  }
  starts[groupCount] = count;
  return {
    firsts: firsts.slice(0, groupCount),
    starts: starts.slice(0, groupCount + 1),
    rows: sorted.slice(0, count),
  };
}
