/** What was measured of several systems, beside each other. */
import { median, ms, printTable } from '../report.ts';
import type { Rate } from './asking.ts';
import type { Filtered, Outcome } from './program.ts';

export interface Result {
  readonly system: string;
  readonly outcome: Outcome & { readonly diskMb: number };
}

/** Everything is compared with it: it is in its caller's process, as the peers are. */
export const BASE = 'Tidemark embedded';
/** The same database by `db.collection(name)`. */
export const COLUMNS = 'Tidemark columns';

/** Medians of outcomes that have the same shape, number by number. */
export function middle<T>(outcomes: readonly T[]): T {
  const [first] = outcomes;
  if (typeof first === 'number') return median(outcomes as readonly number[]) as T;
  if (Array.isArray(first))
    return first.map((_, i) => middle(outcomes.map((outcome) => (outcome as unknown[])[i]))) as T;
  if (typeof first !== 'object' || first === null) return first as T;
  const keys = Object.keys(first);
  const of = (key: string) => middle(outcomes.map((outcome) => (outcome as Record<string, unknown>)[key]));
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as T;
}

/** How many times as fast as the base: 2.00 is twice as fast, 0.50 half as fast. */
const times = (value: number, base: number | undefined): string =>
  base === undefined || !Number.isFinite(value / base) ? '' : (value / base).toFixed(2);
const whole = (value: number): string => Math.round(value).toLocaleString('en');
const seconds = (value: number): string => (value / 1000).toFixed(value < 10_000 ? 2 : 1);

export function printBuild(
  results: readonly Result[],
  missing: readonly (readonly [string, string])[],
): void {
  const base = results.find(({ system }) => system === BASE)?.outcome;
  const rows = results.map(({ system, outcome }) => {
    const { insertMs, indexMs } = outcome;
    return [
      system,
      whole((outcome.rows / insertMs) * 1000),
      times(1 / insertMs, base && 1 / base.insertMs),
      seconds(indexMs),
      seconds(insertMs + indexMs),
      times(1 / (insertMs + indexMs), base && 1 / (base.insertMs + base.indexMs)),
      whole(outcome.diskMb),
      whole(outcome.buildPeakMb),
      whole(outcome.searchPeakMb),
    ];
  });
  const head = [
    'system',
    'ingest rows/s',
    'speed',
    'then index, s',
    'both, s',
    'speed',
    'on disk MB',
    'peak RSS MB until indexed',
    'while searching',
  ];
  printTable(head, [...rows, ...missing]);
}

const rateHead = [
  'QPS, 1 client',
  'speed',
  'p50 ms',
  'p99 ms',
  'QPS, 8 clients',
  'speed',
  'p50 ms',
  'p99 ms',
];
const rateCells = (rate: Rate, base: Rate | undefined): string[] => [
  whole(rate.perSecond),
  times(rate.perSecond, base?.perSecond),
  ms(rate.p50),
  ms(rate.p99),
];

export function printSearch(results: readonly Result[]): void {
  const base = results.find(({ system }) => system === BASE)?.outcome.search[0];
  const rows = results.flatMap(({ system, outcome }) =>
    outcome.search.map(({ knob, recall, single, many }) => [
      system,
      knob,
      recall.toFixed(4),
      ...rateCells(single, base?.single),
      ...rateCells(many, base?.many),
    ]),
  );
  printTable(['system', 'setting', 'recall@10', ...rateHead], rows);
}

/** `kept`: what the first column is; the rows of a value stand together. */
export function printFilters(results: readonly Result[], kept: string, right: string): void {
  const values = results[0]?.outcome.filters.map((one) => one.kept) ?? [];
  const of = (outcome: Outcome, value: string): Filtered | undefined =>
    outcome.filters.find((one) => one.kept === value);
  const rows = values.flatMap((value) => {
    const base = results.find(({ system }) => system === BASE)?.outcome;
    const compared = base && of(base, value);
    return results.flatMap(({ system, outcome }) => {
      const one = of(outcome, value);
      if (one === undefined) return [];
      const cells = [...rateCells(one.single, compared?.single), ...rateCells(one.many, compared?.many)];
      return [[value, system, one.knob, one.recall.toFixed(4), ...cells]];
    });
  });
  printTable([kept, 'system', 'setting', right, ...rateHead], rows);
}
