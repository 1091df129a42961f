/** Pure: one query of many. */
import { vectorWidth } from '../model/columns.ts';
import type { QueryColumn, VectorColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';

/** The query by itself, as a column of one row. */
export function queryAt(queries: QueryColumn, at: number): QueryColumn {
  if (queries.layout === 'vector') return vectors(queries, at, at + 1);
  const [first = 0, end = 0] = queries.offsets.subarray(at, at + 2);
  if (queries.layout === 'bytes') {
    const data = queries.data.slice(first, end);
    return { ...queries, offsets: Uint32Array.of(0, end - first), data };
  }
  assert(queries.items.layout === 'vector', 'queries are vectors');
  return { ...queries, offsets: Uint32Array.of(0, end - first), items: vectors(queries.items, first, end) };
}

function vectors(column: VectorColumn, first: number, end: number): VectorColumn {
  const width = vectorWidth(column.type, column.dim);
  return { ...column, values: column.values.slice(first * width, end * width) };
}
