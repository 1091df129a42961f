/** An index build over the segment room's files and the vector index's graphs. */
import { DbError } from '../../errors/db-error.ts';
import { LOAD_SEGMENT, type LoadedSegment, type LoadInput, loadTasks } from '../../segment/load.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { buildHnsw } from '../../vector-index/hnsw-build.ts';
import type { IndexBuildContext } from './task.ts';

/** For a thread that may be busy for long: reading checks every byte of the rows file, building takes what it takes. */
export function indexBuildContext(store: ObjectStore): IndexBuildContext {
  const load = loadTasks({ store })[LOAD_SEGMENT] as unknown as (
    input: LoadInput,
  ) => Promise<{ readonly output: LoadedSegment }>;
  return {
    store,
    async readVectors(rowsFile, field, rowCount) {
      const buffer = new SharedArrayBuffer(rowCount * (field.dim ?? 0) * Float32Array.BYTES_PER_ELEMENT);
      const { output } = await load({
        files: [rowsFile],
        fields: [field],
        vectors: [{ fieldId: field.fieldId, buffer, byteOffset: 0 }],
      });
      if (output.rowCount !== rowCount)
        throw new DbError(
          'data-integrity',
          `object '${rowsFile.key}' has ${output.rowCount} rows, not ${rowCount}`,
        );
      return new Float32Array(buffer);
    },
    buildGraph: (vectors, dim, { metric, M, efConstruction }) =>
      buildHnsw({ vectors, dim, metric, params: { M, efConstruction } }),
  };
}
