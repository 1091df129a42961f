/**
 * Files of a flushed segment into memory. Runs in a worker thread. Every byte of every file is read and checked against the size
 * and checksum in its record before anything is handed out.
 */

import { arraysOf, vectorArrays, vectorWidth } from '../model/columns.ts';
import type { FieldId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import { type FieldSchema, type FunctionSchema, isDenseVector } from '../model/schema.ts';
import { type NumberValues, widen } from '../model/vector-floats.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { assert, present } from '../support/assert.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { absentOutputs, lacksOutput } from '../text/function-rows.ts';
import { fileOf, readChecked } from './checked-file.ts';
import type { ColumnPlan } from './decode-column.ts';
import { type DeleteColumns, deletesOf, planDeletes } from './deletes-file.ts';
import { planField, planTimestamps, planVectorField, type RowsMeta, readRowsMeta } from './rows-file.ts';

export const LOAD_SEGMENT = 'load-segment';
export const LOAD_DELETES = 'load-deletes';

/** Where the vectors of a field go: `rowCount * dim` floats whatever the type of the numbers is, or bits of a BinaryVector. */
export interface VectorTarget {
  readonly fieldId: FieldId;
  readonly buffer: SharedArrayBuffer;
  /** A multiple of 4. */
  readonly byteOffset: number;
}

export interface LoadInput {
  /** Of an L1 segment; only the rows file is read. */
  readonly files: readonly SegmentFile[];
  /** Fields wanted; what functions read is among them when what they write is. */
  readonly fields: readonly FieldSchema[];
  /** Those that write some of the fields: what they write is made where the file does not have it. */
  readonly functions?: readonly FunctionSchema[] | undefined;
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
      const output = deletesOf(await loadDeletes(store, files));
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

/** Every byte of the file is checked before anything is handed out. Throws `data-integrity`, `object-not-found`. */
export function loadSegment(
  store: ObjectStore,
  { files, fields, functions, vectors }: LoadInput,
): Promise<LoadedSegment> {
  return readChecked(store, fileOf(files, 'rows'), async (reader) => {
    const meta = await readRowsMeta(reader);
    const targets = new Map(vectors.map((target) => [target.fieldId, target]));
    const timestamps = planTimestamps(meta);
    const columns = new Map<FieldId, ColumnPlan<Column>>();
    const filled = new Map<FieldId, ColumnPlan<Uint8Array | undefined>>();
    const written = new Set(functions?.flatMap(({ outputFieldIds }) => outputFieldIds));
    for (const field of fields) {
      if (written.has(field.fieldId) && !meta.fields.has(field.fieldId)) continue;
      const target = targets.get(field.fieldId);
      if (target === undefined) columns.set(field.fieldId, planField(meta, field));
      else filled.set(field.fieldId, planTarget(meta, field, target));
    }
    const plans = [timestamps, ...columns.values(), ...filled.values()];
    return {
      fetches: plans.flatMap(({ fetches }) => fetches),
      decode: () =>
        withOutputs(
          { fields, functions, vectors },
          decodeSegment(meta.rowCount, timestamps, columns, filled),
          (fieldId) => columns.has(fieldId) || filled.has(fieldId),
        ),
    };
  });
}

/** Rows whose vectors are made at once on their way to the caller's memory. */
const MADE_AT_ONCE = 1024;

/** What functions write where the file does not have it, dense vectors in the caller's memory if it has some for them. */
function withOutputs(
  schema: Pick<LoadInput, 'fields' | 'functions' | 'vectors'>,
  loaded: LoadedSegment,
  has: (fieldId: FieldId) => boolean,
): LoadedSegment {
  if (!lacksOutput(schema, has)) return loaded;
  const { rowCount } = loaded;
  const targets = new Map(schema.vectors.map((target) => [target.fieldId, target]));
  const made = absentOutputs(schema, loaded, 0, rowCount, (fieldId) => has(fieldId) || targets.has(fieldId));
  for (const [fieldId, target] of targets) {
    if (has(fieldId)) continue;
    for (let from = 0; from < rowCount; from += MADE_AT_ONCE) {
      const to = Math.min(rowCount, from + MADE_AT_ONCE);
      const vectors = absentOutputs(schema, loaded, from, to, (other) => other !== fieldId);
      putVectors(present(vectors.get(fieldId), 'the vectors of a function'), target, from);
    }
  }
  return { ...loaded, columns: new Map([...loaded.columns, ...made]) };
}

/** Bits alone are made by functions: they are kept as they come. */
function putVectors(made: Column, { buffer, byteOffset }: VectorTarget, from: number): void {
  assert(made.layout === 'vector' && made.type === 'BinaryVector', 'a function makes bits');
  const rowBytes = vectorWidth(made.type, made.dim);
  const at = byteOffset + from * rowBytes;
  assert(at + made.values.length <= buffer.byteLength, 'room for the vectors that are made');
  new Uint8Array(buffer, at, made.values.length).set(made.values);
}

function decodeSegment(
  rowCount: number,
  timestamps: ColumnPlan<BigInt64Array>,
  columns: ReadonlyMap<FieldId, ColumnPlan<Column>>,
  filled: ReadonlyMap<FieldId, ColumnPlan<Uint8Array | undefined>>,
): LoadedSegment {
  const vectorValid = new Map<FieldId, Uint8Array>();
  for (const [fieldId, plan] of filled) {
    const valid = plan.decode();
    if (valid !== undefined) vectorValid.set(fieldId, valid);
  }
  return {
    rowCount,
    timestamps: timestamps.decode(),
    columns: new Map([...columns].map(([fieldId, plan]) => [fieldId, plan.decode()])),
    vectorValid,
  };
}

function planTarget(
  meta: RowsMeta,
  field: FieldSchema,
  { buffer, byteOffset }: VectorTarget,
): ColumnPlan<Uint8Array | undefined> {
  const { dataType, dim = 0, name } = field;
  assert(isDenseVector(dataType), `field '${name}' has dense vectors`);
  const length = meta.rowCount * vectorWidth(dataType, dim);
  const bytes = dataType === 'BinaryVector' ? length : length * 4;
  assert(byteOffset + bytes <= buffer.byteLength, `room for the vectors of field '${name}'`);
  if (dataType === 'BinaryVector')
    return planVectorField(meta, field, new Uint8Array(buffer, byteOffset, length));
  const floats = new Float32Array(buffer, byteOffset, length);
  if (dataType === 'FloatVector') return planVectorField(meta, field, floats);
  const stored = new vectorArrays[dataType](length);
  const plan = planVectorField(meta, field, stored);
  return {
    fetches: plan.fetches,
    decode() {
      const valid = plan.decode();
      widen(dataType, stored as NumberValues, floats);
      return valid;
    },
  };
}

/** Every byte of the file is checked before anything is handed out. Throws `data-integrity`, `object-not-found`. */
export const loadDeletes = (store: ObjectStore, files: readonly SegmentFile[]): Promise<DeleteColumns> =>
  readChecked(store, fileOf(files, 'deletes'), planDeletes);
