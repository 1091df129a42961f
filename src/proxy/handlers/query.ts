import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { MilvusQueryRequest } from '../wire/descriptor.generated.ts';
import { decodeRequest } from '../wire/descriptor.ts';
import { flattenParams, integerParam } from '../wire/key-values.ts';
import { COUNT, encodeCountResult, encodeQueryResults } from '../wire/results.ts';
import { checkedFilter } from './filters.ts';
import { fieldIdsOf, projected, resolveOutput, withField } from './output.ts';
import { partitionsToRead } from './partition-keys.ts';
import { primaryKeyOf } from './prepared-write.ts';
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

/** Parameters of features that are not served: refused, since leaving them out would answer something else. */
const unserved: Readonly<Record<string, string>> = {
  group_by_fields: 'group by',
  group_by: 'group by',
  order_by_fields: 'order by',
  order_by: 'order by',
};

function refuseUnserved(request: MilvusQueryRequest, params: Properties): void {
  if ((request.namespace ?? '') !== '') throw new DbError('unimplemented', 'namespaces are not implemented');
  if (params['iterator']?.toLowerCase() === 'true')
    throw new DbError('unimplemented', 'query iterator is not implemented');
  for (const [key, what] of Object.entries(unserved))
    if (params[key] !== undefined && params[key] !== '[]')
      throw new DbError('unimplemented', `${what} is not implemented`);
}

export async function query(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeRequest('Query', body);
  const params = flattenParams(request.query_params);
  refuseUnserved(request, params);
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
  };
  const window = windowOf(params);
  if (request.output_fields.some((name) => name.toLowerCase() === COUNT)) {
    if (request.output_fields.length > 1) throw invalid('count(*) cannot be asked for with other fields');
    if (window.limit !== undefined) throw invalid('count entities with pagination is not allowed');
    return encodeCountResult(collection.name, await call.queryNode.count(where));
  }
  if (filter === undefined && window.limit === undefined)
    throw invalid('empty expression should be used with limit');
  const key = primaryKeyOf(schema);
  const output = withField(resolveOutput(schema, request.output_fields), key);
  const rows = await call.queryNode.query({ ...where, ...window, outputFields: fieldIdsOf(output) });
  return encodeQueryResults({
    collectionName: collection.name,
    primaryField: key.name,
    outputNames: output.names,
    structs: output.structs,
    ...(await shown(output.fields, projected(output, rows), times)),
  });
}
