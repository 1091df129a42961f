/** Struct arrays: a field of a struct is a field of the collection whose name says both. */
import type { CollectionSchema, FieldSchema, StructFieldSchema } from './schema.ts';

/** The name in the collection: `struct[field]`. */
export const structFieldName = (struct: string, field: string): string => `${struct}[${field}]`;

/** The struct's and the field's own name; undefined for any other name. */
export function structFieldParts(
  name: string,
): { readonly struct: string; readonly field: string } | undefined {
  const [, struct, field] = /^(\w+)\[(\w+)\]$/.exec(name) ?? [];
  return struct === undefined || field === undefined ? undefined : { struct, field };
}

/** The fields of a struct, in order. */
export const fieldsOfStruct = (
  { fields }: Pick<CollectionSchema, 'fields'>,
  { fieldId }: StructFieldSchema,
): FieldSchema[] => fields.filter(({ structFieldId }) => structFieldId === fieldId);
