/**
 * A verification's hold on its snapshot. Its time to live is short and put off as the verification goes on, so that one that was
 * forgotten, or whose process died, does not keep the snapshot for ever.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import type { PinId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { SnapshotLookup } from './lookup.ts';
import type { Pins } from './pins.ts';
import { pins, type SnapshotRecord } from './record.ts';

const TTL_MS = 60_000;
/** With less than this left its end is put off. */
const RENEW_BELOW_MS = 40_000;

export interface VerifyPinParts {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly pins: Pins;
  readonly lookup: SnapshotLookup;
}

export class VerifyPin {
  readonly #parts: VerifyPinParts;
  readonly #snapshot: SnapshotRecord;
  #pinId: PinId | undefined;

  private constructor(parts: VerifyPinParts, snapshot: SnapshotRecord) {
    this.#parts = parts;
    this.#snapshot = snapshot;
  }

  /** Throws `snapshot-not-found`. */
  static async take(parts: VerifyPinParts, snapshot: SnapshotRecord): Promise<VerifyPin> {
    const pin = new VerifyPin(parts, snapshot);
    await pin.keep();
    return pin;
  }

  /**
   * Resolves when the snapshot is there, and so was until now: nothing that was found missing was removed with it. Throws
   * `snapshot-not-found` when it was dropped after the pin had run out.
   */
  async keep(): Promise<void> {
    const { catalog, clock, lookup, pins: all } = this.#parts;
    for (;;) {
      const snapshot = lookup.requireStill(this.#snapshot);
      const pin = this.#pinId === undefined ? undefined : catalog.get(pins, this.#pinId);
      if (pin === undefined) {
        const { pinId, changes } = all.pinning(snapshot, { kind: 'verify' }, TTL_MS);
        if ((await catalog.commit(changes)) === 'stale') continue;
        this.#pinId = pinId;
        return;
      }
      const leftMs = (pin.expiresAtMs ?? 0) - clock.nowMs();
      if (leftMs >= RENEW_BELOW_MS) return;
      if ((await catalog.commit(all.extending(snapshot, pin, TTL_MS))) === 'committed') return;
    }
  }

  async release(): Promise<void> {
    if (this.#pinId !== undefined) await this.#parts.pins.release(this.#pinId);
  }
}
