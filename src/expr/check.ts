/** Types a syntax tree against a schema. The checked tree is plain data: it can be sent to another process. */
import type { FieldId } from '../model/ids.ts';

/** A filter that fits its schema. */
export interface CheckedFilter {
  /** Fields the evaluation reads. */
  readonly fields: readonly FieldId[];
  /** The typed tree; its form is this room's own affair. */
  readonly root: unknown;
}
