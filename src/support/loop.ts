import type { Clock } from './clock.ts';
import type { Signal } from './signal.ts';

const AFTER_FAILURE_MS = 100;

export interface LoopOptions {
  /** One bounded, repeatable turn. Writes nothing when nothing changed. */
  readonly pass: () => Promise<void>;
  readonly wake: Signal;
  /** Safety net: a pass runs at least this often even if nobody wakes the loop. A function is asked after each pass. */
  readonly fallbackMs: number | (() => number);
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The only place of the loop where an error is read and the loop goes on. */
  readonly onError: (error: unknown) => void;
}

/**
 * The only background loop: a pass now, then one after each wake-up or `fallbackMs`. Resolves when `signal` aborts
 * and the running pass has ended. A failing pass is reported and tried again after the fallback or a wake-up, and not before `AFTER_FAILURE_MS`:
 * one that fails before it has waited for anything, and has woken the loop, would leave nobody else a turn.
 */
export async function runLoop(options: LoopOptions): Promise<void> {
  const { pass, wake, fallbackMs, clock, signal, onError } = options;
  const fallback = new Fallback(options);
  while (!signal.aborted) {
    try {
      await pass();
    } catch (error) {
      if (signal.aborted) break;
      onError(error);
      await clock.sleep(AFTER_FAILURE_MS, signal).catch(() => undefined);
    }
    // Woken during the pass: there is nothing to wait for.
    if (wake.take()) continue;
    fallback.wakeIn(typeof fallbackMs === 'number' ? fallbackMs : fallbackMs());
    await wake.wait(signal);
    fallback.isWanted = false;
  }
  await fallback.stop();
}

/** Without a stack: one is made for every wait. */
const OVER = 'the wait is over';

/**
 * One timer for all waits of a loop. A busy loop waits thousands of times a second, each time for longer than the wait will last: the
 * timer that runs already serves, and when it ends too early for the wait of that moment it begins again for what is left.
 */
class Fallback {
  readonly #clock: Clock;
  readonly #wake: Signal;
  #timer:
    | { readonly endsAtMs: number; readonly stop: AbortController; readonly ended: Promise<void> }
    | undefined;
  #dueMs = 0;
  /** Whether the loop waits. */
  isWanted = false;

  constructor({ clock, wake }: LoopOptions) {
    this.#clock = clock;
    this.#wake = wake;
  }

  wakeIn(ms: number): void {
    this.isWanted = true;
    this.#dueMs = this.#clock.monotonicMs() + ms;
    if (this.#timer !== undefined && this.#timer.endsAtMs <= this.#dueMs) return;
    this.#timer?.stop.abort(OVER);
    this.#start(ms);
  }

  /** Resolves when no timer is left. */
  async stop(): Promise<void> {
    this.isWanted = false;
    this.#timer?.stop.abort(OVER);
    await this.#timer?.ended;
  }

  #start(ms: number): void {
    const stop = new AbortController();
    const ended = this.#clock.sleep(ms, stop.signal).then(
      () => {
        if (this.#timer?.stop === stop) this.#end(this.#timer.endsAtMs);
      },
      () => undefined,
    );
    this.#timer = { endsAtMs: this.#clock.monotonicMs() + ms, stop, ended };
  }

  #end(endedAtMs: number): void {
    this.#timer = undefined;
    if (!this.isWanted) return;
    // The wait of this moment has begun after the timer did.
    if (endedAtMs < this.#dueMs) this.#start(Math.max(0, this.#dueMs - this.#clock.monotonicMs()));
    else this.#wake.set();
  }
}
