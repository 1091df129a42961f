/** Filters with their template values, from the wire to a checked tree. */
import { DbError } from '../../errors/db-error.ts';
import type { CheckedFilter } from '../../expr/check.ts';
import type { CollectionSchema } from '../../model/schema.ts';
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
): CheckedFilter | undefined =>
  text.trim() === '' ? undefined : filters.check(text, schema, templateValues(templates));

const templateValues = (templates: WireTemplates): ReadonlyMap<string, TemplateValue> =>
  new Map(Object.entries(templates).map(([name, value]) => [name, templateValue(name, value)]));

function templateValue(name: string, value: SchemaTemplateValue): TemplateValue {
  const scalar = value.bool_val ?? value.int64_val ?? value.float_val ?? value.string_val;
  if (scalar !== undefined && scalar !== null) return scalar;
  if (value.array_val !== undefined && value.array_val !== null) return arrayValue(name, value.array_val);
  throw invalid(`template value ${name} is empty`);
}

function arrayValue(name: string, value: SchemaTemplateArrayValue): TemplateValue {
  const list = value.bool_data ?? value.long_data ?? value.double_data ?? value.string_data;
  if (list !== undefined && list !== null) return list.data;
  const nested = value.array_data;
  if (nested !== undefined && nested !== null) return nested.data.map((item) => arrayValue(name, item));
  if (value.json_data !== undefined && value.json_data !== null)
    throw new DbError('unimplemented', `template value ${name}: JSON lists are not implemented`);
  return [];
}
