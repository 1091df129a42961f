/**
 * Columns that grow. Rows are only ever added behind the last one; an array that becomes too small is replaced by a larger
 * copy. So whoever holds a column may read the rows it had when it was taken, for ever.
 */

import { fixedArrays, isBytesType, isFixedType, vectorArrays, vectorWidth } from '../model/columns.ts';
import type {
  BytesColumn,
  BytesType,
  Column,
  FixedColumn,
  FixedType,
  FixedValues,
  ListColumn,
  VectorColumn,
  VectorValues,
} from '../model/rows.ts';
import { type DataType, type FieldSchema, isDenseVector, type VectorType } from '../model/schema.ts';
import { type NumberValues, widen } from '../model/vector-floats.ts';
import { assert } from '../support/assert.ts';
import { blockColumn, blockFloats } from './vectors.ts';

/** Zeros of a fixed type. */
export const newFixed = (type: FixedType, length: number): FixedValues => new fixedArrays[type](length);

/** Copies values `from` to `to` of `source` behind each other to `at`. Both are of one type. */
export function copyFixed(
  target: FixedValues,
  at: number,
  source: FixedValues,
  from: number,
  to: number,
): void {
  (target as Uint8Array).set(source.subarray(from, to) as Uint8Array, at);
}

/** A writer of one column with room for a fixed number of rows. */
export interface ColumnWriter {
  /** The column as it stands; its arrays may be longer than the rows written. */
  readonly column: Column;
  /** Writes rows `from` to `to` of `source`; an absent source gives nulls. */
  append(source: Column | undefined, from: number, to: number): void;
}

class FixedItems {
  values: FixedValues;
  readonly #type: FixedType;
  #length = 0;

  constructor(type: FixedType, capacity: number) {
    this.#type = type;
    this.values = newFixed(type, capacity);
  }

  append(source: FixedValues, from: number, to: number): void {
    const end = this.#length + to - from;
    if (end > this.values.length) {
      const larger = newFixed(this.#type, Math.max(end, 2 * this.values.length));
      copyFixed(larger, 0, this.values, 0, this.#length);
      this.values = larger;
    }
    copyFixed(this.values, this.#length, source, from, to);
    this.#length = end;
  }

  skip(count: number): void {
    this.#length += count;
  }

  column(): FixedColumn {
    return { layout: 'fixed', type: this.#type, values: this.values };
  }
}

class BytesItems {
  readonly #type: BytesType;
  #offsets: Uint32Array;
  #data: Uint8Array;
  #length = 0;

  constructor(type: BytesType, capacity: number) {
    this.#type = type;
    this.#offsets = new Uint32Array(capacity + 1);
    this.#data = new Uint8Array(8 * capacity);
  }

  append(source: BytesColumn, from: number, to: number): void {
    this.#reserveItems(to - from);
    const first = source.offsets[from] ?? 0;
    const bytes = source.data.subarray(first, source.offsets[to]);
    const start = this.#offsets[this.#length] ?? 0;
    if (start + bytes.length > this.#data.length) {
      const larger = new Uint8Array(2 * (start + bytes.length));
      larger.set(this.#data.subarray(0, start));
      this.#data = larger;
    }
    this.#data.set(bytes, start);
    for (let i = from; i < to; i++)
      this.#offsets[this.#length + i - from + 1] = start + (source.offsets[i + 1] ?? 0) - first;
    this.#length += to - from;
  }

  skip(count: number): void {
    this.#reserveItems(count);
    this.#offsets.fill(this.#offsets[this.#length] ?? 0, this.#length + 1, this.#length + count + 1);
    this.#length += count;
  }

  column(): BytesColumn {
    return { layout: 'bytes', type: this.#type, offsets: this.#offsets, data: this.#data };
  }

  #reserveItems(count: number): void {
    const end = this.#length + count + 1;
    if (end <= this.#offsets.length) return;
    const larger = new Uint32Array(Math.max(end, 2 * this.#offsets.length));
    larger.set(this.#offsets);
    this.#offsets = larger;
  }
}

/** Dense vectors in a block that is large enough from the start, as `blockColumn` keeps them. */
class BlockItems {
  readonly #type: VectorType;
  readonly #column: VectorColumn;
  readonly #width: number;
  #length = 0;

  constructor(type: VectorType, column: VectorColumn) {
    this.#type = type;
    this.#column = column;
    this.#width = vectorWidth(type, column.dim);
  }

  append(source: VectorColumn, from: number, to: number): void {
    const given = source.values.subarray(from * this.#width, to * this.#width);
    const { values } = this.#column;
    const at = this.#length * this.#width;
    if (this.#type === 'BinaryVector') (values as Uint8Array).set(given as Uint8Array, at);
    else widen(this.#type, given as NumberValues, values.subarray(at, at + given.length) as Float32Array);
    this.#length += to - from;
  }

  skip(count: number): void {
    this.#column.values.fill(0, this.#length * this.#width, (this.#length + count) * this.#width);
    this.#length += count;
  }

  column(): VectorColumn {
    return this.#column;
  }
}

/** Vectors of lists, in memory that grows. */
class VectorItems {
  readonly #type: VectorType;
  readonly #dim: number;
  readonly #width: number;
  #values: VectorValues;
  #length = 0;

  constructor(type: VectorType, dim: number, room: VectorValues) {
    this.#type = type;
    this.#dim = dim;
    this.#width = vectorWidth(type, dim);
    this.#values = room;
  }

  append(source: VectorColumn, from: number, to: number): void {
    this.#reserve(to - from);
    (this.#values as Uint8Array).set(
      source.values.subarray(from * this.#width, to * this.#width) as Uint8Array,
      this.#length * this.#width,
    );
    this.#length += to - from;
  }

  skip(count: number): void {
    this.#reserve(count);
    this.#values.fill(0, this.#length * this.#width, (this.#length + count) * this.#width);
    this.#length += count;
  }

  column(): VectorColumn {
    return { layout: 'vector', type: this.#type, dim: this.#dim, values: this.#values };
  }

  #reserve(count: number): void {
    const end = (this.#length + count) * this.#width;
    if (end <= this.#values.length) return;
    const larger = new vectorArrays[this.#type](Math.max(end, 2 * this.#values.length));
    (larger as Uint8Array).set(this.#values as Uint8Array);
    this.#values = larger;
  }
}

type Items = FixedItems | BytesItems | VectorItems | BlockItems;
type ItemColumn = FixedColumn | BytesColumn | VectorColumn;

function appendItems(items: Items, source: ItemColumn, from: number, to: number): void {
  if (items instanceof FixedItems && source.layout === 'fixed') items.append(source.values, from, to);
  else if (items instanceof BytesItems && source.layout === 'bytes') items.append(source, from, to);
  else if (items instanceof VectorItems && source.layout === 'vector') items.append(source, from, to);
  else if (items instanceof BlockItems && source.layout === 'vector') items.append(source, from, to);
  else assert(false, 'a column changed its layout');
}

class ListRows {
  readonly #type: ListColumn['type'];
  readonly #items: Items;
  readonly #offsets: Uint32Array;
  #length = 0;

  constructor(type: ListColumn['type'], items: Items, capacity: number) {
    this.#type = type;
    this.#items = items;
    this.#offsets = new Uint32Array(capacity + 1);
  }

  append(source: ListColumn, from: number, to: number): void {
    const first = source.offsets[from] ?? 0;
    const start = this.#offsets[this.#length] ?? 0;
    appendItems(this.#items, source.items, first, source.offsets[to] ?? 0);
    for (let i = from; i < to; i++)
      this.#offsets[this.#length + i - from + 1] = start + (source.offsets[i + 1] ?? 0) - first;
    this.#length += to - from;
  }

  skip(count: number): void {
    this.#offsets.fill(this.#offsets[this.#length] ?? 0, this.#length + 1, this.#length + count + 1);
    this.#length += count;
  }

  column(): ListColumn {
    return { layout: 'list', type: this.#type, offsets: this.#offsets, items: this.#items.column() };
  }
}

function newItems(type: DataType, dim: number, capacity: number): Items {
  if (isDenseVector(type))
    return new VectorItems(type, dim, new vectorArrays[type](capacity * vectorWidth(type, dim)));
  if (isFixedType(type)) return new FixedItems(type, capacity);
  assert(isBytesType(type), `items of type ${type}`);
  return new BytesItems(type, capacity);
}

function newRows(field: FieldSchema, capacity: number, vectors: Float32Array | undefined): Items | ListRows {
  const { dataType, elementType, dim = 0 } = field;
  if (dataType === 'Array' || dataType === 'ArrayOfVector') {
    assert(elementType !== undefined, `array field ${field.fieldId} has no element type`);
    const room = isDenseVector(elementType) ? 0 : capacity;
    return new ListRows(dataType, newItems(elementType, dim, room), capacity);
  }
  if (!isDenseVector(dataType)) return newItems(dataType, dim, capacity);
  assert(dim > 0 && vectors !== undefined, `vector field ${field.fieldId} has no memory`);
  return new BlockItems(dataType, blockColumn(dataType, dim, capacity, vectors));
}

/** `vectors`: memory of `blockFloats` for a field of dense vectors. */
export function columnWriter(
  field: FieldSchema,
  capacity: number,
  vectors: Float32Array | undefined,
): ColumnWriter {
  const rows = newRows(field, capacity, vectors);
  let valid: Uint8Array | undefined;
  let length = 0;
  const remember = (present: Uint8Array | undefined, from: number, to: number, isAbsent: boolean) => {
    if (valid === undefined && (isAbsent || present !== undefined)) {
      valid = new Uint8Array(capacity);
      valid.fill(1, 0, length);
    }
    if (present !== undefined) valid?.set(present.subarray(from, to), length);
    else valid?.fill(isAbsent ? 0 : 1, length, length + to - from);
    length += to - from;
  };
  let column: Column = rows.column();
  return {
    get column() {
      return column;
    },
    append(source, from, to) {
      if (source === undefined) rows.skip(to - from);
      else if (rows instanceof ListRows && source.layout === 'list') rows.append(source, from, to);
      else if (!(rows instanceof ListRows) && source.layout !== 'list') appendItems(rows, source, from, to);
      else assert(false, `field ${field.fieldId} changed its layout`);
      remember(source?.valid, from, to, source === undefined);
      column = valid === undefined ? rows.column() : { ...rows.column(), valid };
    },
  };
}

/** A column of nulls, for a field that is younger than the rows. */
export function nullColumn(field: FieldSchema, rowCount: number): Column {
  const { dataType, dim = 0 } = field;
  const room = isDenseVector(dataType) ? new Float32Array(blockFloats(dataType, dim, rowCount)) : undefined;
  const writer = columnWriter(field, rowCount, room);
  writer.append(undefined, 0, rowCount);
  return writer.column;
}
