/**
 * Keeps the event loop free. Long work counts what it does; what all work together may do in one turn of the loop is bounded, and
 * who goes beyond it waits, first come, first served, one a turn. One unit is about ten nanoseconds.
 */
const TURN_UNITS = 250_000;

/** The turns of one event loop. Shared by everything that works in slices. */
export class Turns {
  readonly #unitsPerTurn: number;
  readonly #waiting: (() => void)[] = [];
  #spent = 0;
  #isScheduled = false;

  constructor(unitsPerTurn = TURN_UNITS) {
    this.#unitsPerTurn = unitsPerTurn;
  }

  /** Undefined while the turn has room; otherwise resolves in a later turn. */
  spend(units: number): Promise<void> | undefined {
    this.#spent += units;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.#next());
    }
    if (this.#spent < this.#unitsPerTurn) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #next(): void {
    this.#spent = 0;
    const first = this.#waiting.shift();
    this.#isScheduled = first !== undefined;
    if (first === undefined) return;
    setImmediate(() => this.#next());
    first();
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

  /** Undefined: go on. Otherwise to be awaited first; rejects with the signal's reason. */
  spend(units: number): Promise<void> | undefined {
    return this.#turns.spend(units)?.then(() => this.#signal.throwIfAborted());
  }
}
