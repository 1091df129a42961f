/**
 * How fast a data node writes bytes again, over all its tasks. Every window takes its place in time behind the one before; a node that was
 * idle may be ahead of that by a tenth of a second. So any second sees at most the limit, that tenth, and one window more: under 20 %.
 */
import type { CopyPace } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';

const AHEAD_MS = 100;
const SECOND_MS = 1000;
const MIN_WINDOW_BYTES = 64 * 2 ** 10;
const MAX_WINDOW_BYTES = 2 ** 20;

export class Bandwidth {
  readonly windowBytes: number;
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  /** When the next window may be moved if nobody had been idle, ms. */
  #nextMs = 0;
  #waitingBytes = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / SECOND_MS;
    this.#clock = clock;
    this.windowBytes = Math.max(
      MIN_WINDOW_BYTES,
      Math.min(MAX_WINDOW_BYTES, Math.floor(bytesPerSecond / 16)),
    );
  }

  /** For copies of one attempt: a wait ends with its signal. */
  paceFor(signal: AbortSignal): CopyPace {
    return { windowBytes: this.windowBytes, take: (bytes) => this.#take(bytes, signal) };
  }

  async #take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const nowMs = this.#clock.monotonicMs();
    // Nobody waits for more than those before it.
    const longestMs = (this.#waitingBytes + this.windowBytes) / this.#bytesPerMs;
    const startMs = Math.min(Math.max(this.#nextMs, nowMs - AHEAD_MS), nowMs + longestMs);
    this.#nextMs = startMs + bytes / this.#bytesPerMs;
    if (startMs <= nowMs) return;
    this.#waitingBytes += bytes;
    try {
      await this.#clock.sleep(Math.ceil(startMs - nowMs), signal);
    } finally {
      this.#waitingBytes -= bytes;
    }
  }
}
