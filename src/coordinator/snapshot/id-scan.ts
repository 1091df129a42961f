/** Lists of ids in JSON, read in slices: the only part of a snapshot's metadata that grows with its segments. */
import { setImmediate } from 'node:timers/promises';
import { SLICE } from '../../support/slices.ts';

const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;
const CLOSE = 93;
/** So many decimal digits are exact in a double. */
const EXACT_DIGITS = 15;
const MAX_DIGITS = 19;
const MAX_ID = 2n ** 63n - 1n;

interface Scanned {
  readonly ids: readonly bigint[];
  /** After the closing bracket. */
  readonly end: number;
}

/** `"1","2"]` from `at` on, which is after the opening bracket. Undefined for anything else: it may still be JSON. */
export async function scanIds(text: string, at: number): Promise<Scanned | undefined> {
  const ids: bigint[] = [];
  if (text.charCodeAt(at) === CLOSE) return { ids, end: at + 1 };
  for (let next = at; ; ) {
    if (text.charCodeAt(next) !== QUOTE) return undefined;
    const close = endOfDigits(text, next + 1);
    const id = idOf(text, next + 1, close);
    if (id === undefined || text.charCodeAt(close) !== QUOTE) return undefined;
    ids.push(id);
    const after = text.charCodeAt(close + 1);
    if (after === CLOSE) return { ids, end: close + 2 };
    if (after !== COMMA) return undefined;
    next = close + 2;
    if (ids.length % SLICE === 0) await setImmediate();
  }
}

function endOfDigits(text: string, from: number): number {
  let end = from;
  for (let digit = text.charCodeAt(end) - ZERO; digit >= 0 && digit <= 9; digit = text.charCodeAt(end) - ZERO)
    end++;
  return end;
}

function idOf(text: string, from: number, end: number): bigint | undefined {
  const digits = end - from;
  if (digits === 0 || digits > MAX_DIGITS) return undefined;
  if (digits > EXACT_DIGITS) {
    const id = BigInt(text.slice(from, end));
    return id > MAX_ID ? undefined : id;
  }
  let value = 0;
  for (let i = from; i < end; i++) value = value * 10 + (text.charCodeAt(i) - ZERO);
  return BigInt(value);
}
