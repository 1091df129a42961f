import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';

/** A process whose clock is behind is still far from the beginning of time. */
export const START_MS = 100_000_000;

const NEVER = new AbortController().signal;

/** A signal that is never aborted. One for all: a clock that knows it adds no listener. */
export const never = (): AbortSignal => NEVER;

/** Who reads the clock has stored what it said by then. */
const STORED_WITHIN_MS = 2000;

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** The clock of one process. */
export interface LifeClock extends Clock {
  /** None of its sleepers wakes any more. */
  end(): void;
}

/**
 * Virtual time: it moves only when nothing else can run. Ties are broken by the seed. What it shows itself is the true time; a process
 * sees a wall clock of its own, which may be set wrong, and a count of milliseconds that no other process can compare with its own.
 */
export class SimClock implements Clock {
  #nowMs = START_MS;
  #jumpedMs = 0;
  #jump = { fromMs: START_MS, toMs: 0 };
  readonly #sleepers = new Set<Sleeper>();
  readonly #random: Random;
  #wakes = 0;
  #ambush: { readonly atWake: number; readonly turns: number; readonly strike: () => void } | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return this.#sleep(ms, signal, () => true);
  }

  /** `skewMs`: how wrong its wall clock is now. */
  life(skewMs: () => number = () => 0): LifeClock {
    let isOver = false;
    const bornMs = this.#nowMs - this.#random.below(100_000);
    return {
      nowMs: () => this.#nowMs + skewMs(),
      monotonicMs: () => this.#nowMs - bornMs,
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
          if (signal !== NEVER) signal.removeEventListener('abort', onAbort);
          if (isAlive()) resolve();
        },
      };
      this.#sleepers.add(sleeper);
      if (signal !== NEVER) signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The earliest moment that a record may bear which is stored now: it was read a little earlier, perhaps before time jumped. */
  stampMs(): number {
    const { fromMs, toMs } = this.#jump;
    return this.#nowMs - toMs < STORED_WITHIN_MS ? Math.min(fromMs, this.#nowMs) : this.#nowMs;
  }

  /** Time goes on at once, as when the machine slept: what is due meanwhile is late. */
  jump(ms: number): void {
    this.#jump = { fromMs: this.stampMs(), toMs: this.#nowMs + ms };
    this.#nowMs += ms;
    this.#jumpedMs += ms;
  }

  /**
   * After so many wake-ups from now, and so many turns of what the last of them has set off, `strike` runs: between any two awaits. One
   * ambush at a time.
   */
  ambush(wakes: number, turns: number, strike: () => void): void {
    this.#ambush = { atWake: this.#wakes + Math.max(1, wakes), turns, strike };
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
    this.#wakes++;
    const ambush = this.#ambush;
    if (ambush?.atWake === this.#wakes) {
      this.#ambush = undefined;
      void afterTurns(ambush.turns).then(ambush.strike);
    }
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

/** Lets so many rounds of promises resolve. */
async function afterTurns(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await undefined;
}

/** Lets every promise that can resolve without time do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((done) => setImmediate(done));
}
