import type { Clock } from '../../src/support/clock.ts';

/** Time that a test moves by hand. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs;
    this.#startMs = nowMs;
  }

  /** How wrong the wall clock is. */
  skewMs = 0;

  nowMs(): number {
    return this.#nowMs + this.skewMs;
  }

  /** From 0 on, as that of a process that has just begun. */
  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason as Error);
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Moves time on, waking every sleeper at its moment and letting what it causes settle. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#sleepers].filter((s) => s.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#sleepers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }

  /** Moves time on at once, as when the machine slept: every sleeper that is due wakes now, once. */
  async jump(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.atMs > this.#nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await settle();
  }
}

/** Lets everything that can run without time passing run. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((done) => setImmediate(done));
}

/** Lets things run until `isDone`, at most a few thousand turns. */
export async function until(isDone: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 5000; i++) {
    if (isDone()) return;
    await new Promise<void>((done) => setImmediate(done));
  }
  throw new Error(`still not: ${what}`);
}
