/**
 * Leases on snapshots. A pin and a drop of the same snapshot both replace the snapshot's record, so of two that race one is stale
 * and looks again: a pinned snapshot is never deleting (I5).
 */
import { type Catalog, type Change, put, remove } from '../../catalog/catalog.ts';
import type { PinId, SnapshotId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { Random } from '../../support/random.ts';
import { commitEach } from '../batches.ts';
import { collections } from '../tables.ts';
import { type PinRecord, pins, type SnapshotRecord, snapshots } from './record.ts';

export const isActive = ({ expiresAtMs }: PinRecord, nowMs: number): boolean =>
  expiresAtMs === undefined || expiresAtMs >= nowMs;

/** A pin has ended, and its snapshot has outlived its collection only because of it. */
export function freesSnapshot(catalog: Catalog, { table, was, is }: Change): boolean {
  if (table !== pins || was === undefined || is !== undefined) return false;
  const snapshot = catalog.get(snapshots, (was as PinRecord).snapshotId);
  return snapshot !== undefined && catalog.get(collections, snapshot.collectionId) === undefined;
}

export class Pins {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(catalog: Catalog, clock: Clock, random: Random) {
    this.#catalog = catalog;
    this.#clock = clock;
    this.#random = random;
  }

  active(snapshotId: SnapshotId): readonly PinRecord[] {
    const nowMs = this.#clock.nowMs();
    return this.of(snapshotId).filter((pin) => isActive(pin, nowMs));
  }

  allActive(): readonly PinRecord[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#catalog.all(pins)].filter((pin) => isActive(pin, nowMs));
  }

  of(snapshotId: SnapshotId): readonly PinRecord[] {
    return this.#catalog.find(pins, 'snapshot', snapshotId);
  }

  /** What a commit must hold to pin the snapshot. `ttlMs` undefined: until it is released. */
  pinning(
    snapshot: SnapshotRecord,
    owner: PinRecord['owner'],
    ttlMs: number | undefined,
  ): { readonly pinId: PinId; readonly changes: readonly Change[] } {
    const createdAtMs = this.#clock.nowMs();
    const pin: PinRecord = {
      pinId: this.#freshId(),
      snapshotId: snapshot.snapshotId,
      owner,
      createdAtMs,
      ...(ttlMs === undefined ? {} : { expiresAtMs: createdAtMs + ttlMs }),
    };
    return {
      pinId: pin.pinId,
      changes: [put(pins, pin, undefined), put(snapshots, { ...snapshot }, snapshot)],
    };
  }

  /** What a commit must hold to make a live pin end `ttlMs` from now. As a new pin it decides the race with a drop. */
  extending(snapshot: SnapshotRecord, pin: PinRecord, ttlMs: number): readonly Change[] {
    const expiresAtMs = this.#clock.nowMs() + ttlMs;
    return [put(pins, { ...pin, expiresAtMs }, pin), put(snapshots, { ...snapshot }, snapshot)];
  }

  /** What a commit must hold to release the pin: nothing when it is gone already. */
  releasing(pinId: PinId): readonly Change[] {
    const pin = this.#catalog.get(pins, pinId);
    return pin === undefined ? [] : [remove(pins, pin)];
  }

  async release(pinId: PinId): Promise<void> {
    await this.#removeAll([pinId]);
  }

  /** Forgets pins whose time is over. */
  async expire(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const over = [...this.#catalog.all(pins)].filter((pin) => !isActive(pin, nowMs));
    await this.#removeAll(over.map(({ pinId }) => pinId));
  }

  /** Forgets every pin of a snapshot that is being deleted. */
  async removeAllOf(snapshotId: SnapshotId): Promise<void> {
    await this.#removeAll(this.of(snapshotId).map(({ pinId }) => pinId));
  }

  async #removeAll(pinIds: readonly PinId[]): Promise<void> {
    await commitEach(this.#catalog, pinIds, (pinId) => this.releasing(pinId)[0]);
  }

  #freshId(): PinId {
    for (;;) {
      const pinId = this.#random.positiveInt64() as PinId;
      if (this.#catalog.get(pins, pinId) === undefined) return pinId;
    }
  }
}
