/** Pure: the dynamic field `$meta`, one JSON object per row. */
import { DbError } from '../../errors/db-error.ts';
import type { BytesColumn, Column } from '../../model/rows.ts';
import { type CollectionSchema, DYNAMIC_FIELD_NAME, type FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import { parseJson } from '../../support/json.ts';
import { invalid } from './checks.ts';
import { checkedColumn, eachJson, lengthOf } from './columns.ts';
import type { WireData, WireField } from './field-data-decode.ts';
import { type JsonEntry, jsonEntries, jsonObjectText } from './json-object.ts';

const EMPTY_OBJECT = Buffer.from('{}');

/** The column of `$meta`: what was sent, each row an object whose keys are no fields, or empty objects. */
export function dynamicColumn(
  schema: CollectionSchema,
  field: FieldSchema,
  given: WireField | undefined,
  numRows: number,
): Column {
  if (given === undefined || lengthOfData(given.data) === 0) return emptyObjects(numRows);
  const column = checkedColumn(field, given) as BytesColumn;
  if (lengthOf(column) !== numRows)
    throw invalid(
      `the num_rows (${lengthOf(column)}) of the dynamic field is not equal to passed num_rows (${numRows})`,
    );
  const names = new Set([...schema.fields, ...(schema.structs ?? [])].map(({ name }) => name));
  eachJson(field, column, (value, row) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid(`the dynamic field must hold JSON objects, row number: ${row}`);
    for (const key of Object.keys(value))
      if (key === DYNAMIC_FIELD_NAME || names.has(key))
        throw invalid(`the dynamic field contains the name of a field: ${key}, row number: ${row}`);
  });
  return column;
}

/** No text per row: a request of some bytes may ask for millions of rows. */
function emptyObjects(numRows: number): BytesColumn {
  const offsets = new Uint32Array(numRows + 1);
  for (let row = 1; row <= numRows; row++) offsets[row] = row * EMPTY_OBJECT.length;
  const data = new Uint8Array(numRows * EMPTY_OBJECT.length);
  Buffer.from(data.buffer).fill(EMPTY_OBJECT);
  return { layout: 'bytes', type: 'JSON', offsets, data };
}

const lengthOfData = (data: WireData): number => ('offsets' in data ? data.offsets.length - 1 : 0);

/** Columns outside the schema become keys of each row's object. Nulls are left out. */
export function withExtraColumns(
  meta: FieldSchema,
  column: Column,
  extra: readonly WireField[],
  numRows: number,
): Column {
  const columns = extra.map((field) => ({ name: field.name, values: jsonTexts(field, numRows) }));
  const rows = textsOf(column as BytesColumn).map((text, row) => {
    const entries: JsonEntry[] = jsonEntries(text);
    for (const { name, values } of columns) {
      const value = values[row];
      if (value === undefined) continue;
      requireOneValue(name, value);
      if (entries.some(({ key }) => key === name)) throw invalid(`duplicated dynamic key ${name}`);
      entries.push({ key: name, value });
    }
    return jsonObjectText(entries);
  });
  const merged = textColumn(rows);
  eachJson(meta, merged);
  return merged;
}

/** Text that is valid only between others, such as `1,"id":2`, would bring keys of its own. */
function requireOneValue(name: string, text: string): void {
  try {
    parseJson(text);
  } catch (cause) {
    throw new DbError('parameter-invalid', `field ${name} holds invalid JSON`, { cause });
  }
}

export function textsOf({ offsets, data }: BytesColumn): string[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: offsets.length - 1 }, (_, row) =>
    buffer.toString('utf8', offsets[row], offsets[row + 1]),
  );
}

export function textColumn(texts: readonly string[]): BytesColumn {
  const offsets = new Uint32Array(texts.length + 1);
  const parts = texts.map((text, row) => {
    const bytes = Buffer.from(text);
    offsets[row + 1] = present(offsets[row], 'offset') + bytes.length;
    return bytes;
  });
  return { layout: 'bytes', type: 'JSON', offsets, data: Buffer.concat(parts) };
}

/** Each row's value as JSON text; undefined for null. */
function jsonTexts(field: WireField, numRows: number): (string | undefined)[] {
  const texts = valueTexts(field);
  const { valid } = field;
  if (valid.length === 0 && texts.length === numRows) return texts;
  const validCount = valid.reduce((count, bit) => count + bit, 0);
  if (valid.length !== numRows || (texts.length !== validCount && texts.length !== numRows))
    throw invalid(`the num_rows of field ${field.name} is not equal to passed num_rows (${numRows})`);
  let next = 0;
  const isCompact = texts.length === validCount;
  return Array.from(valid, (bit, row) => (bit === 1 ? texts[isCompact ? next++ : row] : undefined));
}

function valueTexts({ name, data }: WireField): string[] {
  if (data.kind === 'json' || data.kind === 'string') {
    const texts = textsOf({ layout: 'bytes', type: 'VarChar', offsets: data.offsets, data: data.data });
    return data.kind === 'json' ? texts : texts.map((text) => JSON.stringify(text));
  }
  if (data.kind === 'bool') return Array.from(data.values as Uint8Array, (bit) => String(bit === 1));
  if (data.kind === 'long') return Array.from(data.values as BigInt64Array, String);
  if (data.kind === 'int' || data.kind === 'float' || data.kind === 'double') {
    const values = data.values as Int32Array | Float32Array | Float64Array;
    return Array.from(values, (value) => {
      if (!Number.isFinite(value)) throw invalid(`value of field ${name} is not a number or infinity`);
      return JSON.stringify(value);
    });
  }
  throw invalid(`field ${name} is not in the schema, and its data cannot be a dynamic field`);
}
