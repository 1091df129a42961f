/**
 * The reference index: which snapshots need a segment, and which an index build. Kept as snapshots come and go, at the cost of the one
 * that comes or goes; after a start read from their metadata objects. Unknown means keep: while a snapshot's references are not loaded,
 * everything of its collection counts as needed, and as protected while its protection runs; other collections are not touched by that.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError, messageOf } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { collections } from '../tables.ts';
import { IdCounts } from './id-counts.ts';
import { contains, type IdList, idList } from './id-list.ts';
import { readMetadata } from './reader.ts';
import { type SnapshotRecord, snapshots } from './record.ts';

export interface SnapshotReferencesParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly log: Log;
  /** How long one read of a snapshot's metadata may take. */
  readonly loadTimeoutMs: number;
}

export interface NotLoaded {
  readonly snapshotId: SnapshotId;
  readonly collectionId: CollectionId;
  readonly reason: string;
}

interface Ids {
  readonly segmentIds: IdList;
  readonly buildIds: IdList;
}

interface Entry {
  readonly snapshotId: SnapshotId;
  readonly collectionId: CollectionId;
  readonly protectedUntilMs: number;
  /** Undefined: not loaded. */
  ids: Ids | undefined;
  /** Being created: its references come from the capture, not from its metadata. */
  readonly isCaptured: boolean;
  /** Why the last read failed. */
  trouble: string | undefined;
  /** Reads that were given up but have not come back. */
  hanging: number;
  isRemoved: boolean;
  /** Its ids are being counted. */
  counting: Promise<void> | undefined;
}

/** A read that never comes back costs a little memory for ever: not more of them than this, per snapshot. */
const MAX_HANGING_READS = 4;
const NOT_READ_YET = 'its metadata has not been read yet';

export class SnapshotReferences {
  readonly #parts: SnapshotReferencesParts;
  readonly #entries = new Map<SnapshotId, Entry>();
  readonly #byCollection = new Map<CollectionId, Set<Entry>>();
  /** Of these, the ones that came with a protection, be it over or not. */
  readonly #protecting = new Map<CollectionId, Set<Entry>>();
  /** How many of the collection are not loaded. */
  readonly #notLoaded = new Map<CollectionId, number>();
  readonly #segmentCounts = new IdCounts();
  readonly #buildCounts = new IdCounts();
  readonly #closing = new AbortController();
  #loading: Promise<void> | undefined;
  #operations = 0;

  constructor(parts: SnapshotReferencesParts) {
    this.#parts = parts;
  }

  /** Before anything else runs: every committed snapshot counts as not loaded until `load` has read its metadata. */
  recover(): void {
    for (const record of this.#parts.catalog.find(snapshots, 'state', 'committed'))
      if (!this.#entries.has(record.snapshotId)) this.#enter(record, false);
  }

  /**
   * Reads what is not loaded. What cannot be read stays so, with the reason. One at a time: a call while another runs joins it. Never
   * rejects, and ends: no read is waited for longer than the timeout.
   */
  load(objectsAtOnce: number): Promise<void> {
    this.#loading ??= this.#load(objectsAtOnce).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Nothing is read any more; a read under way is not waited for. */
  close(): void {
    this.#closing.abort();
  }

  /** In the same step as the capture: from now on everything of the collection counts as needed, until `add` has said what is. */
  begin(snapshot: Pick<SnapshotRecord, 'snapshotId' | 'collectionId' | 'compactionProtectedUntilMs'>): void {
    this.#enter(snapshot, true);
  }

  /** What the snapshot that has begun holds. Does nothing when it was removed meanwhile. */
  async add(
    snapshotId: SnapshotId,
    segmentIds: ArrayLike<SegmentId>,
    buildIds: ArrayLike<BuildId>,
  ): Promise<void> {
    const entry = this.#entries.get(snapshotId);
    if (entry !== undefined) await this.#fill(entry, segmentIds, buildIds);
  }

  /** Resolves when nothing counts for the snapshot any more. */
  async remove(snapshotId: SnapshotId): Promise<void> {
    const entry = this.#entries.get(snapshotId);
    if (entry === undefined) return;
    entry.isRemoved = true;
    this.#entries.delete(snapshotId);
    for (const entries of [this.#byCollection, this.#protecting]) {
      const ofCollection = entries.get(entry.collectionId);
      ofCollection?.delete(entry);
      if (ofCollection?.size === 0) entries.delete(entry.collectionId);
    }
    if (entry.ids === undefined) this.#changeNotLoaded(entry.collectionId, -1);
    // Its ids count a moment longer, which keeps too much, never too little.
    if (entry.counting !== undefined) await entry.counting;
    if (entry.ids !== undefined) await this.#count(entry.ids, -1);
  }

  isSegmentReferenced(collectionId: CollectionId, segmentId: SegmentId): boolean {
    return this.#notLoaded.has(collectionId) || this.#segmentCounts.of(segmentId) > 0;
  }

  isBuildReferenced(collectionId: CollectionId, buildId: BuildId): boolean {
    return this.#notLoaded.has(collectionId) || this.#buildCounts.of(buildId) > 0;
  }

  /** Whether no compaction may replace the segment now. */
  isProtected(collectionId: CollectionId, segmentId: SegmentId): boolean {
    const protecting = this.#protecting.get(collectionId);
    if (protecting === undefined || !this.isSegmentReferenced(collectionId, segmentId)) return false;
    const nowMs = this.#parts.clock.nowMs();
    for (const { protectedUntilMs, ids } of protecting)
      if (nowMs < protectedUntilMs && (ids === undefined || contains(ids.segmentIds, segmentId))) return true;
    return false;
  }

  /** Loaded snapshots that hold the segment. */
  countOf(segmentId: SegmentId): number {
    return this.#segmentCounts.of(segmentId);
  }

  /** Loaded snapshots that hold the index build. */
  buildCountOf(buildId: BuildId): number {
    return this.#buildCounts.of(buildId);
  }

  segmentCount(collectionId: CollectionId, segmentId: SegmentId): number {
    return this.#notLoaded.has(collectionId) ? Number.POSITIVE_INFINITY : this.countOf(segmentId);
  }

  buildCount(collectionId: CollectionId, buildId: BuildId): number {
    return this.#notLoaded.has(collectionId) ? Number.POSITIVE_INFINITY : this.buildCountOf(buildId);
  }

  /** Loaded snapshots of the collection that hold the segment. */
  snapshotsOf(collectionId: CollectionId, segmentId: SegmentId): readonly SnapshotId[] {
    const found: SnapshotId[] = [];
    if (this.#segmentCounts.of(segmentId) === 0) return found;
    for (const { snapshotId, ids } of this.#byCollection.get(collectionId) ?? [])
      if (ids !== undefined && contains(ids.segmentIds, segmentId)) found.push(snapshotId);
    return found;
  }

  /** Whether what snapshots of the collection need is known; while it is not, everything of it counts as needed. */
  isLoaded(collectionId: CollectionId): boolean {
    return !this.#notLoaded.has(collectionId);
  }

  /** Collections that keep everything now. */
  get unknownCollections(): ReadonlySet<CollectionId> {
    return new Set(this.#notLoaded.keys());
  }

  /** Committed snapshots that are not loaded. */
  get unknown(): readonly NotLoaded[] {
    if (this.#notLoaded.size === 0) return [];
    return [...this.#entries.values()]
      .filter(({ ids, isCaptured }) => ids === undefined && !isCaptured)
      .map(({ snapshotId, collectionId, trouble }) => ({
        snapshotId,
        collectionId,
        reason: trouble ?? NOT_READ_YET,
      }));
  }

  /** Why the snapshot's objects cannot be believed, as far as a read has told. */
  damageOf(snapshotId: SnapshotId): string | undefined {
    return this.#entries.get(snapshotId)?.trouble;
  }

  /** Snapshots whose references could not be read. */
  troubles(): readonly string[] {
    const { catalog } = this.#parts;
    return this.unknown
      .filter(({ snapshotId }) => this.damageOf(snapshotId) !== undefined)
      .map(({ snapshotId, collectionId, reason }) => {
        const name = catalog.get(snapshots, snapshotId)?.name ?? '';
        const collection = catalog.get(collections, collectionId)?.name;
        const where = collection === undefined ? 'a dropped collection' : `collection '${collection}'`;
        return `references of snapshot '${name}' (${snapshotId}) of ${where} (${collectionId}) are not loaded, everything of it is kept: ${reason}`;
      });
  }

  /** Ids counted up or down so far: what upkeep has cost. */
  get operations(): number {
    return this.#operations;
  }

  #enter(
    {
      snapshotId,
      collectionId,
      compactionProtectedUntilMs,
    }: Pick<SnapshotRecord, 'snapshotId' | 'collectionId' | 'compactionProtectedUntilMs'>,
    isCaptured: boolean,
  ): void {
    const entry: Entry = {
      snapshotId,
      collectionId,
      protectedUntilMs: compactionProtectedUntilMs,
      isCaptured,
      ids: undefined,
      trouble: undefined,
      hanging: 0,
      isRemoved: false,
      counting: undefined,
    };
    this.#entries.set(snapshotId, entry);
    const maps =
      compactionProtectedUntilMs > 0 ? [this.#byCollection, this.#protecting] : [this.#byCollection];
    for (const entries of maps) {
      const ofCollection = entries.get(collectionId) ?? new Set();
      entries.set(collectionId, ofCollection.add(entry));
    }
    this.#changeNotLoaded(collectionId, 1);
  }

  #changeNotLoaded(collectionId: CollectionId, by: number): void {
    const count = (this.#notLoaded.get(collectionId) ?? 0) + by;
    if (count > 0) this.#notLoaded.set(collectionId, count);
    else this.#notLoaded.delete(collectionId);
  }

  async #fill(entry: Entry, segmentIds: ArrayLike<SegmentId>, buildIds: ArrayLike<BuildId>): Promise<void> {
    const ids: Ids = { segmentIds: await idList(segmentIds), buildIds: await idList(buildIds) };
    if (entry.isRemoved || entry.ids !== undefined || entry.counting !== undefined) return;
    entry.counting = this.#count(ids, 1);
    await entry.counting;
    entry.counting = undefined;
    entry.ids = ids;
    entry.trouble = undefined;
    // A removal during the count has taken it from the unloaded ones, and takes these ids back.
    if (!entry.isRemoved) this.#changeNotLoaded(entry.collectionId, -1);
  }

  async #count({ segmentIds, buildIds }: Ids, by: 1 | -1): Promise<void> {
    await this.#segmentCounts.change(segmentIds, by);
    await this.#buildCounts.change(buildIds, by);
    this.#operations += segmentIds.length + buildIds.length;
  }

  async #load(objectsAtOnce: number): Promise<void> {
    const { catalog } = this.#parts;
    const waiting = this.unknown.map(({ snapshotId }) => snapshotId);
    await mapLimited(waiting, objectsAtOnce, async (snapshotId) => {
      const entry = this.#entries.get(snapshotId);
      const record = catalog.get(snapshots, snapshotId);
      if (entry === undefined || this.#closing.signal.aborted) return;
      if (record?.state !== 'committed') await this.remove(snapshotId);
      else await this.#loadOne(entry, record);
    });
  }

  async #loadOne(entry: Entry, record: SnapshotRecord): Promise<void> {
    const { snapshotId, collectionId } = entry;
    try {
      const metadata = await this.#read(entry, record);
      if (metadata === undefined) return;
      // It may have been dropped while it was read: then it was removed, and stays so.
      await this.#fill(entry, metadata.segmentIds, metadata.buildIds);
      this.#parts.log.info('snapshot-references-loaded', { snapshotId, collectionId });
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== entry.trouble)
        this.#parts.log.error('snapshot-references-not-loaded', { snapshotId, collectionId, reason });
      entry.trouble = reason;
    }
  }

  /** Undefined: closed meanwhile. */
  async #read(entry: Entry, record: SnapshotRecord) {
    const { clock, store, loadTimeoutMs } = this.#parts;
    const late = () =>
      new DbError(
        'service-unavailable',
        `reading object '${record.metadataKey}' takes longer than ${loadTimeoutMs} ms`,
      );
    if (entry.hanging >= MAX_HANGING_READS) throw late();
    const timer = new AbortController();
    const signal = AbortSignal.any([timer.signal, this.#closing.signal]);
    const reading = readMetadata(store, record);
    entry.hanging++;
    const ended = () => {
      entry.hanging--;
    };
    reading.then(ended, ended);
    const timeout = clock.sleep(loadTimeoutMs, signal).then(
      () => 'late' as const,
      () => 'closed' as const,
    );
    const outcome = await Promise.race([reading, timeout]).finally(() => timer.abort());
    if (outcome === 'late') throw late();
    return outcome === 'closed' ? undefined : outcome;
  }
}
