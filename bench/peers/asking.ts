/** Questions from several clients at once: how many a second, how right; and the cheapest setting that is right enough. */
import { median, quantile } from '../report.ts';
import type { Knob } from './system.ts';

/** The recall that a setting must reach to count. */
const WANTED = 0.95;

type Search = (query: number, knob: Knob, lane: number) => Promise<readonly number[]>;

export interface Rate {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly recall: number;
}

export interface Measured {
  readonly knob: string;
  readonly recall: number;
  /** One client. */
  readonly single: Rate;
  /** Several at the same time. */
  readonly many: Rate;
}

interface Asking {
  readonly search: Search;
  /** Of each query. More ids than wanted when several are equally right. */
  readonly answers: readonly (readonly number[])[];
  readonly knob: Knob;
  readonly lanes: number;
  readonly rounds: number;
  readonly roundMs: number;
}

const K = 10;

/** Each round asks every query once, or as many as it has time for. Recall is of all that were asked. */
export async function ask({ search, answers, knob, lanes, rounds, roundMs }: Asking): Promise<Rate> {
  const rates: number[] = [];
  const times: number[] = [];
  let [found, wanted] = [0, 0];
  const right = answers.map((ids) => new Set(ids));
  for (let round = 0; round < rounds; round++) {
    let next = 0;
    const started = performance.now();
    const lane = async (_: unknown, number: number): Promise<void> => {
      while (next < answers.length && performance.now() - started < roundMs) {
        const query = next++;
        const from = performance.now();
        const ids = await search(query, knob, number);
        times.push(performance.now() - from);
        const good = right[query];
        wanted += Math.min(K, good?.size ?? 0);
        found += new Set(ids.filter((id) => good?.has(id))).size;
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    rates.push((next / (performance.now() - started)) * 1000);
  }
  return {
    perSecond: median(rates),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    recall: wanted === 0 ? 1 : found / wanted,
  };
}

/** Asks for a while and looks at nothing. */
export async function warm(
  search: (query: number, lane: number) => Promise<unknown>,
  queries: number,
  forMs: number,
): Promise<void> {
  const started = performance.now();
  for (let i = 0; performance.now() - started < forMs; i += 4)
    await Promise.all([0, 1, 2, 3].map((lane) => search((i + lane) % queries, lane)));
}

interface Tuned {
  readonly ladder: readonly Knob[];
  readonly at: number;
  readonly rate: Rate;
}

/** The first step of a ladder that reaches the recall; undefined when it is given up because it is already much slower than `best`. */
async function climb(
  ladder: readonly Knob[],
  best: Tuned | undefined,
  rateOf: (knob: Knob) => Promise<Rate>,
): Promise<Tuned | undefined> {
  for (const [at, knob] of ladder.entries()) {
    const rate = await rateOf(knob);
    if (rate.recall >= WANTED) return { ladder, at, rate };
    if (best !== undefined && rate.perSecond < 0.7 * best.rate.perSecond) return undefined;
  }
  return undefined;
}

/**
 * Finds the fastest setting on a part of the queries, then measures all of them with it; goes on upwards where all of them need more.
 * A system that reaches the recall with no setting is measured with its most thorough one: the table shows what it reached.
 */
export async function measured({
  tune,
  ladders,
  lanes,
  ...asking
}: Omit<Asking, 'knob'> & {
  /** Queries for the choice of a setting. */
  readonly tune: number;
  readonly ladders: readonly (readonly Knob[])[];
}): Promise<Measured> {
  const sample = asking.answers.slice(0, tune);
  let best: Tuned | undefined;
  for (const ladder of ladders) {
    const rateOf = (knob: Knob) => ask({ ...asking, answers: sample, knob, lanes: 1, rounds: 1 });
    const tuned = await climb(ladder, best, rateOf);
    if (tuned && (best === undefined || tuned.rate.perSecond > best.rate.perSecond)) best = tuned;
  }
  const ladder = best?.ladder ?? ladders.at(-1) ?? [];
  for (let at = best?.at ?? ladder.length - 1; ; at++) {
    const knob = ladder[at] ?? {};
    const single = await ask({ ...asking, knob, lanes: 1 });
    if (single.recall < WANTED && at + 1 < ladder.length) continue;
    const many = await ask({ ...asking, knob, lanes });
    const text = Object.entries(knob).map(([name, value]) => `${name} ${value}`);
    return { knob: text.join(', '), recall: single.recall, single, many };
  }
}
