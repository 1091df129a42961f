/** Struct arrays of a schema: on the wire a struct holds its fields; here the collection does, as lists (model/structs.ts). */
import type { FieldId } from '../../model/ids.ts';
import type { CollectionSchema, FieldSchema, StructFieldSchema } from '../../model/schema.ts';
import { fieldsOfStruct, structFieldName, structFieldParts } from '../../model/structs.ts';
import { present } from '../../support/assert.ts';
import { invalid } from './checks.ts';
import type { SchemaFieldSchema, SchemaStructArrayFieldSchema } from './descriptor.generated.ts';
import type { Outgoing } from './descriptor.ts';
import { dataTypeToWire } from './enums.ts';
import { fromProperties, toProperties } from './key-values.ts';
import { requireName } from './names.ts';

/** The coordinator assigns ids. */
const NO_ID = 0 as FieldId;
const MAX_CAPACITY = 'max_capacity';

export interface DecodedStructs {
  readonly structs: readonly StructFieldSchema[];
  /** Of all structs. */
  readonly fields: readonly FieldSchema[];
}

/** `decodeField` reads a field as if it were the collection's. Throws `parameter-invalid`. */
export function decodeStructs(
  wire: readonly SchemaStructArrayFieldSchema[],
  decodeField: (field: SchemaFieldSchema) => FieldSchema,
): DecodedStructs {
  const decoded = wire.map((struct) => decodeStruct(struct, decodeField));
  return {
    structs: decoded.map(({ struct }) => struct),
    fields: decoded.flatMap(({ fields }) => fields),
  };
}

function decodeStruct(
  wire: SchemaStructArrayFieldSchema,
  decodeField: (field: SchemaFieldSchema) => FieldSchema,
): { readonly struct: StructFieldSchema; readonly fields: FieldSchema[] } {
  const name = requireName('field', wire.name);
  const typeParams = toProperties(wire.type_params);
  const fields = wire.fields.map((field) => ({
    ...decodeField(withCapacity(requireSoundField(wire, field), typeParams[MAX_CAPACITY])),
    name: structFieldName(name, field.name),
    structFieldId: NO_ID,
  }));
  const [first] = fields;
  if (first === undefined) throw invalid(`struct array field ${name} has no fields`);
  const maxCapacity = present(first.maxCapacity, 'capacity of a list');
  for (const field of fields)
    if (field.maxCapacity !== maxCapacity)
      throw invalid(
        `fields of struct ${name} differ in max_capacity: ${maxCapacity} of ${first.name}, ${field.maxCapacity} of ${field.name}`,
      );
  const { description, nullable } = wire;
  return { struct: { fieldId: NO_ID, name, description, maxCapacity, nullable, typeParams }, fields };
}

/** Lists only; null is a row of the struct as a whole. */
function requireSoundField(
  struct: SchemaStructArrayFieldSchema,
  field: SchemaFieldSchema,
): SchemaFieldSchema {
  const name = structFieldName(struct.name, field.name);
  if (field.data_type !== dataTypeToWire.Array && field.data_type !== dataTypeToWire.ArrayOfVector)
    throw invalid(`fields of a struct array are arrays or vector arrays, but ${name} is none`);
  if (field.is_primary_key || field.autoID || field.is_partition_key || field.is_clustering_key)
    throw invalid(`a field of a struct array cannot be a key: ${name}`);
  if (field.default_value !== undefined && field.default_value !== null)
    throw invalid(`a field of a struct array cannot have a default value: ${name}`);
  if (field.nullable && !struct.nullable)
    throw invalid(`a field of a struct array is null with its struct only: ${name}`);
  return { ...field, nullable: struct.nullable };
}

/** Clients tell the capacity with the struct, with each of its fields, or with both. */
function withCapacity(field: SchemaFieldSchema, capacity: string | undefined): SchemaFieldSchema {
  if (capacity === undefined || field.type_params.some(({ key }) => key === MAX_CAPACITY)) return field;
  return { ...field, type_params: [...field.type_params, { key: MAX_CAPACITY, value: capacity }] };
}

export const encodeStructs = (
  schema: CollectionSchema,
  encodeField: (field: FieldSchema) => Outgoing<SchemaFieldSchema>,
): Outgoing<SchemaStructArrayFieldSchema>[] =>
  (schema.structs ?? []).map((struct) => ({
    fieldID: BigInt(struct.fieldId),
    name: struct.name,
    description: struct.description,
    fields: fieldsOfStruct(schema, struct).map((field) => encodeField({ ...field, name: ownName(field) })),
    type_params: fromProperties(struct.typeParams),
    nullable: struct.nullable,
  }));

/** The name inside the struct. */
export const ownName = ({ name }: FieldSchema): string => structFieldParts(name)?.field ?? name;
