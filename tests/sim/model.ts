/** What the workload believes of the collections and snapshots it made. */
import { indexes } from '../../src/coordinator/tables.ts';
import type { CollectionId, JobId, PinId } from '../../src/model/ids.ts';
import type { Life } from './life.ts';
import type { Oracle, Value } from './oracle.ts';

/** A pin, in wall clock: it holds up to the first at least, and up to the second at most. */
export interface PinTime {
  readonly surelyUntilMs: number;
  readonly maybeUntilMs: number;
}

export interface Snap {
  readonly name: string;
  /** Its rows are those of `source` at this moment. */
  readonly ts: bigint;
  readonly partitions: readonly string[];
  /** The collection's; of one that holds only what was flushed, an oracle of its own. */
  readonly source: Oracle;
  /** Some keys are there twice or not at all, because only a part of what was done to them was flushed. */
  readonly isTorn: boolean;
  readonly pins: Map<PinId, PinTime>;
  /** Pins whose answer was lost may hold until then. */
  lostPinsUntilMs: number;
  /** Its segments may not be replaced until then. */
  readonly protectedUntilMs: number;
  isBusy: boolean;
  restores: number;
  /** Of its collection then. */
  readonly extra?: Extra;
}

export interface Since {
  readonly nowMs: number;
  readonly disturbances: number;
  readonly standstills: number;
}

export interface Coll {
  name: string;
  readonly id: CollectionId;
  readonly oracle: Oracle;
  readonly partitions: Set<string>;
  readonly snapshots: Map<string, Snap>;
  /** Writes under way: a drop of a partition must not meet them. */
  inflight: number;
  /** Creates of snapshots under way: a partition that goes during them must not come again under its name. */
  capturing: number;
  isPaused: boolean;
  /** Everything up to it is known to be flushed. */
  flushedTs: bigint;
  /** When rows of it went with their partition; no write to it was under way. */
  definedTs: bigint;
  /** One change of its definition at a time. */
  isBusy: boolean;
  /** Goes up before and after everything that may fail other calls. */
  epoch: number;
  isGone: boolean;
  load: 'none' | 'loaded' | 'unknown';
  index: IndexType | undefined;
  restoring: JobId | undefined;
  /** Why its restore may fail. */
  readonly mayFail: RegExp[];
  /** What the world had seen when its restore was asked for. */
  since: Since;
  /** Its extra field; undefined: not known. */
  extra: Extra | undefined;
  /** Goes up before and after every change of its fields. */
  altered: number;
  /** No snapshot may begin. */
  isTruncating: boolean;
}

/** `mark` undefined: there is none. */
export interface Extra {
  readonly mark: string | undefined;
}

export const NAMES = ['ant', 'bee', 'cat', 'dog', 'elk', 'fox', 'gnu'];
/** Of restores at once from one snapshot. */
export const MORE_NAMES = ['yak1', 'yak2', 'yak3', 'yak4'];
/** Of a crowd of restores. */
export const CROWD_NAMES = ['zoo1', 'zoo2', 'zoo3', 'zoo4', 'zoo5', 'zoo6', 'zoo7', 'zoo8'];
export const PARTITIONS = ['_default', 'p1', 'p2'];
export const SNAPSHOTS = ['s1', 's2', 's3', 's4', 's5'];
/** What a collection that is going, moving or not there yet may answer. */
export const passing: ReadonlySet<string> = new Set([
  'collection-not-found',
  'collection-not-loaded',
  'collection-on-recovering',
  'collection-duplicate',
  'partition-not-found',
  'snapshot-not-found',
  'index-not-found',
  'index-duplicate',
]);
export const MAX_COLLECTIONS = 5;
export const VERIFY_TRIES = 60;
/** What of a value a snapshot shows: nothing of partitions that went before it was captured. */
export const shownIn =
  ({ partitions }: Pick<Snap, 'partitions'>) =>
  (value: Value): Value =>
    value !== undefined && partitions.includes(value.slice(0, value.indexOf('\t'))) ? value : undefined;
export const at = (name: string) => ({ database: '', name });

export const noSnap = {
  lostPinsUntilMs: 0,
  isTorn: false,
  ts: 0n,
  partitions: [],
  protectedUntilMs: 0,
  restores: 0,
} as const;

export type IndexType = 'HNSW' | 'FLAT';

export const indexOf = ({ planes }: Life, collectionId: CollectionId): IndexType | undefined =>
  planes.catalog.find(indexes, 'collection', collectionId)[0]?.params['index_type'] as IndexType | undefined;
