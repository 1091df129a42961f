/** A job as its users see it. Pure. */
import type { RestoreJobInfo, RestorePurposeInfo } from '../api.ts';
import type { CopyJob } from '../copy-segment/job.ts';
import type { JobTally } from '../copy-segment/meta.ts';

/** `names`: of the target as it is called now. */
export function restoreJobInfo(
  job: CopyJob,
  tally: JobTally,
  nowMs: number,
  names: { readonly databaseName: string; readonly collectionName: string },
): RestoreJobInfo {
  const isCompleted = job.state === 'completed';
  const endMs = 'endedAtMs' in job ? job.endedAtMs : nowMs;
  return {
    ...names,
    jobId: job.jobId,
    snapshotName: job.snapshotName,
    state: job.state,
    progress: shownProgress(job),
    reason: job.state === 'failed' ? job.reason : '',
    startedAtMs: job.createdAtMs,
    durationMs: Math.max(1, endMs - job.createdAtMs),
    totalBytes: job.totalBytes,
    copiedBytes: isCompleted ? job.totalBytes : Math.min(job.totalBytes, tally.copiedBytes),
    totalFiles: job.totalFiles,
    copiedFiles: isCompleted ? job.totalFiles : Math.min(job.totalFiles, tally.copiedFiles),
    totalSegments: job.segmentCount,
    totalRows: job.totalRows,
  };
}

/** What the job restores for, and how far that is. `isCopied`: every file is. */
export function purposeInfo(
  { state, purpose }: CopyJob,
  isCopied: boolean,
  keptSnapshots: number,
  trouble: string | undefined,
): RestorePurposeInfo | undefined {
  if (purpose === undefined) return undefined;
  const isEnding = isCopied && (state === 'pending' || state === 'executing');
  const met = trouble === undefined ? {} : { trouble };
  if (purpose.kind === 'drill') {
    if (purpose.outcome !== undefined) return { ...purpose, stage: 'compared' };
    return { kind: 'drill', stage: isEnding ? 'comparing' : 'copying', ...met };
  }
  const stage = isEnding ? 'swapping' : purpose.stage;
  return { ...purpose, stage, keptSnapshots, ...met };
}

/** Never goes back, not over a restart either: below 100 only what was stored is shown. */
export function shownProgress(job: CopyJob): number {
  if (job.state === 'completed') return 100;
  return job.state === 'pending' ? 0 : job.progress;
}
