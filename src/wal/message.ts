/**
 * What a log record says: one write with all its parts. Layout in docs/formats.md, "Write-ahead log". `encodeWrite` and
 * `decodeWrite` are pure; any bytes give a write or `data-integrity`.
 */
import { bytesOf, isBytesType, isFixedType, vectorWidth } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type {
  BytesColumn,
  Column,
  FixedColumn,
  ListColumn,
  PrimaryKeys,
  RowBatch,
  VectorColumn,
} from '../model/rows.ts';
import { type DataType, isDenseVector, type VectorType } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import { Cursor, damaged } from './cursor.ts';
import { PieceWriter } from './pieces.ts';

/** One part of a write, for one channel and partition. All parts of a write share one timestamp and one log record. */
export type WritePart =
  | {
      readonly kind: 'insert';
      readonly channel: string;
      readonly partitionId: PartitionId;
      readonly rows: RowBatch;
    }
  | {
      readonly kind: 'delete';
      readonly channel: string;
      /** `ALL_PARTITIONS` or one. */
      readonly partitionId: PartitionId;
      /** Kills rows of these keys with a timestamp strictly below the write's. */
      readonly keys: PrimaryKeys;
    };

/** A write as followers see it, after it is durable, in log order. `segmentIds[i]` is where `parts[i]` went. */
export interface AppliedWrite {
  readonly collectionId: CollectionId;
  readonly ts: HybridTime;
  readonly parts: readonly WritePart[];
  readonly segmentIds: readonly SegmentId[];
}

const VERSION = 1;
const INSERT = 1;
const DELETE = 2;
const HAS_VALID = 1;

const typeCodes: Readonly<Record<DataType, number>> = {
  Bool: 1,
  Int8: 2,
  Int16: 3,
  Int32: 4,
  Int64: 5,
  Float: 6,
  Double: 7,
  VarChar: 8,
  JSON: 9,
  Array: 10,
  FloatVector: 11,
  Timestamptz: 12,
  Geometry: 13,
  BinaryVector: 14,
  Float16Vector: 15,
  BFloat16Vector: 16,
  Int8Vector: 17,
  SparseFloatVector: 18,
  ArrayOfVector: 19,
};
const typeByCode = new Map(Object.entries(typeCodes).map(([type, code]) => [code, type as DataType]));
/** Of the parameter of an ArrayOfVector: the type of its vectors below, their dimension above. */
const DIM_SHIFT = 2 ** 8;

const utf8 = new TextEncoder();

/** The payload of a log record, in pieces. Big columns are referenced: they must not change until the record is durable. */
export function encodeWrite(write: AppliedWrite): Uint8Array[] {
  assert(write.parts.length === write.segmentIds.length, 'every part of a write has a segment');
  const out = new PieceWriter();
  out.uint32(VERSION);
  out.uint32(write.parts.length);
  out.int64(write.collectionId);
  out.int64(write.ts);
  write.parts.forEach((part, index) => {
    const channel = utf8.encode(part.channel);
    out.uint32(part.kind === 'insert' ? INSERT : DELETE);
    out.uint32(channel.length);
    out.int64(write.segmentIds[index] as SegmentId);
    out.int64(part.partitionId);
    out.array(channel);
    if (part.kind === 'insert') encodeRows(out, part.rows);
    else encodeKeys(out, part.keys);
  });
  return out.finish();
}

function encodeRows(out: PieceWriter, { rowCount, columns }: RowBatch): void {
  out.uint32(rowCount);
  out.uint32(columns.size);
  for (const [fieldId, column] of columns) {
    out.uint32(fieldId);
    out.uint32(typeCodes[column.type]);
    out.uint32(column.valid === undefined ? 0 : HAS_VALID);
    out.uint32(parameterOf(column));
    if (column.valid !== undefined) {
      assert(column.valid.length === rowCount, 'a validity byte for every row');
      out.array(column.valid);
    }
    encodeColumn(out, column, rowCount);
  }
}

/** Vectors: the dimension. Arrays: the type of their elements, with vectors their dimension too. */
function parameterOf(column: Column): number {
  if (column.layout === 'vector') return column.dim;
  if (column.layout !== 'list') return 0;
  const { items } = column;
  return typeCodes[items.type] + (items.layout === 'vector' ? items.dim * DIM_SHIFT : 0);
}

function encodeColumn(out: PieceWriter, column: Column, count: number): void {
  switch (column.layout) {
    case 'fixed':
      assert(column.values.length === count, 'a value for every row');
      out.array(bytesOf(column.values));
      return;
    case 'vector':
      assert(column.values.length === count * vectorWidth(column.type, column.dim), 'a vector for every row');
      out.array(bytesOf(column.values));
      return;
    case 'bytes':
      encodeOffsets(out, column.offsets, count, column.data.length);
      out.array(column.data);
      return;
    case 'list': {
      const items = column.offsets[count] ?? 0;
      encodeOffsets(out, column.offsets, count, items);
      encodeColumn(out, column.items, items);
      return;
    }
  }
}

function encodeOffsets(out: PieceWriter, offsets: Uint32Array, count: number, end: number): void {
  assert(
    offsets.length === count + 1 && offsets[0] === 0 && offsets[count] === end,
    'offsets cover the values',
  );
  // What cannot be read again must not get into the log: no start would get past it.
  for (let i = 1; i <= count; i++)
    assert((offsets[i] as number) >= (offsets[i - 1] as number), 'offsets do not go backwards');
  out.array(bytesOf(offsets));
}

function encodeKeys(out: PieceWriter, keys: PrimaryKeys): void {
  out.uint32(typeCodes[keys.type]);
  out.uint32(keys.values.length);
  if (keys.type === 'Int64') {
    out.array(bytesOf(keys.values));
    return;
  }
  const texts = keys.values.map((key) => utf8.encode(key));
  const offsets = new Uint32Array(texts.length + 1);
  texts.forEach((text, index) => {
    offsets[index + 1] = (offsets[index] as number) + text.length;
  });
  const data = new Uint8Array(offsets[texts.length] as number);
  texts.forEach((text, index) => {
    data.set(text, offsets[index]);
  });
  out.array(bytesOf(offsets));
  out.array(data);
}

/**
 * The write a payload holds. Columns are views of `payload` (of one aligned copy when it does not start at a multiple
 * of 8), so they live as long as its buffer. Throws `data-integrity`.
 */
export function decodeWrite(payload: Uint8Array): AppliedWrite {
  const cursor = new Cursor(payload);
  const version = cursor.uint32();
  if (version !== VERSION)
    throw damaged(
      version > VERSION
        ? `version ${version} is newer than ${VERSION}: please upgrade`
        : `version ${version}`,
    );
  const partCount = cursor.uint32();
  const collectionId = cursor.int64() as CollectionId;
  const ts = cursor.int64() as HybridTime;
  const parts: WritePart[] = [];
  const segmentIds: SegmentId[] = [];
  for (let i = 0; i < partCount; i++) {
    const { part, segmentId } = decodePart(cursor);
    parts.push(part);
    segmentIds.push(segmentId);
  }
  cursor.end();
  return { collectionId, ts, parts, segmentIds };
}

function decodePart(cursor: Cursor): { readonly part: WritePart; readonly segmentId: SegmentId } {
  const kind = cursor.uint32();
  const channelLength = cursor.uint32();
  const segmentId = cursor.int64() as SegmentId;
  const partitionId = cursor.int64() as PartitionId;
  const channel = cursor.text(cursor.bytes(channelLength));
  if (kind === INSERT)
    return { part: { kind: 'insert', channel, partitionId, rows: decodeRows(cursor) }, segmentId };
  if (kind === DELETE)
    return { part: { kind: 'delete', channel, partitionId, keys: decodeKeys(cursor) }, segmentId };
  throw damaged(`part of unknown kind ${kind}`);
}

function decodeRows(cursor: Cursor): RowBatch {
  const rowCount = cursor.uint32();
  const columnCount = cursor.uint32();
  const columns = new Map<FieldId, Column>();
  for (let i = 0; i < columnCount; i++) {
    const fieldId = cursor.uint32() as FieldId;
    if (columns.has(fieldId)) throw damaged(`field ${fieldId} twice`);
    columns.set(fieldId, decodeColumn(cursor, rowCount));
  }
  return { rowCount, columns };
}

const typeOf = (code: number): DataType => {
  const type = typeByCode.get(code);
  if (type === undefined) throw damaged(`unknown type ${code}`);
  return type;
};

function decodeColumn(cursor: Cursor, count: number): Column {
  const type = typeOf(cursor.uint32());
  const flags = cursor.uint32();
  const parameter = cursor.uint32();
  if (flags > HAS_VALID) throw damaged(`unknown column flags ${flags}`);
  const valid = flags === HAS_VALID ? { valid: cursor.flags(count, 'a validity byte') } : {};
  if (isDenseVector(type)) return { ...decodeVectors(cursor, type, count, parameter), ...valid };
  if (type !== 'Array' && type !== 'ArrayOfVector')
    return { ...decodeScalars(cursor, type, count), ...valid };
  const offsets = cursor.offsets(count);
  const items = decodeItems(cursor, type, offsets[count] as number, parameter);
  return { layout: 'list', type, offsets, items, ...valid };
}

function decodeItems(
  cursor: Cursor,
  type: 'Array' | 'ArrayOfVector',
  count: number,
  parameter: number,
): ListColumn['items'] {
  if (type === 'Array') return decodeScalars(cursor, typeOf(parameter), count);
  const vector = typeOf(parameter % DIM_SHIFT);
  if (!isDenseVector(vector)) throw damaged(`lists of type ${vector}`);
  return decodeVectors(cursor, vector, count, Math.floor(parameter / DIM_SHIFT));
}

function decodeVectors(cursor: Cursor, type: VectorType, count: number, dim: number): VectorColumn {
  const width = vectorWidth(type, dim);
  if (dim === 0 || !Number.isInteger(width)) throw damaged(`vectors of dimension ${dim}`);
  return { layout: 'vector', type, dim, values: cursor.vectors(type, count * width) };
}

function decodeScalars(cursor: Cursor, type: DataType, count: number): FixedColumn | BytesColumn {
  if (isFixedType(type)) return { layout: 'fixed', type, values: cursor.fixed(type, count) };
  if (!isBytesType(type)) throw damaged(`items of type ${type}`);
  const offsets = cursor.offsets(count);
  return { layout: 'bytes', type, offsets, data: cursor.bytes(offsets[count] as number) };
}

function decodeKeys(cursor: Cursor): PrimaryKeys {
  const type = typeOf(cursor.uint32());
  const count = cursor.uint32();
  if (type === 'Int64') return { type, values: cursor.fixed(type, count) as BigInt64Array };
  if (type !== 'VarChar') throw damaged(`keys of type ${type}`);
  const offsets = cursor.offsets(count);
  const data = cursor.bytes(offsets[count] as number);
  const values = Array.from({ length: count }, (_, i) =>
    cursor.text(data.subarray(offsets[i], offsets[i + 1])),
  );
  return { type, values };
}
