/** What differs from seed to seed beside chance: options of the server, and what kind of machine it runs on. */
import type { RestorePriority } from '../../src/coordinator/scheduler/limits.ts';
import type { CaptureMode } from '../../src/coordinator/snapshot/limits.ts';
import type { SliceLimits } from '../../src/querynode/pacer.ts';

export interface Shape {
  /** What snapshots hold; a third of the seeds know the way of Milvus 3.0. */
  readonly capture: CaptureMode;
  readonly copyMode: 'shared' | 'physical';
  /** In a fifth of the seeds ended jobs are forgotten while others still run. */
  readonly jobRetentionMs: number;
  /** In a quarter of the seeds a node that stands still fails a job. */
  readonly jobTimeoutMs: number;
  readonly maxSegmentsPerCopyTask: number;
  /** In some seeds restores take one another's slots. */
  readonly slots: number;
  /** Restore tasks at once, of all jobs and of one; in a sixth of the seeds small. */
  readonly maxRestoreTasks: number;
  readonly maxRestoreTasksPerJob: number;
  readonly restorePriority: RestorePriority;
  /** Of a node's copies that move bytes; in an eighth of the seeds they are slow by it. */
  readonly copyBytesPerSecond: number | undefined;
  /** In a third of the seeds every write and every handover of the query node takes several turns. */
  readonly slices: Partial<SliceLimits>;
  /** In a quarter of the seeds most clients restore. */
  readonly isRestoring: boolean;
  /** Copies take long: more happens to them. */
  readonly isSlow: boolean;
}

/** How long what is dropped is kept. */
export const DROP_TOLERANCE_MS = 60_000;
export const SHORT_RETENTION_MS = 4000;
export const SHORT_TIMEOUT_MS = 15_000;
const DAY = 86_400_000;

const SMALL_SLICES: SliceLimits = {
  turnUnits: 30,
  lookupsAtOnce: 3,
  insertBytes: 200,
  insertRows: 2,
  deleteKeys: 2,
  prepareRows: 2,
};

export const shapeOf = (seed: number): Shape => ({
  capture: seed % 3 === 0 ? 'flushed' : 'acknowledged',
  copyMode: seed % 4 === 1 ? 'physical' : 'shared',
  jobRetentionMs: seed % 5 === 2 ? SHORT_RETENTION_MS : 30 * DAY,
  jobTimeoutMs: seed % 4 === 3 ? SHORT_TIMEOUT_MS : DAY,
  maxSegmentsPerCopyTask: 1 + (seed % 3),
  slots: seed % 7 === 4 ? 1 : 4,
  maxRestoreTasks: seed % 6 === 1 ? 2 : Number.POSITIVE_INFINITY,
  maxRestoreTasksPerJob: seed % 6 === 1 || seed % 6 === 2 ? 1 : Number.POSITIVE_INFINITY,
  restorePriority: seed % 9 === 3 ? 'high' : seed % 9 === 6 ? 'low' : 'normal',
  copyBytesPerSecond: seed % 8 === 5 ? 20_000 : undefined,
  slices: seed % 3 === 2 ? SMALL_SLICES : {},
  isRestoring: seed % 4 === 2,
  isSlow: (seed >> 1) % 2 === 1,
});
