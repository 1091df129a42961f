/** How this thread's event loop is blocked, looked at every millisecond. */
const LOOK_EVERY_MS = 1;
const LONG_MS = 10;

export class LoopGauge {
  #longestMs = 0;
  #long = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#look(), LOOK_EVERY_MS);

  stop(): { readonly longestMs: number; readonly long: number } {
    this.#look();
    clearInterval(this.#timer);
    return { longestMs: this.#longestMs, long: this.#long };
  }

  #look(): void {
    const nowMs = performance.now();
    const blockMs = nowMs - this.#lastMs - LOOK_EVERY_MS;
    this.#lastMs = nowMs;
    this.#longestMs = Math.max(this.#longestMs, blockMs);
    if (blockMs > LONG_MS) this.#long++;
  }
}
