import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Virtual time: it moves only when nothing else can run. Ties are broken by the seed. */
export class SimClock implements Clock {
  #nowMs = 1_000_000;
  readonly #sleepers = new Set<Sleeper>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason as Error);
      };
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Wakes one earliest sleeper and lets everything it causes settle. False when nobody sleeps. */
  async step(): Promise<boolean> {
    const earliest = Math.min(...[...this.#sleepers].map((s) => s.atMs));
    const due = [...this.#sleepers].filter((s) => s.atMs === earliest);
    const chosen = due[this.#random.below(due.length || 1)];
    if (chosen === undefined) return false;
    this.#sleepers.delete(chosen);
    this.#nowMs = chosen.atMs;
    chosen.wake();
    await settle();
    return true;
  }

  /** Steps until `work` is done; throws when it is still open after `withinMs` of virtual time. */
  async finish<T>(work: Promise<T>, withinMs: number, what: string): Promise<T> {
    let done = false;
    const watched = work.finally(() => {
      done = true;
    });
    watched.catch(() => undefined);
    const deadline = this.#nowMs + withinMs;
    for (let idle = 0; !done; ) {
      await settle();
      if (done) break;
      if (this.#nowMs > deadline)
        throw new Error(`${what} did not end within ${withinMs} ms of virtual time`);
      idle = (await this.step()) ? 0 : idle + 1;
      if (idle > 100) throw new Error(`${what} did not end and nothing is left to happen`);
    }
    return watched;
  }
}

/** Lets every promise that can resolve without time do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((done) => setImmediate(done));
}
