import type { SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';

export interface SegmentsDiff {
  /** Segments that are not there any more. */
  readonly gone: readonly SegmentRecord[];
  /** Segments that are new, or whose record is another. */
  readonly fresh: readonly SegmentRecord[];
}

/**
 * Pure. Records are values: the same object says the same. The catalog keeps their order and puts changed ones at the end, so one
 * walk finds what stays and only the rest is looked up by id; in any other order the result is the same, only dearer.
 */
export function diffSegments(was: readonly SegmentRecord[], is: readonly SegmentRecord[]): SegmentsDiff {
  const unmatched = new Map<SegmentId, SegmentRecord>();
  let at = 0;
  for (const record of was)
    if (record === is[at]) at++;
    else unmatched.set(record.segmentId, record);
  const fresh: SegmentRecord[] = [];
  for (; at < is.length; at++) {
    const record = is[at] as SegmentRecord;
    if (unmatched.get(record.segmentId) !== record) fresh.push(record);
    unmatched.delete(record.segmentId);
  }
  return { gone: [...unmatched.values()], fresh };
}
