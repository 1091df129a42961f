/** Columns as a program holds them, to and from the wire. */
import { DbError } from '../errors/db-error.ts';
import { vectorWidth } from '../model/columns.ts';
import type { Column, RowBatch } from '../model/rows.ts';
import { type DataType, type FieldSchema, isDenseVector } from '../model/schema.ts';
import { dataTypeToWire } from '../proxy/wire/enums.ts';
import {
  join,
  nested,
  nothing,
  type Part,
  packed,
  packVarints,
  part,
  rawBytes,
  repeatedTexts,
  text,
  uint,
} from '../proxy/wire/parts.ts';
import { parseJson } from '../support/json.ts';
import type { ColumnValues } from './columns.ts';

/** A field of a collection, as far as its column is concerned. */
export interface ColumnField {
  readonly name: string;
  readonly dataType: DataType;
  /** Of vectors. */
  readonly dim: number;
}

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

const wrong = ({ name, dataType }: ColumnField, wanted: string): DbError =>
  invalid(`column '${name}' of type ${dataType} takes ${wanted}`);

/** Numbers of the `ScalarField` members. */
const scalar = { bool: 1, int: 2, long: 3, float: 4, double: 5, string: 6, json: 9 } as const;
const bytesOfVectors: Readonly<Record<string, number>> = {
  BinaryVector: 3,
  Float16Vector: 4,
  BFloat16Vector: 5,
  Int8Vector: 7,
};
const vectorClasses = {
  FloatVector: Float32Array,
  BinaryVector: Uint8Array,
  Float16Vector: Uint16Array,
  BFloat16Vector: Uint16Array,
  Int8Vector: Int8Array,
} as const;

type Numbers = Float32Array | Uint8Array | Uint16Array | Int8Array;

const widthOf = ({ dataType, dim }: ColumnField): number => (dataType === 'BinaryVector' ? dim / 8 : dim);

/** Rows in a column. Throws `parameter-invalid` when it cannot be one of this field. */
export function rowsIn(field: ColumnField, values: ColumnValues): number {
  if (!isDenseVector(field.dataType) || Array.isArray(values)) return values.length;
  const width = widthOf(field);
  if (values.length % width !== 0)
    throw invalid(
      `column '${field.name}' holds ${values.length} numbers, which are no whole vectors of ${width}`,
    );
  return values.length / width;
}

/** `schema.FieldData`. Throws `parameter-invalid` for values of another type, `unimplemented` for types that only the client takes. */
export function fieldData(field: ColumnField, values: ColumnValues): Part {
  const { present, valid } = withoutNulls(values);
  const content = isDenseVector(field.dataType)
    ? nested(4, vectors(field, present))
    : nested(3, scalars(field, present));
  return join(
    uint(1, dataTypeToWire[field.dataType]),
    text(2, field.name),
    content,
    valid === undefined ? nothing : packed(7, part(valid)),
  );
}

interface Present {
  readonly present: ColumnValues;
  /** Absent: no row is null. */
  readonly valid?: Uint8Array;
}

function withoutNulls(values: ColumnValues): Present {
  if (!Array.isArray(values)) return { present: values };
  const all = values as readonly unknown[];
  const valid = Uint8Array.from(all, (value) => (value === null || value === undefined ? 0 : 1));
  return valid.includes(0) ? { present: all.filter((_, row) => valid[row] === 1), valid } : { present: all };
}

function vectors(field: ColumnField, values: ColumnValues): Part {
  const { dataType, dim } = field;
  const Values = vectorClasses[dataType as keyof typeof vectorClasses];
  const isFlat = values instanceof Values;
  const rows = isFlat ? [values] : (values as readonly unknown[]);
  const width = widthOf(field);
  for (const row of rows)
    if (!(row instanceof Values) || (!isFlat && row.length !== width))
      throw wrong(field, `one ${Values.name} of all vectors, or an array of them, each of ${width}`);
  const bytes = join(...(rows as readonly Numbers[]).map(rawBytes));
  const member = bytesOfVectors[dataType];
  return join(uint(1, dim), member === undefined ? nested(2, packed(1, bytes)) : nested(member, bytes));
}

function scalars(field: ColumnField, values: ColumnValues): Part {
  switch (field.dataType) {
    case 'Bool':
      return nested(scalar.bool, packed(1, part(Uint8Array.from(booleans(field, values)))));
    case 'Int8':
    case 'Int16':
    case 'Int32':
      return nested(scalar.int, packed(1, part(packVarints(Int32Array.from(integers(field, values))))));
    case 'Int64':
      return nested(scalar.long, packed(1, part(packVarints(longs(field, values)))));
    case 'Float':
      return nested(scalar.float, packed(1, rawBytes(floats(field, values, Float32Array))));
    case 'Double':
      return nested(scalar.double, packed(1, rawBytes(floats(field, values, Float64Array))));
    case 'VarChar':
      return nested(scalar.string, repeatedTexts(1, strings(field, values)));
    case 'JSON':
      return nested(scalar.json, repeatedTexts(1, jsonTexts(field, values)));
    default:
      throw new DbError(
        'unimplemented',
        `column '${field.name}': ${field.dataType} is written by the client (db.client()), not by columns`,
      );
  }
}

function* booleans(field: ColumnField, values: ColumnValues): Generator<number> {
  for (const value of values as Iterable<unknown>) {
    if (value !== true && value !== false && value !== 0 && value !== 1) throw wrong(field, 'booleans');
    yield Number(value);
  }
}

function* integers(field: ColumnField, values: ColumnValues): Generator<number> {
  for (const value of values as Iterable<unknown>) {
    // What is too large for the type is refused with the row's place, as from every client.
    if (!Number.isInteger(value) || (value as number) !== ((value as number) | 0))
      throw wrong(field, 'integers');
    yield value as number;
  }
}

function longs(field: ColumnField, values: ColumnValues): BigInt64Array {
  if (values instanceof BigInt64Array) return values;
  return BigInt64Array.from(values as Iterable<unknown>, (value: unknown) => {
    const isExact = typeof value === 'bigint' || Number.isSafeInteger(value);
    const whole = isExact ? BigInt(value as bigint | number) : undefined;
    if (whole === undefined || BigInt.asIntN(64, whole) !== whole)
      throw wrong(field, 'a BigInt64Array, bigints, or integers that are safe');
    return whole;
  });
}

function floats<Values extends Float32Array | Float64Array>(
  field: ColumnField,
  values: ColumnValues,
  Floats: { new (values: readonly number[]): Values },
): Values {
  if (values instanceof Floats) return values as Values;
  const numbers = [...(values as Iterable<unknown>)];
  if (!numbers.every((value) => typeof value === 'number')) throw wrong(field, 'numbers');
  return new Floats(numbers as number[]);
}

function strings(field: ColumnField, values: ColumnValues): readonly string[] {
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'string'))
    throw wrong(field, 'strings');
  return values as readonly string[];
}

function jsonTexts(field: ColumnField, values: ColumnValues): readonly string[] {
  if (!Array.isArray(values)) throw wrong(field, 'values of JSON');
  return values.map((value: unknown) => {
    const told = JSON.stringify(value) as string | undefined;
    if (told === undefined) throw wrong(field, 'values of JSON');
    return told;
  });
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The column of an answer. Throws `unimplemented` for types that only the client reads. */
export function valuesOf({ name, fieldId, dataType }: FieldSchema, rows: RowBatch): ColumnValues {
  const column = rows.columns.get(fieldId);
  const values = column === undefined ? undefined : plainValues(column, dataType);
  if (column === undefined || values === undefined)
    throw new DbError(
      'unimplemented',
      `column '${name}': ${dataType} is read by the client (db.client()), not by columns`,
    );
  const { valid } = column;
  if (valid === undefined || !valid.includes(0)) return values;
  return Array.from(valid, (bit, row) => (bit === 0 ? null : rowOf(column, values, row)));
}

/** The value of a row, or its vector. */
function rowOf(column: Column, values: ColumnValues, row: number): unknown {
  if (column.layout !== 'vector') return values[row];
  const width = vectorWidth(column.type, column.dim);
  return column.values.slice(row * width, (row + 1) * width);
}

/** Undefined: only the client reads them. */
function plainValues(column: Column, dataType: DataType): ColumnValues | undefined {
  if (column.layout === 'vector') return column.values;
  if (column.layout === 'fixed')
    return column.type === 'Bool' ? Array.from(column.values as Uint8Array, Boolean) : column.values;
  if (column.layout === 'list' || column.type === 'SparseFloatVector') return undefined;
  const { offsets, data } = column;
  const texts = Array.from({ length: offsets.length - 1 }, (_, row) =>
    decoder.decode(data.subarray(offsets[row], offsets[row + 1])),
  );
  return dataType === 'JSON' ? texts.map((each) => (each === '' ? null : parseJson(each))) : texts;
}
