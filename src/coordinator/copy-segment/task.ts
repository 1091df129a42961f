/** What one data node gets of a job: consecutive segments in manifest order. */
import type { TableSpec } from '../../catalog/catalog.ts';
import type { ErrorName } from '../../errors/codes.ts';
import type { JobId, NodeId, TaskId } from '../../model/ids.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import type { TaskRange } from './job.ts';

interface CopyTaskBase {
  readonly taskId: TaskId;
  readonly jobId: JobId;
  readonly range: TaskRange;
  /** Wall clock, ms: when it came into its state. Absent in tasks of older servers. */
  readonly sinceMs?: number;
}

export type CopyTask = CopyTaskBase &
  /** `attempt`: the last one made, 0 before the first. Attempts only grow (I4). */
  (
    | { readonly state: 'pending'; readonly attempt: number }
    | { readonly state: 'in-progress'; readonly attempt: number; readonly nodeId: NodeId }
    | {
        readonly state: 'completed';
        readonly attempt: number;
        readonly bytesByMethod?: Readonly<Record<string, number>>;
      }
    | {
        readonly state: 'failed';
        readonly attempt: number;
        readonly code: ErrorName;
        readonly reason: string;
      }
  );

export const copyTasks: TableSpec<TaskId, CopyTask> = {
  name: 'copy-task',
  version: 1,
  idOf: (record) => record.taskId,
  indexes: { job: (record) => record.jobId, jobState: (record) => `${record.jobId}/${record.state}` },
};

/** What a task that copies this much takes of a node. */
export const slotsFor = (
  { bytes, files }: { readonly bytes: number; readonly files: number },
  {
    bytesPerSlot,
    filesPerSlot,
    maxSlotsPerCopyTask,
  }: Pick<SnapshotLimits, 'bytesPerSlot' | 'filesPerSlot' | 'maxSlotsPerCopyTask'>,
): number => {
  const wanted = Math.max(Math.ceil(bytes / bytesPerSlot), Math.ceil(files / filesPerSlot));
  return Math.max(1, Math.min(maxSlotsPerCopyTask, wanted));
};

/** Repeating cannot help: the snapshot's own objects are missing or damaged, or the node was asked for what cannot be. */
const permanentCodes: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'object-not-found',
  'data-integrity',
  'parameter-invalid',
  'unimplemented',
]);

export const isPermanent = (code: ErrorName): boolean => permanentCodes.has(code);

/** Whether the task fails with this attempt. */
export const isFinal = (code: ErrorName, attempt: number, maxAttempts: number): boolean =>
  isPermanent(code) || attempt >= maxAttempts;
