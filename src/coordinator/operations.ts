import { DbError } from '../errors/db-error.ts';

/** Calls under way, so that a shutdown can refuse new ones and wait for those that run. */
export class Operations {
  #running = 0;
  #isClosed = false;
  readonly #idle: (() => void)[] = [];

  /** Throws `service-unavailable` after `refuse`. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the coordinator is stopping');
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
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
}
