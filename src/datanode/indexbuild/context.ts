/** An index build over the segment room's files and the vector index's graphs. */
import { DbError } from '../../errors/db-error.ts';
import { LOAD_SEGMENT, type LoadedSegment, type LoadInput, loadTasks } from '../../segment/load.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { HnswBuild } from '../../vector-index/hnsw-build.ts';
import type { Helpers } from '../../vector-index/hnsw-crew.ts';
import type { IndexBuildContext } from './task.ts';

/** A graph of fewer rows is built before help has come. */
const MIN_HELPED_ROWS = 4000;

/** For a thread that may be busy for long: reading checks every byte of the rows file, building takes what it takes. */
export function indexBuildContext(store: ObjectStore, helpers?: Helpers): IndexBuildContext {
  const load = loadTasks({ store })[LOAD_SEGMENT] as unknown as (
    input: LoadInput,
  ) => Promise<{ readonly output: LoadedSegment }>;
  return {
    store,
    async readVectors(rowsFile, field, rowCount, into) {
      const { buffer, byteOffset } = into;
      const { output } = await load({
        files: [rowsFile],
        fields: [field],
        vectors: [{ fieldId: field.fieldId, buffer, byteOffset }],
      });
      if (output.rowCount !== rowCount)
        throw new DbError(
          'data-integrity',
          `object '${rowsFile.key}' has ${output.rowCount} rows, not ${rowCount}`,
        );
    },
    openGraph(rowCount, dim, { metric, M, efConstruction }) {
      const shape = { rowCount, dim, metric, params: { M, efConstruction } };
      const help = rowCount < MIN_HELPED_ROWS ? undefined : helpers;
      const build = new HnswBuild(shape, help?.count);
      return {
        vectors: build.vectors,
        build: async () => (help === undefined ? build.run() : build.runWith(help)),
      };
    },
  };
}
