/** The configuration as the rooms take it. */
import type { Config } from './config/options.ts';
import { type CompactionLimits, defaultCompactionLimits } from './coordinator/compaction/limits.ts';
import type { CoordinatorLimits } from './coordinator/compose.ts';
import {
  defaultSchedulerLimits,
  type RestorePriority,
  type SchedulerLimits,
} from './coordinator/scheduler/limits.ts';
import { defaultSealLimits } from './coordinator/segments/seal-policy.ts';
import type { SnapshotLimits } from './coordinator/snapshot/limits.ts';
import { Bandwidth } from './datanode/copy-segment/bandwidth.ts';
import type { CopyLimits } from './datanode/copy-segment/executor.ts';
import { systemClock } from './support/system-clock.ts';

const MB = 2 ** 20;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const coordinatorLimits = (config: Config): Partial<CoordinatorLimits> => ({
  minRowsToIndex: config['indexCoord.segment.minSegmentNumRowsToEnableIndex'],
  seal: {
    ...defaultSealLimits,
    maxSizeBytes: config['dataCoord.segment.maxSize'] * MB,
    maxLifeMs: config['dataCoord.segment.maxLife'] * SECOND,
  },
  compaction: compactionLimits(config),
});

const compactionLimits = (config: Config): CompactionLimits => ({
  ...defaultCompactionLimits,
  isEnabled: config['dataCoord.enableCompaction'] === 'true',
  isAutomatic: config['dataCoord.compaction.enableAutoCompaction'] === 'true',
  maxSizeBytes: config['dataCoord.segment.maxSize'] * MB,
  smallProportion: config['dataCoord.segment.smallProportion'],
  minSegments: config['dataCoord.compaction.min.segment'],
  maxSegments: config['dataCoord.compaction.max.segment'],
  deleteRatio: config['dataCoord.compaction.single.ratio.threshold'],
  minDeleteSegments: config['dataCoord.compaction.levelzero.forceTrigger.deltalogMinNum'],
  tickMs: config['dataCoord.compaction.mix.triggerInterval'] * SECOND,
});

/** 0 in the configuration: no limit. */
const orNone = (limit: number): number => (limit === 0 ? Number.POSITIVE_INFINITY : limit);

export const schedulerLimits = (config: Config): SchedulerLimits => ({
  ...defaultSchedulerLimits,
  restoreShare: config['dataCoord.copySegment.reservedShare'],
  restorePriority: config['dataCoord.copySegment.priority'] as RestorePriority,
  maxRestoreTasks: orNone(config['dataCoord.copySegment.maxParallelTasks']),
  maxRestoreTasksPerJob: orNone(config['dataCoord.copySegment.maxParallelTasksPerJob']),
});

export const copyLimits = (config: Config): CopyLimits => {
  const limitMb = config['dataNode.copySegment.bandwidthLimit'];
  return {
    filesAtOnce: config['dataNode.copySegment.filesPerTask'],
    nodeFilesAtOnce: config['dataNode.copySegment.filesAtOnce'],
    ...(limitMb === 0 ? {} : { bandwidth: new Bandwidth(limitMb * MB, systemClock) }),
  };
};

export const snapshotLimits = (config: Config): Partial<SnapshotLimits> => ({
  maxCompactionProtectionSeconds: config['dataCoord.snapshot.maxCompactionProtectionSeconds'],
  capture: config['snapshot.capture'] === 'flushed' ? 'flushed' : 'acknowledged',
  refIndexLoadIntervalMs: config['dataCoord.snapshot.refIndexLoadInterval'] * SECOND,
  refIndexLoadTimeoutMs: config['dataCoord.snapshot.refIndexLoadTimeout'] * SECOND,
  maxSegmentsPerCopyTask: config['dataCoord.import.maxSegmentsPerCopyTask'],
  maxCopyAttempts: config['dataCoord.copySegmentMaxAttempts'],
  jobTimeoutMs: config['dataCoord.copySegmentJobTimeout'] * SECOND,
  jobRetentionMs: config['dataCoord.copySegmentTaskRetention'] * SECOND,
  checkIntervalMs: config['dataCoord.copySegmentCheckInterval'] * SECOND,
  gcIntervalMs: config['dataCoord.gc.interval'] * SECOND,
  dropToleranceMs: config['dataCoord.gc.dropTolerance'] * SECOND,
  missingToleranceMs: config['dataCoord.gc.missingTolerance'] * SECOND,
  pendingTimeoutMs: config['dataCoord.snapshot.pendingTimeout'] * MINUTE,
  copyMode: config['dataCoord.copySegmentMode'] === 'physical' ? 'physical' : 'shared',
});
