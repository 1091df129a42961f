import type { JobId } from '../../model/ids.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import type { RestoreGate } from '../rooms.ts';
import { shownProgress } from './progress.ts';

/** I2: targets are visible exactly when their job is completed; those of a drill never are. A job nobody remembers was tidied first, so it was completed. */
export const restoreGate = (meta: CopyMeta): RestoreGate => ({
  isCompleted(jobId: JobId): boolean {
    const job = meta.job(jobId);
    return job === undefined || (job.state === 'completed' && job.purpose?.kind !== 'drill');
  },
  progress(jobId: JobId): number {
    const job = meta.job(jobId);
    return job === undefined ? 100 : shownProgress(job);
  },
});
