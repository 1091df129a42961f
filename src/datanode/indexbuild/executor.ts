import type { Workers } from '../../support/workers.ts';
import type { BuildIndexOutput, BuildIndexWork } from '../api.ts';
import type { Executor } from '../executor.ts';
import { BUILD_INDEX } from './task.ts';

/**
 * Builds one segment's index in a worker thread. A dropped attempt is not interrupted: it ends by itself, and its object, named by
 * its own build id, is garbage.
 */
export const indexBuildExecutor =
  (workers: Workers): Executor<BuildIndexWork, BuildIndexOutput> =>
  async (work, { signal, progress }) => {
    signal.throwIfAborted();
    const output = await workers.run<BuildIndexWork, BuildIndexOutput>(BUILD_INDEX, work);
    signal.throwIfAborted();
    progress({ bytes: work.rowsFile.sizeBytes, files: 1 });
    return output;
  };
