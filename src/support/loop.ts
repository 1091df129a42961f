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
  while (!signal.aborted) {
    try {
      await pass();
    } catch (error) {
      if (signal.aborted) return;
      onError(error);
      await clock.sleep(AFTER_FAILURE_MS, signal).catch(() => undefined);
    }
    // Woken during the pass: no timer is made. A busy loop would make thousands.
    if (!wake.take())
      await waitFor(wake, typeof fallbackMs === 'number' ? fallbackMs : fallbackMs(), options);
  }
}

/** Without a stack: one is made for every wait. */
const OVER = 'the wait is over';

async function waitFor(wake: Signal, ms: number, { clock, signal }: LoopOptions): Promise<void> {
  // Ends with `signal`, too, because the wait does. AbortSignal.any would cost a busy loop more than its passes.
  const tick = new AbortController();
  const timer = clock.sleep(ms, tick.signal).then(
    () => wake.set(),
    () => undefined,
  );
  await wake.wait(signal);
  tick.abort(OVER);
  await timer;
}
