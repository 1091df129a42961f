/**
 * The worker's half of an index build: one vector column out of the rows file, a graph over it, one object written. It runs where
 * it does not hold up the event loop: in a worker thread, unless the store only lives in this one.
 */
import { DbError } from '../../errors/db-error.ts';
import type { SegmentFile } from '../../model/records.ts';
import type { VectorColumn } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { indexKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { WorkerTasks } from '../../support/workers.ts';
import type { BuildIndexOutput, BuildIndexWork } from '../api.ts';

export const BUILD_INDEX_TASK = 'build-index';

export interface GraphParams {
  readonly metric: 'L2' | 'IP' | 'COSINE';
  readonly M: number;
  readonly efConstruction: number;
}

/** What a build needs of other rooms. */
export interface IndexBuildParts {
  /** The whole column, checksums checked. Throws `data-integrity`, `object-not-found`. */
  readVectors(
    store: ObjectStore,
    rowsFile: SegmentFile,
    field: FieldSchema,
    rowCount: number,
  ): Promise<VectorColumn>;
  /** The bytes of the index file. */
  buildGraph(column: VectorColumn, params: GraphParams): Promise<Uint8Array> | Uint8Array;
}

export interface BuildIndexInput {
  readonly work: BuildIndexWork;
  readonly location: NonNullable<ObjectStore['location']>;
}

/** Milvus's defaults for a graph whose creator named no numbers. */
const DEFAULT_M = 30;
const DEFAULT_EF_CONSTRUCTION = 360;

/** Throws `parameter-invalid`. */
export function graphParamsOf(params: BuildIndexWork['params']): GraphParams {
  const metric = params['metric_type'];
  if (params['index_type'] !== 'HNSW' || (metric !== 'L2' && metric !== 'IP' && metric !== 'COSINE'))
    throw new DbError('parameter-invalid', `no graph is built for ${params['index_type']} with ${metric}`);
  const numberOf = (name: string, fallback: number): number => {
    const value = Number(params[name] ?? fallback);
    if (!Number.isInteger(value) || value < 1)
      throw new DbError('parameter-invalid', `${name} is ${params[name]}`);
    return value;
  };
  return {
    metric,
    M: numberOf('M', DEFAULT_M),
    efConstruction: numberOf('efConstruction', DEFAULT_EF_CONSTRUCTION),
  };
}

export async function buildIndex(
  work: BuildIndexWork,
  store: ObjectStore,
  parts: IndexBuildParts,
): Promise<BuildIndexOutput> {
  const { place, field, buildId, rowsFile, rowCount } = work;
  const params = graphParamsOf(work.params);
  const column = await parts.readVectors(store, rowsFile, field, rowCount);
  if (column.values.length !== rowCount * column.dim || column.dim !== field.dim)
    throw new DbError(
      'data-integrity',
      `'${rowsFile.key}' has ${column.values.length} numbers for ${rowCount} vectors of ${field.dim}`,
    );
  if (rowCount === 0) return { kind: 'build-index' };
  const bytes = await parts.buildGraph(column, params);
  const key = indexKey(place, field.fieldId, buildId);
  const { crc32, etag } = await store.put(key, bytes);
  return { kind: 'build-index', file: { kind: 'index', key, sizeBytes: bytes.length, crc32, etag } };
}

/** `openStore`: the store at a location, in the worker's thread. */
export const indexBuildTasks = (
  openStore: (location: BuildIndexInput['location']) => Promise<ObjectStore>,
  parts: IndexBuildParts,
): WorkerTasks => ({
  [BUILD_INDEX_TASK]: async ({ work, location }: BuildIndexInput) => {
    const store = await openStore(location);
    try {
      return { output: await buildIndex(work, store, parts), transfer: [] };
    } finally {
      await store.close();
    }
  },
});
