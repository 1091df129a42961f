/**
 * What the rows of a segment are, in 128 bits: equal for the same rows in any order, different for others. Every byte of the file
 * is read and checked against its record. A worker's task.
 *
 * The sum, modulo 2^128, of a hash of each row: a row that stands twice counts twice. A row is its timestamp and, for each
 * field that the file has, the field's id, its type and its value with its length, so that no two different rows have the same bytes. A null is not
 * an empty value, and neither is a field that the file does not have.
 */
import { bytesOf, fixedArrays, vectorBytes } from '../model/columns.ts';
import type { SegmentFile } from '../model/records.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, VectorColumn } from '../model/rows.ts';
import type { DataType } from '../model/schema.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { hash128 } from '../support/hash128.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import { readChecked } from './checked-file.ts';
import { type ColumnPlan, planColumn } from './decode-column.ts';
import { planDeletes } from './deletes-file.ts';
import { planTimestamps, readRowsMeta } from './rows-file.ts';

export const FINGERPRINT_SEGMENT = 'fingerprint-segment';

export interface SegmentFingerprint {
  /** Rows, or deletes. */
  readonly rowCount: number;
  /** 32 hexadecimal digits. */
  readonly digest: string;
}

/** A column of a field, as it is told apart in a row. */
export interface MarkedColumn {
  readonly fieldId: number;
  readonly column: Column;
}

/** The worker's task `fingerprint-segment`: the rows or deletes file of a segment to its `SegmentFingerprint`. */
export const fingerprintTasks = (store: ObjectStore): WorkerTasks => ({
  [FINGERPRINT_SEGMENT]: async (file: SegmentFile) => ({
    output: await fingerprintFile(store, file),
    transfer: [],
  }),
});

/** `fingerprintFile` in worker threads. */
export class WorkerFingerprints {
  readonly #workers: Workers;

  constructor(workers: Workers) {
    this.#workers = workers;
  }

  /** Throws `data-integrity`, `object-not-found`, what the store failed with, and the signal's reason. */
  of(file: SegmentFile, signal: AbortSignal): Promise<SegmentFingerprint> {
    return this.#workers.run(FINGERPRINT_SEGMENT, file, [], signal);
  }
}

/** Of a rows or a deletes file. */
export const fingerprintFile = (store: ObjectStore, file: SegmentFile): Promise<SegmentFingerprint> =>
  readChecked(store, file, async (reader): Promise<ColumnPlan<SegmentFingerprint>> => {
    if (file.kind === 'deletes') {
      const { fetches, decode } = await planDeletes(reader);
      return {
        fetches,
        decode: () => {
          const { keys, timestamps } = decode();
          return fingerprintRows(timestamps, [{ fieldId: KEY_OF_DELETE, column: keys }]);
        },
      };
    }
    const meta = await readRowsMeta(reader);
    const timestamps = planTimestamps(meta);
    const fields = [...meta.fields]
      .toSorted(([a], [b]) => a - b)
      .map(([fieldId, stored]) => ({ fieldId, plan: planColumn(stored) }));
    return {
      fetches: [...timestamps.fetches, ...fields.flatMap(({ plan }) => plan.fetches)],
      decode: () =>
        fingerprintRows(
          timestamps.decode(),
          fields.map(({ fieldId, plan }) => ({ fieldId, column: plan.decode() })),
        ),
    };
  });

/** Deletes have one column, of no field. */
const KEY_OF_DELETE = -1;

/** Of row `i`: `timestamps[i]` and each column's row `i`. The columns stand in one order for all that are to be compared. */
export function fingerprintRows(
  timestamps: BigInt64Array,
  columns: readonly MarkedColumn[],
): SegmentFingerprint {
  const row = new RowBytes();
  const writers = columns.map(({ fieldId, column }) => writerOf(row, fieldId, column));
  const sum = new LaneSum();
  const stamps = bytesOf(timestamps);
  for (let i = 0; i < timestamps.length; i++) {
    row.clear();
    row.bytes(stamps, i * 8, i * 8 + 8);
    for (const write of writers) write(i);
    sum.add(row.hash());
  }
  return { rowCount: timestamps.length, digest: sum.digest() };
}

/** The bytes of one row after another, in one buffer. Everything begins at a multiple of four, gaps are zeros. */
class RowBytes {
  #buffer = new Uint8Array(1024);
  #words = new Uint32Array(this.#buffer.buffer);
  #length = 0;
  readonly #hash = new Uint32Array(4);

  clear(): void {
    this.#length = 0;
  }

  word(value: number): void {
    this.#reserve(4);
    this.#words[this.#length >>> 2] = value;
    this.#length += 4;
  }

  bytes(source: Uint8Array, from: number, to: number): void {
    const length = to - from;
    const end = this.#length + ((length + 3) & ~3);
    this.#reserve(end - this.#length);
    if (length > 0) {
      this.#words[(end >>> 2) - 1] = 0;
      this.#buffer.set(source.subarray(from, to), this.#length);
    }
    this.#length = end;
  }

  hash(): Uint32Array {
    hash128(this.#words.subarray(0, this.#length >>> 2), this.#hash);
    return this.#hash;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length + more)));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
    this.#words = new Uint32Array(larger.buffer);
  }
}

type WriteValue = (row: number) => void;

const NULL = 0;
const VALUE = 1;

// biome-ignore format: one line for all types of a kind; a number never changes its meaning, fingerprints are compared across versions.
const typeWords: Readonly<Record<DataType, number>> = {
  Bool: 1, Int8: 2, Int16: 3, Int32: 4, Int64: 5, Float: 6, Double: 7,
  VarChar: 8, JSON: 9, Array: 10, FloatVector: 11, Timestamptz: 12, Geometry: 13, BinaryVector: 14,
  Float16Vector: 15, BFloat16Vector: 16, Int8Vector: 17, SparseFloatVector: 18, ArrayOfVector: 19,
};

function writerOf(row: RowBytes, fieldId: number, column: Column): WriteValue {
  const { valid } = column;
  const write = valueWriter(row, column);
  const type = column.layout === 'list' ? 256 + typeWords[column.items.type] : typeWords[column.type];
  return (i) => {
    row.word(fieldId);
    row.word(type);
    const isNull = valid !== undefined && valid[i] === 0;
    row.word(isNull ? NULL : VALUE);
    if (!isNull) write(i);
  };
}

function valueWriter(row: RowBytes, column: Column): WriteValue {
  switch (column.layout) {
    case 'fixed':
      return fixedWriter(row, column);
    case 'bytes':
      return bytesWriter(row, column);
    case 'vector':
      return vectorWriter(row, column);
    case 'list':
      return listWriter(row, column);
  }
}

function fixedWriter(row: RowBytes, { type, values }: FixedColumn): WriteValue {
  const width = fixedArrays[type].BYTES_PER_ELEMENT;
  const bytes = bytesOf(values);
  return (i) => row.bytes(bytes, i * width, (i + 1) * width);
}

function bytesWriter(row: RowBytes, { offsets, data }: BytesColumn): WriteValue {
  return (i) => {
    const [from, to] = [offsets[i] as number, offsets[i + 1] as number];
    row.word(to - from);
    row.bytes(data, from, to);
  };
}

function vectorWriter(row: RowBytes, { type, dim, values }: VectorColumn): WriteValue {
  const bytes = bytesOf(values);
  const width = vectorBytes(type, dim);
  return (i) => {
    row.word(dim);
    row.bytes(bytes, i * width, (i + 1) * width);
  };
}

function listWriter(row: RowBytes, { offsets, items }: ListColumn): WriteValue {
  const write = valueWriter(row, items);
  return (i) => {
    const [from, to] = [offsets[i] as number, offsets[i + 1] as number];
    row.word(to - from);
    for (let at = from; at < to; at++) write(at);
  };
}

/** Rows added before what does not fit 32 bits is carried on: far below 2^21, after which a lane would lose bits. */
const ROWS_PER_CARRY = 2 ** 20;
const MASK = 2n ** 128n - 1n;

/** A sum modulo 2^128 of numbers of four words each, lowest first. */
class LaneSum {
  readonly #lanes = new Float64Array(4);
  #rows = 0;
  #total = 0n;

  add(words: Uint32Array): void {
    const lanes = this.#lanes;
    for (let i = 0; i < 4; i++) lanes[i] = (lanes[i] as number) + (words[i] as number);
    if (++this.#rows === ROWS_PER_CARRY) this.#carry();
  }

  digest(): string {
    this.#carry();
    return this.#total.toString(16).padStart(32, '0');
  }

  #carry(): void {
    for (const [i, lane] of this.#lanes.entries()) this.#total += BigInt(lane) << BigInt(32 * i);
    this.#total &= MASK;
    this.#lanes.fill(0);
    this.#rows = 0;
  }
}
