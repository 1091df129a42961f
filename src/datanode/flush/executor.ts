import type { SegmentFile } from '../../model/records.ts';
import type { Workers } from '../../support/workers.ts';
import type { FlushOutput, FlushWork } from '../api.ts';
import type { Executor } from '../executor.ts';

/** The segment room's worker task. */
const FLUSH_SEGMENT = 'flush-segment';

interface Flushed {
  readonly files: readonly SegmentFile[];
  readonly rowCount: number;
}

/**
 * Turns the log records of one sealed segment into its files, in a worker thread. A dropped attempt is cut off: same records,
 * same bytes, so what it has written is what the next attempt writes.
 */
export const flushExecutor =
  (workers: Workers): Executor<FlushWork, FlushOutput> =>
  async ({ place, level, schema, positions }, { signal, progress }) => {
    const input = { place, level, schema, positions };
    const { files, rowCount } = await workers.run<typeof input, Flushed>(FLUSH_SEGMENT, input, [], signal);
    progress({ bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), files: files.length });
    return { kind: 'flush', files, rowCount };
  };
