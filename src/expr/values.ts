/** Reads the value side of a test row by row: what generated code does not cover, and all of it where code may not be generated. */
import { unreachable } from '../support/assert.ts';
import { addInterval, addSmallInterval } from '../timestamptz/intervals.ts';
import type { Columns, FilterSource } from './columns.ts';
import { exactArithmetic, floatArithmetic, isBitOp } from './fold.ts';
import { DOUBLE, FALSE, INTEGER, type JsonValues, TEXT, TRUE, WIDE } from './json-column.ts';
import type {
  ArithmeticValue,
  ElementValue,
  FieldValue,
  JsonPath,
  LengthValue,
  MovedValue,
  Predicate,
  Value,
} from './predicate.ts';
import { rangeOf } from './ranges.ts';
import type { SlowTests } from './slow.ts';
import type { ArithmeticOp, BitOp } from './syntax.ts';
import { utf8 } from './text.ts';

/** Text is UTF-8. An integer is a number where that is exact, else a bigint. */
export type RowScalar = number | bigint | boolean | Uint8Array;
/** Undefined: null, missing, of a type that has no place here, or divided by zero. */
export type Reader = (row: number) => RowScalar | undefined;

/** Sets the bits of the rows of `[from, to)` that match. */
export interface InnerFilter {
  evaluate(source: FilterSource, from: number, to: number, out: Uint32Array): void;
}

/** What all blocks of one filter share. */
export interface BoundFilter {
  readonly shared: WeakMap<object, unknown>;
  readonly slow: SlowTests;
  /** It tests the items of another filter's rows: nobody settles what it leaves open. */
  readonly isInner: boolean;
  compile(root: Predicate): InnerFilter;
}

/** What is decoded as far as rows are read. */
export interface Preparer {
  /** Whether there was something to do. */
  prepare(to: number): boolean;
}

/** Ties tests to one block of rows; `prepare(to)` before reading rows below `to`. */
export class Binder {
  readonly columns: Columns;
  readonly #preparers = new Set<Preparer>();
  readonly #filter: BoundFilter;

  constructor(columns: Columns, filter: BoundFilter) {
    this.columns = columns;
    this.#filter = filter;
  }

  /** Who answers what takes long. */
  get slow(): SlowTests {
    return this.#filter.slow;
  }

  get isInner(): boolean {
    return this.#filter.isInner;
  }

  /** A filter inside the filter, ready to run over items of arrays. */
  compiled(root: Predicate): InnerFilter {
    return this.#filter.compile(root);
  }

  /** What is made of a constant of the filter, made once. */
  once<T>(constant: object, make: () => T): T {
    const { shared } = this.#filter;
    if (!shared.has(constant)) shared.set(constant, make());
    return shared.get(constant) as T;
  }

  /** Has `column` decoded as far as rows are read. In the order of the calls. */
  needs<T extends Preparer>(column: T): T {
    this.#preparers.add(column);
    return column;
  }

  /** Whether there was something to do. */
  prepare(to: number): boolean {
    let isDecoded = false;
    for (const column of this.#preparers) if (column.prepare(to)) isDecoded = true;
    return isDecoded;
  }
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
    case 'moved':
      return movedReader(binder, value);
    case 'arithmetic':
      return rangeOf(binder.columns, value) === undefined
        ? exactReader(binder, value)
        : numberReader(binder, value);
    default:
      return unreachable(value);
  }
}

export function fieldReader(columns: Columns, { type, fieldId }: FieldValue): Reader {
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

function movedReader(binder: Binder, { of, months, micros }: MovedValue): Reader {
  const read = readerOf(binder, of);
  const small = Number(micros);
  return (row) => {
    const moment = read(row);
    const quick = typeof moment === 'number' ? addSmallInterval(moment, months, small) : undefined;
    if (quick !== undefined) return quick;
    if (typeof moment !== 'number' && typeof moment !== 'bigint') return undefined;
    return addInterval(BigInt(moment), { months, micros });
  };
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
  if (isBitOp(op)) return smallBits(op, a, b);
  const result = floatArithmetic(op, a, b);
  return op === '/' && result !== undefined ? Math.trunc(result) : result;
}

/** See `bitRange` for what fits here. */
function smallBits(op: BitOp, a: number, b: number): number {
  switch (op) {
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return a * 2 ** b;
    case '>>':
      return Math.floor(a / 2 ** b);
  }
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
