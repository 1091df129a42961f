/** Sorts places by 64-bit keys, digit by digit (Knuth, "Sorting and searching", 5.2.5): stable, in time that grows with the rows alone. */
const DIGIT_BITS = 16;
const DIGITS = 2 ** DIGIT_BITS;

/** Unsigned halves of the keys. */
export interface WideKeys {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

const SIGN = 0x8000_0000;
// Halves stand low one first on every platform Node runs on.
const LOW = 0;
const HIGH = 1;

/** Keys in the order of the integers. */
export function keysOfIntegers(values: BigInt64Array): WideKeys {
  return split(values, values.length, (high) => (high ^ SIGN) >>> 0);
}

/** Keys in the order of the numbers, zeros equal; not for NaN. */
export function keysOfNumbers(values: Float64Array): WideKeys {
  const { high, low } = split(values, values.length, (word) => word);
  for (let i = 0; i < high.length; i++) {
    // A negative zero is a zero.
    const top = high[i] === SIGN && low[i] === 0 ? 0 : (high[i] as number);
    if (top >= SIGN) {
      high[i] = ~top;
      low[i] = ~(low[i] as number);
    } else high[i] = top | SIGN;
  }
  return { high, low };
}

function split(values: BigInt64Array | Float64Array, count: number, top: (high: number) => number) {
  const words = new Uint32Array(values.buffer, values.byteOffset, count * 2);
  const high = new Uint32Array(count);
  const low = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    high[i] = top(words[2 * i + HIGH] as number);
    low[i] = words[2 * i + LOW] as number;
  }
  return { high, low };
}

/** Places of the keys in their order; of equal keys the first comes first. */
export function orderOf({ high, low }: WideKeys): Uint32Array<ArrayBuffer> {
  const count = high.length;
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let spare = new Uint32Array(count);
  for (const [half, shift] of [
    [low, 0],
    [low, DIGIT_BITS],
    [high, 0],
    [high, DIGIT_BITS],
  ] as const) {
    if (!pass(half, shift, order, spare)) continue;
    [order, spare] = [spare, order];
  }
  return order;
}

/** False: all digits are the same, nothing was moved. */
function pass(half: Uint32Array, shift: number, from: Uint32Array, to: Uint32Array): boolean {
  const starts = new Uint32Array(DIGITS + 1);
  for (const key of half) {
    const digit = ((key >>> shift) & (DIGITS - 1)) + 1;
    starts[digit] = (starts[digit] as number) + 1;
  }
  const first = half.length === 0 ? 0 : ((half[0] as number) >>> shift) & (DIGITS - 1);
  if (starts[first + 1] === half.length) return false;
  for (let digit = 1; digit <= DIGITS; digit++)
    starts[digit] = (starts[digit] as number) + (starts[digit - 1] as number);
  for (const place of from) {
    const digit = ((half[place] as number) >>> shift) & (DIGITS - 1);
    const at = starts[digit] as number;
    to[at] = place;
    starts[digit] = at + 1;
  }
  return true;
}
