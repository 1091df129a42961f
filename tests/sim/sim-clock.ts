import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Virtual time: it moves only when nothing else can run. Ties are broken by the seed. */
export class SimClock implements Clock {
  #nowMs = 1_000_000;
  #jumpedMs = 0;
  readonly #sleepers = new Set<Sleeper>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return this.#sleep(ms, signal, () => true);
  }

  /** The clock of one process: after `end` none of its sleepers wakes any more. */
  life(): Clock & { end(): void } {
    let isOver = false;
    return {
      nowMs: () => this.#nowMs,
      sleep: (ms, signal) => (isOver ? new Promise(() => undefined) : this.#sleep(ms, signal, () => !isOver)),
      end: () => {
        isOver = true;
      },
    };
  }

  #sleep(ms: number, signal: AbortSignal, isAlive: () => boolean): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        if (isAlive()) reject(signal.reason as Error);
      };
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          signal.removeEventListener('abort', onAbort);
          if (isAlive()) resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Time goes on at once, as when the machine slept: what is due meanwhile is late. */
  jump(ms: number): void {
    this.#nowMs += ms;
    this.#jumpedMs += ms;
  }

  /** Wakes one earliest sleeper and lets everything it causes settle. False when nobody sleeps. */
  async step(): Promise<boolean> {
    let due: Sleeper[] = [];
    let earliest = Number.POSITIVE_INFINITY;
    for (const sleeper of this.#sleepers) {
      const atMs = Math.max(sleeper.atMs, this.#nowMs);
      if (atMs < earliest) {
        earliest = atMs;
        due = [sleeper];
      } else if (atMs === earliest) due.push(sleeper);
    }
    const chosen = due[due.length > 1 ? this.#random.below(due.length) : 0];
    if (chosen === undefined) return false;
    this.#sleepers.delete(chosen);
    this.#nowMs = earliest;
    chosen.wake();
    await settle();
    return true;
  }

  /** Steps until `work` is done; throws when it is still open after `withinMs` of virtual time, jumps not counted. */
  async finish<T>(work: Promise<T>, withinMs: number, what: string): Promise<T> {
    let done = false;
    const watched = work.finally(() => {
      done = true;
    });
    watched.catch(() => undefined);
    const deadline = this.#nowMs - this.#jumpedMs + withinMs;
    for (let idle = 0; !done; ) {
      await settle();
      if (done) break;
      if (this.#nowMs - this.#jumpedMs > deadline)
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
