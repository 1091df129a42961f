/**
 * Runs tests with one mutant switched on, for main.ts. A mutant that takes part when a module is loaded is switched on before any is:
 * then the process serves that one only.
 */
import { clearInterval, setImmediate, setInterval } from 'node:timers';
import { systemUptimeMs } from '../../src/support/system-clock.ts';
import { collect, collected } from './collect.ts';

/** What instrumented code reads and writes. */
interface Switches {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: Coverage;
}

type Hits = Readonly<Record<string, number>>;
/** How often the code of each mutant was run. `static`: when modules were loaded. */
export interface Coverage {
  readonly static: Hits;
  readonly perTest: Readonly<Record<string, Hits>>;
}

export interface PlannedTest {
  readonly id: string;
  /** Processor time of the unchanged code: other processes do not count. */
  readonly durationMs: number;
  readonly hits: number;
}

export type Request =
  | { readonly kind: 'dry' }
  | { readonly kind: 'mutant'; readonly mutant: string; readonly tests: readonly PlannedTest[] };

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'at'; readonly limitMs: number }
  | {
      readonly kind: 'dry';
      readonly durations: Readonly<Record<string, number>>;
      readonly failures: readonly string[];
      readonly coverage: Coverage;
    }
  | { readonly kind: 'done'; readonly end: End };

export interface End {
  /** `dirty`: what an earlier mutant left in this process decided; ask another one. */
  readonly status: 'killed' | 'survived' | 'timeout' | 'dirty';
  readonly by?: string;
}

const HITS_FACTOR = 100;
const MIN_HITS = 5000;
/** Of processor time. */
const MIN_LIMIT_MS = 2000;
const SLOWER = 15;
/** Of a test that neither ends nor works. */
const MAX_SILENCE_MS = 60_000;
const LOOK_MS = 500;

const [active = '', ...files] = process.argv.slice(2);
const switches: Switches = active === '' ? {} : { activeMutant: active };
Object.assign(globalThis, { __stryker__: switches });

let stray: Error | undefined;
let whenIdle: (() => void) | undefined;
const onStray = (error: unknown) => {
  stray ??= error instanceof Error ? error : new Error(String(error));
};
process.on('uncaughtException', onStray);
process.on('unhandledRejection', onStray);
process.on('warning', onStray);
process.on('disconnect', () => process.exit());
process.on('beforeExit', () => whenIdle?.());

const send = (answer: Answer) => process.send?.(answer);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

class TimedOut extends Error {}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Undefined: it passed. A test that waits while nothing is left to happen has failed at once. */
async function failureOf(id: string, limitMs: number): Promise<Error | undefined> {
  const test = collected().get(id);
  if (test === undefined) throw new Error(`no test '${id}'`);
  stray = undefined;
  switches.currentTestId = id;
  const [cpuSinceMs, sinceMs] = [cpuMs(), systemUptimeMs()];
  let timer: ReturnType<typeof setInterval> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        const isOver = cpuMs() - cpuSinceMs > limitMs || systemUptimeMs() - sinceMs > MAX_SILENCE_MS;
        if (isOver) reject(new TimedOut(`nothing after ${limitMs} ms`));
      };
      timer = setInterval(look, LOOK_MS).unref();
      whenIdle = () => reject(new Error('it waits for what never comes'));
      process.channel?.unref();
      test.run().then(resolve, reject);
    });
    await turn();
    await turn();
    return stray;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    process.channel?.ref();
    clearInterval(timer);
    whenIdle = undefined;
    switches.currentTestId = undefined;
  }
}

async function runDry(): Promise<void> {
  const durations: Record<string, number> = {};
  const failures: string[] = [];
  for (const id of collected().keys()) {
    const sinceMs = cpuMs();
    const failure = await failureOf(id, 120_000);
    durations[id] = cpuMs() - sinceMs;
    if (failure !== undefined) failures.push(`${id}: ${failure.message}`);
  }
  send({
    kind: 'dry',
    durations,
    failures,
    coverage: switches.mutantCoverage ?? { static: {}, perTest: {} },
  });
}

async function endOf(mutant: string, tests: readonly PlannedTest[]): Promise<End> {
  for (const { id, durationMs, hits } of tests) {
    const limitMs = MIN_LIMIT_MS + SLOWER * durationMs;
    send({ kind: 'at', limitMs });
    switches.activeMutant = mutant;
    switches.hitCount = 0;
    switches.hitLimit = Math.max(MIN_HITS, HITS_FACTOR * hits);
    const failure = await failureOf(id, limitMs);
    const isEndless = switches.hitCount > switches.hitLimit;
    switches.hitCount = undefined;
    if (failure === undefined && !isEndless) continue;
    if (isEndless || failure instanceof TimedOut) return { status: 'timeout', by: id };
    if (active !== '') return { status: 'killed', by: id };
    switches.activeMutant = undefined;
    send({ kind: 'at', limitMs });
    // The same test without the mutant tells whether the mutant did it.
    return { status: (await failureOf(id, limitMs)) === undefined ? 'killed' : 'dirty', by: id };
  }
  switches.activeMutant = active === '' ? undefined : active;
  return { status: 'survived' };
}

process.on('message', (request: Request) => {
  const work =
    request.kind === 'dry'
      ? runDry()
      : endOf(request.mutant, request.tests).then((end) => void send({ kind: 'done', end }));
  work.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});

for (const file of files) {
  try {
    await collect(file, () => import(`../../${file}`));
  } catch (error) {
    // A mutant that keeps modules from being loaded is seen by whoever loads them.
    if (active === '') throw error;
    send({ kind: 'done', end: { status: 'killed', by: file } });
  }
}
send({ kind: 'ready' });
