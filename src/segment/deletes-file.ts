/** The deletes of an L0 segment as one Parquet file: keys and timestamps. Layout in docs/formats.md, "Segment files". */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BytesColumn, Column, FixedColumn, PrimaryKeys } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { damaged } from './damage.ts';
import { type ColumnPlan, planColumn, readPlan } from './decode-column.ts';
import { encodeColumn, type PageBody } from './encode-column.ts';
import { type RangedReader, readFooter } from './parquet-reader.ts';
import { type ColumnToWrite, encodeFile } from './parquet-writer.ts';
import { planTimestamps, timestampColumn, timestampsOf } from './rows-file.ts';
import type { Runs } from './runs.ts';

/** Deleted keys of one write. */
export interface WrittenDeletes {
  readonly ts: HybridTime;
  readonly keys: PrimaryKeys;
}

/** Key `i` was deleted at `timestamps[i]`. */
export interface Deletes {
  readonly keys: PrimaryKeys;
  readonly timestamps: BigInt64Array;
}

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes of a deletes file. The keys are all of one type. */
export function encodeDeletes(writes: readonly WrittenDeletes[]): Uint8Array<ArrayBuffer> {
  const type = writes[0]?.keys.type;
  const timestamps = timestampsOf(writes.map(({ ts, keys }) => ({ ts, count: keys.values.length })));
  const count = writes.reduce((sum, { keys }) => sum + keys.values.length, 0);
  assert(type !== undefined && count > 0, 'a deletes file has deletes');
  if (writes.some(({ keys }) => keys.type !== type)) throw damaged('deletes with keys of two types');
  const body = encodeColumn(
    writes.map(({ keys }) => keyColumn(keys)),
    false,
  );
  return encodeKeys(type, timestamps, body);
}

function encodeKeys(
  type: PrimaryKeys['type'],
  timestamps: ColumnToWrite,
  body: PageBody,
): Uint8Array<ArrayBuffer> {
  const key = { name: 'key', dataType: type, isOptional: false, body };
  return encodeFile('deletes', body.entryCount, [timestamps, key]);
}

/** Deletes as a file holds them: key `i` was deleted at `timestamps[i]`. */
export interface DeleteColumns {
  readonly keys: FixedColumn | BytesColumn;
  readonly timestamps: BigInt64Array;
}

/** As `encodeDeletes`, of picked deletes. */
export function encodePickedDeletes(sources: readonly DeleteColumns[], runs: Runs): Uint8Array<ArrayBuffer> {
  const type = sources[0]?.keys.type;
  assert(type === 'Int64' || type === 'VarChar', 'deletes have keys');
  assert(runs.rowCount > 0, 'a deletes file has deletes');
  const timestamps = timestampColumn(
    sources.map((source) => source.timestamps),
    runs,
  );
  const body = encodeColumn(
    sources.map(({ keys }) => keys),
    false,
    runs,
  );
  return encodeKeys(type, timestamps, body);
}

function keyColumn(keys: PrimaryKeys): FixedColumn | BytesColumn {
  if (keys.type === 'Int64') return { layout: 'fixed', type: 'Int64', values: keys.values };
  const texts = keys.values.map((key) => utf8.encode(key));
  const offsets = new Uint32Array(texts.length + 1);
  texts.forEach((text, i) => {
    offsets[i + 1] = (offsets[i] as number) + text.length;
  });
  const data = new Uint8Array(offsets[texts.length] as number);
  texts.forEach((text, i) => {
    data.set(text, offsets[i]);
  });
  return { layout: 'bytes', type: 'VarChar', offsets, data };
}

/** Plan to read a deletes file whole. Throws `data-integrity`. */
export async function planDeletes(reader: RangedReader): Promise<ColumnPlan<DeleteColumns>> {
  const [stored, keyStored, ...others] = (await readFooter(reader, 'deletes')).columns;
  if (stored === undefined || keyStored === undefined || others.length > 0) throw damaged('no deletes');
  const timestamps = planTimestamps({ timestamps: stored });
  const keys = planColumn(keyStored);
  return {
    fetches: [...timestamps.fetches, ...keys.fetches],
    decode: () => ({ timestamps: timestamps.decode(), keys: asKeys(keys.decode()) }),
  };
}

/** Throws `data-integrity`. */
export const readDeletes = async (reader: RangedReader): Promise<Deletes> =>
  deletesOf(await readPlan(reader, await planDeletes(reader)));

/** Throws `data-integrity`. */
export const deletesOf = ({ keys, timestamps }: DeleteColumns): Deletes => ({
  keys: keysOf(keys),
  timestamps,
});

/** The column of a key field. Throws `data-integrity`. */
export function asKeys(column: Column): FixedColumn | BytesColumn {
  if (column.valid !== undefined) throw damaged('a key that is null');
  const isRight =
    (column.layout === 'fixed' && column.type === 'Int64') ||
    (column.layout === 'bytes' && column.type === 'VarChar');
  if (!isRight) throw damaged('keys that are no keys');
  return column;
}

/** Primary keys from the column of a key field. Throws `data-integrity`. */
function keysOf(column: FixedColumn | BytesColumn): PrimaryKeys {
  if (column.layout === 'fixed') {
    assert(column.values instanceof BigInt64Array, 'Int64 keys');
    return { type: 'Int64', values: column.values };
  }
  const { offsets, data } = column;
  try {
    const values = Array.from({ length: offsets.length - 1 }, (_, i) =>
      strictUtf8.decode(data.subarray(offsets[i], offsets[i + 1])),
    );
    return { type: 'VarChar', values };
  } catch (error) {
    throw damaged('a key that is not UTF-8', error);
  }
}
