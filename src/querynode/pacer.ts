/**
 * Keeps the event loop free. Long work counts what it does; what all work together may do in one turn of the loop is bounded, and
 * who goes beyond it waits, first come, first served. One unit is about ten nanoseconds.
 */
import { present } from '../support/assert.ts';

export interface SliceLimits {
  /** Units that all work together may do in one turn of the event loop. */
  readonly turnUnits: number;
  /** Key lookups of a delete that are done at once; more are done in slices, and readers wait for the end. */
  readonly lookupsAtOnce: number;
  /** Bytes of rows that are taken over at once, and in one slice. */
  readonly insertBytes: number;
  /** Rows taken over in one slice. */
  readonly insertRows: number;
  /** Keys of deletes looked up in one slice. */
  readonly deleteKeys: number;
  /** Rows of a loaded segment made ready in one slice. */
  readonly prepareRows: number;
}

/** About a millisecond each, or much less. */
export const defaultSlices: SliceLimits = {
  // A small search takes three times what it counts.
  turnUnits: 100_000,
  lookupsAtOnce: 20_000,
  insertBytes: 2 ** 20,
  insertRows: 8192,
  deleteKeys: 256,
  prepareRows: 4096,
};

/** The turns of one event loop. Shared by everything that works in slices. */
export class Turns {
  readonly slices: SliceLimits;
  readonly #waiting: { readonly go: () => void; readonly units: number }[] = [];
  #spent = 0;
  #isScheduled = false;

  constructor(slices: Partial<SliceLimits> = {}) {
    this.slices = { ...defaultSlices, ...slices };
  }

  /** Undefined while the turn has room; otherwise resolves in a later turn. */
  spend(units: number): Promise<void> | undefined {
    this.#spent += units;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.#next());
    }
    if (this.#spent < this.slices.turnUnits) return undefined;
    return new Promise((go) => {
      this.#waiting.push({ go, units });
    });
  }

  /** The first goes on, and those after it that are likely to fit into the turn too: as much as they did before they had to wait. */
  #next(): void {
    this.#spent = 0;
    this.#isScheduled = this.#waiting.length > 0;
    if (!this.#isScheduled) return;
    setImmediate(() => this.#next());
    let room = this.slices.turnUnits;
    do {
      const { go, units } = present(this.#waiting.shift(), 'who waits');
      room -= units;
      go();
    } while (room > 0 && (this.#waiting[0]?.units ?? room) < room);
  }
}

/** The turns as one piece of work sees them, which ends when its signal is aborted. */
export class Pacer {
  readonly #turns: Turns;
  readonly #signal: AbortSignal;

  constructor(turns: Turns, signal: AbortSignal) {
    this.#turns = turns;
    this.#signal = signal;
  }

  get slices(): SliceLimits {
    return this.#turns.slices;
  }

  get signal(): AbortSignal {
    return this.#signal;
  }

  /** Undefined: go on. Otherwise to be awaited first; rejects with the signal's reason. */
  spend(units: number): Promise<void> | undefined {
    return this.#turns.spend(units)?.then(() => this.#signal.throwIfAborted());
  }
}
