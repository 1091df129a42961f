import type { FieldId } from '../src/model/ids.ts';
import type { FieldSchema } from '../src/model/schema.ts';

/** A field of a test's schema: Int64 and plain but for what is said. */
export const fieldSchema = (name: string, of: Partial<FieldSchema> = {}): FieldSchema => ({
  fieldId: 0 as FieldId,
  name,
  description: '',
  dataType: 'Int64',
  isPrimaryKey: false,
  autoId: false,
  nullable: false,
  isDynamic: false,
  typeParams: {},
  ...of,
});
