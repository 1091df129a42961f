/** Rows of struct arrays: on the wire one column that holds others, here a column of lists for each field. */
import type { FieldId } from '../../model/ids.ts';
import type { Column } from '../../model/rows.ts';
import type { CollectionSchema, StructFieldSchema } from '../../model/schema.ts';
import { fieldsOfStruct, structFieldName } from '../../model/structs.ts';
import { present } from '../../support/assert.ts';
import { invalid } from './checks.ts';
import { ARRAY_OF_STRUCT, dataTypeToWire } from './enums.ts';
import type { WireField } from './field-data-decode.ts';

/** The columns as sent, with those of each struct in the place of the struct. Throws `parameter-invalid`. */
export function withoutStructs(
  { structs = [] }: CollectionSchema,
  sent: readonly WireField[],
): readonly WireField[] {
  if (structs.length === 0) return sent;
  const byName = new Map(structs.map((struct) => [struct.name, struct]));
  return sent.flatMap((field) => {
    const struct = byName.get(field.name);
    return struct === undefined ? [field] : fieldsOf(struct, field);
  });
}

/** The official Node client calls them arrays; others leave the type out. */
const typesOfStructs: ReadonlySet<number> = new Set([0, dataTypeToWire.Array, ARRAY_OF_STRUCT]);

function fieldsOf({ name }: StructFieldSchema, { type, valid, data }: WireField): WireField[] {
  if (!typesOfStructs.has(type) || (data.kind !== 'struct' && data.kind !== 'none'))
    throw invalid(`the data of field ${name} does not match its type ArrayOfStruct`);
  const fields = data.kind === 'struct' ? data.fields : [];
  return fields.map((field) => ({
    ...field,
    name: structFieldName(name, field.name),
    valid: field.valid.length === 0 ? valid : field.valid,
  }));
}

/** Throws `parameter-invalid` unless the fields of each struct hold, row by row, equally many items. */
export function requireWholeStructs(schema: CollectionSchema, columns: ReadonlyMap<FieldId, Column>): void {
  for (const struct of schema.structs ?? []) {
    const [first, ...others] = fieldsOfStruct(schema, struct).map(({ fieldId, name }) =>
      present(columns.get(fieldId), name),
    );
    if (first !== undefined) for (const other of others) requireSame(struct, first, other);
  }
}

function requireSame({ name }: StructFieldSchema, first: Column, other: Column): void {
  const [a, b] = [endsOf(first), endsOf(other)];
  for (let row = 0; row + 1 < a.length; row++) {
    const isNull = first.valid?.[row] === 0;
    if (isNull !== (other.valid?.[row] === 0))
      throw invalid(`row ${row} of struct array field ${name} is null in one of its fields only`);
    if (a[row + 1] !== b[row + 1])
      throw invalid(
        `inconsistent array length: the fields of struct array field ${name} differ in length in row ${row}`,
      );
  }
}

const endsOf = (column: Column): Uint32Array =>
  column.layout === 'list' ? column.offsets : new Uint32Array(0);
