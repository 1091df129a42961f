/** Hybrid search: several searches of one collection, fused into one list. */
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { GroupBy, HybridRequest, SearchRequest } from '../../querynode/api.ts';
import { type CallContext, collectionAt } from '../context.ts';
import type { MilvusHybridSearchRequest, MilvusSearchRequest } from '../wire/descriptor.generated.ts';
import { decodeRequest } from '../wire/descriptor.ts';
import { flattenParams } from '../wire/key-values.ts';
import { encodeSearchResults } from '../wire/results.ts';
import { orderText } from './order-by.ts';
import { fieldIdsOf } from './output.ts';
import { fusionOf } from './rerank.ts';
import { hitsToTell, MAX_HITS, refuseUnserved, refuseWithGroups, searchOf, searchOutput } from './search.ts';
import { decimalsOf, type Grouping, groupingOf, isTrue, type Page, pageOf } from './search-params.ts';
import { timesOf } from './time-zones.ts';

/** Searches of one request, as in Milvus. */
const MAX_SEARCHES = 1024;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

function refuseHybrid(request: MilvusHybridSearchRequest, params: Properties): void {
  if ((request.namespace ?? '') !== '') throw new DbError('unimplemented', 'a namespace is not implemented');
  if (request.function_chains.length > 0)
    throw new DbError('unimplemented', 'a function chain is not implemented');
  if (request.requests.some(({ highlighter }) => highlighter))
    throw new DbError('unimplemented', 'a highlighter of a hybrid search is not implemented');
  if (request.requests.length === 0) throw invalid('a hybrid search needs search requests');
  if (request.requests.length > MAX_SEARCHES)
    throw invalid(`maximum of ann search requests is ${MAX_SEARCHES}`);
  const all = [params, ...request.requests.map(({ search_params }) => flattenParams(search_params))];
  if (all.some((each) => orderText(each) !== undefined))
    throw invalid('order_by_fields is not supported in hybrid search');
  if (all.some((each) => isTrue(each, 'iterator') || isTrue(each, 'search_iter_v2')))
    throw invalid('iterators are not supported in hybrid search');
}

/** Clients put the groups into the parameters of the whole, or of every search. Throws when the searches differ. */
function groupsOf(
  request: MilvusHybridSearchRequest,
  params: Properties,
  schema: CollectionSchema,
): Grouping | undefined {
  const ofWhole = groupingOf(params, schema);
  const ofSearches = request.requests.map(({ search_params }) =>
    groupingOf(flattenParams(search_params), schema),
  );
  const [first] = ofSearches;
  const isAlike = (other: Grouping | undefined): boolean =>
    JSON.stringify(other?.places) === JSON.stringify(first?.places) &&
    other?.size === first?.size &&
    other?.isStrict === first?.isStrict;
  if (ofWhole === undefined && !ofSearches.every(isAlike))
    throw invalid('all searches of a hybrid search are to be grouped alike');
  return ofWhole ?? first;
}

const groupByOf = ({ places, size, isStrict }: Grouping): GroupBy => ({ places, size, isStrict });

/** A client that pages gives the offset of the whole to every search too: each then looks as deep as the whole does. */
function searchPage(request: MilvusSearchRequest, whole: Page): Page {
  const params = flattenParams(request.search_params);
  const isBounded = params['topk'] !== undefined || params['limit'] !== undefined;
  const { topK } = pageOf(isBounded ? params : { ...params, topk: String(whole.topK) });
  return { topK, limit: topK, offset: 0 };
}

function groupScoreOf(params: Properties): HybridRequest['groupScore'] {
  const name = (params['rank_group_scorer'] ?? 'max').trim().toLowerCase();
  if (name !== 'max' && name !== 'sum' && name !== 'avg')
    throw invalid(`unsupported group scorer '${name.slice(0, 50)}', it must be max, sum or avg`);
  return name;
}

function checkSearch(search: SearchRequest, queryCount: number): void {
  if (search.groupBy !== undefined) refuseWithGroups(search);
  if ((search.rerank?.decays.length ?? 0) > 0)
    throw new DbError('unimplemented', 'a decay in one search of a hybrid search is not implemented');
  if (search.queryCount !== queryCount) throw invalid('the searches of a hybrid search have the same nq');
}

/** All the hits that are fused are held at once. */
function checkHits(searches: readonly SearchRequest[]): void {
  const hits = searches.reduce(
    (sum, { queryCount, topK, groupBy }) => sum + queryCount * topK * (groupBy?.size ?? 1),
    0,
  );
  if (hits > MAX_HITS)
    throw new DbError(
      'parameter-too-large',
      `number of results of all searches (nq*topk) exceeds the limit ${MAX_HITS}`,
    );
}

export async function hybridSearch(body: Uint8Array, call: CallContext): Promise<Uint8Array> {
  const request = decodeRequest('HybridSearch', body);
  const params = flattenParams(request.rank_params);
  refuseHybrid(request, params);
  const at = collectionAt(call, request);
  const info = call.coordinator.requireReady(at);
  const { schema, collectionId } = info.collection;
  const page = pageOf(params);
  const grouping = groupsOf(request, params, schema);
  const output = searchOutput(schema, request.output_fields);
  const fusion = fusionOf(schema, request.function_score, params, request.requests.length);
  if (grouping !== undefined && fusion.kind === 'decay')
    throw invalid('decay ranking cannot be used with grouping');
  const searches: SearchRequest[] = [];
  for (const sub of request.requests) {
    const asked = { ...sub, partition_names: namesOf(sub, request) };
    const own = flattenParams(sub.search_params);
    refuseUnserved(asked);
    if (sub.ids) throw invalid('search by ids is not supported in hybrid search');
    const parts = { params: own, page: searchPage(sub, page), grouping, output: [] };
    const search = await searchOf(call, at, info, asked, parts);
    checkSearch(search, searches[0]?.queryCount ?? search.queryCount);
    searches.push(search);
    checkHits(searches);
  }
  const answered = {
    info,
    output,
    grouping,
    limit: page.limit,
    decimals: decimalsOf(params),
    times: timesOf(call, info, params),
  };
  const result = await call.queryNode.hybridSearch({
    collectionId,
    queryCount: searches[0]?.queryCount ?? 0,
    searches,
    fusion,
    ...(grouping === undefined ? {} : { groupBy: groupByOf(grouping) }),
    groupScore: groupScoreOf(params),
    limit: page.limit,
    offset: page.offset,
    outputFields: fieldIdsOf(output),
  });
  return encodeSearchResults(await hitsToTell(answered, result));
}

/** The partitions of the whole go for every search that names none. */
const namesOf = (sub: MilvusSearchRequest, whole: MilvusHybridSearchRequest): string[] =>
  sub.partition_names.length > 0 ? sub.partition_names : whole.partition_names;
