/** The worker's half of an index build: one vector column out of the rows file, a graph over it, one object written. */
import { DbError } from '../../errors/db-error.ts';
import type { SegmentFile } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { indexKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { WorkerTasks } from '../../support/workers.ts';
import { HNSW_MAX_EF } from '../../vector-index/hnsw-file.ts';
import type { BuildIndexOutput, BuildIndexWork } from '../api.ts';

export const BUILD_INDEX = 'build-index';

export interface GraphParams {
  readonly metric: 'L2' | 'IP' | 'COSINE';
  readonly M: number;
  readonly efConstruction: number;
}

/** A graph to be built over vectors that are written into its own memory. */
export interface OpenGraph {
  /** `dim` floats a row, zeros until they are written. */
  readonly vectors: Float32Array<SharedArrayBuffer>;
  /** The bytes of the index file. Once. */
  build(): Promise<Uint8Array>;
}

export interface IndexBuildContext {
  readonly store: ObjectStore;
  /** Writes the vectors of every row, checksums checked; rows without one are zeros. Throws `data-integrity`, `object-not-found`. */
  readVectors(
    rowsFile: SegmentFile,
    field: FieldSchema,
    rowCount: number,
    into: Float32Array<SharedArrayBuffer>,
  ): Promise<void>;
  openGraph(rowCount: number, dim: number, params: GraphParams): OpenGraph;
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
    // Milvus takes any width; beyond this one a graph gets no better.
    efConstruction: Math.min(HNSW_MAX_EF, numberOf('efConstruction', DEFAULT_EF_CONSTRUCTION)),
  };
}

/** The worker's task `build-index`: `BuildIndexWork` to `BuildIndexOutput`. */
export const indexBuildTasks = (context: IndexBuildContext): WorkerTasks => ({
  [BUILD_INDEX]: async (work: BuildIndexWork) => ({
    output: await buildIndex(context, work),
    transfer: [],
  }),
});

async function buildIndex(context: IndexBuildContext, work: BuildIndexWork): Promise<BuildIndexOutput> {
  const { place, field, buildId, rowsFile, rowCount } = work;
  const params = graphParamsOf(work.params);
  const dim = field.dim ?? 0;
  if (rowCount === 0) return { kind: 'build-index' };
  const graph = context.openGraph(rowCount, dim, params);
  await context.readVectors(rowsFile, field, rowCount, graph.vectors);
  const bytes = await graph.build();
  const key = indexKey(place, field.fieldId, buildId);
  const { crc32, etag } = await context.store.put(key, bytes);
  return { kind: 'build-index', file: { kind: 'index', key, sizeBytes: bytes.length, crc32, etag } };
}
