/** Columns as a program holds them, to and from those of the model. */
import { DbError } from '../errors/db-error.ts';
import { vectorArrays, vectorWidth } from '../model/columns.ts';
import type { Column, RowBatch, VectorValues } from '../model/rows.ts';
import { type DataType, type FieldSchema, isDenseVector, type VectorType } from '../model/schema.ts';
import { textColumn, textsOf } from '../proxy/wire/dynamic.ts';
import { parseJson } from '../support/json.ts';
import type { ColumnValues } from './columns.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

const wrong = ({ name, dataType }: FieldSchema, wanted: string): DbError =>
  invalid(`column '${name}' of type ${dataType} takes ${wanted}`);

/** Rows in a column. Throws `parameter-invalid` when it cannot be one of this field. */
export function rowsIn(field: FieldSchema, values: ColumnValues): number {
  const { dataType, dim = 0 } = field;
  if (!isDenseVector(dataType) || Array.isArray(values)) return values.length;
  const width = vectorWidth(dataType, dim);
  if (values.length % width !== 0)
    throw invalid(
      `column '${field.name}' holds ${values.length} numbers, which are no whole vectors of ${width}`,
    );
  return values.length / width;
}

/**
 * The column, the values of null rows left out as clients may do. Throws `parameter-invalid` for values of another type, `unimplemented`
 * for types that only the client takes.
 */
export function columnOf(field: FieldSchema, values: ColumnValues): Column {
  const { present, valid } = withoutNulls(values);
  const { dataType } = field;
  const column = isDenseVector(dataType) ? vectors(field, dataType, present) : scalars(field, present);
  return valid === undefined ? column : { ...column, valid };
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

function vectors(field: FieldSchema, type: VectorType, values: ColumnValues): Column {
  const { dim = 0 } = field;
  const Values = vectorArrays[type];
  if (values instanceof Values) return { layout: 'vector', type, dim, values: values as VectorValues };
  const width = vectorWidth(type, dim);
  const rows = Array.isArray(values) ? (values as readonly unknown[]) : [values];
  const whole = new Values(rows.length * width);
  for (const [i, row] of rows.entries()) {
    if (!(row instanceof Values && (row as VectorValues).length === width))
      throw wrong(field, `one ${Values.name} of all vectors, or an array of them, each of ${width}`);
    whole.set(row as Uint8Array, i * width);
  }
  return { layout: 'vector', type, dim, values: whole };
}

function scalars(field: FieldSchema, values: ColumnValues): Column {
  const { dataType: type } = field;
  switch (type) {
    case 'Bool':
      return { layout: 'fixed', type, values: Uint8Array.from(booleans(field, values)) };
    case 'Int8':
    case 'Int16':
    case 'Int32':
      return { layout: 'fixed', type, values: Int32Array.from(integers(field, values)) };
    case 'Int64':
      return { layout: 'fixed', type, values: longs(field, values) };
    case 'Float':
      return { layout: 'fixed', type, values: floats(field, values, Float32Array) };
    case 'Double':
      return { layout: 'fixed', type, values: floats(field, values, Float64Array) };
    case 'VarChar':
      return { ...textColumn(strings(field, values)), type };
    case 'JSON':
      return textColumn(jsonTexts(field, values));
    default:
      throw new DbError(
        'unimplemented',
        `column '${field.name}': ${type} is written by the client (db.client()), not by columns`,
      );
  }
}

function* booleans(field: FieldSchema, values: ColumnValues): Generator<number> {
  for (const value of values as Iterable<unknown>) {
    if (value !== true && value !== false && value !== 0 && value !== 1) throw wrong(field, 'booleans');
    yield Number(value);
  }
}

function* integers(field: FieldSchema, values: ColumnValues): Generator<number> {
  for (const value of values as Iterable<unknown>) {
    // What is too large for the type is refused with the row's place, as from every client.
    if (!Number.isInteger(value) || (value as number) !== ((value as number) | 0))
      throw wrong(field, 'integers');
    yield value as number;
  }
}

function longs(field: FieldSchema, values: ColumnValues): BigInt64Array {
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
  field: FieldSchema,
  values: ColumnValues,
  Floats: { new (values: readonly number[]): Values },
): Values {
  if (values instanceof Floats) return values as Values;
  const numbers = [...(values as Iterable<unknown>)];
  if (!numbers.every((value) => typeof value === 'number')) throw wrong(field, 'numbers');
  return new Floats(numbers as number[]);
}

function strings(field: FieldSchema, values: ColumnValues): readonly string[] {
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'string'))
    throw wrong(field, 'strings');
  return values as readonly string[];
}

function jsonTexts(field: FieldSchema, values: ColumnValues): readonly string[] {
  if (!Array.isArray(values)) throw wrong(field, 'values of JSON');
  return values.map((value: unknown) => {
    const told = JSON.stringify(value) as string | undefined;
    if (told === undefined) throw wrong(field, 'values of JSON');
    return told;
  });
}

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
  const texts = textsOf(column);
  return dataType === 'JSON' ? texts.map((each) => (each === '' ? null : parseJson(each))) : texts;
}
