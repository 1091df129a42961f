/** Which fields an answer shows. */
import { DbError } from '../../errors/db-error.ts';
import { holdsTerms } from '../../model/functions.ts';
import type { FieldId } from '../../model/ids.ts';
import type { BytesColumn, Column, RowBatch } from '../../model/rows.ts';
import {
  type CollectionSchema,
  DYNAMIC_FIELD_NAME,
  type FieldSchema,
  type StructFieldSchema,
} from '../../model/schema.ts';
import { fieldsOfStruct, structFieldParts } from '../../model/structs.ts';
import { present } from '../../support/assert.ts';
import { textColumn, textsOf } from '../wire/dynamic.ts';
import { jsonEntries, jsonObjectText } from '../wire/json-object.ts';

export interface Output {
  /** Columns to fetch and send, in order. */
  readonly fields: readonly FieldSchema[];
  /** Of the collection. */
  readonly structs: readonly StructFieldSchema[];
  /** Names as the answer lists them. */
  readonly names: readonly string[];
  /** Keys of the dynamic field that were asked for; undefined for all of them. */
  readonly dynamicKeys: ReadonlySet<string> | undefined;
}

export const fieldIdsOf = ({ fields }: Output): readonly FieldId[] => fields.map(({ fieldId }) => fieldId);

/** The fields one name means: all of a struct array, the dynamic one for a name that is no field. */
function fieldsOf(schema: CollectionSchema, name: string): readonly FieldSchema[] {
  const { fields } = schema;
  if (name === '*') return fields.filter((field) => !holdsTerms(field));
  const struct = schema.structs?.find((each) => each.name === name);
  if (struct !== undefined) return fieldsOfStruct(schema, struct);
  const named = fields.find((field) => field.name === name) ?? fields.find(({ isDynamic }) => isDynamic);
  if (named === undefined || name === '') throw new DbError('parameter-invalid', `field ${name} not exist`);
  if (holdsTerms(named))
    throw new DbError('field-not-retrievable', `not allowed to retrieve raw data of field ${name}`);
  return [named];
}

/** `*` is every field; a name that is no field is a key of the dynamic field. Throws `parameter-invalid` for unknown names. */
export function resolveOutput(schema: CollectionSchema, asked: readonly string[]): Output {
  const wanted = new Set<FieldSchema>();
  const dynamicKeys = new Set<string>();
  const trimmed = asked.map((text) => text.trim());
  for (const name of trimmed)
    for (const field of fieldsOf(schema, name)) {
      wanted.add(field);
      if (field.isDynamic && name !== '*' && name !== DYNAMIC_FIELD_NAME) dynamicKeys.add(keyOf(name));
    }
  const isWhole = trimmed.some((name) => name === '*' || name === DYNAMIC_FIELD_NAME);
  const fields = schema.fields.filter((field) => wanted.has(field));
  const shownFields = fields.filter(({ isDynamic }) => !isDynamic || isWhole);
  // Clients look for the struct's name, whichever of its fields were asked for.
  const names = [...new Set(shownFields.map(({ name }) => structFieldParts(name)?.struct ?? name))];
  return {
    fields,
    structs: schema.structs ?? [],
    names: isWhole ? names : [...names, ...dynamicKeys],
    dynamicKeys: isWhole ? undefined : dynamicKeys,
  };
}

/** `$meta["key"]` means the key itself. */
const keyOf = (name: string): string =>
  /^\$meta\[(?:"([^"]+)"|'([^']+)')\]$/.exec(name)?.slice(1).find(Boolean) ?? name;

/** The output with the field in it, first when it was not asked for. */
export const withField = (output: Output, field: FieldSchema): Output =>
  output.fields.includes(field)
    ? output
    : { ...output, fields: [field, ...output.fields], names: [field.name, ...output.names] };

/** Leaves only the asked keys in the dynamic column. */
export function projected({ fields, dynamicKeys }: Output, rows: RowBatch): RowBatch {
  const meta = fields.find(({ isDynamic }) => isDynamic);
  if (meta === undefined || dynamicKeys === undefined) return rows;
  const column: Column = present(rows.columns.get(meta.fieldId), DYNAMIC_FIELD_NAME);
  const texts = textsOf(column as BytesColumn).map((text) =>
    jsonObjectText(jsonEntries(text).filter(({ key }) => dynamicKeys.has(key))),
  );
  return { rowCount: rows.rowCount, columns: new Map([...rows.columns, [meta.fieldId, textColumn(texts)]]) };
}
