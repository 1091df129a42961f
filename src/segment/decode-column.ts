/** Columns back from the pages of a file. Every count and length is checked: any bytes give a column or `data-integrity`. */
import {
  bytesOf,
  fixedArrays,
  isBytesType,
  isFixedType,
  vectorArrays,
  vectorBytes,
  vectorWidth,
} from '../model/columns.ts';
import type {
  BytesColumn,
  Column,
  FixedColumn,
  FixedType,
  ListColumn,
  VectorColumn,
  VectorValues,
} from '../model/rows.ts';
import { type DataType, isDenseVector, type VectorType } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import { itemTypeOf } from './column-schema.ts';
import { damaged } from './damage.ts';
import { decodeLevels } from './levels.ts';
import { decodePage, type RangedReader, type StoredColumn, type StoredPage } from './parquet-reader.ts';
import { ALIGNMENT } from './parquet-writer.ts';
import { eachStretch } from './pick-rows.ts';

/** A range of a file and where its bytes go. */
export interface Fetch {
  readonly offset: number;
  readonly into: Uint8Array;
}

/** What to fetch for a column, and the column once everything is there. `decode` works in place and runs once. */
export interface ColumnPlan<T> {
  readonly fetches: readonly Fetch[];
  decode(): T;
}

/** Fetches a plan range by range. */
export async function readPlan<T>(reader: RangedReader, plan: ColumnPlan<T>): Promise<T> {
  for (const { offset, into } of plan.fetches)
    for (let at = 0; at < into.length; at += READ_BYTES) {
      const length = Math.min(READ_BYTES, into.length - at);
      into.set(await reader.read(offset + at, length), at);
    }
  return plan.decode();
}

/** Read at once, so that a large column costs its own memory and little more. */
const READ_BYTES = 8 << 20;

export function planColumn(column: StoredColumn): ColumnPlan<Column> {
  const { dataType: type, dim = 0, rowCount } = column;
  if (isDenseVector(type)) {
    const values = new vectorArrays[type](rowCount * vectorWidth(type, dim));
    const { fetches, decode } = planVectors(column, values);
    const vectors: VectorColumn = { layout: 'vector', type, dim, values };
    return { fetches, decode: () => withValid(vectors, decode()) };
  }
  const shift = column.offset % ALIGNMENT;
  const into = new Uint8Array(new ArrayBuffer(shift + column.length), shift);
  return { fetches: [{ offset: column.offset, into }], decode: () => decodeColumn(column, into) };
}

/**
 * Vectors straight into `target`, the values of all rows over any buffer. Decodes to which rows have one; undefined: all.
 * Null rows are zeros.
 */
export function planVectors(column: StoredColumn, target: VectorValues): ColumnPlan<Uint8Array | undefined> {
  const { dataType: type, dim = 0 } = column;
  assert(isDenseVector(type), `column '${column.name}' holds vectors`);
  const width = vectorWidth(type, dim);
  assert(target.length === column.rowCount * width, `room for ${column.rowCount} vectors`);
  const count = column.rowCount - column.nullCount;
  const headBytes = column.length - count * vectorBytes(type, dim);
  if (headBytes < 0) throw damaged(`length of column '${column.name}'`);
  const head = new Uint8Array(headBytes);
  const values = bytesOf(target.subarray(0, count * width));
  const decode = (): Uint8Array | undefined => {
    const { definition, repetition, valuesAt } = decodePage(column, head);
    if (valuesAt !== headBytes || repetition.length > 0) throw damaged(`page of column '${column.name}'`);
    const valid = decodeValid(column, definition);
    if (valid !== undefined) spreadVectors(target, valid, width, count);
    return valid;
  };
  return {
    fetches: [
      { offset: column.offset, into: head },
      { offset: column.offset + headBytes, into: values },
    ],
    decode,
  };
}

/** Moves vectors that stand close together to their rows, last one first. */
function spreadVectors(target: VectorValues, valid: Uint8Array, width: number, count: number): void {
  let from = count;
  for (let row = valid.length - 1; row >= 0; row--) {
    if (valid[row] === 1) {
      from--;
      target.copyWithin(row * width, from * width, (from + 1) * width);
    } else target.fill(0, row * width, (row + 1) * width);
  }
}

const withValid = <C extends Column>(column: C, valid: Uint8Array | undefined): C =>
  valid === undefined ? column : { ...column, valid };

/** Undefined when no row is null. */
function decodeValid(column: StoredColumn, definition: Uint8Array): Uint8Array | undefined {
  const wrong = () => damaged(`nulls of column '${column.name}'`);
  if (!column.isOptional) {
    if (definition.length > 0 || column.nullCount > 0) throw wrong();
    return undefined;
  }
  const valid = decodeLevels(definition, column.entryCount, 1, 1);
  if (countBelow(valid, 1) !== column.nullCount) throw wrong();
  return column.nullCount === 0 ? undefined : valid;
}

function countBelow(levels: Uint8Array, level: number): number {
  let count = 0;
  for (const each of levels) if (each < level) count++;
  return count;
}

function decodeColumn(column: StoredColumn, chunk: Uint8Array): Column {
  const page = decodePage(column, chunk);
  const values = chunk.subarray(page.valuesAt);
  const count = column.entryCount - column.nullCount;
  const { dataType } = column;
  if (dataType === 'Array' || dataType === 'ArrayOfVector')
    return decodeList(column, dataType, page, decodeItems(column, values, count));
  if (page.repetition.length > 0) throw damaged(`page of column '${column.name}'`);
  const valid = decodeValid(column, page.definition);
  const scalars = decodeScalars(dataType, values, count);
  return valid === undefined ? scalars : { ...spread(scalars, valid), valid };
}

function decodeItems(column: StoredColumn, values: Uint8Array, count: number): ListColumn['items'] {
  const type = itemTypeOf(column);
  return isDenseVector(type)
    ? decodeVectors(type, column.dim ?? 0, values, count)
    : decodeScalars(type, values, count);
}

function decodeVectors(type: VectorType, dim: number, bytes: Uint8Array, count: number): VectorColumn {
  if (bytes.length !== count * vectorBytes(type, dim))
    throw damaged(`${bytes.length} bytes for ${count} values of ${type}`);
  const values = new vectorArrays[type](count * vectorWidth(type, dim));
  bytesOf(values).set(bytes);
  return { layout: 'vector', type, dim, values };
}

function decodeScalars(type: DataType, values: Uint8Array, count: number): FixedColumn | BytesColumn {
  if (isBytesType(type)) return decodeBytes(type, values, count);
  if (type === 'Bool') return { layout: 'fixed', type, values: unpackBits(values, count) };
  if (type === 'Int8' || type === 'Int16')
    return { layout: 'fixed', type, values: narrow(type, fixedView('Int32', values, count)) };
  if (!isFixedType(type)) throw damaged(`values of type ${type}`);
  return { layout: 'fixed', type, values: fixedView(type, values, count) };
}

function fixedView(type: FixedType, bytes: Uint8Array, count: number): FixedColumn['values'] {
  const Values = fixedArrays[type];
  const width = Values.BYTES_PER_ELEMENT;
  if (bytes.length !== count * width) throw damaged(`${bytes.length} bytes for ${count} values of ${type}`);
  if (bytes.byteOffset % width === 0) return new Values(bytes.buffer, bytes.byteOffset, count);
  return new Values(bytes.slice().buffer, 0, count);
}

function narrow(type: 'Int8' | 'Int16', wide: FixedColumn['values']): FixedColumn['values'] {
  const values = type === 'Int8' ? new Int8Array(wide.length) : new Int16Array(wide.length);
  for (let i = 0; i < wide.length; i++) {
    values[i] = wide[i] as number;
    if (values[i] !== wide[i]) throw damaged(`a value of ${type} out of range`);
  }
  return values;
}

function unpackBits(bits: Uint8Array, count: number): Uint8Array {
  if (bits.length !== Math.ceil(count / 8)) throw damaged(`${bits.length} bytes for ${count} values of Bool`);
  const values = new Uint8Array(count);
  for (let i = 0; i < count; i++) values[i] = ((bits[i >> 3] as number) >> (i & 7)) & 1;
  return values;
}

/** Closes the gaps where the lengths stood, in place. */
function decodeBytes(type: BytesColumn['type'], bytes: Uint8Array, count: number): BytesColumn {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wrong = () => damaged(`lengths of ${type} values`);
  if (count * 4 > bytes.length) throw wrong();
  const offsets = new Uint32Array(count + 1);
  let from = 0;
  let to = 0;
  for (let i = 0; i < count; i++) {
    if (from + 4 > bytes.length) throw wrong();
    const length = view.getUint32(from, true);
    from += 4;
    if (length > bytes.length - from) throw wrong();
    bytes.copyWithin(to, from, from + length);
    from += length;
    to += length;
    offsets[i + 1] = to;
  }
  if (from !== bytes.length) throw wrong();
  return { layout: 'bytes', type, offsets, data: bytes.subarray(0, to) };
}

function spread(column: FixedColumn | BytesColumn, valid: Uint8Array): FixedColumn | BytesColumn {
  if (column.layout === 'bytes') return { ...column, offsets: spreadOffsets(column.offsets, valid) };
  const values = new fixedArrays[column.type](valid.length);
  let at = 0;
  eachStretch(valid, 0, valid.length, (from, to) => {
    values.set(column.values.subarray(at, at + to - from) as never, from);
    at += to - from;
  });
  return { ...column, values };
}

function spreadOffsets(offsets: Uint32Array, valid: Uint8Array): Uint32Array {
  const spaced = new Uint32Array(valid.length + 1);
  let from = 0;
  for (let i = 0; i < valid.length; i++) {
    from += valid[i] as number;
    spaced[i + 1] = offsets[from] as number;
  }
  return spaced;
}

function decodeList(
  column: StoredColumn,
  type: ListColumn['type'],
  { repetition, definition }: StoredPage,
  items: ListColumn['items'],
): Column {
  const { entryCount, rowCount, isOptional, nullCount } = column;
  const itemLevel = isOptional ? 2 : 1;
  const wrong = () => damaged(`lists of column '${column.name}'`);
  const starts = decodeLevels(repetition, entryCount, 1, 1);
  const levels = decodeLevels(definition, entryCount, isOptional ? 2 : 1, itemLevel);
  if (countBelow(levels, itemLevel) !== nullCount || countBelow(starts, 1) !== rowCount || starts[0] === 1)
    throw wrong();
  // A list goes on only with items, and only behind an item.
  if (starts.some((start, i) => start === 1 && (levels[i] !== itemLevel || levels[i - 1] !== itemLevel)))
    throw wrong();
  const offsets = new Uint32Array(rowCount + 1);
  const valid = new Uint8Array(rowCount).fill(1);
  let row = -1;
  let itemCount = 0;
  for (let i = 0; i < entryCount; i++) {
    row += 1 - (starts[i] as number);
    if (levels[i] === itemLevel) itemCount++;
    else if (isOptional && levels[i] === 0) valid[row] = 0;
    offsets[row + 1] = itemCount;
  }
  const list: Column = { layout: 'list', type, offsets, items };
  return countBelow(valid, 1) === 0 ? list : { ...list, valid };
}
