/** What to do next with the names of an in-place restore. Pure: every rule of the swap and of its end stands here. */
import type { CollectionRecord } from '../../model/records.ts';
import { MAX_MOVED_ALIASES } from '../collections/aliases.ts';
import type { CopyJob, RestorePurpose } from '../copy-segment/job.ts';

export type InPlace = RestorePurpose & { readonly kind: 'in-place' };

/** The collections as they are now; undefined: gone. */
export interface SwapView {
  readonly purpose: InPlace;
  readonly job: CopyJob;
  /** The old one, whose snapshot is restored. */
  readonly source: CollectionRecord | undefined;
  readonly target: CollectionRecord | undefined;
  /** Whoever has the name that is at stake, as its own or as an alias. */
  readonly holder: CollectionRecord | undefined;
  /** The name is an alias now. */
  readonly isAlias: boolean;
  /** How many aliases each has. */
  readonly aliases: { readonly source: number; readonly target: number };
}

export type SwapStep =
  /** The target is gone: the checker ends the job. */
  | { readonly kind: 'none' }
  | { readonly kind: 'load' }
  /** The old collection gets its other name, the target the name. */
  | { readonly kind: 'swap' }
  /** There is no old collection any more: the target gets the name. */
  | { readonly kind: 'take' }
  | { readonly kind: 'fail'; readonly reason: string };

/** Of an open job whose files are all copied. Readers of a loaded collection must not find one that is not. */
export function decideSwap(view: SwapView, isLoadedAhead: boolean): SwapStep {
  const { purpose, job, source, target, holder } = view;
  if (target === undefined) return { kind: 'none' };
  if (source === undefined)
    return holder === undefined
      ? { kind: 'take' }
      : fails(`'${purpose.name}' was dropped, and another collection has its name now`);
  if (source.databaseId !== job.databaseId || source.name !== purpose.name)
    return fails(`'${purpose.name}' was renamed to '${source.name}' while its snapshot was restored`);
  if (source.load === 'loaded' && !isLoadedAhead) return { kind: 'load' };
  return { kind: 'swap' };
}

const fails = (why: string): SwapStep => ({ kind: 'fail', reason: `the names were not swapped: ${why}` });

export type Decision = 'confirm' | 'revert';

export type SettleStep =
  /** It has been done before. */
  | { readonly kind: 'none' }
  | { readonly kind: 'refuse'; readonly why: string }
  /** Undefined: there is nothing to drop. */
  | { readonly kind: 'confirm'; readonly drop: CollectionRecord | undefined }
  /** The old collection has to be loaded first. */
  | { readonly kind: 'load'; readonly collection: CollectionRecord }
  | {
      readonly kind: 'revert';
      readonly back: CollectionRecord;
      readonly drop: CollectionRecord | undefined;
    };

/** What `decision` means at each stage. */
const bySettled = {
  copying: { confirm: refuseOpen, revert: refuseOpen },
  swapped: { confirm, revert },
  confirmed: { confirm: () => none, revert: () => refuse('its old collection was given up') },
  reverted: { confirm: () => refuse('its old collection has its name back'), revert: () => none },
} as const satisfies Record<InPlace['stage'], Record<Decision, (view: SwapView) => SettleStep>>;

export const decideSettle = (view: SwapView, decision: Decision): SettleStep =>
  bySettled[view.purpose.stage][decision](view);

const none: SettleStep = { kind: 'none' };

const refuse = (why: string): SettleStep => ({ kind: 'refuse', why });

function refuseOpen({ job }: SwapView): SettleStep {
  return refuse(job.state === 'failed' ? `it has failed: ${job.reason}` : 'its names are not swapped yet');
}

/** Whoever renamed the old collection wants it: only under the name it was kept it goes. */
function confirm({ purpose, source, aliases }: SwapView): SettleStep {
  if (source?.name !== purpose.keptName) return { kind: 'confirm', drop: undefined };
  if (aliases.source > 0) return refuse(`'${source.name}' has aliases: drop them first`);
  return { kind: 'confirm', drop: source };
}

function revert({ purpose, job, source, target, holder, isAlias, aliases }: SwapView): SettleStep {
  if (source === undefined) return refuse('its old collection was dropped');
  if (isAlias) return refuse(`'${purpose.name}' is an alias now`);
  if (aliases.source + aliases.target > MAX_MOVED_ALIASES)
    return refuse(`the two collections have more than ${MAX_MOVED_ALIASES} aliases: drop some first`);
  if (aliases.source > 0 && source.databaseId !== job.databaseId)
    return refuse('its old collection is in another database, with aliases: drop them first');
  const isFree =
    holder === undefined ||
    holder.collectionId === target?.collectionId ||
    holder.collectionId === source.collectionId;
  if (!isFree) return refuse(`another collection is called '${purpose.name}' now`);
  // What was renamed since then is somebody's own.
  if (target === undefined || holder?.collectionId !== target.collectionId)
    return { kind: 'revert', back: source, drop: undefined };
  if (target.load === 'loaded' && source.load !== 'loaded') return { kind: 'load', collection: source };
  return { kind: 'revert', back: source, drop: target };
}
