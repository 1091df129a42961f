/** Seeds here, or in processes side by side. */
import { type ChildProcess, fork } from 'node:child_process';
import { clearTimeout, setTimeout } from 'node:timers';
import { report, runSeed } from './run.ts';
import type { Mode } from './shape.ts';
import { digestOf, type SeedResult } from './summary.ts';

export interface SeedOptions {
  readonly steps: number;
  readonly mode: Mode | undefined;
  readonly isTraced: boolean;
  readonly isVerbose: boolean;
}

/** What a worker process is told. */
export interface SeedOrder {
  readonly seed: number;
  readonly options: SeedOptions;
}

export async function resultOf({ seed, options }: SeedOrder): Promise<SeedResult> {
  const { steps, mode, isTraced, isVerbose } = options;
  const chosen = { steps, ...(mode === undefined ? {} : { mode }) };
  const run = await runSeed(seed, { ...chosen, verbose: isVerbose });
  const { trace, faults, done, failure } = run;
  return {
    seed,
    digest: digestOf(trace),
    faults: [...faults],
    done: [...done],
    failure,
    report: failure === undefined ? undefined : report(run, chosen),
    trace: isTraced ? trace : [],
  };
}

/** Runs seeds as they are asked for, as many at once as there are runners. */
export interface SeedRunner {
  run(seed: number): Promise<SeedResult>;
  /** What runs is given up. */
  stop(): void;
}

export const inThisProcess = (options: SeedOptions): SeedRunner => ({
  run: (seed) => resultOf({ seed, options }),
  stop: () => undefined,
});

/** Real time for one seed; most take a third of a second. One that takes this long never leaves the event loop, or for nothing that ends. */
const WITHIN_MS = 120_000;

export function inAnotherProcess(options: SeedOptions): SeedRunner {
  const begin = (): ChildProcess =>
    fork(new URL('./seed-worker.js', import.meta.url), { execArgv: ['--enable-source-maps'] });
  let child = begin();
  let isStopped = false;
  return {
    run: (seed) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          clearTimeout(timer);
          child.off('message', onMessage);
          child.off('exit', onExit);
        };
        const onMessage = (result: SeedResult): void => {
          settle();
          resolve(result);
        };
        const onExit = (code: number | null, signal: string | null): void => {
          settle();
          if (!isStopped)
            reject(new Error(`the process of seed ${seed} ended with ${signal ?? `status ${code}`}`));
        };
        const timer = setTimeout(() => {
          settle();
          child.kill('SIGKILL');
          child = begin();
          resolve(stuck(seed));
        }, WITHIN_MS);
        child.on('message', onMessage);
        child.on('exit', onExit);
        child.send({ seed, options } satisfies SeedOrder);
      }),
    stop: () => {
      isStopped = true;
      child.kill('SIGKILL');
    },
  };
}

function stuck(seed: number): SeedResult {
  const message = `did not end within ${WITHIN_MS / 1000} s of real time`;
  return {
    seed,
    digest: 'stuck',
    faults: [],
    done: [],
    failure: { property: 'ends', message, check: '' },
    report: `seed ${seed}: ${message}\nagain: npm run sim -- --seed ${seed} --verbose`,
    trace: [],
  };
}
