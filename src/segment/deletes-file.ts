/** The deletes of an L0 segment as one Parquet file: keys and timestamps. Layout in docs/formats.md, "Segment files". */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BytesColumn, Column, FixedColumn, PrimaryKeys } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { damaged } from './damage.ts';
import { type ColumnPlan, planColumn, readPlan } from './decode-column.ts';
import { encodeColumn } from './encode-column.ts';
import { type RangedReader, readFooter } from './parquet-reader.ts';
import { encodeFile } from './parquet-writer.ts';
import { planTimestamps, timestampColumn } from './rows-file.ts';

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
  const timestamps = timestampColumn(writes.map(({ ts, keys }) => ({ ts, count: keys.values.length })));
  const count = writes.reduce((sum, { keys }) => sum + keys.values.length, 0);
  assert(type !== undefined && count > 0, 'a deletes file has deletes');
  if (writes.some(({ keys }) => keys.type !== type)) throw damaged('deletes with keys of two types');
  const body = encodeColumn(
    writes.map(({ keys }) => keyColumn(keys)),
    false,
  );
  return encodeFile('deletes', count, [timestamps, { name: 'key', dataType: type, isOptional: false, body }]);
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
export async function planDeletes(reader: RangedReader): Promise<ColumnPlan<Deletes>> {
  const [stored, keyStored, ...others] = (await readFooter(reader, 'deletes')).columns;
  if (stored === undefined || keyStored === undefined || others.length > 0) throw damaged('no deletes');
  const timestamps = planTimestamps({ timestamps: stored });
  const keys = planColumn(keyStored);
  return {
    fetches: [...timestamps.fetches, ...keys.fetches],
    decode: () => ({ timestamps: timestamps.decode(), keys: keysOf(keys.decode()) }),
  };
}

/** Throws `data-integrity`. */
export const readDeletes = async (reader: RangedReader): Promise<Deletes> =>
  readPlan(reader, await planDeletes(reader));

/** Primary keys from the column of a key field. Throws `data-integrity`. */
export function keysOf(column: Column): PrimaryKeys {
  if (column.valid !== undefined) throw damaged('a key that is null');
  if (column.layout === 'fixed' && column.values instanceof BigInt64Array)
    return { type: 'Int64', values: column.values };
  if (column.layout !== 'bytes' || column.type !== 'VarChar') throw damaged('keys that are no keys');
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
