import type { Workers } from '../../support/workers.ts';
import type { BuildIndexOutput, BuildIndexWork } from '../api.ts';
import type { Executor } from '../executor.ts';
import { BUILD_INDEX } from './task.ts';

/**
 * Builds one segment's index in a worker thread. A dropped attempt is cut off; an object it may have written, named by its own build id,
 * is garbage that goes with the segment.
 */
export const indexBuildExecutor =
  (workers: Workers): Executor<BuildIndexWork, BuildIndexOutput> =>
  async (work, { signal, progress }) => {
    const output = await workers.run<BuildIndexWork, BuildIndexOutput>(BUILD_INDEX, work, [], signal);
    progress({ bytes: work.rowsFile.sizeBytes, files: 1 });
    return output;
  };
