import type { CollectionName } from '../../coordinator/api.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import { queryCountOf } from '../../model/columns.ts';
import { isSmallerBetter, type MetricType, metricsOf } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import { type CollectionSchema, type FieldSchema, isVectorType } from '../../model/schema.ts';
import { checkVectorSearchParams } from '../../model/vector-index-types.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { MilvusSearchRequest } from '../wire/descriptor.generated.ts';
import { decodeRequest } from '../wire/descriptor.ts';
import { flattenParams, integerParam, numberParam } from '../wire/key-values.ts';
import { decodePlaceholders, queriesFor } from '../wire/placeholder.ts';
import { encodeSearchResults } from '../wire/results.ts';
import { checkedFilter } from './filters.ts';
import { requireMetric } from './index-params.ts';
import { fieldIdsOf, projected, resolveOutput, withField } from './output.ts';
import { partitionsToRead } from './partition-keys.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { shown } from './shown.ts';
import { timesOf } from './time-zones.ts';

const MAX_TOP_K = 16_384;
/** Hits of one answer: queries times top-k. Each costs at least its key and score. */
const MAX_HITS = 1_000_000;
const MAX_EF = 32_768;
const MAX_DECIMALS = 6;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);
const unimplemented = (what: string): DbError => new DbError('unimplemented', `${what} is not implemented`);

/** What would change the answer if it were ignored. */
const unservedParams: Readonly<Record<string, string>> = {
  group_by_field: 'group by',
  group_by_fields: 'group by',
  order_by_fields: 'order by',
  iterator: 'search iterator',
  search_iter_v2: 'search iterator',
};

function refuseUnserved(request: MilvusSearchRequest, params: Properties): void {
  if ((request.namespace ?? '') !== '') throw unimplemented('a namespace');
  if (request.ids) throw unimplemented('search by ids');
  if (request.sub_reqs.length > 0) throw unimplemented('hybrid search');
  if (request.function_score) throw unimplemented('a rerank function');
  if (request.function_chains.length > 0) throw unimplemented('a function chain');
  if (request.highlighter) throw unimplemented('a highlighter');
  if (request.search_aggregation) throw unimplemented('search aggregation');
  for (const [key, what] of Object.entries(unservedParams)) {
    const value = params[key];
    if (value !== undefined && !['false', 'False', '[]', '-1'].includes(value)) throw unimplemented(what);
  }
}

/** The field to search: named, or the only vector field. */
function vectorField({ fields }: CollectionSchema, name: string | undefined): FieldSchema {
  const vectors = fields.filter(({ dataType }) => isVectorType(dataType));
  const [first] = vectors;
  if (name === undefined || name === '') {
    if (vectors.length > 1 || first === undefined)
      throw invalid('multiple anns_fields exist, please specify a anns_field in search_params');
    return first;
  }
  const named = fields.find((field) => field.name === name);
  if (named === undefined) throw invalid(`failed to get field schema by name: fieldName(${name}) not found`);
  if (!isVectorType(named.dataType)) throw invalid(`field (${name}) to search is not of vector data type`);
  return named;
}

interface Compared {
  readonly metric: MetricType;
  /** For MHJACCARD: bits of an element of the signatures. */
  readonly elementBits?: number;
}

/** How the field's index compares. Throws `parameter-invalid` when the request names another metric. */
function comparedBy(
  call: CallContext,
  at: CollectionName,
  field: FieldSchema,
  asked: string | undefined,
): Compared {
  const index = indexesOf(call, at).find(({ fieldName }) => fieldName === field.name)?.index;
  const params = flattenOf(index?.params ?? {});
  const [fallback = 'COSINE'] = metricsOf(field);
  const built = requireMetric(params['metric_type'] ?? asked ?? fallback);
  if (asked !== undefined && requireMetric(asked) !== built)
    throw invalid(`metric type not match: invalid parameter[expected=${built}][actual=${asked}]`);
  const elementBits = integerParam(params, 'mh_element_bit_width');
  return elementBits === undefined ? { metric: built } : { metric: built, elementBits };
}

function indexesOf(call: CallContext, at: CollectionName) {
  try {
    return call.coordinator.describeIndexes(at, '');
  } catch (error) {
    if (isDbError(error, 'index-not-found')) return [];
    throw error;
  }
}

const flattenOf = (params: Properties): Properties =>
  flattenParams(Object.entries(params).map(([key, value]) => ({ key, value })));

interface Page {
  readonly topK: number;
  readonly limit: number;
  readonly offset: number;
}

/** Throws `parameter-invalid` outside Milvus's bounds. */
export function pageOf(params: Properties): Page {
  const limit = integerParam(params, 'topk') ?? integerParam(params, 'limit');
  const offset = integerParam(params, 'offset') ?? 0;
  if (limit === undefined) throw new DbError('parameter-missing', 'topk is required for search');
  if (limit < 1 || limit > MAX_TOP_K)
    throw invalid(`topk [${limit}] is invalid, it should be in range [1, ${MAX_TOP_K}]`);
  if (offset < 0 || offset > MAX_TOP_K)
    throw invalid(`offset [${offset}] is invalid, it should be in range [0, ${MAX_TOP_K}]`);
  if (offset + limit > MAX_TOP_K)
    throw invalid(`(offset+limit) should be in range [1, ${MAX_TOP_K}], but got ${offset + limit}`);
  return { topK: limit + offset, limit, offset };
}

function efOf(params: Properties): { readonly ef?: number } {
  const ef = integerParam(params, 'ef');
  if (ef === undefined) return {};
  if (ef < 1 || ef > MAX_EF) throw invalid(`ef [${ef}] is invalid, it should be in range [1, ${MAX_EF}]`);
  return { ef };
}

/** Bounds of a range search: range_filter <= distance < radius; radius < similarity <= range_filter. */
function rangeOf(
  params: Properties,
  metric: MetricType,
): { readonly radius?: number; readonly rangeFilter?: number } {
  const radius = numberParam(params, 'radius');
  const rangeFilter = numberParam(params, 'range_filter');
  if (radius === undefined) {
    if (rangeFilter !== undefined) throw invalid('range_filter needs a radius');
    return {};
  }
  if (rangeFilter === undefined) return { radius };
  const isDistance = isSmallerBetter(metric);
  const isEmpty = isDistance ? rangeFilter >= radius : rangeFilter <= radius;
  if (isEmpty)
    throw invalid(
      `range_filter(${rangeFilter}) must be ${isDistance ? 'less' : 'greater'} than radius(${radius}) for ${metric}`,
    );
  return { radius, rangeFilter };
}

function decimalsOf(params: Properties): number {
  const decimals = integerParam(params, 'round_decimal') ?? -1;
  if (decimals < -1 || decimals > MAX_DECIMALS)
    throw invalid(
      `round_decimal [${decimals}] is invalid, it should be -1 or an integer in range [0, ${MAX_DECIMALS}]`,
    );
  return decimals;
}

function rounded(scores: Float32Array, decimals: number): Float32Array {
  if (decimals < 0) return scores;
  const scale = 10 ** decimals;
  return scores.map((score) => Math.round(score * scale) / scale);
}

export async function search(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeRequest('Search', body);
  const params = flattenParams(request.search_params);
  refuseUnserved(request, params);
  const at = collectionAt(call, request);
  const info = call.coordinator.requireReady(at);
  const { collection } = info;
  const { schema } = collection;
  const field = vectorField(schema, params['anns_field']);
  const page = pageOf(params);
  checkVectorSearchParams(params);
  const queries = queriesFor(field, decodePlaceholders(request.placeholder_group ?? new Uint8Array(0)));
  const queryCount = queryCountOf(queries);
  if (request.nq > 0n && request.nq !== BigInt(queryCount))
    throw invalid(`nq [${request.nq}] is invalid: the request holds ${queryCount} vectors`);
  if (queryCount * page.topK > MAX_HITS)
    throw new DbError(
      'parameter-too-large',
      `number of total results (nq*topk) exceeds the limit ${MAX_HITS}`,
    );
  const compared = comparedBy(call, at, field, params['metric_type']);
  const times = timesOf(call, info, params);
  const filter = checkedFilter(call, request.dsl, schema, request.expr_template_values, times.zone);
  const narrowing = { names: request.partition_names, filter };
  const partitionIds = partitionsToRead(call, info, narrowing, 'partition-key-mode');
  const key = primaryKeyOf(schema);
  const asked = resolveOutput(schema, request.output_fields);
  // The official Node client shows the key of a hit only when it is among the fields.
  const output = asked.fields.length === 0 ? asked : withField(asked, key);
  const decimals = decimalsOf(params);
  const result = await call.queryNode.search({
    collectionId: collection.collectionId,
    fieldId: field.fieldId,
    queries,
    queryCount,
    topK: page.topK,
    offset: page.offset,
    ...compared,
    ...efOf(params),
    ...rangeOf(params, compared.metric),
    ...(filter === undefined ? {} : { filter }),
    ...(partitionIds === undefined ? {} : { partitionIds }),
    outputFields: fieldIdsOf(output),
  });
  return encodeSearchResults({
    collectionName: collection.name,
    primaryField: key.name,
    outputNames: output.names,
    structs: output.structs,
    ...(await shown(output.fields, projected(output, result.rows), times)),
    topK: page.limit,
    counts: result.counts,
    keys: result.keys,
    scores: rounded(result.scores, decimals),
    elements: result.elements,
  });
}
