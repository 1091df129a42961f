/**
 * Create, drop, list, describe, pin. Create is two-phase: a pending record; manifests and metadata; then the commit that turns
 * the record committed is the commit point, guarded by the collection's record. Whatever fails before it leaves nothing, and the name is free
 * again at once: names are reserved in memory while a create runs, and only committed records hold one for good.
 */
import { type Catalog, put } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { PinId, SnapshotId } from '../../model/ids.ts';
import type { CollectionRecord } from '../../model/records.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { assert } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import type { IdSource } from '../allocator.ts';
import type { CollectionName, CreateSnapshot, SnapshotInfo } from '../api.ts';
import type { CaptureGate } from '../capture-gate.ts';
import type { CollectionLookup, RestoreGate, SegmentFlusher } from '../rooms.ts';
import { collections, databases } from '../tables.ts';
import { arrange, type Captured, type Taken, take } from './capture.ts';
import type { SnapshotLimits } from './limits.ts';
import type { SnapshotReferences } from './meta.ts';
import { checkSeconds, checkSnapshotName, requireCollectionName, snapshotNotFound } from './names.ts';
import { ownerOf } from './pin-infos.ts';
import type { Pins } from './pins.ts';
import { pins, type SnapshotRecord, snapshots } from './record.ts';
import type { SnapshotRemoval } from './removal.ts';
import { snapshotMachine } from './state.ts';
import { type WrittenSnapshot, writeSnapshot } from './writer.ts';

export interface SnapshotManagerParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly ids: IdSource;
  readonly clock: Clock;
  readonly flusher: SegmentFlusher;
  readonly captureGate: CaptureGate;
  readonly resolve: CollectionLookup;
  readonly gate: RestoreGate;
  readonly references: SnapshotReferences;
  readonly removal: SnapshotRemoval;
  readonly pins: Pins;
  readonly limits: SnapshotLimits;
}

export class SnapshotManager {
  readonly #parts: SnapshotManagerParts;
  readonly #catalog: Catalog;
  /** `{collectionId}/{name}` of creates under way. */
  readonly #reserved = new Set<string>();

  constructor(parts: SnapshotManagerParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  async create(request: CreateSnapshot): Promise<SnapshotId> {
    const { at, name, compactionProtectionSeconds } = request;
    const { limits, resolve } = this.#parts;
    checkSnapshotName(name, limits.maxNameLength);
    checkSeconds(
      compactionProtectionSeconds,
      limits.maxCompactionProtectionSeconds,
      'compaction_protection_seconds',
      'must not exceed',
    );
    const collection = resolve.requireCollection(at);
    this.#refuseRestoring(collection);
    const reservation = `${collection.collectionId}/${name}`;
    if (this.#reserved.has(reservation) || this.#find(collection, name) !== undefined)
      throw new DbError(
        'parameter-invalid',
        `snapshot name ${name} already exists in collection ${collection.name}`,
      );
    this.#reserved.add(reservation);
    try {
      return await this.#create(request, collection);
    } finally {
      this.#reserved.delete(reservation);
    }
  }

  /** Unknown snapshots are no error. Resolves when the snapshot is gone for good, even if a slow or failing store keeps objects of it for now. */
  async drop(at: CollectionName, name: string): Promise<void> {
    const { limits, resolve, removal } = this.#parts;
    checkSnapshotName(name, limits.maxNameLength);
    requireCollectionName(at.name, 'drop snapshot');
    const collection = resolve.requireCollection(at);
    for (;;) {
      const record = this.#find(collection, name);
      if (record === undefined) return;
      const holders = this.#parts.pins.active(record.snapshotId);
      if (holders.length > 0)
        throw new DbError(
          'snapshot-pinned',
          `snapshot '${name}': active pins exist, unpin before dropping (${holders.length}: ${holders
            .slice(0, 10)
            .map((pin) => (pin.owner.kind === 'user' ? pin.pinId : ownerOf(pin)))
            .join(', ')})`,
        );
      if ((await removal.markDeleting(record)) === 'stale') continue;
      return removal.finishSoon([record.snapshotId]);
    }
  }

  list(at: CollectionName): readonly string[] {
    requireCollectionName(at.name, 'list snapshots');
    const { collectionId } = this.#parts.resolve.requireCollection(at);
    return this.#catalog
      .find(snapshots, 'collection', collectionId)
      .filter(({ state }) => state === 'committed')
      .toSorted(olderFirst)
      .map(({ name }) => name);
  }

  /** From the catalog alone: a snapshot whose objects are damaged can still be seen. */
  describe(at: CollectionName, name: string): SnapshotInfo {
    checkSnapshotName(name, this.#parts.limits.maxNameLength);
    requireCollectionName(at.name, 'describe snapshot');
    const collection = this.#parts.resolve.requireCollection(at);
    const record = this.require(collection, name);
    return {
      snapshotId: record.snapshotId,
      name,
      description: record.description,
      collectionName: collection.name,
      partitionNames: record.partitions.map((partition) => partition.name),
      createTs: record.createTs,
      location: record.metadataKey,
      segmentCount: record.segmentCount,
      rowCount: record.rowCount,
      sizeBytes: record.sizeBytes,
    };
  }

  /** `owner`: the user's name, when the call has said one. */
  async pin(at: CollectionName, name: string, ttlSeconds: number, owner?: string): Promise<PinId> {
    const { limits, resolve } = this.#parts;
    checkSnapshotName(name, limits.maxNameLength);
    requireCollectionName(at.name, 'pin snapshot data');
    checkSeconds(ttlSeconds, limits.maxPinTtlSeconds, 'ttl_seconds', 'exceeds maximum of');
    const collection = resolve.requireCollection(at);
    const holder = { kind: 'user', ...(owner === undefined ? {} : { name: owner }) } as const;
    for (;;) {
      const record = this.require(collection, name);
      const ttlMs = ttlSeconds === 0 ? undefined : ttlSeconds * 1000;
      const { pinId, changes } = this.#parts.pins.pinning(record, holder, ttlMs);
      if ((await this.#catalog.commit(changes)) === 'committed') return pinId;
    }
  }

  /** Unknown pins are no error; a restore's own pin is not a user's to release. */
  async unpin(pinId: PinId): Promise<void> {
    if (pinId === 0n) throw new DbError('parameter-invalid', 'pin_id is required for unpin snapshot data');
    if (this.#catalog.get(pins, pinId)?.owner.kind === 'user') await this.#parts.pins.release(pinId);
  }

  /** The committed snapshot of this name. Throws `snapshot-not-found`. */
  require(collection: CollectionRecord, name: string): SnapshotRecord {
    const record = this.#find(collection, name);
    if (record === undefined) throw snapshotNotFound(name, collection.name);
    return record;
  }

  #find({ collectionId }: CollectionRecord, name: string): SnapshotRecord | undefined {
    return this.#catalog.find(snapshots, 'name', `${collectionId}/${name}`)[0];
  }

  #refuseRestoring({ name, restoreJobId }: CollectionRecord): void {
    if (restoreJobId !== undefined && !this.#parts.gate.isCompleted(restoreJobId))
      throw new DbError(
        'collection-on-recovering',
        `collection '${name}' is being restored by job ${restoreJobId}`,
      );
  }

  async #create(request: CreateSnapshot, collection: CollectionRecord): Promise<SnapshotId> {
    const { ids, clock, removal, references } = this.#parts;
    const snapshotId = await ids.next<SnapshotId>();
    const nowMs = clock.nowMs();
    const pending: SnapshotRecord = {
      snapshotId,
      collectionId: collection.collectionId,
      databaseName: this.#databaseName(collection),
      collectionName: collection.name,
      name: request.name,
      description: request.description,
      state: 'pending',
      createTs: 0n as HybridTime,
      pendingAtMs: nowMs,
      metadataKey: '',
      metadataCrc32: 0,
      metadataSizeBytes: 0,
      manifestCount: 0,
      manifestSizeBytes: 0,
      partitions: [],
      segmentCount: 0,
      rowCount: 0,
      sizeBytes: 0,
      compactionProtectedUntilMs:
        request.compactionProtectionSeconds === 0 ? 0 : nowMs + request.compactionProtectionSeconds * 1000,
    };
    return removal.keeping(snapshotId, async () => {
      await this.#catalog.commitSure([put(snapshots, pending, undefined)]);
      try {
        await this.#fill(pending);
        return snapshotId;
      } catch (error) {
        await references.remove(snapshotId);
        await removal.abandonFailed(snapshotId);
        throw error;
      }
    });
  }

  async #fill(pending: SnapshotRecord): Promise<void> {
    const { store, gate, references, limits } = this.#parts;
    const { snapshotId, collectionId, name, description } = pending;
    const taken = await this.#take(pending);
    const captured = await arrange(taken, limits.capture, gate);
    const { createTs, collection, partitions, indexes, segments, segmentIds, buildIds } = captured;
    await references.add(snapshotId, segmentIds, buildIds);
    const written = await writeSnapshot(
      store,
      {
        snapshot: { snapshotId, collectionId, name, description, createTs },
        collection,
        partitions,
        indexes,
        segmentIds,
        buildIds,
      },
      segments,
      limits.objectsAtOnce,
    );
    const databaseName = this.#databaseName(taken.collection);
    await this.#commit(pending, committedRecord({ ...pending, databaseName }, captured, written));
  }

  /** From before the seal until the references are noted no compaction replaces a segment of the collection. */
  #take(pending: SnapshotRecord): Promise<Taken> {
    const { captureGate, flusher, references, limits } = this.#parts;
    const { collectionId } = pending;
    return captureGate.capture(collectionId, async () => {
      this.#requireAlive(collectionId);
      const flushedTs = limits.capture === 'flushed' ? undefined : await flusher.flushAll(collectionId);
      // One step from here on: what is read, its time, and that the collector keeps it whatever happens to it.
      const createTs = flushedTs ?? flusher.flushedUpTo(collectionId);
      const taken = take(this.#catalog, this.#requireAlive(collectionId), createTs);
      references.begin(pending);
      return taken;
    });
  }

  /** O3: only now, with the metadata durable. The collection's record stands in the commit, so a drop of it that came first wins. */
  async #commit(pending: SnapshotRecord, committed: SnapshotRecord): Promise<void> {
    for (;;) {
      const collection = this.#requireAlive(pending.collectionId);
      const outcome = await this.#catalog.commit([
        put(snapshots, committed, pending),
        put(collections, collection, collection),
      ]);
      if (outcome === 'committed') return;
      assert(this.#catalog.get(snapshots, pending.snapshotId) === pending, 'a pending snapshot was touched');
    }
  }

  #databaseName({ databaseId }: CollectionRecord): string {
    return this.#catalog.get(databases, databaseId)?.name ?? '';
  }

  #requireAlive(collectionId: CollectionRecord['collectionId']): CollectionRecord {
    const collection = this.#catalog.get(collections, collectionId);
    if (collection === undefined)
      throw new DbError(
        'collection-not-found',
        `can't find collection: collection not found[collection=${collectionId}]: dropped while the snapshot was made`,
      );
    return collection;
  }
}

const committedRecord = (
  pending: SnapshotRecord,
  { createTs, collection, segments, partitions, rowCount, sizeBytes }: Captured,
  written: WrittenSnapshot,
): SnapshotRecord => ({
  ...pending,
  ...written,
  state: snapshotMachine.next(pending.state, 'commit'),
  collectionName: collection.name,
  createTs,
  partitions,
  segmentCount: segments.length,
  rowCount,
  sizeBytes,
});

/** By the moment they show; those of one moment in the order of their creation. */
const olderFirst = (a: SnapshotRecord, b: SnapshotRecord): number =>
  a.createTs < b.createTs ? -1 : a.createTs > b.createTs ? 1 : a.snapshotId < b.snapshotId ? -1 : 1;
