/** Rules that hold for values of every kind, and how their breach is told. */
import { DbError } from '../../errors/db-error.ts';
import type { VectorValues } from '../../model/rows.ts';
import type { FieldSchema, VectorType } from '../../model/schema.ts';
import type { WireData } from './field-data-decode.ts';

export const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export const mismatch = (field: FieldSchema, found: string): DbError =>
  invalid(`the data of field ${field.name} does not match its type ${field.dataType}: found ${found}`);

export const describe = (data: WireData): string => {
  if (data.kind === 'other') return data.name;
  return data.kind === 'none' ? 'no data' : `${data.kind} data`;
};

/** Throws `parameter-invalid` for a list that is longer than its field allows. */
export function requireCapacity(field: FieldSchema, offsets: Uint32Array): void {
  const limit = field.maxCapacity ?? 0;
  for (let row = 0; row + 1 < offsets.length; row++) {
    const length = (offsets[row + 1] as number) - (offsets[row] as number);
    if (length > limit)
      throw invalid(
        `the length (${length}) of array field ${field.name} exceeds max capacity (${limit}), row number: ${row}`,
      );
  }
}

/** NaN and the infinities times zero are NaN, every other number times zero is zero: one sum tells. */
export function requireFinite(field: FieldSchema, values: Float32Array | Float64Array): void {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * 0;
  if (sum !== 0) throw invalid(`value of field ${field.name} is not a number or infinity`);
}

/** The bits of an exponent that says "not a number" or "infinity". */
const notFinite: Partial<Readonly<Record<VectorType, number>>> = {
  Float16Vector: 0x7c00,
  BFloat16Vector: 0x7f80,
};

/** Throws `parameter-invalid` for vectors with a value that is not a finite number. */
export function requireNumbers(field: FieldSchema, type: VectorType, values: VectorValues): void {
  if (values instanceof Float32Array) requireFinite(field, values);
  const mask = notFinite[type];
  if (mask === undefined) return;
  for (let i = 0; i < values.length; i++)
    if (((values[i] as number) & mask) === mask)
      throw invalid(`value of field ${field.name} is not a number or infinity`);
}
