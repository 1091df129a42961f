/** Moments and intervals of a filter. */
import { isDbError, messageOf } from '../errors/db-error.ts';
import { addInterval, type Interval, opposite, parseInterval } from '../timestamptz/intervals.ts';
import { isTimestamp, parseTimestamp } from '../timestamptz/text.ts';
import type { Literal, Value } from './predicate.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

/** `text` as a moment; without an offset it is told in the zone of the call. */
export function momentOf(scope: Scope, at: number, text: string): Extract<Literal, { kind: 'int' }> {
  return { kind: 'int', value: told(scope, at, () => parseTimestamp(text, scope.zone)), isTime: true };
}

/** What `read` finds; its complaint gets the place. */
function told<T>(scope: Scope, at: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isDbError(error)) throw scope.fail(at, messageOf(error));
    throw error;
  }
}

/** The interval of `moment ± INTERVAL` and of `INTERVAL + moment`, and the node of the moment. */
export function intervalIn(
  scope: Scope,
  { op, left, right, at }: Extract<Syntax, { kind: 'arithmetic' }>,
): { readonly interval: Interval; readonly moment: Syntax } | undefined {
  const node = right.kind === 'interval' ? right : left;
  if (node.kind !== 'interval') return undefined;
  const isSubtracted = op === '-' && node === right;
  if (op !== '+' && !isSubtracted)
    throw scope.fail(at, 'an INTERVAL is added to a Timestamptz, or subtracted from one');
  const interval = told(scope, node.at, () => parseInterval(node.text));
  return { interval: isSubtracted ? opposite(interval) : interval, moment: node === right ? left : right };
}

/** `moment` later by `interval`. */
export function moveBy(scope: Scope, at: number, moment: Value, interval: Interval): Value {
  if (moment.kind === 'int') {
    const value = addInterval(moment.value, interval);
    if (!isTimestamp(value)) throw scope.fail(at, 'the result is not in the years 1 to 9999');
    return { kind: 'int', value, isTime: true };
  }
  const { months, micros } = interval;
  if (months !== 0) return { kind: 'moved', type: 'int', of: moment, months, micros, isTime: true };
  const right: Literal = { kind: 'int', value: micros };
  return { kind: 'arithmetic', type: 'int', op: '+', left: moment, right, isTime: true };
}
