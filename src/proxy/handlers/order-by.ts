/** Orders of rows: `price:desc,id:asc:nulls_first`. */
import { DbError } from '../../errors/db-error.ts';
import { jsonPathOf } from '../../expr/json-path.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { OrderField, ValuePlace } from '../../querynode/api.ts';
import { splitOutside } from './names.ts';

const MAX_FIELDS = 64;
const sortable: ReadonlySet<string> = new Set([
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'VarChar',
  'Timestamptz',
]);

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export interface OrderItem {
  readonly name: string;
  readonly isDescending: boolean;
  readonly nullsFirst: boolean;
}

/** Rising unless it says otherwise; nulls are the greatest. Throws `parameter-invalid`. */
export function parseOrder(text: string): OrderItem[] {
  const items = splitOutside(text, ',').map(parseItem);
  if (items.length > MAX_FIELDS) throw invalid(`rows are ordered by at most ${MAX_FIELDS} fields`);
  return items;
}

function parseItem(text: string): OrderItem {
  const [name = '', direction = 'asc', nulls, ...rest] = splitOutside(text, ':');
  const way = direction.toLowerCase();
  const where = nulls?.toLowerCase() ?? (way === 'desc' ? 'nulls_first' : 'nulls_last');
  if (name === '' || rest.length > 0) throw invalid(`order by '${text.slice(0, 100)}' is invalid`);
  if (way !== 'asc' && way !== 'desc')
    throw invalid(`invalid order direction '${direction.slice(0, 30)}': it must be asc or desc`);
  if (where !== 'nulls_first' && where !== 'nulls_last')
    throw invalid(`invalid null order '${where.slice(0, 30)}': it must be nulls_first or nulls_last`);
  return { name, isDescending: way === 'desc', nullsFirst: where === 'nulls_first' };
}

/** The text of the order, if there is one. */
export function orderText(params: Properties): string | undefined {
  const text = (params['order_by_fields'] ?? params['order_by'])?.trim();
  return text === undefined || text === '' || text === '[]' ? undefined : text;
}

/** The order the parameters ask for. `hasPaths`: keys of JSON fields and of the dynamic field may stand in it. */
export function orderOf(
  params: Properties,
  schema: CollectionSchema,
  { hasPaths = false } = {},
): readonly OrderField[] | undefined {
  const text = orderText(params);
  if (text === undefined) return undefined;
  return parseOrder(text).map(({ name, ...direction }) => {
    const field = schema.fields.find((each) => each.name === name);
    if (field === undefined) return { ...pathOf(name, schema, hasPaths), ...direction };
    if (!sortable.has(field.dataType))
      throw invalid(`order_by field '${name}' has unsortable type ${field.dataType}`);
    return { fieldId: field.fieldId, ...direction };
  });
}

function pathOf(name: string, schema: CollectionSchema, isAllowed: boolean): ValuePlace {
  const path = jsonPathOf(name, schema);
  if (path === undefined)
    throw invalid(`order_by field '${name.slice(0, 100)}' does not exist in collection schema`);
  if (!isAllowed)
    throw new DbError('unimplemented', 'ordering a query by a key of a JSON field is not implemented');
  return { fieldId: path.fieldId, path: path.keys };
}
