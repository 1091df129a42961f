/** What many seeds came to. */
import { createHash } from 'node:crypto';
import { type FaultKind, faultKinds } from './fault-kinds.ts';
import type { Run } from './run.ts';

/** Of a whole history. */
export const digestOf = (trace: readonly string[]): string =>
  createHash('sha256').update(trace.join('\n')).digest('hex').slice(0, 16);

/** One seed, as it goes from process to process. */
export interface SeedResult {
  readonly seed: number;
  readonly digest: string;
  readonly faults: readonly (readonly [string, number])[];
  readonly done: readonly (readonly [string, number])[];
  readonly failure: Run['failure'];
  /** For the eyes, of a seed that failed. */
  readonly report: string | undefined;
  /** When it was asked for. */
  readonly trace: readonly string[];
}

export class Summary {
  readonly #faults = new Map<string, number>(Object.keys(faultKinds).map((kind) => [kind, 0]));
  readonly #done = new Map<string, number>();
  readonly #failed: SeedResult[] = [];
  readonly #digests = new Map<number, string>();

  add(result: SeedResult): void {
    for (const [kind, n] of result.faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + n);
    for (const [step, n] of result.done) this.#done.set(step, (this.#done.get(step) ?? 0) + n);
    if (result.failure !== undefined) this.#failed.push(result);
    this.#digests.set(result.seed, result.digest);
  }

  get seeds(): number {
    return this.#digests.size;
  }

  get failures(): number {
    return this.#failed.length;
  }

  /** Kinds of faults that did not happen. */
  get missing(): readonly FaultKind[] {
    return (Object.keys(faultKinds) as FaultKind[]).filter((kind) => (this.#faults.get(kind) ?? 0) === 0);
  }

  /** Of all histories: the same seeds, the same digest, in whatever order they ended. */
  get digest(): string {
    const all = [...this.#digests].sort(([a], [b]) => a - b);
    return digestOf(all.map(([seed, digest]) => `${seed} ${digest}`));
  }

  text(tookMs: number, workers: number): string {
    const failed = this.#failed.map(({ seed }) => seed).sort((a, b) => a - b);
    return [
      `${this.seeds} seeds in ${(tookMs / 1000).toFixed(1)} s, ${workers} at once: ${failed.length} failed; histories ${this.digest}`,
      `steps: ${counts(this.#done)}`,
      `faults: ${counts(this.#faults)}`,
      ...(failed.length > 0 ? [`failed seeds: ${failed.join(' ')}`] : []),
    ].join('\n');
  }

  json(tookMs: number, workers: number, isWhole: boolean): string {
    const failed = this.#failed
      .map(({ seed, failure }) => ({ seed, ...failure }))
      .sort((a, b) => a.seed - b.seed);
    const what = {
      seeds: this.seeds,
      isWhole,
      seconds: Math.round(tookMs / 100) / 10,
      workers,
      failed,
      histories: this.digest,
      steps: Object.fromEntries([...this.#done].sort(byName)),
      faults: Object.fromEntries([...this.#faults].sort(byName)),
    };
    return JSON.stringify(what, undefined, 2);
  }
}

const byName = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : 1);

const counts = (of: ReadonlyMap<string, number>): string =>
  [...of]
    .sort(byName)
    .map(([kind, n]) => `${kind} ${n}`)
    .join(', ');
