/** `acknowledged`: every write acknowledged before the create. `flushed`: as Milvus 3.0, only what is flushed when it is called. */
export type CaptureMode = 'acknowledged' | 'flushed';

/** Bounds and waits of snapshot, copy-segment, restore and gc. Each has its name in config/options.ts or stands here as a constant. */
export interface SnapshotLimits {
  /** `snapshot.capture`. */
  readonly capture: CaptureMode;
  /** `dataCoord.snapshot.maxCompactionProtectionSeconds`. */
  readonly maxCompactionProtectionSeconds: number;
  readonly maxPinTtlSeconds: number;
  /** `dataCoord.snapshot.refIndexLoadInterval`: how often references that could not be read are tried again. */
  readonly refIndexLoadIntervalMs: number;
  /** `dataCoord.snapshot.refIndexLoadTimeout`: of one read. */
  readonly refIndexLoadTimeoutMs: number;
  readonly maxNameLength: number;
  /** Objects read or written at once by one snapshot or restore. */
  readonly objectsAtOnce: number;
  /** `dataCoord.import.maxSegmentsPerCopyTask`. */
  readonly maxSegmentsPerCopyTask: number;
  readonly maxBytesPerCopyTask: number;
  /** A copy task takes one slot for every started amount of these, whichever are more. */
  readonly bytesPerSlot: number;
  readonly filesPerSlot: number;
  readonly maxSlotsPerCopyTask: number;
  /** `dataCoord.copySegmentMaxAttempts`. */
  readonly maxCopyAttempts: number;
  /** `dataCoord.copySegmentJobTimeout`: without progress, while a node works on it. */
  readonly jobTimeoutMs: number;
  /** `dataCoord.copySegmentTaskRetention`: how long an ended job is listed. */
  readonly jobRetentionMs: number;
  /** `dataCoord.copySegmentCheckInterval`: the safety net under the events. */
  readonly checkIntervalMs: number;
  /** A job's progress is stored at most this often. */
  readonly progressIntervalMs: number;
  /** `dataCoord.gc.interval`. */
  readonly gcIntervalMs: number;
  /** `dataCoord.gc.dropTolerance`. */
  readonly dropToleranceMs: number;
  /** `dataCoord.gc.missingTolerance`: for objects that no record tells of, and temporaries. */
  readonly missingToleranceMs: number;
  /** `dataCoord.snapshot.pendingTimeout`: a creation that takes longer is reported. */
  readonly pendingTimeoutMs: number;
  readonly copyMode: 'shared' | 'physical';
}

export const defaultSnapshotLimits: SnapshotLimits = {
  capture: 'acknowledged',
  maxCompactionProtectionSeconds: 604_800,
  maxPinTtlSeconds: 2_592_000,
  refIndexLoadIntervalMs: 60_000,
  refIndexLoadTimeoutMs: 30_000,
  maxNameLength: 255,
  objectsAtOnce: 8,
  maxSegmentsPerCopyTask: 100,
  maxBytesPerCopyTask: 1024 ** 3,
  bytesPerSlot: 256 * 1024 ** 2,
  filesPerSlot: 1024,
  maxSlotsPerCopyTask: 4,
  maxCopyAttempts: 10,
  jobTimeoutMs: 86_400_000,
  jobRetentionMs: 10_800_000,
  checkIntervalMs: 2000,
  progressIntervalMs: 250,
  gcIntervalMs: 3_600_000,
  dropToleranceMs: 10_800_000,
  missingToleranceMs: 86_400_000,
  pendingTimeoutMs: 3_600_000,
  copyMode: 'shared',
};
