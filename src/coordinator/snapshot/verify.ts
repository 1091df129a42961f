/**
 * Reads a snapshot's objects and names each one that is not what was written: metadata, manifests, then every object of its segments. A
 * problem never ends it; what a damaged manifest lists cannot be known, everything else is still looked at.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import type { Random } from '../../support/random.ts';
import { Signal } from '../../support/signal.ts';
import type { SnapshotAt, VerifyStep } from '../admin-api.ts';
import type { ObjectChecker } from '../rooms.ts';
import type { KnownDamage } from './damage.ts';
import type { SnapshotLookup } from './lookup.ts';
import type { Pins } from './pins.ts';
import type { SnapshotRecord } from './record.ts';
import { VerifyPin } from './verify-pin.ts';
import { type ProblemStep, VerifyRun } from './verify-run.ts';

export interface SnapshotVerifierParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly checker: ObjectChecker;
  readonly clock: Clock;
  readonly random: Random;
  readonly pins: Pins;
  readonly lookup: SnapshotLookup;
  readonly damage: KnownDamage;
}

/** A progress step is due after this long, or this much read. */
const PROGRESS_MS = 250;
const PROGRESS_BYTES = 64 << 20;

export class SnapshotVerifier {
  readonly #parts: SnapshotVerifierParts;

  constructor(parts: SnapshotVerifierParts) {
    this.#parts = parts;
  }

  /**
   * Reads everything, or of the segments' objects a random part: `fraction` of them, rounded up; the presence and size of the others is
   * looked at. The snapshot cannot be dropped meanwhile. Throws the signal's reason once it aborts; `snapshot-not-found` also when nobody
   * took steps for a minute and the snapshot was dropped then.
   */
  async *verify(at: SnapshotAt, fraction: number, signal: AbortSignal): AsyncGenerator<VerifyStep> {
    if (!(fraction > 0 && fraction <= 1))
      throw new DbError(
        'parameter-invalid',
        `the part to verify must be above 0 and at most 1, not ${fraction}`,
      );
    signal.throwIfAborted();
    const { lookup } = this.#parts;
    const record = lookup.require(at);
    const pin = await VerifyPin.take(this.#parts, record);
    try {
      yield* this.#steps(record, fraction, pin, signal);
    } finally {
      await pin.release();
    }
  }

  async *#steps(
    record: SnapshotRecord,
    fraction: number,
    pin: VerifyPin,
    signal: AbortSignal,
  ): AsyncGenerator<VerifyStep> {
    const { clock } = this.#parts;
    const wake = new Signal();
    const own = new AbortController();
    const stop = AbortSignal.any([signal, own.signal]);
    const run = new VerifyRun({ ...this.#parts, record, fraction, onProblem: () => wake.set() });
    let [shownBytes, shownAtMs] = [0, clock.monotonicMs()];
    run.onBytes = () => {
      if (run.bytes - shownBytes >= PROGRESS_BYTES) wake.set();
    };
    const working = run.work(stop).finally(() => wake.set());
    // Its failure is thrown below, when it has ended.
    working.catch(() => undefined);
    try {
      for (let isOver = false; !isOver; ) {
        await wokenOrTick(wake, clock, stop);
        signal.throwIfAborted();
        isOver = run.isOver;
        await pin.keep();
        yield* run.takeProblems();
        const isDue =
          run.bytes - shownBytes >= PROGRESS_BYTES || clock.monotonicMs() - shownAtMs >= PROGRESS_MS;
        if (!isOver && isDue) {
          [shownBytes, shownAtMs] = [run.bytes, clock.monotonicMs()];
          yield run.progress();
        }
      }
      await working;
      this.#note(record, fraction, run);
      yield run.end();
    } finally {
      own.abort(new DbError('cancelled', 'the verification has ended'));
      run.takeProblems();
      await Promise.allSettled([working]);
    }
  }

  /** Damage that was found is shown with the snapshot from now on; only a verification that could read everything takes it back. */
  #note({ snapshotId }: SnapshotRecord, fraction: number, run: VerifyRun): void {
    const { damage } = this.#parts;
    const damages = run.problemCount - run.unknownCount;
    const words = ({ detail }: ProblemStep) =>
      damages === 1 ? detail : `${detail} (the first of ${damages} problems)`;
    const { description, data } = run.first;
    const isRead = run.unknownCount === 0;
    if (description !== undefined || isRead)
      damage.note(snapshotId, 'description', description && words(description));
    if (data !== undefined) damage.note(snapshotId, 'data', words(data));
    else if (isRead && fraction === 1 && description === undefined)
      damage.note(snapshotId, 'data', undefined);
  }
}

async function wokenOrTick(wake: Signal, clock: Clock, stop: AbortSignal): Promise<void> {
  const tick = new AbortController();
  const timer = clock.sleep(PROGRESS_MS, tick.signal).then(
    () => wake.set(),
    () => undefined,
  );
  await wake.wait(stop);
  tick.abort();
  await timer;
}
