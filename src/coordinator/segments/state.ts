import type { SegmentRecord, SegmentState } from '../../model/records.ts';
import { defineMachine } from '../../support/machine.ts';
import type { RestoreGate } from '../rooms.ts';

export type SegmentEvent = 'seal' | 'flush' | 'drop';

/** A record may be removed only when it is dropped, or growing and without a row. */
// biome-ignore format: read down the columns.
export const segmentMachine = defineMachine<SegmentState, SegmentEvent>('segment', {
  'growing': { seal: 'sealed', flush: null,      drop: 'dropped' },
  'sealed':  { seal: null,     flush: 'flushed', drop: 'dropped' },
  'writing': { seal: null,     flush: 'flushed', drop: 'dropped' },
  'flushed': { seal: null,     flush: null,      drop: 'dropped' },
  'dropped': { seal: null,     flush: null,      drop: null },
});

/** Segments of a restore are nobody's until their job is completed, those of a compaction until it ends. */
export const isVisible = ({ state, restoreJobId }: SegmentRecord, gate: RestoreGate): boolean =>
  state !== 'dropped' &&
  state !== 'writing' &&
  (restoreJobId === undefined || gate.isCompleted(restoreJobId));
