/** What a collection pass removes, and why the rest stays. Pure: it can be printed, then carried out, once. */
import type { BuildId, CollectionId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';

export interface GcInput {
  readonly dropped: readonly SegmentRecord[];
  readonly isSegmentReferenced: (collectionId: CollectionId, segmentId: SegmentId) => boolean;
  readonly isBuildReferenced: (segment: SegmentRecord) => boolean;
  readonly nowMs: number;
  readonly dropToleranceMs: number;
}

export type KeepReason = 'young' | 'referenced';

export interface GcPlan {
  readonly remove: readonly SegmentRecord[];
  readonly keep: readonly { readonly segment: SegmentRecord; readonly why: KeepReason }[];
}

export function planCollection(input: GcInput): GcPlan {
  const remove: SegmentRecord[] = [];
  const keep: { readonly segment: SegmentRecord; readonly why: KeepReason }[] = [];
  for (const segment of input.dropped) {
    const why = reasonToKeep(segment, input);
    if (why === undefined) remove.push(segment);
    else keep.push({ segment, why });
  }
  return { remove, keep };
}

export interface StrayInput {
  /** Undefined: no record, so whatever it is, it is not the collector's to judge. */
  readonly segment: SegmentRecord | undefined;
  readonly buildId: BuildId;
  readonly isBuilding: boolean;
  readonly isBuildReferenced: boolean;
  readonly modifiedAtMs: number;
  readonly nowMs: number;
  readonly dropToleranceMs: number;
}

/**
 * Whether an index file is one that no attempt will commit any more, or whose index was dropped; or, of a dropped segment that a
 * snapshot keeps, one that was built after the snapshot.
 */
export function isStrayIndex(input: StrayInput): boolean {
  const { segment, buildId, nowMs, dropToleranceMs } = input;
  if (segment === undefined || input.isBuilding || input.isBuildReferenced) return false;
  const isOld = (sinceMs: number) => nowMs >= sinceMs + dropToleranceMs;
  if (!isOld(input.modifiedAtMs)) return false;
  if (segment.state === 'dropped') return segment.droppedAtMs !== undefined && isOld(segment.droppedAtMs);
  return (
    segment.state === 'flushed' &&
    segment.restoreJobId === undefined &&
    segment.indexes.every((index) => index.buildId !== buildId)
  );
}

function reasonToKeep(segment: SegmentRecord, input: GcInput): KeepReason | undefined {
  const { collectionId, segmentId, droppedAtMs } = segment;
  if (input.isSegmentReferenced(collectionId, segmentId) || input.isBuildReferenced(segment))
    return 'referenced';
  return droppedAtMs !== undefined && input.nowMs >= droppedAtMs + input.dropToleranceMs
    ? undefined
    : 'young';
}
