/** What an index is over, and its structure as plain data: it is made by a worker thread and sent. */
import type { JsonPath } from '../expr/predicate.ts';
import type { FieldId } from '../model/ids.ts';
import type { CastType } from '../model/scalar-index-types.ts';
import type { FieldSchema } from '../model/schema.ts';
import type { Postings } from './postings.ts';

export interface ScalarIndexDefinition {
  readonly field: FieldSchema;
  /** A place in a JSON field, and the values there that are indexed; others are not known to the index. */
  readonly path?: JsonPath;
  readonly cast?: CastType;
}

/** Distinct values, rising; of value `i` are the postings from `starts[i]` to `starts[i + 1]`. */
export type Keys =
  | {
      readonly kind: 'number' | 'bool';
      readonly values: Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>;
      readonly starts: Uint32Array<ArrayBuffer>;
    }
  | {
      readonly kind: 'text';
      readonly data: Uint8Array<ArrayBuffer>;
      readonly offsets: Uint32Array<ArrayBuffer>;
      readonly starts: Uint32Array<ArrayBuffer>;
    };

/** Values in order. `ofItems`: those of the items of arrays. */
export interface SortedIndexData {
  readonly kind: 'sorted';
  readonly fieldId: FieldId;
  readonly path?: JsonPath;
  readonly ofItems: boolean;
  readonly keys: Keys;
  readonly postings: Postings;
  /** Rows with a value that the index knows; a number that is none is one. */
  readonly known: Uint32Array<ArrayBuffer>;
  /** Rows that are null. */
  readonly nulls: Uint32Array<ArrayBuffer>;
}

/** Boxes of geometries. */
export interface BoxIndexData {
  readonly kind: 'boxes';
  readonly fieldId: FieldId;
  readonly rowCount: number;
  /** Absent: there are none. */
  readonly tree?: ArrayBuffer;
  /** The rows of the items of the tree. */
  readonly rows: Uint32Array<ArrayBuffer>;
  readonly nulls: Uint32Array<ArrayBuffer>;
}

/** There is no structure for these values: whole numbers in JSON that a Double does not hold exactly. */
export interface NoIndexData {
  readonly kind: 'none';
}

export type ScalarIndexData = SortedIndexData | BoxIndexData | NoIndexData;

/** The buffers of an index, each once. */
export function buffersOf(data: ScalarIndexData): ArrayBuffer[] {
  if (data.kind === 'none') return [];
  if (data.kind === 'boxes')
    return [data.rows.buffer, data.nulls.buffer, ...(data.tree === undefined ? [] : [data.tree])];
  const { keys, postings, known, nulls } = data;
  const values = keys.kind === 'text' ? [keys.data.buffer, keys.offsets.buffer] : [keys.values.buffer];
  const { rows, checkpoints } = postings;
  return [
    ...values,
    keys.starts.buffer,
    rows.buffer,
    ...(checkpoints === undefined ? [] : [checkpoints.buffer]),
    known.buffer,
    nulls.buffer,
  ];
}
