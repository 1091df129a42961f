/** Which integers an expression may meet on its way, so that it can be computed with numbers where those are exact. */
import type { Columns, IntegerView } from './columns.ts';
import { isBitOp, MAX_SHIFT } from './fold.ts';
import type { ArithmeticValue, Value } from './predicate.ts';
import type { BitOp } from './syntax.ts';

/** Bounds of the integers a value can take while it is computed with numbers; Doubles are unbounded. */
interface Range {
  readonly min: number;
  readonly max: number;
}
const unbounded: Range = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
const MAX_LENGTH = 2 ** 32;

/**
 * Undefined when some integer on the way might not be exact as a number: then the value is computed with bigints. JSON always
 * is, because its rows mix integers and Doubles.
 */
export function rangeOf(columns: Columns, value: Value): Range | undefined {
  switch (value.kind) {
    case 'int':
      return safe({ min: Number(value.value), max: Number(value.value) });
    case 'field':
      return value.type === 'int' ? viewRange(columns.integers(value.fieldId)) : unbounded;
    case 'element':
      return value.type === 'int' ? viewRange(columns.itemIntegers(value.fieldId)) : unbounded;
    case 'length':
      return { min: 0, max: MAX_LENGTH };
    case 'json':
    case 'moved':
      return undefined;
    case 'arithmetic':
      return arithmeticRange(columns, value);
    default:
      return unbounded;
  }
}

const safe = (range: Range): Range | undefined =>
  Number.isSafeInteger(range.min) && Number.isSafeInteger(range.max) ? range : undefined;

const viewRange = ({ min, max, isWide }: IntegerView): Range | undefined =>
  isWide ? undefined : safe({ min, max });

function arithmeticRange(columns: Columns, { type, op, left, right }: ArithmeticValue): Range | undefined {
  const a = rangeOf(columns, left);
  const b = rangeOf(columns, right);
  if (a === undefined || b === undefined || type === 'json') return undefined;
  if (type === 'float') return unbounded;
  if (op === '+') return safe({ min: a.min + b.min, max: a.max + b.max });
  if (op === '-') return safe({ min: a.min - b.max, max: a.max - b.min });
  if (isBitOp(op)) return bitRange(op, a, b);
  const corners = [a.min * b.min, a.min * b.max, a.max * b.min, a.max * b.max];
  if (op === '*') return safe({ min: Math.min(...corners), max: Math.max(...corners) });
  // Quotient and remainder are never farther from zero than the dividend.
  const bound = Math.max(Math.abs(a.min), Math.abs(a.max));
  return { min: -bound, max: bound };
}

const INT32: Range = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const isInside = (inner: Range, outer: Range): boolean => inner.min >= outer.min && inner.max <= outer.max;

/** JavaScript's own bits are those of 32-bit integers; shifts are multiplications and divisions. */
function bitRange(op: BitOp, a: Range, b: Range): Range | undefined {
  if (op !== '<<' && op !== '>>') return isInside(a, INT32) && isInside(b, INT32) ? INT32 : undefined;
  if (b.min < 0 || b.max > MAX_SHIFT) return undefined;
  if (op === '>>') return { min: Math.min(a.min, 0), max: Math.max(a.max, 0) };
  const factor = 2 ** b.max;
  return safe({ min: Math.min(a.min, a.min * factor), max: Math.max(a.max, a.max * factor) });
}
