/** The answers that carry rows: `MutationResult`, `QueryResults`, `SearchResults`, straight to bytes. */
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { PrimaryKeys, RowBatch } from '../../model/rows.ts';
import type { FieldSchema, StructFieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import { encodeCount, encodeFieldData, encodeIds, encodeStructData } from './field-data-encode.ts';
import {
  int64,
  join,
  joinAll,
  nested,
  nothing,
  type Part,
  packed,
  packVarints,
  part,
  rawBytes,
  text,
  textItem,
  toBytes,
  uint,
} from './parts.ts';

/** An empty `Status` says success: all of its fields are 0. */
const succeeded = nested(1, nothing);

export interface Mutation {
  readonly keys: PrimaryKeys;
  readonly inserted: number;
  readonly deleted: number;
  readonly upserted: number;
  readonly ts: HybridTime;
}

export function encodeMutationResult({ keys, inserted, deleted, upserted, ts }: Mutation): Uint8Array {
  const succeededRows = Uint32Array.from({ length: keys.values.length }, (_, row) => row);
  return toBytes(
    join(
      succeeded,
      nested(2, encodeIds(keys)),
      packed(3, part(packVarints(succeededRows))),
      uint(6, inserted),
      uint(7, deleted),
      uint(8, upserted),
      int64(9, ts),
    ),
  );
}

export interface Rows {
  readonly collectionName: string;
  readonly primaryField: string;
  /** Names as the answer lists them. */
  readonly outputNames: readonly string[];
  /** The columns to send, in order. Those of a struct are sent in one, where the first of them stands. */
  readonly fields: readonly FieldSchema[];
  /** Of the collection. Absent: none. */
  readonly structs?: readonly StructFieldSchema[] | undefined;
  readonly rows: RowBatch;
}

function columnsOf(
  number: number,
  { fields, rows, structs = [] }: Pick<Rows, 'fields' | 'rows' | 'structs'>,
): Part {
  const columns = fields.map((field) => ({
    field,
    column: present(rows.columns.get(field.fieldId), field.name),
  }));
  const sent = new Set<StructFieldSchema>();
  const parts = columns.map(({ field, column }) => {
    const struct = structs.find(({ fieldId }) => fieldId === field.structFieldId);
    if (struct === undefined) return nested(number, encodeFieldData(field, column));
    if (sent.has(struct)) return nothing;
    sent.add(struct);
    const own = columns.filter((each) => each.field.structFieldId === struct.fieldId);
    return nested(number, encodeStructData(struct, own));
  });
  return joinAll(parts);
}

export const encodeQueryResults = (answer: Rows & { readonly sessionTs: HybridTime }): Uint8Array =>
  toBytes(
    join(
      succeeded,
      columnsOf(2, answer),
      text(3, answer.collectionName),
      join(...answer.outputNames.map((name) => textItem(4, name))),
      int64(5, answer.sessionTs),
      text(6, answer.primaryField),
    ),
  );

export const COUNT = 'count(*)';

export const encodeCountResult = (collectionName: string, count: number): Uint8Array =>
  toBytes(join(succeeded, nested(2, encodeCount(COUNT, count)), text(3, collectionName), textItem(4, COUNT)));

/** Columns that are no fields. */
export const encodeAggregation = (
  collectionName: string,
  { fields, rows }: Pick<Rows, 'fields' | 'rows'>,
): Uint8Array =>
  toBytes(
    join(
      succeeded,
      columnsOf(2, { fields, rows }),
      text(3, collectionName),
      join(...fields.map(({ name }) => textItem(4, name))),
    ),
  );

export interface Hits extends Rows {
  readonly topK: number;
  /** Hits per query. */
  readonly counts: Uint32Array;
  readonly keys: PrimaryKeys;
  readonly scores: Float32Array;
  /** Single vectors of lists: which item of its row each hit is. */
  readonly elements?: Uint32Array | undefined;
  /** The value of the group of each hit. */
  readonly group?: Pick<Rows, 'fields' | 'rows'> | undefined;
  /** When it was read. */
  readonly sessionTs: HybridTime;
  /** Of an iterator. */
  readonly next?: { readonly token: string; readonly lastBound: number } | undefined;
  readonly highlights?: readonly Highlight[];
}

/** Of one field: the pieces of its text, hit by hit. */
export interface Highlight {
  readonly field: string;
  readonly hits: readonly (readonly string[])[];
}

const highlightPart = ({ field, hits }: Highlight): Part =>
  nested(
    14,
    join(
      text(1, field),
      joinAll(hits.map((pieces) => nested(2, joinAll(pieces.map((piece) => textItem(1, piece)))))),
    ),
  );

/** Even 0, which a client may look for. */
const float = (field: number, value: number): Part =>
  join(part(Uint8Array.of(field * 8 + 5)), rawBytes(Float32Array.of(value)));

export const encodeSearchResults = (answer: Hits): Uint8Array =>
  toBytes(
    join(
      succeeded,
      nested(
        2,
        join(
          uint(1, answer.counts.length),
          uint(2, answer.topK),
          columnsOf(3, answer),
          packed(4, rawBytes(answer.scores)),
          nested(5, encodeIds(answer.keys)),
          packed(6, part(packVarints(answer.counts))),
          join(...answer.outputNames.map((name) => textItem(7, name))),
          answer.group === undefined ? nothing : columnsOf(8, answer.group),
          answer.next === undefined
            ? nothing
            : nested(11, join(text(1, answer.next.token), float(2, answer.next.lastBound))),
          text(13, answer.primaryField),
          joinAll((answer.highlights ?? []).map(highlightPart)),
          answer.elements === undefined ? nothing : nested(15, packed(1, part(packVarints(answer.elements)))),
          answer.group === undefined ? nothing : columnsOf(17, answer.group),
        ),
      ),
      text(3, answer.collectionName),
      int64(4, answer.sessionTs),
    ),
  );
