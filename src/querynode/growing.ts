/**
 * Rows that stand only in the log. They fill units whose size doubles from small to a maximum, so that many one-row inserts
 * make few units, a small segment takes little memory, and no row is ever moved.
 */
import { vectorBytes } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column, RowBatch } from '../model/rows.ts';
import { type CollectionSchema, type FieldSchema, isDenseVector } from '../model/schema.ts';
import { absentColumn } from '../segment/absent-column.ts';
import type { DeleteMap } from '../segment/delete-map.ts';
import { assert } from '../support/assert.ts';
import { absentOutputs } from '../text/function-rows.ts';
import { SparseIndex } from '../vector-index/sparse.ts';
import type { SparseRows } from '../vector-index/sparse-rows.ts';
import { type ColumnWriter, columnWriter } from './column-writer.ts';
import { Unit, type UnitPlace } from './unit.ts';
import { blockFloats, type VectorBlock, type VectorEngine } from './vectors.ts';

const MIN_ROWS = 64;
const MAX_ROWS = 65_536;
/** A unit holds no more vectors than this, but at least one row. */
const MAX_VECTOR_BYTES = 16 * 2 ** 20;
/** A unit that holds so many bytes of text takes no more rows. */
const MAX_TEXT_BYTES = 32 * 2 ** 20;

/** Rows for which the posting lists of full units are merged by one step more: they are one before the next unit is full. */
const ROWS_PER_STEP = 256;

interface Chunk {
  readonly unit: Unit;
  readonly timestamps: BigInt64Array;
  readonly writers: ReadonlyMap<FieldId, { readonly field: FieldSchema; readonly writer: ColumnWriter }>;
  readonly sparse: ReadonlyMap<FieldId, SparseIndex>;
  textBytes: number;
}

export class GrowingSegment {
  readonly place: UnitPlace;
  readonly #engine: VectorEngine;
  readonly #isGrowing: boolean;
  readonly #chunks: Chunk[] = [];
  /** Posting lists of full units that are still to be put together. */
  readonly #unmerged: SparseIndex[] = [];

  constructor(place: UnitPlace, engine: VectorEngine, { isGrowing = true } = {}) {
    this.place = place;
    this.#engine = engine;
    this.#isGrowing = isGrowing;
  }

  get units(): Unit[] {
    return this.#chunks.map(({ unit }) => unit);
  }

  /** The rows of one write from `first` to `end`; they are visible when it returns. The rest is to follow. */
  append(
    schema: CollectionSchema,
    rows: RowBatch,
    ts: HybridTime,
    deletes: DeleteMap,
    { first, end } = { first: 0, end: rows.rowCount },
  ): void {
    const made = absentOutputs(schema, rows, first, end);
    for (let from = first; from < end; ) {
      const chunk = this.#chunkFor(schema, rows.rowCount - from);
      const to = Math.min(end, from + chunk.unit.capacity - chunk.unit.rowCount, rowsOfText(rows, from));
      const start = chunk.unit.rowCount;
      for (const [fieldId, { writer, field }] of chunk.writers) {
        const column = rows.columns.get(fieldId);
        const output = made.get(fieldId);
        // The rows may be older than the field.
        if (output !== undefined) writer.append(output, from - first, to - first);
        else if (column !== undefined || field.defaultValue === undefined) writer.append(column, from, to);
        else writer.append(absentColumn(field, to - from), 0, to - from);
      }
      for (const column of rows.columns.values()) chunk.textBytes += textBytes(column, from, to);
      chunk.timestamps.fill(ts, start, start + to - from);
      for (const [fieldId, index] of chunk.sparse)
        index.extend(sparseRows(chunk.writers.get(fieldId)?.writer), start + to - from);
      chunk.unit.reveal(start + to - from, deletes);
      from = to;
    }
    this.#merge(1 + (end - first) / ROWS_PER_STEP);
  }

  /** Hands its units over. */
  leave(to: (unit: Unit) => void): void {
    for (const { unit } of this.#chunks) to(unit);
    this.#chunks.length = 0;
  }

  release(): void {
    for (const { unit } of this.#chunks) unit.release();
    this.#chunks.length = 0;
    this.#unmerged.length = 0;
  }

  #chunkFor(schema: CollectionSchema, rows: number): Chunk {
    const last = this.#chunks.at(-1);
    const hasRoom = last !== undefined && last.unit.rowCount < last.unit.capacity;
    if (hasRoom && last.textBytes < MAX_TEXT_BYTES && knowsFields(last, schema)) return last;
    const before = this.#chunks.reduce((sum, { unit }) => sum + unit.capacity, 0);
    if (last !== undefined) this.#finish(last);
    const chunk = this.#open(schema, Math.max(MIN_ROWS, before, rows));
    this.#chunks.push(chunk);
    return chunk;
  }

  #finish({ sparse, writers }: Chunk): void {
    for (const [fieldId, index] of sparse) {
      index.finish(sparseRows(writers.get(fieldId)?.writer));
      this.#unmerged.push(index);
    }
  }

  #merge(steps: number): void {
    for (let i = 0; i < steps && this.#unmerged.length > 0; i++)
      if (this.#unmerged[0]?.advance() === false) this.#unmerged.shift();
  }

  #open(schema: CollectionSchema, wantedRows: number): Chunk {
    const rowBytes = schema.fields.reduce((sum, field) => sum + denseBytes(field), 0);
    const mostRows = rowBytes === 0 ? MAX_ROWS : Math.floor(MAX_VECTOR_BYTES / rowBytes);
    const capacity = Math.max(1, Math.min(wantedRows, MAX_ROWS, mostRows));
    const vectors = new Map<FieldId, VectorBlock>();
    const writers = new Map<FieldId, { field: FieldSchema; writer: ColumnWriter }>();
    try {
      for (const { fieldId, dataType, dim = 0 } of schema.fields)
        if (isDenseVector(dataType))
          vectors.set(fieldId, this.#engine.allocate(blockFloats(dataType, dim, capacity)));
    } catch (error) {
      for (const block of vectors.values()) block.free();
      throw error;
    }
    for (const field of schema.fields)
      writers.set(field.fieldId, {
        field,
        writer: columnWriter(field, capacity, vectors.get(field.fieldId)?.values),
      });
    const timestamps = new BigInt64Array(capacity);
    const { place } = this;
    const sparse = new Map(
      schema.fields
        .filter(({ dataType }) => dataType === 'SparseFloatVector')
        .map(({ fieldId }) => [fieldId, new SparseIndex()] as const),
    );
    const columns = new Map([...writers].map(([fieldId, { writer }]) => [fieldId, writer]));
    const isGrowing = this.#isGrowing;
    const unit = new Unit({ place, schema, capacity, columns, timestamps, vectors, sparse, isGrowing });
    return { unit, timestamps, writers, sparse, textBytes: 0 };
  }
}

function sparseRows(writer: ColumnWriter | undefined): SparseRows {
  const column = writer?.column;
  assert(column?.layout === 'bytes', 'sparse vectors are bytes');
  return column;
}

/** A field that was dropped has no more room, either. */
const knowsFields = ({ writers }: Chunk, { fields }: CollectionSchema): boolean =>
  writers.size === fields.length && fields.every(({ fieldId }) => writers.has(fieldId));

/** Bytes of the vector that every row has in memory. */
const denseBytes = ({ dataType, dim = 0 }: FieldSchema): number =>
  isDenseVector(dataType) ? 4 * blockFloats(dataType, dim, 1) : 0;

/** Bytes of what has no fixed size in a row: text, and lists of vectors. */
function textBytes(column: Column, from: number, to: number): number {
  if (column.layout === 'bytes') return (column.offsets[to] ?? 0) - (column.offsets[from] ?? 0);
  if (column.layout !== 'list') return 0;
  const { items, offsets } = column;
  const [first, end] = [offsets[from] ?? 0, offsets[to] ?? 0];
  return items.layout === 'vector'
    ? (end - first) * vectorBytes(items.type, items.dim)
    : textBytes(items, first, end);
}

/** End of the rows from `from` on whose longest text column stays within the bound; at least one row. */
function rowsOfText(rows: RowBatch, from: number): number {
  let to = rows.rowCount;
  for (const column of rows.columns.values())
    while (to > from + 1 && textBytes(column, from, to) > MAX_TEXT_BYTES) to = from + ((to - from) >> 1);
  return to;
}
