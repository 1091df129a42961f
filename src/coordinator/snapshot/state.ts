import { defineMachine } from '../../support/machine.ts';

/** Only committed snapshots are ever shown. The record is removed when its files are gone. */
export type SnapshotState = 'pending' | 'committed' | 'deleting';
export type SnapshotEvent = 'commit' | 'drop';

// biome-ignore format: read down the columns.
export const snapshotMachine = defineMachine<SnapshotState, SnapshotEvent>('snapshot', {
  'pending':   { commit: 'committed', drop: 'deleting' },
  'committed': { commit: null,        drop: 'deleting' },
  'deleting':  { commit: null,        drop: null },
});
