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

/** Whether an index file of a live segment is one that no attempt will commit any more, or whose index was dropped. */
export const isStrayIndex = (input: StrayInput): boolean =>
  input.segment?.state === 'flushed' &&
  input.segment.restoreJobId === undefined &&
  input.segment.indexes.every(({ buildId }) => buildId !== input.buildId) &&
  !input.isBuilding &&
  !input.isBuildReferenced &&
  input.nowMs >= input.modifiedAtMs + input.dropToleranceMs;

function reasonToKeep(segment: SegmentRecord, input: GcInput): KeepReason | undefined {
  const { collectionId, segmentId, droppedAtMs } = segment;
  if (input.isSegmentReferenced(collectionId, segmentId) || input.isBuildReferenced(segment))
    return 'referenced';
  return droppedAtMs !== undefined && input.nowMs >= droppedAtMs + input.dropToleranceMs
    ? undefined
    : 'young';
}
