import type { CollectionInfo, CollectionName } from '../../coordinator/api.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import { queryCountOf } from '../../model/columns.ts';
import type { FieldId } from '../../model/ids.ts';
import { type MetricType, metricsOf } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import type { Column, QueryColumn } from '../../model/rows.ts';
import { type CollectionSchema, type FieldSchema, isVectorType } from '../../model/schema.ts';
import { checkVectorSearchParams } from '../../model/vector-index-types.ts';
import type { SearchRequest, SearchResult } from '../../querynode/api.ts';
import { present } from '../../support/assert.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { MilvusSearchRequest } from '../wire/descriptor.generated.ts';
import { decodeRequest } from '../wire/descriptor.ts';
import { flattenParams, fromProperties, integerParam } from '../wire/key-values.ts';
import { decodePlaceholders } from '../wire/placeholder.ts';
import { encodeSearchResults, type Highlight, type Hits } from '../wire/results.ts';
import { checkedFilter } from './filters.ts';
import { bm25Of, type Searched, searchQueries } from './full-text.ts';
import { highlightedIds, highlightingOf, highlightsOf } from './highlighter.ts';
import { requireMetric } from './index-params.ts';
import { orderOf, orderText } from './order-by.ts';
import { fieldIdsOf, type Output, projected, resolveOutput, withField } from './output.ts';
import { partitionsToRead } from './partition-keys.ts';
import { primaryKeyOf } from './prepared-write.ts';
import { rerankOf } from './rerank.ts';
import { queriesOfIds } from './search-by-ids.ts';
import {
  decimalsOf,
  efOf,
  type Grouping,
  groupingOf,
  isTrue,
  iteratorOf,
  type Page,
  pageOf,
  rangeOf,
  rounded,
  sessionTime,
} from './search-params.ts';
import { shown } from './shown.ts';
import { type Times, timesOf } from './time-zones.ts';

/** Hits of one answer: queries times top-k. Each costs at least its key and score. */
export const MAX_HITS = 1_000_000;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);
const unimplemented = (what: string): DbError => new DbError('unimplemented', `${what} is not implemented`);

/** What would change the answer if it were ignored. */
export function refuseUnserved(request: MilvusSearchRequest): void {
  if ((request.namespace ?? '') !== '') throw unimplemented('a namespace');
  if (request.sub_reqs.length > 0) throw unimplemented('a search with searches in it');
  if (request.function_chains.length > 0) throw unimplemented('a function chain');
  if (request.search_aggregation) throw unimplemented('search aggregation');
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
  readonly bm25?: { readonly k1: number; readonly b: number };
}

/** How the field's index compares. Throws `parameter-invalid` when the request names another metric. */
function comparedBy(
  call: CallContext,
  at: CollectionName,
  field: FieldSchema,
  asked: string | undefined,
): Compared {
  const index = indexesOf(call, at).find(({ fieldName }) => fieldName === field.name)?.index;
  const params = flattenOf(index?.params ?? none);
  const [fallback = 'COSINE'] = metricsOf(field);
  const built = requireMetric(params['metric_type'] ?? asked ?? fallback);
  if (asked !== undefined && requireMetric(asked) !== built)
    throw invalid(`metric type not match: invalid parameter[expected=${built}][actual=${asked}]`);
  if (built === 'BM25') return { metric: built, bm25: bm25Of(params) };
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

const none: Properties = {};
const flattened = new WeakMap<Properties, Properties>();

/** Parameters of a record, which never change. */
function flattenOf(params: Properties): Properties {
  const known = flattened.get(params);
  if (known !== undefined) return known;
  const flat = flattenParams(fromProperties(params));
  flattened.set(params, flat);
  return flat;
}

export interface SearchParts {
  /** Of the request, flattened. */
  readonly params: Properties;
  readonly page: Page;
  readonly grouping: Grouping | undefined;
  /** The fields to hand out. */
  readonly output: SearchRequest['outputFields'];
}

/** What a search is of itself, whether it is the whole or one of several: vectors, metric, filter, partitions, range, reranking. */
export async function searchOf(
  call: CallContext,
  at: CollectionName,
  info: CollectionInfo,
  request: MilvusSearchRequest,
  { params, page, grouping, output }: SearchParts,
): Promise<SearchRequest> {
  const { collection } = info;
  const { schema } = collection;
  const field = vectorField(schema, params['anns_field']);
  checkVectorSearchParams(params);
  const compared = comparedBy(call, at, field, params['metric_type']);
  const queries = await queriesOf(call, info, request, { field, params });
  const queryCount = queryCountOf(queries);
  const hits = queryCount * page.topK * (grouping?.size ?? 1);
  if (hits > MAX_HITS)
    throw new DbError(
      'parameter-too-large',
      `number of total results (nq*topk) exceeds the limit ${MAX_HITS}`,
    );
  const { zone } = timesOf(call, info, params);
  const filter = checkedFilter(call, request.dsl, schema, request.expr_template_values, zone);
  const narrowing = { names: request.partition_names, filter };
  const partitionIds = partitionsToRead(call, info, narrowing, 'partition-key-mode');
  const rerank = rerankOf(call, schema, request.function_score, zone);
  return {
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
    ...(rerank === undefined ? {} : { rerank }),
    ...(isTrue(params, 'ignore_growing') ? { ignoreGrowing: true } : {}),
    ...groupPart(grouping),
    outputFields: output,
  };
}

function groupPart(grouping: Grouping | undefined): Pick<SearchRequest, 'groupBy'> {
  if (grouping === undefined) return {};
  const { places, size, isStrict } = grouping;
  return { groupBy: { places, size, isStrict } };
}

type Asked = Pick<Searched, 'field' | 'params'>;

/** What the field is searched for. Throws `parameter-invalid`. */
const searchedOf = (request: MilvusSearchRequest, schema: CollectionSchema, asked: Asked): Searched => ({
  ...asked,
  schema,
  placeholders: decodePlaceholders(request.placeholder_group ?? new Uint8Array(0)),
});

async function queriesOf(
  call: CallContext,
  info: CollectionInfo,
  request: MilvusSearchRequest,
  asked: Asked,
): Promise<QueryColumn> {
  const { ids } = request;
  const queries = ids
    ? await queriesOfIds(call, info, asked.field, ids)
    : await searchQueries(call, searchedOf(request, info.collection.schema, asked));
  const queryCount = queryCountOf(queries);
  if (request.nq > 0n && request.nq !== BigInt(queryCount))
    throw invalid(`nq [${request.nq}] is invalid: the request holds ${queryCount} vectors`);
  return queries;
}

/** What only a whole search has: order, iterator, the moment it is read at. */
function wholePart(
  request: MilvusSearchRequest,
  search: SearchRequest,
  { schema, params }: { readonly schema: CollectionSchema; readonly params: Properties },
): SearchRequest {
  const orderBy = orderOf(params, schema, { hasPaths: true });
  const iterator = iteratorOf(params);
  const isIterating = iterator !== undefined || isTrue(params, 'iterator');
  const asOf = isIterating ? sessionTime(params, request.guarantee_timestamp) : undefined;
  if (search.groupBy !== undefined) refuseWithGroups(search);
  if (isIterating) refuseInIterator(request, search, orderText(params));
  return {
    ...search,
    ...(orderBy === undefined ? {} : { orderBy }),
    ...(asOf === undefined ? {} : { asOf }),
    ...(iterator === undefined ? {} : { iterator, topK: iterator.batch ?? search.topK }),
  };
}

export function refuseWithGroups({ radius, rerank }: SearchRequest): void {
  if (radius !== undefined) throw invalid('Not allowed to do range-search when doing search-group-by');
  if ((rerank?.decays.length ?? 0) > 0) throw invalid('decay ranking cannot be used with grouping');
  if (rerank?.boosts !== undefined) throw unimplemented('a boost ranker with grouping');
}

function refuseInIterator(
  request: MilvusSearchRequest,
  search: SearchRequest,
  order: string | undefined,
): void {
  if (search.groupBy !== undefined) throw invalid('Not allowed to do groupBy when doing iteration');
  if (search.rerank !== undefined) throw invalid('a search iterator has no rerank function');
  if (order !== undefined)
    throw invalid('a search iterator is ordered by similarity: order_by_fields is not allowed');
  if (search.queryCount !== 1) throw invalid('a search iterator goes with one vector');
  if (search.offset > 0) throw invalid('a search iterator has no offset');
  if (request.ids) throw invalid('a search iterator needs a vector, not ids');
}

/** What the answer shows. The official Node client shows the key of a hit only when it is among the fields. */
export function searchOutput(schema: CollectionSchema, asked: readonly string[]): Output {
  const output = resolveOutput(schema, asked);
  return output.fields.length === 0 ? output : withField(output, primaryKeyOf(schema));
}

export interface Answered {
  readonly info: CollectionInfo;
  readonly output: Output;
  readonly grouping: Grouping | undefined;
  readonly limit: number;
  readonly decimals: number;
  readonly times: Times;
  readonly highlights?: readonly Highlight[];
}

/** The hits as they are told. */
export async function hitsToTell(
  { info, output, grouping, limit, decimals, times, highlights = [] }: Answered,
  result: SearchResult,
): Promise<Hits> {
  const { collection } = info;
  const { groupValues, counts } = result;
  const group =
    grouping === undefined || groupValues === undefined
      ? undefined
      : await shown(
          grouping.shown,
          { rowCount: result.scores.length, columns: groupRows(grouping, groupValues) },
          times,
        );
  return {
    collectionName: collection.name,
    primaryField: primaryKeyOf(collection.schema).name,
    outputNames: output.names,
    structs: output.structs,
    ...(await shown(output.fields, projected(output, result.rows), times)),
    topK: grouping === undefined ? limit : Math.max(0, ...counts),
    counts,
    keys: result.keys,
    scores: rounded(result.scores, decimals),
    elements: result.elements,
    highlights,
    group,
    sessionTs: result.readTs,
    next: result.next,
  };
}

const groupRows = ({ shown: fields }: Grouping, values: readonly Column[]): Map<FieldId, Column> =>
  new Map(fields.map(({ fieldId }, at) => [fieldId, present(values[at], 'the values of a group field')]));

export const search = async (body: Uint8Array, call: CallContext): Promise<Uint8Array> =>
  encodeSearchResults(await searched(decodeRequest('Search', body), call));

/** A search whose request has been read. */
export async function searched(request: MilvusSearchRequest, call: CallContext): Promise<Hits> {
  const params = flattenParams(request.search_params);
  refuseUnserved(request);
  const at = collectionAt(call, request);
  const info = call.coordinator.requireReady(at);
  const { schema } = info.collection;
  const page = pageOf(params);
  const output = searchOutput(schema, request.output_fields);
  const grouping = groupingOf(params, schema);
  const highlighting =
    request.highlighter === null || request.highlighter === undefined
      ? undefined
      : highlightingOf(
          request.highlighter,
          searchedOf(request, schema, { field: vectorField(schema, params['anns_field']), params }),
        );
  const fieldIds = new Set([...fieldIdsOf(output), ...highlightedIds(highlighting)]);
  const parts = { params, page, grouping, output: [...fieldIds] };
  const whole = wholePart(request, await searchOf(call, at, info, request, parts), { schema, params });
  const answered = {
    info,
    output,
    grouping,
    limit: page.limit,
    decimals: decimalsOf(params),
    times: timesOf(call, info, params),
  };
  const result = await call.queryNode.search(whole);
  const highlights = await highlightsOf(call, highlighting, result);
  return hitsToTell({ ...answered, highlights }, result);
}
