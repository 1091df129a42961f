/** Requests of this process, as bytes: what every client sends. */
import type { Column } from '../../model/rows.ts';
import type { DataType, FieldSchema } from '../../model/schema.ts';
import { dataTypeToWire } from './enums.ts';
import { encodeFieldData } from './field-data-encode.ts';
import { join, nested, part, text, toBytes, uint } from './parts.ts';

export interface WrittenRows {
  readonly database: string;
  readonly collection: string;
  /** Empty: the default one, or by the partition key. */
  readonly partition: string;
  readonly rowCount: number;
  readonly columns: readonly { readonly field: FieldSchema; readonly column: Column }[];
}

/** `InsertRequest` and `UpsertRequest`, which are the same as far as this goes. */
export const encodeWriteRequest = (rows: WrittenRows): Uint8Array =>
  toBytes(
    join(
      text(2, rows.database),
      text(3, rows.collection),
      text(4, rows.partition),
      ...rows.columns.map(({ field, column }) => nested(5, encodeFieldData(field, column))),
      uint(7, rows.rowCount),
    ),
  );

/** `common.PlaceholderGroup` of queries of one type. */
export function encodePlaceholders(type: DataType, queries: readonly Uint8Array[]): Uint8Array {
  const values = queries.map((query) => nested(3, part(query)));
  return toBytes(nested(1, join(text(1, '$0'), uint(2, dataTypeToWire[type]), ...values)));
}
