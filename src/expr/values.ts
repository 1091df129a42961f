/** Reads the value side of a test row by row: what generated code does not cover, and all of it where code may not be generated. */
import { unreachable } from '../support/assert.ts';
import type { Columns, IntegerView } from './columns.ts';
import { exactArithmetic, floatArithmetic } from './fold.ts';
import { DOUBLE, FALSE, INTEGER, type JsonValues, TEXT, TRUE, WIDE } from './json-column.ts';
import type { ArithmeticValue, ElementValue, FieldValue, JsonPath, LengthValue, Value } from './predicate.ts';
import type { ArithmeticOp } from './syntax.ts';
import { utf8 } from './text.ts';

/** Text is UTF-8. An integer is a number where that is exact, else a bigint. */
export type RowScalar = number | bigint | boolean | Uint8Array;
/** Undefined: null, missing, of a type that has no place here, or divided by zero. */
export type Reader = (row: number) => RowScalar | undefined;

/** Ties tests to one block of rows; `prepare(to)` before reading rows below `to`. */
export class Binder {
  readonly columns: Columns;
  readonly #preparers = new Set<{ prepare(to: number): void }>();
  readonly #shared: WeakMap<object, unknown>;

  /** `shared` lives as long as the filter and serves all of its blocks. */
  constructor(columns: Columns, shared: WeakMap<object, unknown>) {
    this.columns = columns;
    this.#shared = shared;
  }

  /** What is made of a constant of the filter, made once. */
  once<T>(constant: object, make: () => T): T {
    if (!this.#shared.has(constant)) this.#shared.set(constant, make());
    return this.#shared.get(constant) as T;
  }

  /** Has `column` decoded as far as rows are read. In the order of the calls. */
  needs<T extends { prepare(to: number): void }>(column: T): T {
    this.#preparers.add(column);
    return column;
  }

  prepare(to: number): void {
    for (const column of this.#preparers) column.prepare(to);
  }
}

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
  const corners = [a.min * b.min, a.min * b.max, a.max * b.min, a.max * b.max];
  if (op === '*') return safe({ min: Math.min(...corners), max: Math.max(...corners) });
  // Quotient and remainder are never farther from zero than the dividend.
  const bound = Math.max(Math.abs(a.min), Math.abs(a.max));
  return { min: -bound, max: bound };
}

/** Reads `value` of one row after another. */
export function readerOf(binder: Binder, value: Value): Reader {
  switch (value.kind) {
    case 'int': {
      const number = Number(value.value);
      const constant = Number.isSafeInteger(number) ? number : value.value;
      return () => constant;
    }
    case 'float':
    case 'bool': {
      const { value: constant } = value;
      return () => constant;
    }
    case 'text': {
      const constant = utf8(value.value);
      return () => constant;
    }
    case 'field':
      return fieldReader(binder.columns, value);
    case 'element':
      return elementReader(binder.columns, value);
    case 'json':
      return jsonReader(binder, value);
    case 'length':
      return lengthReader(binder, value);
    case 'arithmetic':
      return rangeOf(binder.columns, value) === undefined
        ? exactReader(binder, value)
        : numberReader(binder, value);
    default:
      return unreachable(value);
  }
}

function fieldReader(columns: Columns, { type, fieldId }: FieldValue): Reader {
  const valid = columns.valid(fieldId);
  const read =
    type === 'text' ? textItems(columns.bytes(fieldId)) : fixedItems(columns, type, fieldId, false);
  if (valid === undefined) return read;
  return (row) => (valid[row] === 0 ? undefined : read(row));
}

function fixedItems(
  columns: Columns,
  type: 'int' | 'float' | 'bool',
  fieldId: FieldValue['fieldId'],
  ofList: boolean,
): Reader {
  if (type === 'int') {
    const { values } = ofList ? columns.itemIntegers(fieldId) : columns.integers(fieldId);
    return (at) => values[at];
  }
  const items = ofList ? columns.list(fieldId).items : columns.fixed(fieldId);
  if (items.layout === 'bytes') return () => undefined;
  const { values } = items;
  return type === 'bool' ? (at) => values[at] === 1 : (at) => values[at];
}

const textItems =
  ({ data, offsets }: { readonly data: Uint8Array; readonly offsets: Uint32Array }): Reader =>
  (at) =>
    data.subarray(offsets[at], offsets[at + 1]);

function elementReader(columns: Columns, { type, fieldId, index }: ElementValue): Reader {
  const { offsets, valid, items } = columns.list(fieldId);
  const read =
    type === 'text' && items.layout === 'bytes'
      ? textItems(items)
      : fixedItems(columns, type === 'text' ? 'int' : type, fieldId, true);
  return (row) => {
    if (valid?.[row] === 0) return undefined;
    const at = (offsets[row] as number) + index;
    return at < (offsets[row + 1] as number) ? read(at) : undefined;
  };
}

function jsonReader(binder: Binder, path: JsonPath): Reader {
  const { values } = binder.needs(binder.columns.json(path));
  return (row) => jsonScalar(values, row);
}

/** Arrays and objects are no scalars: undefined, as a missing value is. */
export function jsonScalar(values: JsonValues, at: number): RowScalar | undefined {
  switch (values.kinds[at]) {
    case INTEGER:
    case DOUBLE:
      return values.numbers[at];
    case WIDE:
      return values.wide.get(at);
    case TEXT: {
      const { data, offsets } = values.texts;
      const code = values.codes[at] as number;
      return data.subarray(offsets[code], offsets[code + 1]);
    }
    case TRUE:
      return true;
    case FALSE:
      return false;
    default:
      return undefined;
  }
}

function lengthReader(binder: Binder, { of }: LengthValue): Reader {
  if (of.kind === 'json') {
    const { offsets, isArray } = binder.needs(binder.columns.jsonItems(of));
    return (row) =>
      isArray[row] === 1 ? (offsets[row + 1] as number) - (offsets[row] as number) : undefined;
  }
  const { offsets, valid } = binder.columns.list(of.fieldId);
  return (row) => (valid?.[row] === 0 ? undefined : (offsets[row + 1] as number) - (offsets[row] as number));
}

/** Every integer on the way is exact as a number. */
function numberReader(binder: Binder, { type, op, left, right }: ArithmeticValue): Reader {
  const a = readerOf(binder, left) as (row: number) => number | undefined;
  const b = readerOf(binder, right) as (row: number) => number | undefined;
  const compute = type === 'int' ? smallArithmetic : floatArithmetic;
  return (row) => {
    const x = a(row);
    const y = b(row);
    return x === undefined || y === undefined ? undefined : compute(op, x, y);
  };
}

function smallArithmetic(op: ArithmeticOp, a: number, b: number): number | undefined {
  if (op === '%') return b === 0 ? undefined : a % b;
  const result = floatArithmetic(op, a, b);
  return op === '/' && result !== undefined ? Math.trunc(result) : result;
}

/** Integers are bigints, Doubles numbers, down to the leaves. */
function exactReader(binder: Binder, { op, left, right }: ArithmeticValue): Reader {
  const a = exactOperand(binder, left);
  const b = exactOperand(binder, right);
  return (row) => {
    const x = a(row);
    const y = b(row);
    return x === undefined || y === undefined ? undefined : exactArithmetic(op, x, y);
  };
}

function exactOperand(binder: Binder, value: Value): (row: number) => bigint | number | undefined {
  if (value.kind === 'arithmetic')
    return exactReader(binder, value) as (row: number) => bigint | number | undefined;
  if (value.kind === 'json') {
    const { values } = binder.needs(binder.columns.json(value));
    return (row) => {
      const kind = values.kinds[row];
      if (kind === DOUBLE) return values.numbers[row];
      if (kind === INTEGER) return BigInt(values.numbers[row] as number);
      return kind === WIDE ? values.wide.get(row) : undefined;
    };
  }
  const read = readerOf(binder, value) as (row: number) => bigint | number | undefined;
  const isInteger = value.kind === 'int' || ('type' in value && value.type === 'int');
  if (!isInteger) return read;
  return (row) => {
    const scalar = read(row);
    return scalar === undefined ? undefined : BigInt(scalar);
  };
}
