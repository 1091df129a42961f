/** A job as its users see it. Pure. */
import type { NodeId, TaskId } from '../../model/ids.ts';
import type { RestoreJobInfo, RestorePurposeInfo } from '../api.ts';
import type { CopyJob, CopyOutcome } from '../copy-segment/job.ts';
import type { JobDetail } from '../copy-segment/meta.ts';
import type { CopyTask } from '../copy-segment/task.ts';

/** What is not told by the job itself. */
export interface JobSurroundings {
  /** Of the target as it is called now. */
  readonly databaseName: string;
  readonly collectionName: string;
  /** Tasks that a node works on. */
  readonly running: readonly CopyTask[];
}

export function restoreJobInfo(
  job: CopyJob,
  detail: JobDetail,
  nowMs: number,
  { databaseName, collectionName, running }: JobSurroundings,
): RestoreJobInfo {
  const copied = copiedOf(job, detail);
  const endMs = endOf(job) ?? nowMs;
  const workMs = Math.max(job.createdAtMs, Math.min(copied.copyingSinceMs ?? endMs, endMs));
  const stages = { waitingMs: Math.max(0, workMs - job.createdAtMs), copyingMs: Math.max(0, endMs - workMs) };
  return {
    databaseName,
    collectionName,
    jobId: job.jobId,
    snapshotName: job.snapshotName,
    state: job.state,
    progress: shownProgress(job),
    reason: job.state === 'failed' ? job.reason : '',
    startedAtMs: job.createdAtMs,
    durationMs: Math.max(1, endMs - job.createdAtMs),
    totalBytes: job.totalBytes,
    copiedBytes: copied.copiedBytes,
    totalFiles: job.totalFiles,
    copiedFiles: copied.copiedFiles,
    totalSegments: job.segmentCount,
    totalRows: job.totalRows,
    bytesByMethod: copied.bytesByMethod,
    tasks: taskCounts(job, detail),
    nodes: byNode(running),
    stages,
    ...(endOf(job) === undefined ? movingRate(job, detail, copied) : meanRate(copied, stages.copyingMs)),
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

const endOf = (job: CopyJob): number | undefined => ('endedAtMs' in job ? job.endedAtMs : undefined);

/** Tasks go when a job has ended: from then on the job tells. */
function copiedOf(job: CopyJob, detail: JobDetail): CopyOutcome {
  const told = 'outcome' in job && job.outcome !== undefined ? job.outcome : detail;
  if (job.state === 'completed') return { ...told, copiedBytes: job.totalBytes, copiedFiles: job.totalFiles };
  return {
    ...told,
    copiedBytes: Math.min(job.totalBytes, told.copiedBytes),
    copiedFiles: Math.min(job.totalFiles, told.copiedFiles),
  };
}

function movingRate(
  { totalBytes }: CopyJob,
  { bytesPerSecond }: JobDetail,
  { copiedBytes }: CopyOutcome,
): Pick<RestoreJobInfo, 'bytesPerSecond' | 'remainingMs'> {
  if (bytesPerSecond === undefined) return {};
  const left = totalBytes - copiedBytes;
  if (bytesPerSecond === 0 || left === 0) return { bytesPerSecond };
  return { bytesPerSecond, remainingMs: Math.ceil((left * 1000) / bytesPerSecond) };
}

const meanRate = (
  { copiedBytes, copyingSinceMs }: CopyOutcome,
  copyingMs: number,
): Pick<RestoreJobInfo, 'bytesPerSecond'> =>
  copyingSinceMs === undefined
    ? {}
    : { bytesPerSecond: Math.round((copiedBytes * 1000) / Math.max(1, copyingMs)) };

function taskCounts(job: CopyJob, { tasks }: JobDetail): RestoreJobInfo['tasks'] {
  if (job.state === 'completed') return { queued: 0, running: 0, completed: job.taskCount };
  if (job.state === 'failed') return { queued: 0, running: tasks['in-progress'], completed: tasks.completed };
  const { 'in-progress': running, completed, failed } = tasks;
  // Those that are not written yet wait, too.
  return { queued: job.taskCount - running - completed - failed, running, completed };
}

function byNode(running: readonly CopyTask[]): RestoreJobInfo['nodes'] {
  const nodes = new Map<NodeId, TaskId[]>();
  for (const task of running) {
    if (task.state !== 'in-progress') continue;
    const taskIds = nodes.get(task.nodeId) ?? [];
    taskIds.push(task.taskId);
    nodes.set(task.nodeId, taskIds);
  }
  return [...nodes]
    .map(([nodeId, taskIds]) => ({ nodeId, taskIds }))
    .sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

/** Never goes back, not over a restart either: below 100 only what was stored is shown. */
export function shownProgress(job: CopyJob): number {
  if (job.state === 'completed') return 100;
  return job.state === 'pending' ? 0 : job.progress;
}
