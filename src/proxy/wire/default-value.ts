/** Default values of fields, on the wire and in the schema. */
import { DbError } from '../../errors/db-error.ts';
import { wkbOf } from '../../geometry/read-wkt.ts';
import type { DataType, ScalarValue } from '../../model/schema.ts';
import { formatTimestamp, parseTimestamp, requireTimestamp } from '../../timestamptz/text.ts';
import { type TimeZone, utc } from '../../timestamptz/zones.ts';
import type { SchemaValueField } from './descriptor.generated.ts';
import type { Outgoing } from './descriptor.ts';

/** Which member of `ValueField` carries the default of a type. JSON, arrays and vectors have none, as in Milvus. */
const memberOf = {
  Bool: 'bool_data',
  Int8: 'int_data',
  Int16: 'int_data',
  Int32: 'int_data',
  Int64: 'long_data',
  Float: 'float_data',
  Double: 'double_data',
  VarChar: 'string_data',
  Timestamptz: 'timestamptz_data',
  JSON: undefined,
  Geometry: 'string_data',
  Array: undefined,
  FloatVector: undefined,
  BinaryVector: undefined,
  Float16Vector: undefined,
  BFloat16Vector: undefined,
  Int8Vector: undefined,
  SparseFloatVector: undefined,
  ArrayOfVector: undefined,
} as const satisfies Record<DataType, keyof SchemaValueField | undefined>;

/** Lowest and highest value of the integers that travel as int32. */
export const integerRange = {
  Int8: [-128, 127],
  Int16: [-32_768, 32_767],
  Int32: [-(2 ** 31), 2 ** 31 - 1],
} as const;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export interface DefaultRules {
  readonly dataType: DataType;
  readonly maxLength: number | undefined;
  /** Of a moment that is told without an offset. */
  readonly zone?: TimeZone;
}

/** Throws `parameter-invalid` when the value does not fit the field. */
export function decodeDefault(
  field: string,
  { dataType, maxLength, zone = utc }: DefaultRules,
  wire: SchemaValueField,
): ScalarValue {
  if (dataType === 'Timestamptz' && typeof wire.string_data === 'string')
    return parseTimestamp(wire.string_data, zone);
  const member = memberOf[dataType];
  if (member === undefined) throw invalid(`type ${dataType} not support default_value, field ${field}`);
  const value = wire[member] ?? widened(dataType, wire);
  if (value === undefined || value === null)
    throw invalid(`type of default value of field ${field} mismatches with ${dataType}`);
  if (typeof value === 'bigint') return dataType === 'Timestamptz' ? requireTimestamp(value) : value;
  if (typeof value === 'number') return soundNumber(field, dataType, value);
  return typeof value === 'string' ? soundText(field, { dataType, maxLength }, value) : value;
}

/** pymilvus tells every integer as a 64-bit one. */
const widened = (dataType: DataType, { long_data }: SchemaValueField): number | undefined =>
  typeof long_data === 'bigint' && (dataType === 'Int8' || dataType === 'Int16' || dataType === 'Int32')
    ? Number(long_data)
    : undefined;

function soundNumber(field: string, dataType: DataType, value: number): number {
  if (!Number.isFinite(value)) throw invalid(`default value of field ${field} must be finite`);
  if (dataType !== 'Int8' && dataType !== 'Int16' && dataType !== 'Int32') return value;
  const [least, most] = integerRange[dataType];
  if (value < least || value > most)
    throw invalid(`default value ${value} of field ${field} is out of range [${least}, ${most}]`);
  return value;
}

function soundText(field: string, { dataType, maxLength }: DefaultRules, value: string): string {
  // Kept and described as it was given.
  if (dataType === 'Geometry') wkbOf(value);
  else if (Buffer.byteLength(value) > (maxLength ?? 0))
    throw invalid(`the length of string exceeds max length: default value of field ${field} (${maxLength})`);
  return value;
}

/** Moments as text, in which clients give them. */
export function encodeDefault(
  dataType: DataType,
  value: ScalarValue,
  zone: TimeZone = utc,
): Outgoing<SchemaValueField> {
  if (typeof value === 'bigint' && dataType === 'Timestamptz')
    return { string_data: formatTimestamp(value, zone) };
  const member = memberOf[dataType];
  return member === undefined ? {} : { [member]: value };
}
