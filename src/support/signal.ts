/**
 * A level-triggered wake-up: any number of `set` calls before a `wait` count as one.
 * One waiter at a time.
 */
export class Signal {
  #isSet = false;
  #wake: (() => void) | undefined;

  set(): void {
    this.#isSet = true;
    this.#wake?.();
  }

  /** Whether it was set since the last wait; that counts as a wait. */
  take(): boolean {
    const isSet = this.#isSet;
    this.#isSet = false;
    return isSet;
  }

  /** Resolves when set since the last wait, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#isSet && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = done;
        signal.addEventListener('abort', done, { once: true });
      });
    }
    this.#isSet = false;
  }
}
