/**
 * Files of a flushed segment into memory. Runs in a worker thread. Every byte of every file is read and checked against the size
 * and checksum in its record before anything is handed out.
 */

import { DbError, isDbError } from '../errors/db-error.ts';
import { arraysOf } from '../model/columns.ts';
import type { FieldId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { assert } from '../support/assert.ts';
import { crc32 } from '../support/crc32.ts';
import type { WorkerTasks } from '../support/workers.ts';
import type { ColumnPlan, Fetch } from './decode-column.ts';
import { type Deletes, planDeletes } from './deletes-file.ts';
import type { RangedReader } from './parquet-reader.ts';
import { planField, planTimestamps, planVectorField, readRowsMeta } from './rows-file.ts';

export const LOAD_SEGMENT = 'load-segment';
export const LOAD_DELETES = 'load-deletes';

/** Where the vectors of a field go: `rowCount * dim` floats. */
export interface VectorTarget {
  readonly fieldId: FieldId;
  readonly buffer: SharedArrayBuffer;
  /** A multiple of 4. */
  readonly byteOffset: number;
}

export interface LoadInput {
  /** Of an L1 segment; only the rows file is read. */
  readonly files: readonly SegmentFile[];
  /** Fields wanted. */
  readonly fields: readonly FieldSchema[];
  /** Vector fields among them that go to memory the caller has; the others come back as columns. */
  readonly vectors: readonly VectorTarget[];
}

export interface LoadedSegment {
  readonly rowCount: number;
  readonly timestamps: BigInt64Array;
  /** The wanted fields without those in `vectors`. */
  readonly columns: ReadonlyMap<FieldId, Column>;
  /** For fields in `vectors` with nulls: which rows have a vector. Null rows are zeros. */
  readonly vectorValid: ReadonlyMap<FieldId, Uint8Array>;
}

export interface LoadDeletesInput {
  /** Of an L0 segment; only the deletes file is read. */
  readonly files: readonly SegmentFile[];
}

export interface LoadContext {
  readonly store: ObjectStore;
}

/** Bytes of a file read at once. */
const WINDOW_BYTES = 8 << 20;

/** The worker's tasks `load-segment` (`LoadInput` to `LoadedSegment`) and `load-deletes` (`LoadDeletesInput` to `Deletes`). */
export function loadTasks({ store }: LoadContext): WorkerTasks {
  return {
    [LOAD_SEGMENT]: async (input: LoadInput) => {
      const output = await loadSegment(store, input);
      const arrays: ArrayBufferView[] = [output.timestamps, ...output.vectorValid.values()];
      for (const column of output.columns.values()) arrays.push(...arraysOf(column));
      return { output, transfer: buffersOf(arrays) };
    },
    [LOAD_DELETES]: async ({ files }: LoadDeletesInput) => {
      const output = await loadDeletes(store, files);
      const { keys, timestamps } = output;
      return {
        output,
        transfer: buffersOf(keys.type === 'Int64' ? [timestamps, keys.values] : [timestamps]),
      };
    },
  };
}

const buffersOf = (arrays: readonly ArrayBufferView[]): ArrayBuffer[] => [
  ...new Set(arrays.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer)),
];

function fileOf(files: readonly SegmentFile[], kind: SegmentFile['kind']): SegmentFile {
  const file = files.find((each) => each.kind === kind);
  if (file === undefined) throw new DbError('data-integrity', `a segment without a file of ${kind}`);
  return file;
}

/** Names the object in errors about its content. */
async function naming<T>({ key }: SegmentFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isDbError(error, 'data-integrity') || error.message.includes(`'${key}'`)) throw error;
    throw new DbError('data-integrity', `object '${key}': ${error.message}`, { cause: error });
  }
}

async function openFile(store: ObjectStore, { key, sizeBytes }: SegmentFile): Promise<RangedReader> {
  const stat = await store.stat(key);
  if (stat === undefined) throw new DbError('object-not-found', `object '${key}' is missing`);
  if (stat.sizeBytes !== sizeBytes)
    throw new DbError('data-integrity', `object '${key}' has ${stat.sizeBytes} bytes, not ${sizeBytes}`);
  return { sizeBytes, read: (offset, length) => store.getRange(key, offset, length) };
}

function loadSegment(store: ObjectStore, { files, fields, vectors }: LoadInput): Promise<LoadedSegment> {
  const file = fileOf(files, 'rows');
  return naming(file, async () => {
    const reader = await openFile(store, file);
    const meta = await readRowsMeta(reader);
    const targets = new Map(vectors.map((target) => [target.fieldId, target]));
    const timestamps = planTimestamps(meta);
    const columns = new Map<FieldId, ColumnPlan<Column>>();
    const filled = new Map<FieldId, ColumnPlan<Uint8Array | undefined>>();
    for (const field of fields) {
      const target = targets.get(field.fieldId);
      if (target === undefined) columns.set(field.fieldId, planField(meta, field));
      else filled.set(field.fieldId, planVectorField(meta, field, floatsOf(target, field, meta.rowCount)));
    }
    const plans = [timestamps, ...columns.values(), ...filled.values()];
    await fetchChecked(
      reader,
      file,
      plans.flatMap(({ fetches }) => fetches),
    );
    const vectorValid = new Map<FieldId, Uint8Array>();
    for (const [fieldId, plan] of filled) {
      const valid = plan.decode();
      if (valid !== undefined) vectorValid.set(fieldId, valid);
    }
    return {
      rowCount: meta.rowCount,
      timestamps: timestamps.decode(),
      columns: new Map([...columns].map(([fieldId, plan]) => [fieldId, plan.decode()])),
      vectorValid,
    };
  });
}

function floatsOf({ buffer, byteOffset }: VectorTarget, field: FieldSchema, rowCount: number): Float32Array {
  const length = rowCount * (field.dim ?? 0);
  assert(byteOffset + length * 4 <= buffer.byteLength, `room for the vectors of field '${field.name}'`);
  return new Float32Array(buffer, byteOffset, length);
}

function loadDeletes(store: ObjectStore, files: readonly SegmentFile[]): Promise<Deletes> {
  const file = fileOf(files, 'deletes');
  return naming(file, async () => {
    const reader = await openFile(store, file);
    const plan = await planDeletes(reader);
    await fetchChecked(reader, file, plan.fetches);
    return plan.decode();
  });
}

/** One pass over the whole file, one window ahead: checks the checksum and keeps the ranges wanted. */
async function fetchChecked(
  reader: RangedReader,
  { key, sizeBytes, crc32: expected }: SegmentFile,
  fetches: readonly Fetch[],
): Promise<void> {
  const readAt = (offset: number): Promise<Uint8Array> | undefined =>
    offset < sizeBytes ? reader.read(offset, Math.min(WINDOW_BYTES, sizeBytes - offset)) : undefined;
  let sum = 0;
  let ahead = readAt(0);
  for (let offset = 0; ahead !== undefined; offset += WINDOW_BYTES) {
    const window = await ahead;
    ahead = readAt(offset + WINDOW_BYTES);
    // A failure of the read ahead is met by the next turn; until then it must not count as unhandled.
    ahead?.catch(() => undefined);
    sum = crc32(window, sum);
    for (const fetch of fetches) copyOverlap(window, offset, fetch);
  }
  if (sum !== expected)
    throw new DbError(
      'data-integrity',
      `object '${key}' is not what was written: checksum ${sum}, not ${expected}`,
    );
}

function copyOverlap(window: Uint8Array, windowOffset: number, { offset, into }: Fetch): void {
  const from = Math.max(offset, windowOffset);
  const to = Math.min(offset + into.length, windowOffset + window.length);
  if (from < to) into.set(window.subarray(from - windowOffset, to - windowOffset), from - offset);
}
