/** Where values stand among the sorted keys of an index. */
import { compareNumbers } from '../expr/fold.ts';
import type { Scalar } from '../expr/predicate.ts';
import { compareBytes, equalBytes, utf8 } from '../expr/text.ts';
import type { Keys } from './definition.ts';
import type { Run } from './postings.ts';

/** A constant as keys are compared with it. */
export type Wanted = number | bigint | Uint8Array;

/** Undefined: it is not of the type of the keys. */
export function wantedOf({ kind }: Keys, constant: Scalar): Wanted | undefined {
  if (kind === 'text') return typeof constant === 'string' ? utf8(constant) : undefined;
  if (kind === 'bool') return typeof constant === 'boolean' ? Number(constant) : undefined;
  if (typeof constant !== 'number' && typeof constant !== 'bigint') return undefined;
  if (Number.isNaN(constant)) return undefined;
  // Numbers are compared much faster than bigints.
  const number = Number(constant);
  return Number.isSafeInteger(number) ? number : constant;
}

export const keyCount = ({ starts }: Keys): number => starts.length - 1;

/** The first key that is at least `wanted`; with `above`, the first that is more. */
export function bound(keys: Keys, wanted: Wanted, above: boolean): number {
  if (keys.kind === 'text') {
    const { data, offsets } = keys;
    const text = wanted as Uint8Array;
    return firstOf(keyCount(keys), (key) => {
      const order = compareBytes(data, text, 0, text.length, offsets[key], offsets[key + 1]);
      return above ? order > 0 : order >= 0;
    });
  }
  const { values } = keys;
  const number = wanted as number;
  return above
    ? firstOf(keyCount(keys), (key) => (values[key] as number) > number)
    : firstOf(keyCount(keys), (key) => (values[key] as number) >= number);
}

/** The key that is `wanted`; -1 when there is none. */
export function findKey(keys: Keys, wanted: Wanted): number {
  const key = bound(keys, wanted, false);
  if (key === keyCount(keys)) return -1;
  if (keys.kind !== 'text')
    return compareNumbers('==', keys.values[key] as number | bigint, wanted as number) ? key : -1;
  const { data, offsets } = keys;
  return equalBytes(data, offsets[key] as number, offsets[key + 1] as number, wanted as Uint8Array)
    ? key
    : -1;
}

/** The first key that does not begin with `prefix`, among those that are not before it. */
export function prefixEnd(keys: Extract<Keys, { kind: 'text' }>, prefix: Uint8Array): number {
  const { data, offsets } = keys;
  return firstOf(keyCount(keys), (key) => {
    const start = offsets[key] as number;
    const end = Math.min(offsets[key + 1] as number, start + prefix.length);
    return compareBytes(data, prefix, 0, prefix.length, start, end) > 0;
  });
}

/** `isAfter` turns true at some key and stays it. */
function firstOf(count: number, isAfter: (key: number) => boolean): number {
  let from = 0;
  let to = count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isAfter(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** The postings of keys `from` to `to`. */
export const runOf = ({ starts }: Keys, from: number, to: number): Run => ({
  from: starts[from] as number,
  to: starts[Math.max(from, to)] as number,
});
