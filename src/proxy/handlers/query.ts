import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { MilvusQueryRequest } from '../wire/descriptor.generated.ts';
import { decodeRequest } from '../wire/descriptor.ts';
import { flattenParams, integerParam } from '../wire/key-values.ts';
import { COUNT, encodeCountResult, encodeQueryResults } from '../wire/results.ts';
import { aggregation, isAggregation } from './aggregation.ts';
import { checkedFilter } from './filters.ts';
import { orderOf } from './order-by.ts';
import { fieldIdsOf, projected, resolveOutput, withField } from './output.ts';
import { partitionsToRead } from './partition-keys.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { isTrue, sessionTime } from './search-params.ts';
import { shown } from './shown.ts';
import { timesOf } from './time-zones.ts';

/** Offset plus limit, as in Milvus. */
export const MAX_WINDOW = 16_384;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

interface Window {
  readonly limit?: number;
  readonly offset?: number;
}

/** Throws `parameter-invalid` outside 1 to 16384 rows. */
export function windowOf(params: Properties): Window {
  const limit = integerParam(params, 'limit');
  const offset = integerParam(params, 'offset') ?? 0;
  if (limit !== undefined && (limit < 1 || limit > MAX_WINDOW))
    throw invalid(
      `invalid max query result window, limit [${limit}] is invalid, it should be in range [1, ${MAX_WINDOW}]`,
    );
  if (offset < 0 || offset + (limit ?? 0) > MAX_WINDOW)
    throw invalid(
      `invalid max query result window, (offset+limit) should be in range [1, ${MAX_WINDOW}], but got ${offset + (limit ?? 0)}`,
    );
  if (limit === undefined && offset > 0) throw invalid('an offset needs a limit');
  return limit === undefined ? {} : { limit, offset };
}

/** Order, and the moment that an iterator reads at. */
function readingOf(
  request: MilvusQueryRequest,
  params: Properties,
  schema: CollectionSchema,
  window: Window,
) {
  const orderBy = orderOf(params, schema);
  const isIterating = isTrue(params, 'iterator');
  if (orderBy !== undefined && isIterating) throw invalid('a query iterator is ordered by the primary key');
  if (orderBy !== undefined && window.limit === undefined)
    throw invalid('ORDER BY requires an explicit limit');
  const asOf = isIterating
    ? (sessionTime(params, request.guarantee_timestamp) ?? ('now' as const))
    : undefined;
  return {
    ...(orderBy === undefined ? {} : { orderBy }),
    ...(asOf === undefined ? {} : { asOf }),
  };
}

export async function query(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeRequest('Query', body);
  const params = flattenParams(request.query_params);
  if ((request.namespace ?? '') !== '') throw new DbError('unimplemented', 'namespaces are not implemented');
  const info = call.coordinator.requireReady(collectionAt(call, request));
  const { collection } = info;
  const { schema, collectionId } = collection;
  const times = timesOf(call, info, params);
  const filter = checkedFilter(call, request.expr, schema, request.expr_template_values, times.zone);
  const asked = { names: request.partition_names, filter };
  const partitionIds = partitionsToRead(call, info, asked, 'parameter-invalid');
  const where = {
    collectionId,
    ...(filter === undefined ? {} : { filter }),
    ...(partitionIds === undefined ? {} : { partitionIds }),
    ...(isTrue(params, 'ignore_growing') ? { ignoreGrowing: true } : {}),
  };
  const window = windowOf(params);
  if (isAggregation(request, params))
    return aggregation(request, params, call, info, { ...where, ...window });
  if (request.output_fields.some((name) => name.toLowerCase() === COUNT)) {
    if (request.output_fields.length > 1) throw invalid('count(*) cannot be asked for with other fields');
    if (window.limit !== undefined) throw invalid('count entities with pagination is not allowed');
    return encodeCountResult(collection.name, await call.queryNode.count(where));
  }
  if (filter === undefined && window.limit === undefined)
    throw invalid('empty expression should be used with limit');
  const key = primaryKeyOf(schema);
  const output = withField(resolveOutput(schema, request.output_fields), key);
  const reading = readingOf(request, params, schema, window);
  const rows = await call.queryNode.query({
    ...where,
    ...window,
    ...reading,
    outputFields: fieldIdsOf(output),
  });
  return encodeQueryResults({
    collectionName: collection.name,
    primaryField: key.name,
    outputNames: output.names,
    structs: output.structs,
    ...(await shown(output.fields, projected(output, rows), times)),
    sessionTs: rows.readTs,
  });
}
