import { DbError } from '../errors/db-error.ts';

/** Calls under way, so that a shutdown can refuse new ones and wait for those that run. */
export class Operations {
  #running = 0;
  #isClosed = false;
  readonly #idle: (() => void)[] = [];

  /** Throws `service-unavailable` after `refuse`. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await work();
    } finally {
      this.#end();
    }
  }

  /** The same for work that answers bit by bit: it runs from the first item asked for until the last, or until nobody asks on. */
  async *each<T>(work: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    this.#begin();
    try {
      yield* work();
    } finally {
      this.#end();
    }
  }

  get isRefusing(): boolean {
    return this.#isClosed;
  }

  refuse(): void {
    this.#isClosed = true;
  }

  /** Resolves when nothing runs any more. */
  drained(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #begin(): void {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the coordinator is stopping');
    this.#running++;
  }

  #end(): void {
    this.#running--;
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
