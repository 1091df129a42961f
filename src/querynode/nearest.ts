/** Nearest rows of one unit, whatever the type of its vectors: by graph, by posting lists, or by an exact scan. */
import { DbError } from '../errors/db-error.ts';
import { queryCountOf } from '../model/columns.ts';
import { isListMetric, type MetricType, metricsOf } from '../model/metric.ts';
import type { BytesColumn, ListColumn, QueryColumn } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import type { QueryValues } from '../vector-index/flat.ts';
import { queryValues } from '../vector-index/lists.ts';
import { isBinaryMetric, type ScanMetric } from '../vector-index/metric.ts';
import type { SparseScorer } from '../vector-index/sparse-bounds.ts';
import type { SearchRequest } from './api.ts';
import type { Floors } from './floors.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import { searchSparse } from './sparse-search.ts';
import type { NearestRequest, NearestRows, VectorEngine } from './vectors.ts';

export interface NearestContext {
  readonly engine: VectorEngine;
  readonly pacer: Pacer;
}

/** The queries of a request as the searches of units take them. */
export type Queries =
  | { readonly kind: 'vectors'; readonly metric: ScanMetric; readonly values: QueryValues }
  | { readonly kind: 'items'; readonly metric: ScanMetric; readonly values: QueryValues }
  | { readonly kind: 'lists'; readonly column: ListColumn }
  | { readonly kind: 'sparse'; readonly column: BytesColumn; readonly scorer?: SparseScorer };

/** Search width when the caller gives none. */
const DEFAULT_EF = 64;

/** Throws `parameter-invalid` when queries or metric are not of the field. */
export function checkQueries(field: FieldSchema, request: SearchRequest): Queries {
  const { queries, queryCount, metric } = request;
  const { name } = field;
  if (!isOf(field, queries)) throw new DbError('parameter-invalid', `field '${name}' has no such vectors`);
  if (!metricsOf(field).includes(metric))
    throw new DbError('parameter-invalid', `field '${name}' is not searched by ${metric}`);
  if (queryCountOf(queries) !== queryCount)
    throw new DbError(
      'parameter-invalid',
      `${queryCount} queries were announced, ${queryCountOf(queries)} came`,
    );
  if (queries.layout === 'vector') {
    const kind = field.dataType === 'ArrayOfVector' ? 'items' : 'vectors';
    if (!isScanMetric(metric))
      throw new DbError('parameter-invalid', `${metric} compares lists of vectors, not single ones`);
    return { kind, metric, values: queryValues(queries) };
  }
  if (queries.layout === 'bytes') {
    if (metric === 'BM25' && request.bm25 === undefined)
      throw new DbError('parameter-invalid', 'searching by BM25 needs its parameters');
    return { kind: 'sparse', column: queries };
  }
  if (!isListMetric(metric))
    throw new DbError('parameter-invalid', `${metric} compares single vectors, not lists of them`);
  return { kind: 'lists', column: queries };
}

const isScanMetric = (metric: MetricType): metric is ScanMetric =>
  isBinaryMetric(metric) || metric === 'L2' || metric === 'IP' || metric === 'COSINE';

function isOf({ dataType, elementType, dim }: FieldSchema, queries: QueryColumn): boolean {
  if (queries.layout === 'bytes') return dataType === 'SparseFloatVector' && queries.type === dataType;
  const type = dataType === 'ArrayOfVector' ? elementType : dataType;
  if (queries.layout === 'vector') return queries.type === type && queries.dim === dim;
  const { items } = queries;
  return (
    dataType === 'ArrayOfVector' && items.layout === 'vector' && items.type === type && items.dim === dim
  );
}

export async function nearest(
  { engine, pacer }: NearestContext,
  request: SearchRequest,
  field: FieldSchema,
  queries: Queries,
  { view, rows, count }: Selection,
  floors?: Floors,
): Promise<NearestRows> {
  const { unit, rowCount } = view;
  const { fieldId, queryCount, radius, rangeFilter, elementBits } = request;
  const column = unit.column(fieldId);
  // The field is younger than the segment: no row has a vector.
  if (column === undefined) return nothing(queryCount);
  const allowed = column.valid === undefined ? rows : withValue(rows, column.valid, rowCount);
  const k = Math.min(request.topK, rowCount);
  if (queries.kind === 'sparse') {
    const index = unit.sparse.get(fieldId);
    assert(column.layout === 'bytes' && index !== undefined, 'sparse vectors have posting lists');
    return searchSparse(index, column, {
      queries: queries.column,
      queryCount,
      scorer: queries.scorer,
      rowCount,
      allowed,
      allowedCount: count,
      k,
      radius,
      rangeFilter,
      pacer,
      floors: floors && { floors, keys: unit.keys },
    });
  }
  const wanted = {
    queryCount,
    rowCount,
    ...(count < rowCount || allowed !== rows ? { allowed } : {}),
    allowedCount: count,
    k,
    radius,
    rangeFilter,
    pacer,
  };
  if (queries.kind === 'lists') {
    assert(column.layout === 'list' && isListMetric(request.metric), 'a list field has lists');
    return engine.scanLists(column, { ...wanted, metric: request.metric, queries: queries.column });
  }
  const { metric, values } = queries;
  const single: NearestRequest = { ...wanted, dim: field.dim ?? 0, metric, elementBits, queries: values };
  if (queries.kind === 'items') {
    assert(column.layout === 'list', 'a list field has lists');
    return engine.scanItems(column, { ...single, k: request.topK });
  }
  const vectors = unit.vectors.get(fieldId);
  if (vectors === undefined) return nothing(queryCount);
  const graph = view.indexes.get(fieldId)?.graph;
  if (graph === undefined || graph.metric !== metric) return engine.scan(vectors, single);
  return graph.search({ ...single, ef: Math.max(request.ef ?? DEFAULT_EF, request.topK) });
}

/** Hits that a walk through the graph keeps; undefined: there is none for this search. */
export function walkWidth(
  { indexes }: Selection['view'],
  { fieldId, metric, ef = DEFAULT_EF, topK }: SearchRequest,
): number | undefined {
  return indexes.get(fieldId)?.graph.metric === metric ? Math.max(ef, topK) : undefined;
}

const nothing = (queryCount: number): NearestRows => ({
  counts: new Uint32Array(queryCount),
  rows: new Uint32Array(0),
  scores: new Float32Array(0),
});

/** The rows whose vector is not null. */
function withValue(rows: Uint32Array, valid: Uint8Array, rowCount: number): Uint32Array {
  const kept = new Uint32Array(rows.length);
  for (let row = 0; row < rowCount; row++)
    if (valid[row] === 1)
      kept[row >>> 5] = (kept[row >>> 5] ?? 0) | ((rows[row >>> 5] ?? 0) & (1 << (row & 31)));
  return kept;
}
