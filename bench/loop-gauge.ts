/** How this thread's event loop is blocked, looked at every millisecond; time it waited for a core that others had does not count. */
import { closeSync, openSync, readSync } from 'node:fs';

const LOOK_EVERY_MS = 1;
const LONG_MS = 10;

export class LoopGauge {
  #longestMs = 0;
  #long = 0;
  readonly #file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  readonly #bytes = Buffer.alloc(128);
  #lastMs = performance.now();
  #lastWaitedMs = this.#waitedMs();
  readonly #timer = setInterval(() => this.#look(), LOOK_EVERY_MS);

  stop(): { readonly longestMs: number; readonly long: number } {
    this.#look();
    clearInterval(this.#timer);
    closeSync(this.#file);
    return { longestMs: this.#longestMs, long: this.#long };
  }

  #waitedMs(): number {
    const length = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    return Number(this.#bytes.toString('latin1', 0, length).split(' ')[1]) / 1e6;
  }

  #look(): void {
    const nowMs = performance.now();
    const waitedMs = this.#waitedMs();
    const blockMs = nowMs - this.#lastMs - LOOK_EVERY_MS - (waitedMs - this.#lastWaitedMs);
    this.#lastMs = nowMs;
    this.#lastWaitedMs = waitedMs;
    this.#longestMs = Math.max(this.#longestMs, blockMs);
    if (blockMs > LONG_MS) this.#long++;
  }
}
