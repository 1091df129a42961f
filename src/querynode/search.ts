/** Nearest rows: per unit by graph or exact scan, then reduced. */
import { DbError } from '../errors/db-error.ts';
import type { FieldSchema } from '../model/schema.ts';
import { mapLimited } from '../support/limiter.ts';
import type { SearchRequest, SearchResult } from './api.ts';
import { gatherKeys, gatherRows, type RowRefs } from './gather.ts';
import type { Selection } from './order.ts';
import { type ReadContext, selectAll } from './reads.ts';
import { type Hit, reduceHits } from './reduce.ts';
import { keyFieldOf, requireField } from './unit.ts';
import type { NearestRequest, NearestRows, VectorEngine } from './vectors.ts';

export interface SearchContext extends ReadContext {
  readonly engine: VectorEngine;
  /** Units searched at once. */
  readonly parallelUnits: number;
}

const MAX_TOP_K = 16_384;
/** Search width when the caller gives none. */
const DEFAULT_EF = 64;
const COST_PER_HIT = 30;

export async function searchRows(context: SearchContext, request: SearchRequest): Promise<SearchResult> {
  const field = checkRequest(context, request);
  const outputs = request.outputFields.map((fieldId) => requireField(context.schema, fieldId));
  const selections = await selectAll(context, request.filter);
  const found = await mapLimited(selections, context.parallelUnits, (selection) =>
    nearest(context, request, field, selection),
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
  return {
    counts,
    scores: Float32Array.from(hits, ({ score }) => score),
    keys: await gatherKeys(views, refs, keyFieldOf(context.schema), context),
    rows: await gatherRows(views, refs, outputs, context),
  };
}

function checkRequest({ schema }: SearchContext, request: SearchRequest): FieldSchema {
  const field = requireField(schema, request.fieldId);
  const { topK, offset, queries, queryCount } = request;
  if (field.dim === undefined) throw new DbError('parameter-invalid', `field '${field.name}' has no vectors`);
  if (!Number.isInteger(topK) || topK < 1 || topK > MAX_TOP_K)
    throw new DbError('parameter-invalid', `topk ${topK} is not from 1 to ${MAX_TOP_K}`);
  if (!Number.isInteger(offset) || offset < 0 || offset >= topK)
    throw new DbError('parameter-invalid', `offset ${offset} is not from 0 to topk ${topK}`);
  if (queries.length !== queryCount * field.dim)
    throw new DbError('parameter-invalid', `vectors of field '${field.name}' have ${field.dim} dimensions`);
  return field;
}

async function nearest(
  { engine, pacer }: SearchContext,
  request: SearchRequest,
  field: FieldSchema,
  { view, rows, count }: Selection,
): Promise<NearestRows> {
  const { unit, rowCount } = view;
  const { fieldId, metric, queries, queryCount, radius, rangeFilter } = request;
  const vectors = unit.vectors.get(fieldId);
  const column = unit.column(fieldId);
  // The field is younger than the segment: no row has a vector.
  if (vectors === undefined || column === undefined)
    return { counts: new Uint32Array(queryCount), rows: new Uint32Array(0), scores: new Float32Array(0) };
  const allowed = column.valid === undefined ? rows : withValue(rows, column.valid, rowCount);
  const wanted: NearestRequest = {
    dim: field.dim ?? 0,
    metric,
    queries,
    queryCount,
    rowCount,
    ...(count < rowCount || allowed !== rows ? { allowed } : {}),
    allowedCount: count,
    k: Math.min(request.topK, rowCount),
    radius,
    rangeFilter,
    pacer,
  };
  const graph = view.indexes.get(fieldId)?.graph;
  if (graph === undefined || graph.metric !== metric) return engine.scan(vectors, wanted);
  return graph.search({ ...wanted, ef: Math.max(request.ef ?? DEFAULT_EF, request.topK) });
}

/** The rows whose vector is not null. */
function withValue(rows: Uint32Array, valid: Uint8Array, rowCount: number): Uint32Array {
  const kept = new Uint32Array(rows.length);
  for (let row = 0; row < rowCount; row++)
    if (valid[row] === 1)
      kept[row >>> 5] = (kept[row >>> 5] ?? 0) | ((rows[row >>> 5] ?? 0) & (1 << (row & 31)));
  return kept;
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
  const lists = found.map(({ counts, rows, scores }, unit) => {
    const from = starts[unit] ?? 0;
    const to = from + (counts[query] ?? 0);
    starts[unit] = to;
    const keys = (selections[unit] as Selection).view.unit.keys;
    return { unit, rows: rows.subarray(from, to), scores: scores.subarray(from, to), keys };
  });
  const { offset, topK, metric } = request;
  return reduceHits(lists, { offset, limit: topK - offset, isLargerBetter: metric !== 'L2' });
}
