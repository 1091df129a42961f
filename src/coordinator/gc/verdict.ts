/**
 * What becomes of one object, and why: one pure, total function over every kind of key. A dry run prints what it says; a pass carries out
 * what it says, asked again right before each delete. In doubt it keeps.
 */
import type { BuildId, CollectionId, JobId, SegmentId, SnapshotId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { type ParsedKey, parseKey, type SegmentKey, type SnapshotKey } from '../../storage/keys.ts';
import { unreachable } from '../../support/assert.ts';

export type KeepReason =
  /** A segment that nobody has dropped lists it. */
  | 'live'
  /** A committed snapshot needs it. */
  | 'snapshot'
  /** What a snapshot of the collection needs is not known: everything of the collection stays. */
  | 'references-not-loaded'
  | 'building'
  /** The segment is not flushed. `writing`: a compaction writes it. */
  | 'growing'
  | 'sealed'
  | 'writing'
  /** A restore fills the collection, or a failed one is being cleared away by its own. */
  | 'restoring'
  /** Garbage, but for too short a time. */
  | 'young'
  | 'pending-snapshot'
  | 'identity'
  /** No key of ours. Never deleted. */
  | 'foreign';

export type DeleteReason =
  /** Its segment was dropped, or its collection is gone. */
  | 'dropped'
  /** Below a segment or snapshot that does not list it: an attempt that lost has left it, or its index was dropped. */
  | 'stray'
  /** No record tells of its segment or snapshot. */
  | 'orphan'
  | 'deleting-snapshot'
  /** Of a snapshot whose creation did not get to its commit. */
  | 'abandoned'
  /** Half written, and its writer is gone. */
  | 'temporary';

/** `detail` is for people. */
export type Verdict =
  | { readonly verdict: 'keep'; readonly reason: KeepReason; readonly detail: string }
  | { readonly verdict: 'delete'; readonly reason: DeleteReason; readonly detail: string };

/** As listed. A temporary's key is its name. */
export interface FoundObject {
  readonly key: string;
  readonly isTemporary: boolean;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

export interface MarkedSnapshot {
  readonly collectionId: CollectionId;
  readonly name: string;
  /** `creating`: a create is at work on it; `abandoned`: pending, and none is. */
  readonly state: 'creating' | 'abandoned' | 'committed' | 'deleting';
  readonly manifestCount: number;
}

/** What is known now. Every answer is current when it is asked for. */
export interface Marks {
  segment(segmentId: SegmentId): SegmentRecord | undefined;
  hasCollection(collectionId: CollectionId): boolean;
  snapshot(snapshotId: SnapshotId): MarkedSnapshot | undefined;
  /** False while what a snapshot of the collection needs is not known. */
  areReferencesKnown(collectionId: CollectionId): boolean;
  /** Names of the snapshots that need the segment. */
  snapshotsOf(collectionId: CollectionId, segmentId: SegmentId): readonly string[];
  /** Whether a snapshot needs this build of a segment that `snapshotsOf` says is needed. */
  isBuildNeeded(buildId: BuildId): boolean;
  /** Whether a file that is built for the segment now may still become its index. */
  isBuilding(segmentId: SegmentId): boolean;
  /** The restore that fills the collection, or has failed and is not cleared away. */
  restoreOf(collectionId: CollectionId): JobId | undefined;
}

export interface GarbageLimits {
  /** How long what was dropped, or strays, stays. */
  readonly dropToleranceMs: number;
  /** How long an object stays that no record tells of. */
  readonly missingToleranceMs: number;
}

/** A write does not stand still for so long. */
const MIN_TEMPORARY_AGE_MS = 3_600_000;
const MAX_NAMES = 3;

const keep = (reason: KeepReason, detail: string): Verdict => ({ verdict: 'keep', reason, detail });

/** Garbage since `sinceMs`, which stays for a while. */
function garbage(
  reason: DeleteReason,
  sinceMs: number,
  toleranceMs: number,
  nowMs: number,
  what: string,
): Verdict {
  const leftMs = sinceMs + toleranceMs - nowMs;
  if (leftMs > 0) return keep('young', `${what}; stays for ${durationOf(leftMs)} more`);
  return { verdict: 'delete', reason, detail: what };
}

export function verdictOf(object: FoundObject, marks: Marks, nowMs: number, limits: GarbageLimits): Verdict {
  if (object.isTemporary) {
    const toleranceMs = Math.max(limits.missingToleranceMs, MIN_TEMPORARY_AGE_MS);
    return garbage('temporary', object.modifiedAtMs, toleranceMs, nowMs, 'half written');
  }
  const key = parseKey(object.key);
  return withKnownReferences(key, rawVerdict(key, object, marks, nowMs, limits), marks);
}

/** Whether the record of a dropped segment may go once nothing of the segment is left in storage. */
export function recordVerdictOf(
  segment: SegmentRecord,
  marks: Marks,
  nowMs: number,
  limits: GarbageLimits,
): Verdict {
  const { collectionId, segmentId } = segment;
  const jobId = segment.restoreJobId === undefined ? undefined : marks.restoreOf(collectionId);
  if (jobId !== undefined) return restoring(jobId);
  const isVanished = segment.state === 'flushed' && !marks.hasCollection(collectionId);
  if (segment.state !== 'dropped' && !isVanished) return keep('live', segment.state);
  const names = marks.snapshotsOf(collectionId, segmentId);
  if (names.length > 0) return neededBy(names);
  if (!marks.areReferencesKnown(collectionId)) return notLoaded(collectionId);
  return ofGarbageSegment(segment, nowMs, limits);
}

function rawVerdict(
  key: ParsedKey,
  object: FoundObject,
  marks: Marks,
  nowMs: number,
  limits: GarbageLimits,
): Verdict {
  switch (key.kind) {
    case 'rows':
    case 'stats':
    case 'deletes':
    case 'index':
      return ofSegmentFile(key, object, marks, nowMs, limits);
    case 'snapshot-metadata':
    case 'snapshot-manifest':
      return ofSnapshotObject(key, object, marks, nowMs, limits);
    case 'identity':
      return keep('identity', 'says which catalog the store belongs to');
    case 'foreign':
      return keep('foreign', 'no key of ours: never deleted');
    default:
      return unreachable(key);
  }
}

/** Stands last, so that no rule can go past it. What a snapshot leaves by itself needs no references. */
function withKnownReferences(key: ParsedKey, verdict: Verdict, marks: Marks): Verdict {
  if (verdict.verdict === 'keep' || !('collectionId' in key)) return verdict;
  if (verdict.reason === 'deleting-snapshot' || verdict.reason === 'abandoned') return verdict;
  return marks.areReferencesKnown(key.collectionId) ? verdict : notLoaded(key.collectionId);
}

const notLoaded = (collectionId: CollectionId): Verdict =>
  keep('references-not-loaded', `what a snapshot of collection ${collectionId} needs is not known`);
const restoring = (jobId: JobId): Verdict => keep('restoring', `restore job ${jobId}`);

function neededBy(names: readonly string[]): Verdict {
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return keep('snapshot', `needed by ${names.slice(0, MAX_NAMES).join(', ')}${more}`);
}

function ofSegmentFile(
  key: SegmentKey,
  object: FoundObject,
  marks: Marks,
  nowMs: number,
  limits: GarbageLimits,
): Verdict {
  const { collectionId, segmentId } = key;
  const record = marks.segment(segmentId);
  // A record of the same id at another place is not about this object.
  const segment =
    record?.collectionId === collectionId && record.partitionId === key.partitionId ? record : undefined;
  const held = heldBySegment(key, object, segment, marks);
  if (held !== undefined) return held;
  const names = marks.snapshotsOf(collectionId, segmentId);
  const mayBeNamed =
    key.kind === 'index' ? marks.isBuildNeeded(key.buildId) : !isOtherRows(key, object, segment);
  const isNeeded = names.length > 0 && mayBeNamed;
  if (isNeeded) return neededBy(names);
  const { modifiedAtMs } = object;
  if (segment === undefined)
    return garbage('orphan', modifiedAtMs, limits.missingToleranceMs, nowMs, `no segment ${segmentId}`);
  if (segment.state === 'flushed' && marks.hasCollection(collectionId))
    return garbage(
      'stray',
      modifiedAtMs,
      limits.dropToleranceMs,
      nowMs,
      `segment ${segmentId} does not list it`,
    );
  return ofGarbageSegment(segment, nowMs, limits);
}

function heldBySegment(
  key: SegmentKey,
  object: FoundObject,
  segment: SegmentRecord | undefined,
  marks: Marks,
): Verdict | undefined {
  // The targets of a restore list no files before their task has ended.
  const isPerhapsTarget = segment === undefined || segment.restoreJobId !== undefined;
  const jobId = isPerhapsTarget ? marks.restoreOf(key.collectionId) : undefined;
  if (jobId !== undefined) return restoring(jobId);
  if (segment === undefined) return undefined;
  const { segmentId, state } = segment;
  if (state === 'growing' || state === 'sealed' || state === 'writing')
    return keep(state, `segment ${segmentId} is ${state}`);
  if (state === 'flushed' && isListed(segment, object.key) && marks.hasCollection(segment.collectionId))
    return keep('live', `segment ${segmentId}`);
  if (key.kind === 'index' && marks.isBuilding(segmentId))
    return keep('building', `an index of segment ${segmentId} is being built`);
  return undefined;
}

/** A segment has one rows file for ever, and a snapshot names that: another was left by an attempt that did not win. */
const isOtherRows = (
  { kind }: SegmentKey,
  { key }: FoundObject,
  segment: SegmentRecord | undefined,
): boolean =>
  kind === 'rows' && segment?.files.some((file) => file.kind === 'rows' && file.key !== key) === true;

const isListed = ({ files, indexes }: SegmentRecord, key: string): boolean =>
  files.some((file) => file.key === key) || indexes.some(({ file }) => file.key === key);

/** Dropped, or of a collection that is gone: then it is dropped now. */
function ofGarbageSegment(
  { segmentId, state, droppedAtMs }: SegmentRecord,
  nowMs: number,
  { dropToleranceMs }: GarbageLimits,
): Verdict {
  if (state !== 'dropped')
    return garbage(
      'dropped',
      nowMs,
      dropToleranceMs,
      nowMs,
      `the collection of segment ${segmentId} is gone`,
    );
  return garbage('dropped', droppedAtMs ?? nowMs, dropToleranceMs, nowMs, `segment ${segmentId} was dropped`);
}

function ofSnapshotObject(
  key: SnapshotKey,
  { modifiedAtMs }: FoundObject,
  marks: Marks,
  nowMs: number,
  limits: GarbageLimits,
): Verdict {
  const { snapshotId, collectionId } = key;
  const snapshot = marks.snapshot(snapshotId);
  if (snapshot?.collectionId !== collectionId)
    return garbage('orphan', modifiedAtMs, limits.missingToleranceMs, nowMs, `no snapshot ${snapshotId}`);
  const { name, state, manifestCount } = snapshot;
  switch (state) {
    case 'creating':
      return keep('pending-snapshot', `snapshot '${name}' is being created`);
    case 'abandoned':
      return {
        verdict: 'delete',
        reason: 'abandoned',
        detail: `the creation of snapshot '${name}' did not end`,
      };
    case 'deleting':
      return { verdict: 'delete', reason: 'deleting-snapshot', detail: `snapshot '${name}' is dropped` };
    case 'committed':
      return key.kind === 'snapshot-metadata' || key.n < manifestCount
        ? keep('snapshot', `a part of ${name}`)
        : garbage(
            'stray',
            modifiedAtMs,
            limits.dropToleranceMs,
            nowMs,
            `snapshot '${name}' does not list it`,
          );
    default:
      return unreachable(state);
  }
}

function durationOf(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
