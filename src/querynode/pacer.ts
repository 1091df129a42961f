/**
 * Keeps the event loop free: long work counts what it does and lets other work run after every slice. One unit is about ten
 * nanoseconds, so that a slice is some milliseconds.
 */
const SLICE_UNITS = 250_000;

export class Pacer {
  readonly #signal: AbortSignal;
  readonly #sliceUnits: number;
  #spent = 0;

  constructor(signal: AbortSignal, sliceUnits = SLICE_UNITS) {
    this.#signal = signal;
    this.#sliceUnits = sliceUnits;
  }

  /** Undefined while the slice lasts; otherwise to be awaited before going on. Rejects with the signal's reason. */
  spend(units: number): Promise<void> | undefined {
    this.#spent += units;
    if (this.#spent < this.#sliceUnits) return undefined;
    this.#spent = 0;
    return this.#pause();
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#signal.throwIfAborted();
  }
}
