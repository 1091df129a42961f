/** Rows by filter, and their number. */
import { DbError } from '../errors/db-error.ts';
import type { RowBatch } from '../model/rows.ts';
import type { OrderField, QueryRequest } from './api.ts';
import { gatherRows, type RowRefs } from './gather.ts';
import { orderRows, type Selection } from './order.ts';
import { FirstOf } from './ordering.ts';
import { type ReadContext, selectAll } from './reads.ts';
import { requireField } from './unit.ts';
import { valueReader } from './values.ts';

const ROWS_PER_SLICE = 1024;
const COST_PER_ROW = 40;

export async function queryRows(
  context: ReadContext,
  request: Omit<QueryRequest, 'collectionId' | 'partitionIds'>,
): Promise<RowBatch> {
  const fields = request.outputFields.map((fieldId) => requireField(context.schema, fieldId));
  const { selections, total } = await selected(context, request.filter);
  const { offset = 0, limit = total, orderBy } = request;
  const range = { offset, limit };
  const refs =
    orderBy === undefined
      ? await orderRows(selections, range, context.pacer)
      : await rowsByFields(context, selections, { ...range, orderBy, total });
  return gatherRows(
    selections.map(({ view }) => view),
    refs,
    fields,
    context,
  );
}

export async function selected(
  context: ReadContext,
  filter: QueryRequest['filter'],
): Promise<{ readonly selections: readonly Selection[]; readonly total: number }> {
  const selections = await selectAll(context, filter);
  return { selections, total: selections.reduce((sum, { count }) => sum + count, 0) };
}

interface OrderedRange {
  readonly offset: number;
  readonly limit: number;
  readonly orderBy: readonly OrderField[];
  readonly total: number;
}

/** In key order first: that tells the newest of the rows of one key, and decides between equal ones. */
async function rowsByFields(
  { schema, pacer }: ReadContext,
  selections: readonly Selection[],
  { offset, limit, orderBy, total }: OrderedRange,
): Promise<RowRefs> {
  const { units, rows } = await orderRows(selections, { offset: 0, limit: total }, pacer);
  const fields = orderBy.map(({ fieldId }) => requireField(schema, fieldId));
  const readers = selections.map(({ view }) => fields.map((field) => valueReader(view.unit, field)));
  const first = new FirstOf(orderBy, offset + limit);
  for (let from = 0; from < rows.length; from += ROWS_PER_SLICE) {
    const to = Math.min(rows.length, from + ROWS_PER_SLICE);
    for (let i = from; i < to; i++)
      first.offer((readers[units[i] ?? 0] ?? []).map((read) => read(rows[i] ?? 0)));
    await pacer.spend((to - from) * COST_PER_ROW);
  }
  const places = first.places().subarray(offset);
  return { units: places.map((i) => units[i] ?? 0), rows: places.map((i) => rows[i] ?? 0) };
}

export async function countRowsOf(context: ReadContext, filter: QueryRequest['filter']): Promise<number> {
  return (await selected(context, filter)).total;
}

/** Throws `parameter-invalid` for an order without a bound. */
export function checkOrder({ orderBy = [], limit }: QueryRequest): void {
  if (orderBy.some(({ path }) => path !== undefined))
    throw new DbError('unimplemented', 'ordering rows by keys of JSON fields is not implemented');
  if (orderBy.length > 0 && limit === undefined)
    throw new DbError('parameter-invalid', 'rows in the order of fields need a limit');
}
