/** Bounds and thresholds of compaction. Each has its name in config/options.ts or stands here as a constant. */
export interface CompactionLimits {
  /** `dataCoord.enableCompaction`: without it a manual compaction is refused, too. */
  readonly isEnabled: boolean;
  /** `dataCoord.compaction.enableAutoCompaction`. */
  readonly isAutomatic: boolean;
  /** `dataCoord.segment.maxSize`: bytes of the rows files of one segment. */
  readonly maxSizeBytes: number;
  /** `dataCoord.segment.smallProportion`: segments below this part of `maxSizeBytes` are merged. */
  readonly smallProportion: number;
  /** `dataCoord.compaction.min.segment`. */
  readonly minSegments: number;
  /** `dataCoord.compaction.max.segment`. */
  readonly maxSegments: number;
  /** `dataCoord.compaction.single.ratio.threshold`: deletes in relation to rows. */
  readonly deleteRatio: number;
  /** `dataCoord.compaction.levelzero.forceTrigger.deltalogMinNum`. */
  readonly minDeleteSegments: number;
  /** `dataCoord.compaction.mix.triggerInterval`: the safety net under the events. */
  readonly tickMs: number;
  /** Plans that wait, run or are handed over; of all collections. */
  readonly maxOpenPlans: number;
  /** Attempts of one plan when what failed may pass. */
  readonly maxAttempts: number;
  /** Segments of a plan that failed are left alone this long. */
  readonly retryAfterMs: number;
  /** Ended manual compactions are listed this long, and at most so many. */
  readonly retentionMs: number;
  readonly maxEnded: number;
}

const MiB = 1024 * 1024;

export const defaultCompactionLimits: CompactionLimits = {
  isEnabled: true,
  isAutomatic: true,
  maxSizeBytes: 512 * MiB,
  smallProportion: 0.5,
  minSegments: 4,
  maxSegments: 30,
  deleteRatio: 0.2,
  minDeleteSegments: 10,
  tickMs: 60_000,
  maxOpenPlans: 64,
  maxAttempts: 5,
  retryAfterMs: 600_000,
  retentionMs: 10_800_000,
  maxEnded: 10_000,
};
