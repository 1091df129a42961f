/** Nearest rows: per unit, then reduced, reranked, grouped and put in order. */
import { DbError } from '../errors/db-error.ts';
import type { FieldId } from '../model/ids.ts';
import { isSmallerBetter } from '../model/metric.ts';
import type { FieldSchema } from '../model/schema.ts';
import { present } from '../support/assert.ts';
import { mapLimited } from '../support/limiter.ts';
import type { OrderField, SearchRequest, SearchResult, ValuePlace } from './api.ts';
import { weightedQueries } from './bm25.ts';
import { type FilteredContext, filteredNearest } from './filtered-nearest.ts';
import { Floors } from './floors.ts';
import { gatherKeys, gatherRows, primaryKeysOf, type RowRefs } from './gather.ts';
import { type Group, nearestGroups } from './groups.ts';
import { checkQueries, nearest, type Queries } from './nearest.ts';
import type { Selection } from './order.ts';
import { ordered } from './ordering.ts';
import { directionsOf, groupColumns, groupKeys, sortValues } from './places.ts';
import { queryAt } from './query-columns.ts';
import { type ReadContext, selectAll, selectAllOpen } from './reads.ts';
import { type Hit, reduceHits } from './reduce.ts';
import { boosting, decayed } from './rescore.ts';
import { keyFieldOf, requireField } from './unit.ts';
import type { NearestRows, VectorEngine } from './vectors.ts';

export interface SearchContext extends ReadContext, Pick<FilteredContext, 'chooseWay'> {
  readonly engine: VectorEngine;
  /** Units searched at once. */
  readonly parallelUnits: number;
}

/** What is found, before somebody says when it was read. */
export type Found = Omit<SearchResult, 'readTs'>;

const MAX_TOP_K = 16_384;
const COST_PER_HIT = 30;

export async function searchRows(context: SearchContext, request: SearchRequest): Promise<Found> {
  checkPage(request);
  const lists: (readonly Hit[])[] = [];
  for await (const hits of hitsOfQueries(context, request)) lists.push(hits);
  return gatherHits(context, lists, request.outputFields, request.groupBy?.places);
}

/** The page of every query, in order. `unit` of a hit: the place of its view in the context. */
const hitsOfQueries = (context: SearchContext, request: SearchRequest): AsyncGenerator<readonly Hit[]> =>
  request.groupBy === undefined ? plainPages(context, request) : groupedPages(context, request);

async function* groupedPages(context: SearchContext, request: SearchRequest): AsyncGenerator<readonly Hit[]> {
  const { offset, topK, orderBy = [] } = request;
  for await (const groups of groupsOfQueries(context, request)) {
    const inOrder = await byFields(context, orderBy, groups, ([best]) => best);
    yield inOrder.slice(offset, topK).flat();
  }
}

async function* plainPages(context: SearchContext, request: SearchRequest): AsyncGenerator<readonly Hit[]> {
  const { offset, orderBy = [], rerank, metric } = request;
  for await (const hits of nearestHits(context, request)) {
    const reranked = decayed(context, rerank?.decays ?? [], metric, hits);
    const inOrder = await byFields(context, orderBy, reranked, (hit) => hit);
    yield offset === 0 ? inOrder : inOrder.slice(offset);
  }
}

/** In the order of the values that their hits have. */
async function byFields<Item>(
  context: ReadContext,
  orderBy: readonly OrderField[],
  items: readonly Item[],
  hitOf: (item: Item) => Hit | undefined,
): Promise<readonly Item[]> {
  if (orderBy.length === 0) return items;
  const hits = items.map(hitOf).filter((hit) => hit !== undefined);
  const values = await sortValues(context, refsOf(hits), orderBy);
  const places = [...items.keys()];
  return ordered(places, directionsOf(orderBy), (at) => values[at] ?? []).map((at) => items[at] as Item);
}

const refsOf = (hits: readonly Hit[]): RowRefs => ({
  units: Uint32Array.from(hits, ({ unit }) => unit),
  rows: Uint32Array.from(hits, ({ row }) => row),
});

/** The `topK` nearest of every query, candidates boosted. */
export async function* nearestHits(
  context: SearchContext,
  request: SearchRequest,
): AsyncGenerator<readonly Hit[]> {
  const { field, queries, selections, places } = await prepared(context, request, { isOpen: true });
  const isLargerBetter = !isSmallerBetter(request.metric);
  const boosts = request.rerank?.boosts;
  const boosted = boosts === undefined ? undefined : boosting(context, boosts, isLargerBetter);
  // What is boosted may rise above others.
  const floors =
    boosted === undefined && selections.length > 1 ? new Floors(request.queryCount, request.topK) : undefined;
  const found = await mapLimited(selections, context.parallelUnits, async (selection) => {
    const rows = await filteredNearest(context, request, field, queries, selection, floors);
    return boosted === undefined ? rows : boosted(selection, rows);
  });
  const starts = new Uint32Array(found.length);
  for (let query = 0; query < request.queryCount; query++) {
    const lists = found.map((rows, unit) => {
      const list = listOf(rows, query, starts[unit] ?? 0);
      starts[unit] = (starts[unit] ?? 0) + list.rows.length;
      const { keys } = present(selections[unit], 'selection').view.unit;
      return { rows: list.rows, scores: list.scores, elements: list.elements, unit: places[unit] ?? 0, keys };
    });
    yield reduceHits(lists, { offset: 0, limit: request.topK, isLargerBetter });
    const more = context.pacer.spend(request.topK * COST_PER_HIT);
    if (more !== undefined) await more;
  }
}

/** The hits of one query in one unit. */
function listOf({ counts, rows, scores, elements }: NearestRows, query: number, from: number) {
  if (counts.length === 1) return { rows, scores, elements };
  const to = from + (counts[query] ?? 0);
  return {
    rows: rows.subarray(from, to),
    scores: scores.subarray(from, to),
    elements: elements?.subarray(from, to),
  };
}

/** The `topK` best groups of every query. */
export async function* groupsOfQueries(
  context: SearchContext,
  request: SearchRequest,
): AsyncGenerator<Hit[][]> {
  const { groupBy } = request;
  if (groupBy === undefined) throw new DbError('parameter-invalid', 'the search is not grouped');
  const { field, views, selections, places } = await prepared(context, request);
  const selected = { ...context, views: selections.map(({ view }) => view) };
  const keys = await groupKeys(selected, groupBy.places);
  for (let query = 0; query < request.queryCount; query++) {
    const single = { ...request, queryCount: 1, queries: queryAt(request.queries, query) };
    const queries = await weighted({ ...context, views }, single, checkQueries(field, single));
    const groups: Group[] = await nearestGroups({
      selections,
      keys,
      groupBy,
      limit: request.topK,
      isLargerBetter: !isSmallerBetter(request.metric),
      parallelUnits: context.parallelUnits,
      pacer: context.pacer,
      nearest: (selection, k, isExact) =>
        nearest(
          context,
          { ...single, topK: k },
          field,
          queries,
          isExact ? withoutIndexes(selection) : selection,
        ),
    });
    yield groups.map(({ hits }) => hits.map((hit) => ({ ...hit, unit: places[hit.unit] ?? 0 })));
  }
}

/** Without an index a unit is scanned. */
export const withoutIndexes = ({ view, ...rest }: Selection): Selection => ({
  ...rest,
  view: { ...view, indexes: new Map() },
});

export interface Prepared {
  readonly field: FieldSchema;
  readonly queries: Queries;
  /** All that are read. */
  readonly views: ReadContext['views'];
  readonly selections: readonly Selection[];
  /** Of the views of the selections in the context. */
  readonly places: readonly number[];
}

/** `isOpen`: rows that are selected may still have to be tested. */
export async function prepared(
  context: SearchContext,
  request: SearchRequest,
  { isOpen = false } = {},
): Promise<Prepared> {
  const field = requireField(context.schema, request.fieldId);
  const only = request.partitionIds === undefined ? undefined : new Set(request.partitionIds);
  const isRead = ({ unit }: ReadContext['views'][number]): boolean =>
    (only?.has(unit.place.partitionId) ?? true) && !(request.ignoreGrowing === true && unit.isGrowing);
  const views = context.views.filter(isRead);
  const queries = await weighted({ ...context, views }, request, checkQueries(field, request));
  const selecting = isOpen ? selectAllOpen : selectAll;
  const selections = await selecting({ ...context, views }, request.filter);
  const places = new Map(context.views.map((view, place) => [view, place]));
  return {
    field,
    queries,
    views,
    selections,
    places: selections.map(({ view }) => present(places.get(view), 'view')),
  };
}

/** The hits as an answer. */
export async function gatherHits(
  context: ReadContext,
  lists: readonly (readonly Hit[])[],
  outputFields: readonly FieldId[],
  groupPlaces: readonly ValuePlace[] | undefined,
): Promise<Found> {
  const { schema } = context;
  const outputs = outputFields.map((fieldId) => requireField(schema, fieldId));
  const hits = lists.length === 1 ? (lists[0] ?? []) : lists.flat();
  const refs: RowRefs = { units: new Uint32Array(hits.length), rows: new Uint32Array(hits.length) };
  const scores = new Float32Array(hits.length);
  // Loops: iterators take three times as long, and every search comes by here.
  for (let i = 0; i < hits.length; i++) {
    const { unit, row, score } = hits[i] as Hit;
    refs.units[i] = unit;
    refs.rows[i] = row;
    scores[i] = score;
  }
  const elements = hits.some(({ element }) => element !== undefined)
    ? { elements: Uint32Array.from(hits, ({ element = 0 }) => element) }
    : {};
  return {
    counts: Uint32Array.from(lists, ({ length }) => length),
    ...elements,
    scores,
    ...(await keysAndRows(context, refs, outputs)),
    ...(groupPlaces === undefined ? {} : { groupValues: await groupColumns(context, refs, groupPlaces) }),
  };
}

async function keysAndRows(
  context: ReadContext,
  refs: RowRefs,
  outputs: readonly FieldSchema[],
): Promise<Pick<Found, 'keys' | 'rows'>> {
  const keyField = keyFieldOf(context.schema);
  const rows = await gatherRows(context.views, refs, outputs, context);
  const column = rows.columns.get(keyField.fieldId);
  const keys =
    column === undefined ? await gatherKeys(context.views, refs, keyField, context) : primaryKeysOf(column);
  return { keys, rows };
}

/** BM25 weighs the terms of its queries by the whole corpus. */
async function weighted(
  { views, pacer }: SearchContext,
  { bm25, fieldId }: SearchRequest,
  queries: Queries,
): Promise<Queries> {
  if (bm25 === undefined || queries.kind !== 'sparse') return queries;
  const corpus = views.filter(({ dead }) => dead === undefined);
  return { kind: 'sparse', ...(await weightedQueries(corpus, fieldId, queries.column, bm25, pacer)) };
}

function checkPage({ topK, offset }: SearchRequest): void {
  if (!Number.isInteger(topK) || topK < 1 || topK > MAX_TOP_K)
    throw new DbError('parameter-invalid', `topk ${topK} is not from 1 to ${MAX_TOP_K}`);
  if (!Number.isInteger(offset) || offset < 0 || offset >= topK)
    throw new DbError('parameter-invalid', `offset ${offset} is not from 0 to topk ${topK}`);
}
