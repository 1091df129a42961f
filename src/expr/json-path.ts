/** A place in a JSON field as the filter language names it: `field["key"][0]`, or the key of a dynamic field. */
import { isDbError } from '../errors/db-error.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { checkFilter } from './check.ts';
import { parseFilter } from './parse.ts';
import type { JsonPath } from './predicate.ts';

/** Undefined: it names no such place. */
export function jsonPathOf(text: string, schema: CollectionSchema): JsonPath | undefined {
  try {
    const syntax = parseFilter(text);
    if (syntax.root.kind !== 'name') return undefined;
    const { root } = checkFilter(syntax, schema);
    return root.kind === 'compare' && root.left.kind === 'json' ? root.left : undefined;
  } catch (error) {
    if (isDbError(error, 'filter-invalid') || isDbError(error, 'unimplemented')) return undefined;
    throw error;
  }
}
