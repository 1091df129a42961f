/** How long something took, counted in buckets: all of it since the start, at a fixed size. */
export interface HistogramCounts {
  /** Upper bounds, ms, ascending. */
  readonly boundsMs: readonly number[];
  /** One more than bounds: how many fell into each, the last one above every bound. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

const BOUNDS_MS = [
  1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000,
  86_400_000,
];

export class Histogram {
  readonly #counts = new Array<number>(BOUNDS_MS.length + 1).fill(0);
  #sumMs = 0;

  /** Negative times, of a wall clock that was set back, count as none. */
  observe(ms: number): void {
    const took = Math.max(0, ms);
    const at = BOUNDS_MS.findIndex((bound) => took <= bound);
    const bucket = at < 0 ? BOUNDS_MS.length : at;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sumMs += took;
  }

  get state(): HistogramCounts {
    return { boundsMs: BOUNDS_MS, counts: [...this.#counts], sumMs: this.#sumMs };
  }
}
