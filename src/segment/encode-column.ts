/** A column as the body of one uncompressed Parquet page: levels, then PLAIN values without the nulls. */
import { bytesOf, fixedArrays } from '../model/columns.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, VectorColumn } from '../model/rows.ts';
import { encodeLevels } from './levels.ts';
import { concatColumns, lengthOf, pickRows, pickValid, sourceOf } from './pick-rows.ts';
import { allRows, eachStretch, type Runs } from './runs.ts';

export interface PageBody {
  /** Entries of the levels: rows, for a list items and empty rows. */
  readonly entryCount: number;
  /** Entries without a value. */
  readonly nullCount: number;
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
  readonly valueBytes: number;
  /** Fills `out`, which has `valueBytes` bytes. */
  write(out: Uint8Array): void;
}

const NO_LEVELS = new Uint8Array();

const countNulls = (valid: Uint8Array | undefined): number => {
  let nulls = 0;
  if (valid !== undefined) for (const is of valid) nulls += 1 - is;
  return nulls;
};

/**
 * `runs`: the rows of the segment, picked from `columns`; absent: all rows, one column after another. Vectors are held until they are
 * written, all else is copied here.
 */
export function encodeColumn(columns: readonly Column[], isOptional: boolean, runs?: Runs): PageBody {
  if (columns[0]?.layout === 'vector')
    return encodeVectors(
      columns as readonly VectorColumn[],
      isOptional,
      runs ?? allRows(columns.map(lengthOf)),
    );
  const column = runs === undefined ? concatColumns(columns) : pickRows(columns, runs);
  if (column.layout === 'list') return encodeList(column, isOptional);
  const { valid } = column;
  const entryCount = lengthOf(column);
  const nullCount = countNulls(valid);
  return {
    entryCount,
    nullCount,
    repetition: NO_LEVELS,
    definition: isOptional ? encodeLevels(valid ?? new Uint8Array(entryCount).fill(1), 1) : NO_LEVELS,
    ...encodeValues(column as FixedColumn | BytesColumn, nullCount === 0 ? undefined : valid),
  };
}

type Values = Pick<PageBody, 'valueBytes' | 'write'>;

function encodeValues(column: FixedColumn | BytesColumn, valid: Uint8Array | undefined): Values {
  if (column.layout === 'bytes') return encodeBytes(column, valid);
  const values = valid === undefined ? column.values : compact(column, valid);
  const bytes = bytesOf(physical(column.type, values));
  return { valueBytes: bytes.length, write: (out) => out.set(bytes) };
}

function compact({ type, values }: FixedColumn, valid: Uint8Array): FixedColumn['values'] {
  const kept = new fixedArrays[type](values.length - countNulls(valid));
  let at = 0;
  eachStretch(valid, (from, to) => {
    kept.set(values.subarray(from, to) as never, at);
    at += to - from;
  });
  return kept;
}

/** As Parquet keeps it: small integers as 32 bits, Bool as bits. */
function physical(type: FixedColumn['type'], values: FixedColumn['values']): ArrayBufferView {
  if (type === 'Int8' || type === 'Int16') return Int32Array.from(values as Int8Array);
  if (type !== 'Bool') return values;
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (let i = 0; i < values.length; i++)
    if (values[i] === 1) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  return bits;
}

/** Each value after its length. */
function encodeBytes({ offsets, data }: BytesColumn, valid: Uint8Array | undefined): Values {
  const count = offsets.length - 1;
  let valueBytes = 0;
  for (let i = 0; i < count; i++)
    if (valid === undefined || valid[i] === 1)
      valueBytes += 4 + (offsets[i + 1] as number) - (offsets[i] as number);
  const write = (out: Uint8Array): void => {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    let at = 0;
    for (let i = 0; i < count; i++) {
      if (valid !== undefined && valid[i] !== 1) continue;
      const start = offsets[i] as number;
      const end = offsets[i + 1] as number;
      view.setUint32(at, end - start, true);
      out.set(data.subarray(start, end), at + 4);
      at += 4 + end - start;
    }
  };
  return { valueBytes, write };
}

/** Definition levels of a list: (null,) empty, item. */
function encodeList({ offsets, items, valid }: ListColumn, isOptional: boolean): PageBody {
  const rowCount = offsets.length - 1;
  const itemLevel = isOptional ? 2 : 1;
  let entryCount = 0;
  for (let i = 0; i < rowCount; i++)
    entryCount += Math.max(1, (offsets[i + 1] as number) - (offsets[i] as number));
  const repetition = new Uint8Array(entryCount);
  const definition = new Uint8Array(entryCount);
  let at = 0;
  for (let i = 0; i < rowCount; i++) {
    const length = (offsets[i + 1] as number) - (offsets[i] as number);
    if (length === 0) definition[at++] = valid?.[i] === 0 ? 0 : itemLevel - 1;
    for (let item = 0; item < length; item++) {
      repetition[at] = item === 0 ? 0 : 1;
      definition[at++] = itemLevel;
    }
  }
  return {
    entryCount,
    nullCount: entryCount - lengthOf(items),
    repetition: encodeLevels(repetition, 1),
    definition: encodeLevels(definition, isOptional ? 2 : 1),
    ...encodeValues(items, undefined),
  };
}

function encodeVectors(columns: readonly VectorColumn[], isOptional: boolean, runs: Runs): PageBody {
  const valid = pickValid(columns, runs);
  const entryCount = runs.rowCount;
  const nullCount = countNulls(valid);
  const dim = columns[0]?.dim ?? 0;
  const write = (out: Uint8Array): void => {
    let at = 0;
    const put = (values: Float32Array, from: number, to: number): void => {
      out.set(bytesOf(values.subarray(from * dim, to * dim)), at);
      at += (to - from) * dim * 4;
    };
    runs.each((source, from, to) => {
      const column = sourceOf(columns, source);
      if (column.valid === undefined) put(column.values, from, to);
      else
        eachStretch(column.valid.subarray(from, to), (first, end) =>
          put(column.values, from + first, from + end),
        );
    });
  };
  return {
    entryCount,
    nullCount,
    repetition: NO_LEVELS,
    definition: isOptional ? encodeLevels(valid ?? new Uint8Array(entryCount).fill(1), 1) : NO_LEVELS,
    valueBytes: (entryCount - nullCount) * dim * 4,
    write,
  };
}
