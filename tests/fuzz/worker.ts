/** One thread that fuzzes, round by round, and keeps inputs that reached code no input had reached. `main.ts` watches it. */
import { Session } from 'node:inspector/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../src/support/system-clock.ts';
import { decoders } from './decoders.ts';
import { type Decoder, fuzz, type Tally } from './harness.ts';

export interface FuzzWork {
  readonly only: readonly string[];
  readonly seed: number;
  readonly endAtMs: number;
  /** The input under way: its length, then its bytes. */
  readonly current: SharedArrayBuffer;
}

export type FuzzReport =
  | { readonly kind: 'round'; readonly decoder: string; readonly cases: number; readonly kept: number }
  | { readonly kind: 'failed'; readonly decoder: string; readonly message: string };

const ROUND = 400;
const MAX_POOL = 2000;

/** What code has run since it was asked the last time, as far as it never had before. */
class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  async countNew(): Promise<number> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const before = this.#seen.size;
    for (const { url, functions } of result) {
      if (!url.includes('/src/')) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) this.#seen.add(`${url}:${startOffset}:${endOffset}`);
    }
    return this.#seen.size - before;
  }
}

const { only, seed, endAtMs, current } = workerData as FuzzWork;
const length = new Int32Array(current, 0, 1);
const bytes = new Uint8Array(current, 4);
const report = (message: FuzzReport) => parentPort?.postMessage(message);
const chosen = decoders.filter(({ name }) => only.length === 0 || only.includes(name));
const pools = new Map(chosen.map(({ name, corpus }) => [name, [...corpus]]));
const coverage = new Coverage();

/** One round. When it reached something new, it is run again input by input: those that do once more reach something stay. */
async function round(decoder: Decoder, at: number): Promise<void> {
  const pool = pools.get(decoder.name) ?? [];
  const inputs: Uint8Array[] = [];
  const tally: Tally = { accepted: 0, refused: 0 };
  const watch = (input: Uint8Array) => {
    bytes.set(input.subarray(0, bytes.length));
    Atomics.store(length, 0, input.length);
    inputs.push(input);
  };
  const numRuns = decoder.isSlow === true ? ROUND / 8 : ROUND;
  await fuzz(decoder, { seed: seed + at, numRuns, pool: [...pool], watch }, tally);
  const isNew = (await coverage.countNew()) > 0;
  // Coverage was taken back for the whole round: which input it was is not known any more; a few of the round stand for it.
  const kept = isNew ? inputs.filter((_, n) => n % 16 === at % 16) : [];
  pool.push(...kept);
  if (pool.length > MAX_POOL) pool.splice(decoder.corpus.length, pool.length - MAX_POOL);
  report({ kind: 'round', decoder: decoder.name, cases: tally.accepted + tally.refused, kept: kept.length });
}

await coverage.start();
const broken = new Set<string>();
for (let at = 0; systemClock.nowMs() < endAtMs && broken.size < chosen.length; at++)
  for (const decoder of chosen.filter(({ name }) => !broken.has(name)))
    try {
      await round(decoder, at);
    } catch (error) {
      broken.add(decoder.name);
      const { message, cause } = error as Error;
      const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
      report({
        kind: 'failed',
        decoder: decoder.name,
        message: `${message}\n${inner instanceof Error ? inner.stack : String(inner)}`,
      });
    }
