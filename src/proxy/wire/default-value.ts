/** Default values of fields, on the wire and in the schema. */
import { DbError } from '../../errors/db-error.ts';
import type { DataType, ScalarValue } from '../../model/schema.ts';
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
  Geometry: undefined,
  Array: undefined,
  FloatVector: undefined,
  BinaryVector: undefined,
  Float16Vector: undefined,
  BFloat16Vector: undefined,
  Int8Vector: undefined,
  SparseFloatVector: undefined,
  ArrayOfVector: undefined,
} as const satisfies Record<DataType, keyof SchemaValueField | undefined>;

/** Lowest and highest value of the small integers, which travel as int32. */
export const integerRange = { Int8: [-128, 127], Int16: [-32_768, 32_767] } as const;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Throws `parameter-invalid` when the value does not fit the field. */
export function decodeDefault(
  field: string,
  dataType: DataType,
  maxLength: number | undefined,
  wire: SchemaValueField,
): ScalarValue {
  const member = memberOf[dataType];
  if (member === undefined) throw invalid(`type ${dataType} not support default_value, field ${field}`);
  const value = wire[member];
  if (value === undefined || value === null)
    throw invalid(`type of default value of field ${field} mismatches with ${dataType}`);
  if (dataType === 'Int8' || dataType === 'Int16') {
    const [least, most] = integerRange[dataType];
    if (Number(value) < least || Number(value) > most)
      throw invalid(`default value ${value} of field ${field} is out of range [${least}, ${most}]`);
  }
  if (typeof value === 'number' && !Number.isFinite(value))
    throw invalid(`default value of field ${field} must be finite`);
  if (typeof value === 'string' && Buffer.byteLength(value) > (maxLength ?? 0))
    throw invalid(`the length of string exceeds max length: default value of field ${field} (${maxLength})`);
  return value;
}

export function encodeDefault(dataType: DataType, value: ScalarValue): Outgoing<SchemaValueField> {
  const member = memberOf[dataType];
  return member === undefined ? {} : { [member]: value };
}
