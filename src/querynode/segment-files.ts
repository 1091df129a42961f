/** Files of flushed segments: rows and deletes are read and decoded in worker threads, graphs straight into the arena. */
import { DbError } from '../errors/db-error.ts';
import type { FieldId } from '../model/ids.ts';
import type { SegmentFile, SegmentIndex, SegmentRecord } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import { type CollectionSchema, type FieldSchema, isDenseVector } from '../model/schema.ts';
import type { Deletes } from '../segment/deletes-file.ts';
import {
  LOAD_DELETES,
  LOAD_SEGMENT,
  type LoadDeletesInput,
  type LoadedSegment,
  type LoadInput,
} from '../segment/load.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { assert } from '../support/assert.ts';
import { crc32 } from '../support/crc32.ts';
import type { Workers } from '../support/workers.ts';
import { bytesOf } from '../vector-index/arena.ts';
import { HnswIndex } from '../vector-index/hnsw.ts';
import { SparseIndex } from '../vector-index/sparse.ts';
import { ArenaVectors, graphOf } from './arena-engine.ts';
import { LOAD_SPARSE_SEGMENT, type LoadedSparse } from './load-task.ts';
import type { GraphShape, SegmentFiles } from './loader.ts';
import { blockColumn, type VectorBlock, type VectorEngine } from './vectors.ts';

/** Bytes of a graph read and checked at once: some milliseconds. */
const WINDOW_BYTES = 4 * 2 ** 20;

export interface WorkerFilesOptions {
  readonly workers: Workers;
  /** The same store that the workers read. */
  readonly store: ObjectStore;
  readonly engine: VectorEngine;
}

export class WorkerFiles implements SegmentFiles {
  readonly #workers: Workers;
  readonly #store: ObjectStore;
  readonly #engine: VectorEngine;

  constructor({ workers, store, engine }: WorkerFilesOptions) {
    this.#workers = workers;
    this.#store = store;
    this.#engine = engine;
  }

  async rows(
    { files }: SegmentRecord,
    { fields, functions }: CollectionSchema,
    vectors: ReadonlyMap<FieldId, VectorBlock>,
    signal: AbortSignal,
  ): ReturnType<SegmentFiles['rows']> {
    const targets = [...vectors].map(([fieldId, { values }]) => ({
      fieldId,
      buffer: values.buffer,
      byteOffset: values.byteOffset,
    }));
    const { rowCount, timestamps, columns, vectorValid, blocks } = await this.#load(
      { files, fields, functions, vectors: targets },
      signal,
    );
    const all = new Map<FieldId, Column>(columns);
    for (const { fieldId, dataType, dim = 0 } of fields) {
      const values = vectors.get(fieldId)?.values;
      if (values === undefined || !isDenseVector(dataType)) continue;
      const valid = vectorValid.get(fieldId);
      all.set(fieldId, { ...blockColumn(dataType, dim, rowCount, values), valid });
    }
    const sparse = new Map([...blocks].map(([fieldId, each]) => [fieldId, new SparseIndex(each)]));
    return { batch: { rowCount, columns: all }, timestamps, sparse };
  }

  async #load(input: LoadInput, signal: AbortSignal): Promise<LoadedSparse> {
    if (input.fields.some(({ dataType }) => dataType === 'SparseFloatVector'))
      return this.#workers.run<LoadInput, LoadedSparse>(LOAD_SPARSE_SEGMENT, input, [], signal);
    const loaded = await this.#workers.run<LoadInput, LoadedSegment>(LOAD_SEGMENT, input, [], signal);
    return { ...loaded, blocks: new Map() };
  }

  deletes(
    { files }: SegmentRecord,
    _keyField: FieldSchema,
    signal: AbortSignal,
  ): ReturnType<SegmentFiles['deletes']> {
    return this.#workers.run<LoadDeletesInput, Deletes>(LOAD_DELETES, { files }, [], signal);
  }

  async graph(
    index: SegmentIndex,
    vectors: VectorBlock,
    shape: GraphShape,
    signal: AbortSignal,
  ): ReturnType<SegmentFiles['graph']> {
    if (index.kind !== 'HNSW') return undefined;
    assert(vectors instanceof ArenaVectors, 'vectors lie in the arena');
    const { arena } = vectors;
    const block = vectors.takeRoom(index.file.sizeBytes);
    try {
      await this.#read(index.file, bytesOf(block), signal);
      const opened = await HnswIndex.open(arena, vectors.block, block, shape);
      return { graph: graphOf(opened, vectors, this.#engine), free: () => arena.free(block) };
    } catch (error) {
      arena.free(block);
      throw error;
    }
  }

  async #read(
    { key, sizeBytes, crc32: expected }: SegmentFile,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const stat = await this.#store.stat(key);
    if (stat === undefined) throw new DbError('object-not-found', `object '${key}' is missing`);
    if (stat.sizeBytes !== sizeBytes)
      throw new DbError('data-integrity', `object '${key}' has ${stat.sizeBytes} bytes, not ${sizeBytes}`);
    let sum = 0;
    for (let at = 0; at < sizeBytes; at += WINDOW_BYTES) {
      signal.throwIfAborted();
      const window = await this.#store.getRange(key, at, Math.min(WINDOW_BYTES, sizeBytes - at));
      sum = crc32(window, sum);
      into.set(window, at);
    }
    if (sum !== expected)
      throw new DbError(
        'data-integrity',
        `object '${key}' is not what was written: checksum ${sum}, not ${expected}`,
      );
  }
}
