/**
 * How a snapshot goes: the record turns deleting, durably (O4: from then on nothing is protected by it); then its objects, metadata
 * first, because metadata is what says that the manifests are whole; then the record. Repeatable from any point, and so also the
 * end of a create that failed. The record alone decides: whoever drops waits a short while for the objects, the rest goes behind his back.
 */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { messageOf } from '../../errors/db-error.ts';
import type { CollectionId, SnapshotId } from '../../model/ids.ts';
import { snapshotManifestKey, snapshotManifestsPrefix, snapshotMetadataKey } from '../../storage/keys.ts';
import type { Clock } from '../../support/clock.ts';
import { Limiter } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { within } from '../../support/within.ts';
import type { ObjectRemover } from '../gc/remover.ts';
import { collections } from '../tables.ts';
import type { SnapshotReferences } from './meta.ts';
import type { Pins } from './pins.ts';
import { type SnapshotRecord, snapshots } from './record.ts';
import { snapshotMachine } from './state.ts';

export interface SnapshotRemovalParts {
  readonly catalog: Catalog;
  readonly remover: ObjectRemover;
  readonly references: SnapshotReferences;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly log: Log;
}

/** A file system that tells its disk of every freed block takes milliseconds for each object: a large snapshot has hundreds. */
const DROP_WAITS_MS = 50;
/** Snapshots whose objects are removed at the same time. */
const REMOVALS_AT_ONCE = 4;

export class SnapshotRemoval {
  readonly #catalog: Catalog;
  readonly #remover: ObjectRemover;
  readonly #references: SnapshotReferences;
  readonly #pins: Pins;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #turns = new Limiter(REMOVALS_AT_ONCE);
  readonly #finishing = new Map<SnapshotId, Promise<void>>();
  readonly #closing = new AbortController();
  /** Being created right now: their pending records are no leftovers. */
  readonly #live = new Set<SnapshotId>();

  constructor(parts: SnapshotRemovalParts) {
    this.#catalog = parts.catalog;
    this.#remover = parts.remover;
    this.#references = parts.references;
    this.#pins = parts.pins;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Runs a creation; its pending record is left alone meanwhile. */
  async keeping<T>(snapshotId: SnapshotId, create: () => Promise<T>): Promise<T> {
    this.#live.add(snapshotId);
    try {
      return await create();
    } finally {
      this.#live.delete(snapshotId);
    }
  }

  /** The commit point of a drop. `stale`: the record is not this one any more. */
  async markDeleting(record: SnapshotRecord): Promise<'committed' | 'stale'> {
    const state = snapshotMachine.next(record.state, 'drop');
    const outcome = await this.#catalog.commit([put(snapshots, { ...record, state }, record)]);
    if (outcome === 'committed') await this.#references.remove(record.snapshotId);
    return outcome;
  }

  /** Removes objects and record of a deleting snapshot; any other one is left as it is. What fails is logged and tried again by `pass`. A call while another runs joins it. */
  finish(snapshotId: SnapshotId): Promise<void> {
    let finishing = this.#finishing.get(snapshotId);
    if (finishing === undefined) {
      finishing = this.#turns
        .run(() => this.#finish(snapshotId))
        .finally(() => this.#finishing.delete(snapshotId));
      this.#finishing.set(snapshotId, finishing);
    }
    return finishing;
  }

  /** As `finish`, but after a short while it goes on without the caller. */
  async finishSoon(snapshotIds: readonly SnapshotId[]): Promise<void> {
    if (snapshotIds.length === 0) return;
    const finished: Promise<unknown> = Promise.all(snapshotIds.map((snapshotId) => this.finish(snapshotId)));
    await within(this.#clock, DROP_WAITS_MS, finished, () => undefined);
  }

  /** No further object is removed: the next start goes on. */
  close(): void {
    this.#closing.abort();
  }

  /** Nothing is being removed any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#finishing.values());
  }

  /** Marks a pending snapshot whose creation failed, and removes it. */
  async abandon(snapshotId: SnapshotId): Promise<void> {
    for (;;) {
      const record = this.#catalog.get(snapshots, snapshotId);
      if (record?.state === 'pending' && (await this.markDeleting(record)) === 'stale') continue;
      return this.finish(snapshotId);
    }
  }

  /** As `abandon`, on the way out of a create that failed: its own error is the one to be thrown. */
  async abandonFailed(snapshotId: SnapshotId): Promise<void> {
    try {
      await this.abandon(snapshotId);
    } catch (error) {
      this.#log.warn('pending-snapshot-left', { snapshotId, reason: messageOf(error) });
    }
  }

  /** A create of this process is at work on it. */
  isCreating(snapshotId: SnapshotId): boolean {
    return this.#live.has(snapshotId);
  }

  /** Committed, but its collection is gone and nobody holds it. */
  hasOutlived({ snapshotId, collectionId, state }: SnapshotRecord): boolean {
    return (
      state === 'committed' &&
      this.#catalog.get(collections, collectionId) === undefined &&
      this.#pins.active(snapshotId).length === 0
    );
  }

  /** Drops the unpinned snapshots of collections that are gone, and finishes what a crash or a failing store left behind. */
  async pass(): Promise<void> {
    await this.mark();
    await this.finishAll();
  }

  /** What nobody can use any more turns deleting; its objects stay for now. Pins whose time is over go. */
  async mark(): Promise<void> {
    await this.#pins.expire();
    for (const { snapshotId } of this.#catalog.find(snapshots, 'state', 'pending'))
      await this.#markWhile(snapshotId, ({ state }) => state === 'pending' && !this.#live.has(snapshotId));
    for (const { snapshotId } of this.#catalog.find(snapshots, 'state', 'committed'))
      await this.#markWhile(snapshotId, (record) => this.hasOutlived(record));
  }

  /** Removes objects and records of everything that is deleting. */
  async finishAll(): Promise<void> {
    for (const { snapshotId } of this.#catalog.find(snapshots, 'state', 'deleting'))
      await this.finish(snapshotId);
  }

  /** Pinned ones stay until their pins end. */
  async dropAllOf(collectionId: CollectionId): Promise<void> {
    const isUnpinned = ({ snapshotId, state }: SnapshotRecord) =>
      state === 'committed' && this.#pins.active(snapshotId).length === 0;
    const marked: SnapshotId[] = [];
    for (const { snapshotId } of this.#catalog.find(snapshots, 'collection', collectionId))
      if (await this.#markWhile(snapshotId, isUnpinned)) marked.push(snapshotId);
    await this.finishSoon(marked);
  }

  /** Marks the snapshot unless `isMeant` says no more. */
  async #markWhile(snapshotId: SnapshotId, isMeant: (record: SnapshotRecord) => boolean): Promise<boolean> {
    for (;;) {
      const record = this.#catalog.get(snapshots, snapshotId);
      if (record === undefined || !isMeant(record)) return false;
      if ((await this.markDeleting(record)) === 'committed') return true;
    }
  }

  async #finish(snapshotId: SnapshotId): Promise<void> {
    const found = this.#catalog.get(snapshots, snapshotId);
    if (found?.state !== 'deleting') return;
    try {
      await this.#removeObjects(found);
      await this.#pins.removeAllOf(snapshotId);
      await this.#catalog.commit([remove(snapshots, found)]);
    } catch (error) {
      if (!this.#closing.signal.aborted)
        this.#log.warn('snapshot-files-not-removed', { snapshotId, reason: messageOf(error) });
    }
  }

  async #removeObjects(record: SnapshotRecord): Promise<void> {
    const { snapshotId, collectionId, manifestCount, metadataKey } = record;
    const { signal } = this.#closing;
    await this.#remover.removeKeys([snapshotMetadataKey(collectionId, snapshotId)], signal);
    if (metadataKey === '') {
      // The create did not get far enough to store how many there are.
      await this.#remover.removeBelow(snapshotManifestsPrefix(collectionId, snapshotId), signal);
      return;
    }
    const manifests = Array.from({ length: manifestCount }, (_, n) =>
      snapshotManifestKey(collectionId, snapshotId, n),
    );
    await this.#remover.removeKeys(manifests.reverse(), signal);
  }
}
