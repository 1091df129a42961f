/** What differs from seed to seed beside chance: options of the server, and what kind of machine it runs on. */
import type { RestorePriority } from '../../src/coordinator/scheduler/limits.ts';
import type { CaptureMode } from '../../src/coordinator/snapshot/limits.ts';
import type { SliceLimits } from '../../src/querynode/pacer.ts';
import { seededRandom } from '../../src/support/random.ts';

/** `safety`: faults go on until every job has ended, however long that takes. `liveness`: they stop, and jobs end within a bound. */
export type Mode = 'safety' | 'liveness';

export interface Shape {
  readonly mode: Mode;
  /** In a third of the seeds one data node does not come back when faults stop: the others have to do. */
  readonly isCoreOnly: boolean;
  /** Of data nodes, at the start. */
  readonly nodes: number;
  /** Calls of the n-th node to storage take so many times as long. */
  readonly slowness: readonly number[];
  /** In a third of the seeds the coordinator's wall clock is set anew now and then, and is wrong by this much at most. */
  readonly maxSkewMs: number;
  /** The grace of garbage collection. */
  readonly dropToleranceMs: number;
  readonly missingToleranceMs: number;
  readonly gcIntervalMs: number;
  readonly checkIntervalMs: number;
  readonly progressIntervalMs: number;
  readonly objectsAtOnce: number;
  readonly maxBytesPerCopyTask: number;
  readonly bytesPerSlot: number;
  readonly restoreShare: number;
  /** Objects of one copy task at once. */
  readonly filesAtOnce: number;
  readonly sealBytes: number;
  readonly sealIdleMs: number;
  readonly walFileBytes: number;
  readonly minRowsToIndex: number;
  readonly compaction: {
    readonly maxSizeBytes: number;
    readonly minSegments: number;
    readonly maxSegments: number;
    readonly deleteRatio: number;
    readonly minDeleteSegments: number;
    readonly maxOpenPlans: number;
    readonly isAutomatic: boolean;
  };
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

const SHAPE_SALT = 0x5a4e;
const MINUTE = 60_000;
const KB = 1024;

export function shapeOf(seed: number, mode?: Mode): Shape {
  const random = seededRandom(seed ^ SHAPE_SALT);
  const one = <T>(of: readonly [T, ...T[]]): T => of[random.below(of.length)] ?? of[0];
  const nodes = one([2, 3, 3, 4]);
  const drawn: Mode = random.below(3) === 0 ? 'safety' : 'liveness';
  return {
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
    mode: mode ?? drawn,
    isCoreOnly: random.below(3) === 0,
    nodes,
    slowness: Array.from({ length: nodes }, () => one([1, 1, 1, 3, 10])),
    maxSkewMs: one([0, 0, 5000, 20 * MINUTE, 0, 90_000]),
    dropToleranceMs: one([60_000, 60_000, 5000, 10 * MINUTE]),
    missingToleranceMs: one([60_000, 60_000, 5000, 20 * MINUTE]),
    gcIntervalMs: one([20_000, 20_000, 4000, 120_000]),
    checkIntervalMs: one([2000, 2000, 500, 8000]),
    progressIntervalMs: one([250, 50, 2000]),
    objectsAtOnce: one([8, 1, 2, 32]),
    maxBytesPerCopyTask: one([1024 * KB * KB, 4 * KB]),
    bytesPerSlot: one([256 * KB * KB, 2 * KB]),
    restoreShare: one([0.25, 0, 0.5]),
    filesAtOnce: one([4, 1, 2, 16]),
    sealBytes: one([3000, 3000, 1000, 12_000]),
    sealIdleMs: one([3000, 3000, 500, 20_000]),
    walFileBytes: one([4096, 4096, 1024, 65_536]),
    minRowsToIndex: one([6, 6, 1, 40]),
    // Segments of a few rows are small, two of them are worth a compaction, and so is one deleted row in ten.
    compaction: {
      maxSizeBytes: one([24_000, 24_000, 8000, 100_000]),
      minSegments: one([2, 2, 3]),
      maxSegments: one([4, 4, 8]),
      deleteRatio: one([0.1, 0.1, 0.4]),
      minDeleteSegments: one([2, 2, 4]),
      maxOpenPlans: one([8, 8, 1]),
      isAutomatic: random.below(8) !== 0,
    },
  };
}

/** Few surprises, for who brings faults of his own. */
export const plainShape: Partial<Shape> = {
  mode: 'liveness',
  isCoreOnly: false,
  nodes: 3,
  slowness: [1],
  maxSkewMs: 0,
  dropToleranceMs: 60_000,
  missingToleranceMs: 60_000,
  gcIntervalMs: 20_000,
  checkIntervalMs: 2000,
  progressIntervalMs: 250,
  objectsAtOnce: 8,
  maxBytesPerCopyTask: 1024 * KB * KB,
  bytesPerSlot: 256 * KB * KB,
  restoreShare: 0.25,
  filesAtOnce: 4,
  sealBytes: 3000,
  sealIdleMs: 3000,
  walFileBytes: 4096,
  minRowsToIndex: 6,
  compaction: {
    maxSizeBytes: 24_000,
    minSegments: 2,
    maxSegments: 4,
    deleteRatio: 0.1,
    minDeleteSegments: 2,
    maxOpenPlans: 8,
    isAutomatic: true,
  },
};
