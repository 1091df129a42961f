/** How fast bytes come, over the last seconds. Memory is bounded: a sample every half second at most. */
const WINDOW_MS = 10_000;
const SAMPLE_MS = 500;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

export class MovingRate {
  readonly #samples: Sample[] = [];

  /** `bytes`: the total so far. A total that fell (an attempt began anew) begins a new measurement. */
  note(nowMs: number, bytes: number): void {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last !== undefined && (bytes < last.bytes || nowMs < last.atMs)) samples.length = 0;
    else if (last !== undefined && nowMs - last.atMs < SAMPLE_MS) return;
    samples.push({ atMs: nowMs, bytes });
    while ((samples[1]?.atMs ?? nowMs) < nowMs - WINDOW_MS) samples.shift();
  }

  /** Undefined until there are two moments to compare. */
  bytesPerSecond(nowMs: number, bytes: number): number | undefined {
    const first = this.#samples.find(({ atMs }) => atMs >= nowMs - WINDOW_MS) ?? this.#samples.at(-1);
    if (first === undefined || nowMs - first.atMs < SAMPLE_MS) return undefined;
    return Math.max(0, Math.round(((bytes - first.bytes) * 1000) / (nowMs - first.atMs)));
  }
}
