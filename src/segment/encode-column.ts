/**
 * Rows of columns as the body of one uncompressed Parquet page: levels, then PLAIN values without the nulls. Values go straight from
 * the columns into the file, as bytes: a column of vectors or text is never held twice.
 */
import { bytesOf, vectorWidth } from '../model/columns.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, VectorColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { encodeLevels } from './levels.ts';
import { lengthOf, pickFixed, pickOffsets, pickValid, sourceOf, withoutNulls } from './pick-rows.ts';
import { allRows, Runs } from './runs.ts';

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

/**
 * `columns` are of one type. `runs`: the rows picked from them; absent: all rows, one column after another. The columns are held
 * until they are written.
 */
export function encodeColumn(columns: readonly Column[], isOptional: boolean, runs?: Runs): PageBody {
  const [first] = columns;
  assert(first !== undefined && columns.every(({ type }) => type === first.type), 'columns of one type');
  const rows = runs ?? allRows(columns.map(lengthOf));
  const valid = pickValid(columns, rows);
  if (first.layout === 'list') return encodeLists(columns as readonly ListColumn[], rows, valid, isOptional);
  const entryCount = rows.rowCount;
  const kept = withoutNulls(columns, rows);
  return {
    entryCount,
    nullCount: entryCount - kept.rowCount,
    repetition: NO_LEVELS,
    definition: isOptional ? encodeLevels(valid ?? new Uint8Array(entryCount).fill(1), 1) : NO_LEVELS,
    ...encodeValues(columns as readonly PlainColumn[], kept),
  };
}

type PlainColumn = FixedColumn | BytesColumn | VectorColumn;
type Values = Pick<PageBody, 'valueBytes' | 'write'>;

/** The picked values, none of them null. */
function encodeValues(columns: readonly PlainColumn[], runs: Runs): Values {
  const first = sourceOf(columns, 0);
  if (first.layout === 'bytes') return encodeTexts(columns as readonly BytesColumn[], runs);
  if (first.type === 'Bool' || first.type === 'Int8' || first.type === 'Int16')
    return encodeSmall(columns as readonly FixedColumn[], runs);
  const perRow = first.layout === 'vector' ? vectorWidth(first.type, first.dim) : 1;
  return encodeNumbers(columns as readonly (FixedColumn | VectorColumn)[], perRow, runs);
}

/** As they stand in memory. */
function encodeNumbers(columns: readonly (FixedColumn | VectorColumn)[], perRow: number, runs: Runs): Values {
  const width = sourceOf(columns, 0).values.BYTES_PER_ELEMENT * perRow;
  const write = (out: Uint8Array): void => {
    const bytes = columns.map(({ values }) => bytesOf(values));
    runs.each((source, from, to, at) => {
      out.set(sourceOf(bytes, source).subarray(from * width, to * width), at * width);
    });
  };
  return { valueBytes: runs.rowCount * width, write };
}

/** Small integers as 32 bits, Bool as bits. */
function encodeSmall(columns: readonly FixedColumn[], runs: Runs): Values {
  const { type, values } = pickFixed(columns, runs);
  const bytes =
    type === 'Bool' ? packBits(values as Uint8Array) : bytesOf(Int32Array.from(values as Int8Array));
  return { valueBytes: bytes.length, write: (out) => out.set(bytes) };
}

function packBits(values: Uint8Array): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (let i = 0; i < values.length; i++)
    if (values[i] === 1) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  return bits;
}

/** Each value after its length. */
function encodeTexts(columns: readonly BytesColumn[], runs: Runs): Values {
  let valueBytes = 4 * runs.rowCount;
  runs.each((source, from, to) => {
    const { offsets } = sourceOf(columns, source);
    valueBytes += (offsets[to] as number) - (offsets[from] as number);
  });
  const write = (out: Uint8Array): void => {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    let at = 0;
    runs.each((source, from, to) => {
      const { offsets, data } = sourceOf(columns, source);
      for (let row = from; row < to; row++) {
        const start = offsets[row] as number;
        const end = offsets[row + 1] as number;
        view.setUint32(at, end - start, true);
        out.set(data.subarray(start, end), at + 4);
        at += 4 + end - start;
      }
    });
  };
  return { valueBytes, write };
}

/** Definition levels of a list: (null,) empty, item. */
function encodeLists(
  columns: readonly ListColumn[],
  runs: Runs,
  valid: Uint8Array | undefined,
  isOptional: boolean,
): PageBody {
  const offsets = pickOffsets(columns, runs);
  const itemRuns = new Runs();
  runs.each((source, from, to) => {
    const column = sourceOf(columns, source);
    itemRuns.add(source, column.offsets[from] as number, column.offsets[to] as number);
  });
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
    nullCount: entryCount - itemRuns.rowCount,
    repetition: encodeLevels(repetition, 1),
    definition: encodeLevels(definition, isOptional ? 2 : 1),
    ...encodeValues(
      columns.map(({ items }) => items),
      itemRuns,
    ),
  };
}
