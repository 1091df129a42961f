/** What searches and queries share. */
import { DbError } from '../errors/db-error.ts';
import type { CheckedFilter } from '../expr/check.ts';
import type { FieldId } from '../model/ids.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import type { CompiledFilter, CompileFilter } from './filter.ts';
import { select } from './filter.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

export interface ReadContext {
  readonly schema: CollectionSchema;
  readonly views: readonly UnitView[];
  readonly compileFilter: CompileFilter;
  readonly pacer: Pacer;
  readonly signal: AbortSignal;
  /** Bound of an answer. */
  readonly maxBytes: number;
}

export function requireField({ fields }: CollectionSchema, fieldId: FieldId): FieldSchema {
  const field = fields.find((each) => each.fieldId === fieldId);
  if (field === undefined) throw new DbError('parameter-invalid', `the collection has no field ${fieldId}`);
  return field;
}

/** The matching rows of every unit that has some. */
export async function selectAll(
  { views, compileFilter, pacer }: ReadContext,
  filter: CheckedFilter | undefined,
): Promise<Selection[]> {
  const compiled: CompiledFilter | undefined = filter === undefined ? undefined : compileFilter(filter);
  const selections: Selection[] = [];
  for (const view of views) {
    const selection = await select(view, compiled, pacer);
    if (selection.count > 0) selections.push(selection);
  }
  return selections;
}
