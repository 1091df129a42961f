/** Arithmetic and comparison of known values: what constants fold by, and what the row evaluators fall back on. */
import type { ArithmeticOp, BitOp, CompareOp } from './syntax.ts';

export const MIN_INT64 = -(2n ** 63n);
export const MAX_INT64 = 2n ** 63n - 1n;

export const fitsInt64 = (value: bigint): boolean => value >= MIN_INT64 && value <= MAX_INT64;

/** A shift by more than an Int64 has is no number. */
export const MAX_SHIFT = 63;
const bitOps: ReadonlySet<string> = new Set<BitOp>(['&', '|', '^', '<<', '>>']);
export const isBitOp = (op: ArithmeticOp): op is BitOp => bitOps.has(op);

/** Of integers in two's complement, however long; undefined for a shift by less than 0 or more than 63. */
export function bitArithmetic(op: BitOp, a: bigint, b: bigint): bigint | undefined {
  switch (op) {
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return b < 0n || b > MAX_SHIFT ? undefined : a << b;
    case '>>':
      return b < 0n || b > MAX_SHIFT ? undefined : a >> b;
  }
}

/** Integers without bounds; division truncates; undefined when dividing by zero. */
export function wideArithmetic(op: Exclude<ArithmeticOp, '**'>, a: bigint, b: bigint): bigint | undefined {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? undefined : a / b;
    case '%':
      return b === 0n ? undefined : a % b;
    default:
      return bitArithmetic(op, a, b);
  }
}

/** Double arithmetic; a division by zero is undefined, as it is for integers; Doubles have no modulo and no bits. */
export function floatArithmetic(op: ArithmeticOp, a: number, b: number): number | undefined {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0 ? undefined : a / b;
    case '**':
      return a ** b;
    default:
      return undefined;
  }
}

/**
 * What rows compute: a bigint is an integer, a number a Double; one Double makes the result a Double. Int64 wraps around, as
 * the hardware does.
 */
export function exactArithmetic(
  op: ArithmeticOp,
  a: bigint | number,
  b: bigint | number,
): bigint | number | undefined {
  if (typeof a !== 'bigint' || typeof b !== 'bigint' || op === '**')
    return floatArithmetic(op, Number(a), Number(b));
  const wide = wideArithmetic(op, a, b);
  return wide === undefined ? undefined : BigInt.asIntN(64, wide);
}

/** JavaScript compares bigint with number exactly, so Int64 and Double mix without rounding. */
export function compareNumbers(op: CompareOp, a: bigint | number, b: bigint | number): boolean {
  switch (op) {
    case '==':
      // biome-ignore lint/suspicious/noDoubleEquals: the loose comparison of bigint and number is the exact one.
      return a == b;
    case '!=':
      // biome-ignore lint/suspicious/noDoubleEquals: as above.
      return a != b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
  }
}

/** `order` below, at or above 0 for left before, same as or after right. */
export function compareOrder(op: CompareOp, order: number): boolean {
  return compareNumbers(op, order, 0);
}

/** The same comparison seen from the other side. */
export const mirrored: Readonly<Record<CompareOp, CompareOp>> = {
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

/** One key per number whatever its type: a number where that is exact, a bigint for the integers beyond. */
export function numberKey(value: number | bigint): number | bigint {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
}
