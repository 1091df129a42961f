/** Pure: what a node is told to do for a plan, and whether its answer can be true. */
import type { NodeOutput, NodeWork } from '../../datanode/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { SegmentId } from '../../model/ids.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import type { CompactionPlan } from './plan.ts';
import type { Written } from './replacement.ts';

const filesOf = ({ rowCount, files }: SegmentRecord) => ({ rowCount, files });

export function workOf(plan: CompactionPlan, segmentId: SegmentId, collection: CollectionRecord): NodeWork {
  const { partitionId } = plan;
  const place = { collectionId: collection.collectionId, partitionId, segmentId };
  const sources = plan.sources.map(filesOf);
  if (plan.kind === 'merge-deletes') return { kind: 'compact-deletes', place, sources };
  const { deletes, minKilled, expired } = plan;
  return {
    kind: 'compact',
    place,
    schema: collection.schema,
    sources,
    deletes: deletes.map(filesOf),
    minKilled,
    ...(expired.length === 0 ? {} : { expired }),
  };
}

/** `written` absent: too few rows are dead for rewriting the segment. */
export interface Checked {
  readonly killed: number;
  readonly written?: Written;
}

/** A node may be wrong: sources must not go for an output that cannot hold their rows. Throws `internal`, `data-integrity`. */
export function checkedOutput(plan: CompactionPlan, output: NodeOutput): Checked {
  const expected = plan.kind === 'merge-deletes' ? 'compact-deletes' : 'compact';
  if (output.kind !== expected)
    throw new DbError('internal', `a compaction was answered with ${output.kind}`);
  if (output.kind === 'compact-deletes') {
    checkWritten(plan, output.segment);
    if (output.segment.rowCount === 0) throw wrong(plan, 'deletes became none');
    return { killed: 0, written: output.segment };
  }
  const { killed, segment } = output;
  if (segment === undefined) {
    if (plan.kind !== 'purge' || killed >= plan.minKilled) throw wrong(plan, 'nothing was written');
    return { killed };
  }
  checkWritten(plan, segment);
  const { rowCount } = segment;
  if (killed + rowCount !== rowsOf(plan)) throw wrong(plan, `${killed} rows went and ${rowCount} stayed`);
  return { killed, written: segment };
}

const rowsOf = ({ sources }: CompactionPlan): number =>
  sources.reduce((sum, { rowCount }) => sum + rowCount, 0);

function checkWritten(plan: CompactionPlan, { rowCount, minTs, maxTs, files }: Written): void {
  if (rowCount > rowsOf(plan) || rowCount < 0) throw wrong(plan, `they became ${rowCount}`);
  if (rowCount === 0) return;
  const isEarlier = plan.sources.every((source) => minTs < source.minTs);
  const isLater = plan.sources.every((source) => maxTs > source.maxTs);
  if (files.length === 0 || minTs > maxTs || isEarlier || isLater)
    throw wrong(plan, `they became ${files.length} files with times from ${minTs} to ${maxTs}`);
}

const wrong = (plan: CompactionPlan, what: string): DbError =>
  new DbError('data-integrity', `a compaction of ${rowsOf(plan)} rows or deletes is wrong: ${what}`);
