/** The worker's half of loading a segment with sparse vectors: its rows, and posting lists over them. */
import type { FieldId } from '../model/ids.ts';
import {
  LOAD_SEGMENT,
  type LoadContext,
  type LoadedSegment,
  type LoadInput,
  loadTasks,
} from '../segment/load.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { buffersOfBlock, buildBlocks, type SparseBlock } from '../vector-index/sparse-block.ts';

export const LOAD_SPARSE_SEGMENT = 'load-sparse-segment';

export interface LoadedSparse extends LoadedSegment {
  readonly blocks: ReadonlyMap<FieldId, readonly SparseBlock[]>;
}

/** The task `load-sparse-segment`: `LoadInput` to `LoadedSparse`. Rows and lists are made in one thread, so that the vectors are copied nowhere. */
export function sparseLoadTasks(context: LoadContext): WorkerTasks {
  const load = loadTasks(context)[LOAD_SEGMENT] as unknown as (
    input: LoadInput,
  ) => Promise<{ readonly output: LoadedSegment; readonly transfer: readonly ArrayBuffer[] }>;
  return {
    [LOAD_SPARSE_SEGMENT]: async (input: LoadInput) => {
      const { output, transfer } = await load(input);
      const blocks = new Map<FieldId, readonly SparseBlock[]>();
      for (const [fieldId, column] of output.columns)
        if (column.layout === 'bytes' && column.type === 'SparseFloatVector')
          blocks.set(fieldId, buildBlocks(column, output.rowCount));
      const made = [...blocks.values()].flat().flatMap(buffersOfBlock);
      return { output: { ...output, blocks }, transfer: [...transfer, ...made] };
    },
  };
}
