/**
 * Removes what nothing needs any more. A pass first marks: snapshots that nobody can use turn deleting, segments of vanished collections
 * dropped, durably. Then it sweeps: one listing of the store, in key order and as it comes; each object is judged by `verdictOf`, and once more
 * right before it is deleted. Records go last (I6): that of a segment when the listing has shown nothing more of it, that of a snapshot
 * when its objects are deleted. Whatever stops a pass, the next one goes on.
 */
import { setImmediate } from 'node:timers/promises';
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type { CollectionId, SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { parseKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { abortable } from '../../support/abort.ts';
import type { Clock } from '../../support/clock.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import type { GarbageResult, GarbageVerdict } from '../admin-api.ts';
import { commitEach } from '../batches.ts';
import { segmentMachine } from '../segments/state.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import { snapshots } from '../snapshot/record.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import type { StoreIdentity } from './identity.ts';
import { CatalogMarks, type MarkParts } from './marks.ts';
import type { ObjectRemover } from './remover.ts';
import { type FoundObject, type Marks, recordVerdictOf, type Verdict, verdictOf } from './verdict.ts';

export interface CollectorParts extends MarkParts {
  readonly remover: ObjectRemover;
  readonly identity: StoreIdentity;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: SnapshotLimits;
}

const NOTHING: GarbageResult = { deletedObjects: 0, deletedBytes: 0, keptObjects: 0, keptBytes: 0 };

interface Judged {
  readonly object: FoundObject;
  readonly verdict: Verdict;
}

const DELETES_AT_ONCE = 16;
/** Deletable objects gathered before they are judged again and deleted. */
const DELETES_PER_BATCH = 64;
/** Objects or records looked at before others get their turn. */
const LOOKS_PER_TURN = 128;
/** A pass gives up when so many objects could not be deleted. Fewer do not keep it from the others. */
const MAX_FAILURES = 100;
/** How a door names what is no object: neither can be a key. */
const TEMPORARY_PREFIX = '.tmp/';
const RECORD_PREFIX = 'record:';

export class Collector {
  readonly #parts: CollectorParts;
  readonly #catalog: Catalog;
  #last: (GarbageResult & { readonly endedAtMs: number }) | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: CollectorParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  /** The last pass that went to its end. */
  get last(): (GarbageResult & { readonly endedAtMs: number }) | undefined {
    return this.#last;
  }

  /**
   * One pass, after those that were asked for before. Ends early, between two objects, when `signal` aborts. Throws
   * `store-mismatch`, and what storage failed with; then it has done what it could.
   */
  pass(signal?: AbortSignal): Promise<GarbageResult> {
    const turn = this.#turn.then(
      () => this.#pass(signal),
      () => this.#pass(signal),
    );
    this.#turn = turn;
    return turn;
  }

  /** What a pass would do now: temporaries, objects in key order, then records. Changes nothing. Throws `store-mismatch`. */
  async *plan(signal: AbortSignal): AsyncIterable<GarbageVerdict> {
    await this.#begin();
    const marks = new CatalogMarks(this.#parts, { foresees: true });
    const leaving = await this.#leavingSegments(marks);
    for await (const { object, verdict } of this.#look(marks, signal)) {
      if (verdict.verdict === 'keep') leaving.delete(segmentOf(object));
      const key = object.isTemporary ? `${TEMPORARY_PREFIX}${object.key}` : object.key;
      yield { key, sizeBytes: object.sizeBytes, ...verdict };
    }
    if (signal.aborted) return;
    for (const segmentId of leaving) {
      const segment = this.#catalog.get(segments, segmentId);
      if (segment === undefined) continue;
      const verdict = this.#recordVerdict(segment, marks);
      yield { key: `${RECORD_PREFIX}segment/${segmentId}`, sizeBytes: 0, ...verdict };
    }
    for (const { snapshotId } of this.#catalog.all(snapshots)) {
      const marked = marks.snapshot(snapshotId);
      if (marked?.state !== 'deleting' && marked?.state !== 'abandoned') continue;
      const reason = marked.state === 'deleting' ? 'deleting-snapshot' : marked.state;
      const detail = `snapshot '${marked.name}'`;
      yield {
        key: `${RECORD_PREFIX}snapshot/${snapshotId}`,
        sizeBytes: 0,
        verdict: 'delete',
        reason,
        detail,
      };
    }
  }

  /**
   * Once, at start, before any restore or create runs: partitions and indexes whose collection is not there belong to requests
   * that did not get as far as their deciding commit, or to drops.
   */
  async removeOrphans(): Promise<void> {
    const isOrphan = ({ collectionId }: { readonly collectionId: CollectionId }) =>
      this.#catalog.get(collections, collectionId) === undefined;
    const partitionIds = [...this.#catalog.all(partitions)].filter(isOrphan).map((p) => p.partitionId);
    await commitEach(this.#catalog, partitionIds, (id) => {
      const was = this.#catalog.get(partitions, id);
      return was === undefined ? undefined : remove(partitions, was);
    });
    const indexIds = [...this.#catalog.all(indexes)].filter(isOrphan).map((i) => i.indexId);
    await commitEach(this.#catalog, indexIds, (id) => {
      const was = this.#catalog.get(indexes, id);
      return was === undefined ? undefined : remove(indexes, was);
    });
  }

  async #begin(): Promise<void> {
    const { identity, references, limits, log } = this.#parts;
    await identity.verify();
    await references.load(limits.objectsAtOnce);
    if (references.unknownCollections.size > 0)
      log.error('gc-keeps-unknown', { collectionIds: [...references.unknownCollections] });
  }

  /** Waits no longer than to the abort: a store may hang. */
  async #begun(signal: AbortSignal | undefined): Promise<void> {
    if (signal === undefined) return this.#begin();
    await abortable(this.#begin(), signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  async #pass(signal: AbortSignal | undefined): Promise<GarbageResult> {
    const { removal, remover, log } = this.#parts;
    await this.#begun(signal);
    if (signal?.aborted) return NOTHING;
    await removal.mark();
    const marks = new CatalogMarks(this.#parts, { foresees: false });
    await this.#dropVanished(marks);
    const leaving = await this.#leavingSegments(marks);
    const sweep = new Sweep(remover, leaving, (object) => this.#judge(object, marks), signal);
    try {
      for await (const judged of this.#look(marks, signal)) await sweep.take(judged);
      await sweep.finish();
      if (!signal?.aborted) await this.#removeRecords(leaving, marks);
    } finally {
      if (!signal?.aborted) await removal.finishAll();
    }
    if (sweep.failures.length > 0) {
      log.warn('garbage-not-deleted', { objects: sweep.failures.length });
      throw sweep.failures[0];
    }
    if (!signal?.aborted) this.#last = { ...sweep.result, endedAtMs: this.#parts.clock.nowMs() };
    return sweep.result;
  }

  /** One listing. `signal` ends it. */
  async *#look(marks: Marks, signal: AbortSignal | undefined): AsyncIterable<Judged> {
    let looks = 0;
    for await (const object of this.#found()) {
      if (++looks % LOOKS_PER_TURN === 0) await setImmediate();
      if (signal?.aborted) return;
      yield { object, verdict: this.#judge(object, marks) };
    }
  }

  async *#found(): AsyncIterable<FoundObject> {
    const { store } = this.#parts;
    for await (const { name, sizeBytes, modifiedAtMs } of store.listTemporary())
      yield { key: name, isTemporary: true, sizeBytes, modifiedAtMs };
    for await (const { key, sizeBytes, modifiedAtMs } of store.list(''))
      yield { key, isTemporary: false, sizeBytes, modifiedAtMs };
  }

  #judge(object: FoundObject, marks: Marks): Verdict {
    const { clock, limits } = this.#parts;
    return verdictOf(object, marks, clock.nowMs(), limits);
  }

  #recordVerdict(segment: SegmentRecord, marks: Marks): Verdict {
    const { clock, limits } = this.#parts;
    return recordVerdictOf(segment, marks, clock.nowMs(), limits);
  }

  /** Dropped segments whose records may go if the listing shows nothing of them. */
  async #leavingSegments(marks: Marks): Promise<Set<SegmentId>> {
    const leaving = new Set<SegmentId>();
    for await (const segment of this.#eachSegment())
      if (this.#recordVerdict(segment, marks).verdict === 'delete') leaving.add(segment.segmentId);
    return leaving;
  }

  /**
   * Files of a collection that is gone, where a drop did not come so far. Segments that still stand in the log, or are being written, are
   * left to those who drop them there.
   */
  async #dropVanished(marks: Marks): Promise<void> {
    const { clock } = this.#parts;
    const isVanished = ({ state, collectionId }: SegmentRecord) =>
      state === 'flushed' &&
      !marks.hasCollection(collectionId) &&
      marks.restoreOf(collectionId) === undefined;
    const vanished: SegmentId[] = [];
    for await (const segment of this.#eachSegment())
      if (isVanished(segment)) vanished.push(segment.segmentId);
    await commitEach(this.#catalog, vanished, (segmentId) => {
      const was = this.#catalog.get(segments, segmentId);
      if (was === undefined || !isVanished(was)) return undefined;
      const state = segmentMachine.next(was.state, 'drop');
      return put(segments, { ...was, state, droppedAtMs: clock.nowMs() }, was);
    });
  }

  async #removeRecords(leaving: ReadonlySet<SegmentId>, marks: Marks): Promise<void> {
    await commitEach(this.#catalog, [...leaving], (segmentId) => {
      const was = this.#catalog.get(segments, segmentId);
      const isLeaving = was?.state === 'dropped' && this.#recordVerdict(was, marks).verdict === 'delete';
      return isLeaving ? remove(segments, was) : undefined;
    });
  }

  async *#eachSegment(): AsyncIterable<SegmentRecord> {
    let looks = 0;
    for (const segment of this.#catalog.all(segments)) {
      if (++looks % LOOKS_PER_TURN === 0) await setImmediate();
      yield segment;
    }
  }
}

/** The segment that an object counts for: one that is still there keeps its record. */
function segmentOf({ key, isTemporary }: FoundObject): SegmentId {
  const parsed = isTemporary ? undefined : parseKey(key);
  return parsed !== undefined && 'segmentId' in parsed ? parsed.segmentId : (0n as SegmentId);
}

/** Carries out what was judged, counts it, and takes out of `leaving` what is not gone. */
class Sweep {
  readonly failures: unknown[] = [];
  readonly #remover: ObjectRemover;
  readonly #leaving: Set<SegmentId>;
  readonly #judge: (object: FoundObject) => Verdict;
  readonly #signal: AbortSignal | undefined;
  #batch: FoundObject[] = [];
  #result = { ...NOTHING };

  constructor(
    remover: ObjectRemover,
    leaving: Set<SegmentId>,
    judge: (object: FoundObject) => Verdict,
    signal: AbortSignal | undefined,
  ) {
    this.#remover = remover;
    this.#leaving = leaving;
    this.#judge = judge;
    this.#signal = signal;
  }

  get result(): GarbageResult {
    return this.#result;
  }

  async take({ object, verdict }: Judged): Promise<void> {
    if (verdict.verdict === 'keep') this.#keep(object);
    else if (this.#batch.push(object) >= DELETES_PER_BATCH) await this.finish();
  }

  async finish(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    await mapLimited(batch, DELETES_AT_ONCE, (object) => this.#delete(object));
    if (this.failures.length > MAX_FAILURES)
      throw new DbError(
        'storage-failed',
        `garbage collection gives up: ${this.failures.length} objects could not be deleted: ${messageOf(this.failures[0])}`,
        { cause: this.failures[0] },
      );
  }

  async #delete(object: FoundObject): Promise<void> {
    // Something may have come to need it since it was listed.
    if (this.#signal?.aborted || this.#judge(object).verdict === 'keep') return this.#keep(object);
    try {
      if (object.isTemporary) await this.#remover.removeTemporary(object.key);
      else await this.#remover.remove(object.key);
      this.#result.deletedObjects++;
      this.#result.deletedBytes += object.sizeBytes;
    } catch (error) {
      if (!isDbError(error) || error.code === 'store-mismatch') throw error;
      this.failures.push(error);
      this.#keep(object);
    }
  }

  #keep(object: FoundObject): void {
    this.#result.keptObjects++;
    this.#result.keptBytes += object.sizeBytes;
    this.#leaving.delete(segmentOf(object));
  }
}
