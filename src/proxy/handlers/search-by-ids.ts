/** Searches for what rows hold: keys instead of vectors. */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { PrimaryKeys, QueryColumn } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import type { CallContext } from '../context.ts';
import type { SchemaIDs } from '../wire/descriptor.generated.ts';
import { takeRows } from '../wire/fill.ts';
import { MAX_QUERIES } from '../wire/placeholder.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { keysOf } from './shards.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Throws `parameter-invalid` for keys of another type than the collection's, and for none. */
function decodeKeys(ids: SchemaIDs, key: FieldSchema): PrimaryKeys {
  const ints = ids.int_id?.data ?? [];
  const texts = ids.str_id?.data ?? [];
  const isInt = key.dataType === 'Int64';
  const count = isInt ? ints.length : texts.length;
  if (ints.length + texts.length !== count)
    throw invalid(`ids must be of the type of the primary key ${key.name}: ${key.dataType}`);
  if (count === 0) throw invalid('nq [0] is invalid: the search has no ids');
  if (count > MAX_QUERIES) throw invalid(`nq should be in range [1, ${MAX_QUERIES}]`);
  return isInt
    ? { type: 'Int64', values: BigInt64Array.from(ints, (id) => BigInt.asIntN(64, id)) }
    : { type: 'VarChar', values: texts };
}

/** The vectors of the rows, in the order of the ids. Throws `parameter-invalid` for an id without a row, or a row without a vector. */
export async function queriesOfIds(
  call: CallContext,
  { collection }: CollectionInfo,
  field: FieldSchema,
  ids: SchemaIDs,
): Promise<QueryColumn> {
  const key = primaryKeyOf(collection.schema);
  const keys = decodeKeys(ids, key);
  if (field.dataType === 'ArrayOfVector')
    throw invalid(`field ${field.name} holds embedding lists: search by ids needs vectors`);
  const rows = await call.queryNode.query({
    collectionId: collection.collectionId,
    filter: call.filters.ofKeys(keys, key.fieldId),
    outputFields: [key.fieldId, field.fieldId],
  });
  const placeOf = new Map<bigint | string, number>();
  for (const [row, found] of keysOf(rows, key).values.entries()) placeOf.set(found, row);
  const places = [...keys.values].map((id: bigint | string) => {
    const place = placeOf.get(id);
    if (place === undefined) throw invalid(`some of the ids do not exist: ${String(id).slice(0, 100)}`);
    return place;
  });
  const column = present(rows.columns.get(field.fieldId), field.name);
  const empty = places.findIndex((place) => column.valid?.[place] === 0);
  if (empty >= 0)
    throw invalid(
      `the row with id ${String(keys.values[empty]).slice(0, 100)} has no vector in field ${field.name}`,
    );
  const { valid: _, ...values } = takeRows(column, places);
  return values as QueryColumn;
}
