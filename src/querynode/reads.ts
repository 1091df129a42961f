/** What searches and queries share. */
import type { CheckedFilter } from '../expr/check.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { Workers } from '../support/workers.ts';
import { type Filters, readyFilter, select } from './filter.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

export interface ReadContext {
  readonly schema: CollectionSchema;
  readonly views: readonly UnitView[];
  readonly filters: Filters;
  readonly pacer: Pacer;
  /** Analyze texts. Absent: this thread does. */
  readonly workers?: Workers | undefined;
  /** Bound of an answer. */
  readonly maxBytes: number;
}

/** The matching rows of every unit that has some. */
export async function selectAll(
  { views, filters, schema, pacer, workers }: ReadContext,
  filter: CheckedFilter | undefined,
): Promise<Selection[]> {
  const ready =
    filter === undefined ? undefined : await readyFilter(filters, filter, schema, { pacer, workers });
  const selections: Selection[] = [];
  for (const view of views) {
    const selection = await select(view, ready, pacer);
    if (selection.count > 0) selections.push(selection);
  }
  return selections;
}
