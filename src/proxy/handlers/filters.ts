/** Filters with their template values, from the wire to a checked tree. */
import { DbError } from '../../errors/db-error.ts';
import type { CheckedFilter } from '../../expr/check.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import { parseJson } from '../../support/json.ts';
import type { TimeZone } from '../../timestamptz/zones.ts';
import type { CallContext, TemplateValue } from '../context.ts';
import type { SchemaTemplateArrayValue, SchemaTemplateValue } from '../wire/descriptor.generated.ts';

export type WireTemplates = Readonly<Record<string, SchemaTemplateValue>>;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** The filter, or undefined for an empty text, which means every row. */
export const checkedFilter = (
  { filters }: CallContext,
  text: string,
  schema: CollectionSchema,
  templates: WireTemplates,
  zone: TimeZone,
): CheckedFilter | undefined =>
  text.trim() === '' ? undefined : filters.check(text, schema, templateValues(templates), zone);

const templateValues = (templates: WireTemplates): ReadonlyMap<string, TemplateValue> =>
  new Map(Object.entries(templates).map(([name, value]) => [name, templateValue(name, value)]));

function templateValue(name: string, value: SchemaTemplateValue): TemplateValue {
  const scalar = value.bool_val ?? value.int64_val ?? value.float_val ?? value.string_val;
  if (scalar !== undefined && scalar !== null) return scalar;
  if (value.array_val !== undefined && value.array_val !== null) return arrayValue(name, value.array_val);
  if (value.bytes_val !== undefined && value.bytes_val !== null)
    throw new DbError(
      'unimplemented',
      `template value ${name}: bytes, for membership filters, are not implemented`,
    );
  throw invalid(`template value ${name} is empty`);
}

function arrayValue(name: string, value: SchemaTemplateArrayValue): TemplateValue {
  const list = value.bool_data ?? value.long_data ?? value.double_data ?? value.string_data;
  if (list !== undefined && list !== null) return list.data;
  const nested = value.array_data;
  if (nested !== undefined && nested !== null) return nested.data.map((item) => arrayValue(name, item));
  if (value.json_data !== undefined && value.json_data !== null)
    return value.json_data.data.map((text) => jsonValue(name, Buffer.from(text).toString()));
  return [];
}

/** Integers that only a bigint holds are known by their digits. */
function jsonValue(name: string, text: string): TemplateValue {
  if (/^\s*-?\d{1,19}\s*$/.test(text)) return BigInt(text);
  try {
    return plainValue(name, parseJson(text), 0);
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid(`template value ${name} is no JSON`);
    throw error;
  }
}

/** Lists in lists, as deep as a filter may be. */
const MAX_DEPTH = 400;

function plainValue(name: string, value: unknown, depth: number): TemplateValue {
  if (depth > MAX_DEPTH) throw invalid(`template value ${name} is nested deeper than ${MAX_DEPTH} levels`);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((item: unknown) => plainValue(name, item, depth + 1));
  throw invalid(
    `template value ${name} holds ${value === null ? 'null' : 'an object'}; a filter compares scalars and lists`,
  );
}
