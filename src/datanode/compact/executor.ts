import type { SegmentFile } from '../../model/records.ts';
import type { Workers } from '../../support/workers.ts';
import type { CompactDeletesOutput, CompactDeletesWork, CompactOutput, CompactWork } from '../api.ts';
import type { Executor, ExecutorContext } from '../executor.ts';

/** The segment room's worker tasks. */
const COMPACT_SEGMENTS = 'compact-segments';
const COMPACT_DELETES = 'compact-deletes';

/**
 * Merges segments without their deleted rows, in a worker thread. A dropped attempt is cut off; what it may have written stands below a
 * segment of its own that was never published and goes with it.
 */
export const compactExecutor =
  (workers: Workers): Executor<CompactWork, CompactOutput> =>
  async ({ kind, ...input }, context) => {
    const result = await workers.run<typeof input, Omit<CompactOutput, 'kind'>>(
      COMPACT_SEGMENTS,
      input,
      [],
      context.signal,
    );
    reportFiles(context, result.segment?.files ?? []);
    return { kind, ...result };
  };

/** Merges deletes, in a worker thread; dropped like a merge of segments. */
export const compactDeletesExecutor =
  (workers: Workers): Executor<CompactDeletesWork, CompactDeletesOutput> =>
  async ({ kind, ...input }, context) => {
    const result = await workers.run<typeof input, Omit<CompactDeletesOutput, 'kind'>>(
      COMPACT_DELETES,
      input,
      [],
      context.signal,
    );
    reportFiles(context, result.segment.files);
    return { kind, ...result };
  };

const reportFiles = ({ progress }: ExecutorContext, files: readonly SegmentFile[]): void =>
  progress({ bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), files: files.length });
