/** What the command line of `npm run sim` says. */
import { parseArgs } from 'node:util';
import { DEFAULT_STEPS } from './run.ts';
import type { Mode } from './shape.ts';

export const HELP = `npm run sim -- [flags]

The whole system in one process on virtual time, under seeds: clients write, read, snapshot and restore while storage, the catalog, the log,
messages, processes and clocks fail. Every seed is checked; the same seed gives the same history, byte for byte.

  --seed N        one seed
  --seeds N       so many seeds (100, unless --seed or --minutes is given)
  --from N        the first of them (1)
  --minutes N     until so many minutes are over; with --seeds: whichever comes first
  --mode MODE     safety: faults go on until every job has ended; liveness: they stop, and every job has to end within a bound
                  (without it the seed says; every seed ends with checks without faults)
  --steps N       how much clients do, all together, about (${DEFAULT_STEPS})
  --workers N     processes side by side (1)
  --plant NAME    plants a bug, or several with commas between, and ends well when the check that is meant catches it within --seeds (300)
  --plants        every planted bug, the check that catches it, and the checks that none turns red
  --trace         prints the whole history of each seed
  --verbose       adds the product's own log to it
  --json          prints the result as JSON
  --help          this

A seed that fails prints why, the end of its history, and the command that replays it; the exit status is then 1. Ctrl-C prints what is known so
far (exit status 130).`;

export interface SimArguments {
  readonly from: number;
  /** Infinity: until the time is over. */
  readonly count: number;
  readonly minutes: number;
  readonly steps: number;
  readonly workers: number;
  readonly mode: Mode | undefined;
  readonly isTraced: boolean;
  readonly isVerbose: boolean;
  readonly isJson: boolean;
  /** Bugs to plant instead; '': all of them. */
  readonly plant: string | undefined;
}

/** What somebody typed is not right. */
export class ArgumentError extends Error {}

const MAX_SEED = 2 ** 32 - 1;
const MAX_WORKERS = 256;

export function parseArguments(args: readonly string[]): SimArguments | 'help' {
  const values = valuesOf(args);
  if (values.help === true) return 'help';
  const whole = (name: 'seed' | 'seeds' | 'from' | 'steps' | 'workers', least: number, most = MAX_SEED) => {
    const text = values[name];
    if (text === undefined) return undefined;
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new ArgumentError(`--${name} takes a whole number from ${least} to ${most}, not '${text}'`);
  };
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  if (!(minutes > 0))
    throw new ArgumentError(`--minutes takes a number above 0, not '${String(values.minutes)}'`);
  const seed = whole('seed', 0);
  const seeds = whole('seeds', 1);
  const from = whole('from', 0);
  if (seed !== undefined && (seeds ?? from ?? values.minutes) !== undefined)
    throw new ArgumentError('--seed is one seed: it goes with none of --seeds, --from and --minutes');
  const isPlanted = values.plant !== undefined || values.plants === true;
  const unless = values.minutes === undefined ? (isPlanted ? 300 : 100) : Number.POSITIVE_INFINITY;
  return {
    from: seed ?? from ?? 1,
    count: seed === undefined ? (seeds ?? unless) : 1,
    minutes,
    steps: whole('steps', 1, 100_000) ?? DEFAULT_STEPS,
    workers: whole('workers', 1, MAX_WORKERS) ?? 1,
    mode: modeOf(values.mode),
    isTraced: values.trace === true,
    isVerbose: values.verbose === true,
    isJson: values.json === true,
    plant: values.plants === true ? '' : values.plant,
  };
}

function valuesOf(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    seed: text,
    seeds: text,
    from: text,
    minutes: text,
    mode: text,
    steps: text,
    workers: text,
    plant: text,
    plants: flag,
    trace: flag,
    verbose: flag,
    json: flag,
    help: flag,
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function modeOf(text: string | undefined): Mode | undefined {
  if (text === undefined || text === 'safety' || text === 'liveness') return text;
  throw new ArgumentError(`--mode is safety or liveness, not '${text}'`);
}
