/** Pure: which growing segments to seal now, and why. */
import { physicalMs } from '../../model/hybrid-time.ts';
import type { CollectionId, SegmentId } from '../../model/ids.ts';
import type { LogSegment } from '../../streamingnode/api.ts';

export interface SealLimits {
  /** `dataCoord.segment.maxSize`: bytes of columns in memory form. */
  readonly maxSizeBytes: number;
  /** `dataCoord.segment.maxLife`. */
  readonly maxLifeMs: number;
  /** `dataCoord.segment.maxIdleTime`: since the last write, for segments of at least `minIdleSizeBytes`. */
  readonly maxIdleMs: number;
  readonly minIdleSizeBytes: number;
  /** Files of the log that one segment may keep from being truncated. */
  readonly maxLogFiles: number;
  /** All growing segments together; the oldest are sealed first. */
  readonly maxGrowingBytes: number;
}

const MiB = 1024 * 1024;

export const defaultSealLimits: SealLimits = {
  maxSizeBytes: 128 * MiB,
  maxLifeMs: 86_400_000,
  maxIdleMs: 600_000,
  minIdleSizeBytes: 16 * MiB,
  maxLogFiles: 8,
  maxGrowingBytes: 1024 * MiB,
};

export type SealReason = 'size' | 'life' | 'idle' | 'log-length' | 'memory';

export interface SealOrder {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly reason: SealReason;
}

/** Oldest first. Segments without rows are left alone: they hold nothing, neither memory nor log. */
export function segmentsToSeal(
  segments: readonly LogSegment[],
  nowMs: number,
  limits: SealLimits,
): readonly SealOrder[] {
  const growing = segments
    .filter((segment) => !segment.sealed && segment.rowCount > 0)
    .sort((a, b) => a.openedAtMs - b.openedAtMs);
  const newestFile = segments.reduce(
    (newest, { positions }) => Math.max(newest, positions.at(-1)?.file ?? 0),
    0,
  );
  let excessBytes = growing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) - limits.maxGrowingBytes;
  const orders: SealOrder[] = [];
  for (const segment of growing) {
    const reason =
      ownReason(segment, newestFile, nowMs, limits) ?? (excessBytes > 0 ? ('memory' as const) : undefined);
    if (reason === undefined) continue;
    excessBytes -= segment.sizeBytes;
    orders.push({ segmentId: segment.segmentId, collectionId: segment.collectionId, reason });
  }
  return orders;
}

function ownReason(
  segment: LogSegment,
  newestFile: number,
  nowMs: number,
  limits: SealLimits,
): SealReason | undefined {
  if (segment.sizeBytes >= limits.maxSizeBytes) return 'size';
  if (nowMs - segment.openedAtMs >= limits.maxLifeMs) return 'life';
  const isIdle = nowMs - physicalMs(segment.maxTs) >= limits.maxIdleMs;
  if (isIdle && segment.sizeBytes >= limits.minIdleSizeBytes) return 'idle';
  const oldestFile = segment.positions[0]?.file ?? newestFile;
  return newestFile - oldestFile >= limits.maxLogFiles ? 'log-length' : undefined;
}
