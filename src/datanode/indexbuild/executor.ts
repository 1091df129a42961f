import type { ObjectStore } from '../../storage/object-store.ts';
import type { Workers } from '../../support/workers.ts';
import type { BuildIndexOutput, BuildIndexWork } from '../api.ts';
import type { Executor } from '../executor.ts';
import { BUILD_INDEX_TASK, type BuildIndexInput, buildIndex, type IndexBuildParts } from './task.ts';

/**
 * Builds one segment's index in a worker thread. A dropped attempt is not interrupted: it ends by itself, and its object, named by
 * its own build id, is garbage. A store that only lives in this thread (tests, simulation) is served here.
 */
export const indexBuildExecutor =
  (
    store: ObjectStore,
    workers: Workers,
    parts: IndexBuildParts,
  ): Executor<BuildIndexWork, BuildIndexOutput> =>
  async (work, { signal, progress }) => {
    signal.throwIfAborted();
    const { location } = store;
    const output = await (location === undefined
      ? buildIndex(work, store, parts)
      : workers.run<BuildIndexInput, BuildIndexOutput>(BUILD_INDEX_TASK, { work, location }));
    signal.throwIfAborted();
    progress({ bytes: work.rowsFile.sizeBytes, files: 1 });
    return output;
  };
