/** Rows by filter, and their number. */
import type { RowBatch } from '../model/rows.ts';
import type { QueryRequest } from './api.ts';
import { gatherRows } from './gather.ts';
import { orderRows } from './order.ts';
import { type ReadContext, selectAll } from './reads.ts';
import { requireField } from './unit.ts';

export async function queryRows(
  context: ReadContext,
  request: Omit<QueryRequest, 'collectionId' | 'partitionIds'>,
): Promise<RowBatch> {
  const fields = request.outputFields.map((fieldId) => requireField(context.schema, fieldId));
  const selections = await selectAll(context, request.filter);
  const total = selections.reduce((sum, { count }) => sum + count, 0);
  const range = { offset: request.offset ?? 0, limit: request.limit ?? total };
  const refs = await orderRows(selections, range, context.pacer);
  return gatherRows(
    selections.map(({ view }) => view),
    refs,
    fields,
    context,
  );
}

export async function countRowsOf(context: ReadContext, filter: QueryRequest['filter']): Promise<number> {
  const selections = await selectAll(context, filter);
  return selections.reduce((sum, { count }) => sum + count, 0);
}
