import type { Command } from '../command.ts';
import { gc } from './gc.ts';
import { restoreCancel } from './restore-cancel.ts';
import { restoreDescribe } from './restore-describe.ts';
import { restoreDrill } from './restore-drill.ts';
import { restoreConfirm, restoreInPlace, restoreRevert } from './restore-in-place.ts';
import { restoreList } from './restore-list.ts';
import { restoreStart } from './restore-start.ts';
import { snapshotDescribe } from './snapshot-describe.ts';
import { snapshotDiff } from './snapshot-diff.ts';
import { snapshotList } from './snapshot-list.ts';
import { snapshotPins } from './snapshot-pins.ts';
import { snapshotVerify } from './snapshot-verify.ts';

/** Every command that asks a running server, in the order of the help. */
export const commands: readonly Command[] = [
  snapshotList,
  snapshotDescribe,
  snapshotVerify,
  snapshotDiff,
  snapshotPins,
  restoreStart,
  restoreInPlace,
  restoreConfirm,
  restoreRevert,
  restoreDrill,
  restoreList,
  restoreDescribe,
  restoreCancel,
  gc,
];
