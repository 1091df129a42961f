/** Nearest rows: per unit, then reduced. */
import { DbError } from '../errors/db-error.ts';
import { isSmallerBetter } from '../model/metric.ts';
import { mapLimited } from '../support/limiter.ts';
import type { SearchRequest, SearchResult } from './api.ts';
import { weightedQueries } from './bm25.ts';
import { gatherKeys, gatherRows, type RowRefs } from './gather.ts';
import { checkQueries, nearest, type Queries } from './nearest.ts';
import type { Selection } from './order.ts';
import { type ReadContext, selectAll } from './reads.ts';
import { type Hit, reduceHits } from './reduce.ts';
import { keyFieldOf, requireField } from './unit.ts';
import type { NearestRows, VectorEngine } from './vectors.ts';

export interface SearchContext extends ReadContext {
  readonly engine: VectorEngine;
  /** Units searched at once. */
  readonly parallelUnits: number;
}

const MAX_TOP_K = 16_384;
const COST_PER_HIT = 30;

export async function searchRows(context: SearchContext, request: SearchRequest): Promise<SearchResult> {
  const field = requireField(context.schema, request.fieldId);
  checkPage(request);
  const queries = await weighted(context, request, checkQueries(field, request));
  const outputs = request.outputFields.map((fieldId) => requireField(context.schema, fieldId));
  const selections = await selectAll(context, request.filter);
  const found = await mapLimited(selections, context.parallelUnits, (selection) =>
    nearest(context, request, field, queries, selection),
  );
  const hits: Hit[] = [];
  const counts = new Uint32Array(request.queryCount);
  const starts = new Uint32Array(found.length);
  for (let query = 0; query < request.queryCount; query++) {
    const best = reduceQuery(selections, found, { query, starts, request });
    counts[query] = best.length;
    for (const hit of best) hits.push(hit);
    await context.pacer.spend(request.topK * COST_PER_HIT);
  }
  const refs: RowRefs = {
    units: Uint32Array.from(hits, ({ unit }) => unit),
    rows: Uint32Array.from(hits, ({ row }) => row),
  };
  const views = selections.map(({ view }) => view);
  const elements = hits.some(({ element }) => element !== undefined)
    ? { elements: Uint32Array.from(hits, ({ element = 0 }) => element) }
    : {};
  return {
    counts,
    ...elements,
    scores: Float32Array.from(hits, ({ score }) => score),
    keys: await gatherKeys(views, refs, keyFieldOf(context.schema), context),
    rows: await gatherRows(views, refs, outputs, context),
  };
}

/** BM25 weighs the terms of its queries by the whole corpus. */
async function weighted(
  { views, pacer }: SearchContext,
  { bm25, fieldId }: SearchRequest,
  queries: Queries,
): Promise<Queries> {
  if (bm25 === undefined || queries.kind !== 'sparse') return queries;
  return { kind: 'sparse', ...(await weightedQueries(views, fieldId, queries.column, bm25, pacer)) };
}

function checkPage({ topK, offset }: SearchRequest): void {
  if (!Number.isInteger(topK) || topK < 1 || topK > MAX_TOP_K)
    throw new DbError('parameter-invalid', `topk ${topK} is not from 1 to ${MAX_TOP_K}`);
  if (!Number.isInteger(offset) || offset < 0 || offset >= topK)
    throw new DbError('parameter-invalid', `offset ${offset} is not from 0 to topk ${topK}`);
}

interface QueryPart {
  readonly query: number;
  /** Where the hits of this query begin, by unit; moved on to the next query. */
  readonly starts: Uint32Array;
  readonly request: SearchRequest;
}

function reduceQuery(
  selections: readonly Selection[],
  found: readonly NearestRows[],
  { query, starts, request }: QueryPart,
): Hit[] {
  const lists = found.map(({ counts, rows, scores, elements }, unit) => {
    const from = starts[unit] ?? 0;
    const to = from + (counts[query] ?? 0);
    starts[unit] = to;
    const keys = (selections[unit] as Selection).view.unit.keys;
    return {
      unit,
      rows: rows.subarray(from, to),
      scores: scores.subarray(from, to),
      elements: elements?.subarray(from, to),
      keys,
    };
  });
  const { offset, topK, metric } = request;
  return reduceHits(lists, { offset, limit: topK - offset, isLargerBetter: !isSmallerBetter(metric) });
}
