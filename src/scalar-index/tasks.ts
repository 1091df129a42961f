/** The worker's half: structures of indexes from columns. */
import type { WorkerTasks } from '../support/workers.ts';
import { type BuildScalarIndex, buildScalarIndex } from './build.ts';
import { buffersOf } from './definition.ts';

export const BUILD_SCALAR_INDEX = 'build-scalar-index';

/** `BuildScalarIndex` to `ScalarIndexData`. */
export const scalarIndexTasks = (): WorkerTasks => ({
  async [BUILD_SCALAR_INDEX](input: BuildScalarIndex) {
    const output = buildScalarIndex(input);
    return { output, transfer: buffersOf(output) };
  },
});
