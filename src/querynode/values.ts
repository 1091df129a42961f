/** Single values of scalar columns: to group, order and compute with. */
import type { FieldSchema } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import type { Unit } from './unit.ts';

/** Bool and numbers, Int64 and moments, text as UTF-8. */
export type Scalar = number | bigint | Uint8Array;

/** The value of a row; undefined: null. */
export type ValueReader = (row: number) => Scalar | undefined;

const nothing: ValueReader = () => undefined;

/** A field that is younger than the unit reads as its default. */
export function valueReader(unit: Unit, field: FieldSchema): ValueReader {
  const column = unit.column(field.fieldId) ?? unit.defaultOf(field);
  if (column === undefined) return nothing;
  const { valid } = column;
  assert(column.layout === 'fixed' || column.layout === 'bytes', `field ${field.name} holds single values`);
  if (column.layout === 'fixed') {
    const { values } = column;
    return (row) => (valid?.[row] === 0 ? undefined : values[row]);
  }
  const { offsets, data } = column;
  return (row) => (valid?.[row] === 0 ? undefined : data.subarray(offsets[row], offsets[row + 1]));
}

/** Negative, zero or positive. Numbers by value with NaN as the greatest, text by the bytes of its UTF-8. */
export function compareScalars(a: Scalar, b: Scalar): number {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(isNotANumber(a)) - Number(isNotANumber(b));
}

const isNotANumber = (value: Scalar): boolean => typeof value === 'number' && Number.isNaN(value);

/** What tells values apart in a map. Null is `undefined`; 0 and -0 are one value, and so are all NaN. */
export type ValueKey = string | number | bigint | undefined;

export function valueKey(value: Scalar | undefined): ValueKey {
  if (!(value instanceof Uint8Array)) return value === 0 ? 0 : value;
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
}
