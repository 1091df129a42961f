/** What a view changes in the rows of a collection: a value, put in place in one synchronous step. */
import type { FieldId, SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { CollectionView } from './api.ts';
import type { ScalarIndexes, Unit, UnitIndex } from './unit.ts';
import type { SegmentsDiff } from './view-diff.ts';

/** A flushed segment that is loaded. */
export interface SealedSegment {
  readonly record: SegmentRecord;
  readonly unit: Unit;
}

/** A view and what had to be loaded for it. */
export interface Swap {
  readonly view: CollectionView;
  readonly plan: SegmentsDiff;
  /** Segments that stood in the log, and do not for this view. */
  readonly handedOver: readonly SegmentId[];
  readonly loaded: readonly SealedSegment[];
  /** Indexes for segments that stay. */
  readonly reindexed: readonly {
    readonly record: SegmentRecord;
    readonly indexes: ReadonlyMap<FieldId, UnitIndex>;
    readonly scalarIndexes: ScalarIndexes;
  }[];
}
