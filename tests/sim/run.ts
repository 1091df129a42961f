/** One seed from start to verdict. */
import type { FaultKind } from './fault-kinds.ts';
import type { Plant } from './plants.ts';
import { type PropertyName, Violation } from './properties.ts';
import type { Mode } from './shape.ts';
import { Workload } from './workload.ts';
import { TRACE_LEGEND, World } from './world.ts';

export interface RunOptions {
  /** Steps of all clients together, about. */
  readonly steps?: number;
  readonly plant?: Plant;
  readonly verbose?: boolean;
  /** Virtual time that jobs are given to end in once faults are gone; `JOBS_WITHIN_MS` unless told. */
  readonly jobsWithinMs?: number;
  /** Absent: the seed says. */
  readonly mode?: Mode;
}

export interface Run {
  readonly seed: number;
  readonly trace: readonly string[];
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly done: ReadonlyMap<string, number>;
  /** `broken`: the system failed an assertion of its own or threw what it must not. */
  readonly failure:
    | {
        readonly property: PropertyName | 'broken';
        readonly message: string;
        /** The check that found it: file and line. */
        readonly check: string;
      }
    | undefined;
}

export const DEFAULT_STEPS = 120;
const MINUTE = 60_000;
/** The bound of liveness: every job and every flush ends within this time once faults have stopped. Virtual time, jumps not counted. */
export const JOBS_WITHIN_MS = 6 * MINUTE;
/** Of clients with faults all the time, and of the last checks without any. */
const WORK_WITHIN_MS = 20 * MINUTE;
/** A job ends under faults, too: what fails too often fails for good. */
const JOBS_UNDER_FAULTS_WITHIN_MS = 120 * MINUTE;
const START_WITHIN_MS = MINUTE;
/** Lines of the trace that a report shows. */
const TAIL = 40;

/** Percent of the steps, of each client. */
const usual = {
  writers: [20, 15],
  readers: [15, 5],
  definer: 15,
  alterer: 8,
  keepers: [10, 10],
  restorers: [6],
  chaos: [9, 9],
};
const restoring = {
  writers: [18],
  readers: [6],
  definer: 8,
  alterer: 5,
  keepers: [10],
  restorers: [14, 14],
  chaos: [9, 9],
};

export async function runSeed(seed: number, options: RunOptions = {}): Promise<Run> {
  const world = World.start(seed, options);
  const workload = new Workload(world);
  let failure: Run['failure'];
  const putBack = options.plant?.patch?.(world);
  try {
    await play(world, workload, options);
  } catch (error) {
    failure = verdict(error);
  } finally {
    world.end();
    putBack?.();
  }
  return { seed, trace: world.trace, faults: world.faults, done: workload.done, failure };
}

async function play(world: World, workload: Workload, options: RunOptions): Promise<void> {
  const { steps = DEFAULT_STEPS, jobsWithinMs = JOBS_WITHIN_MS } = options;
  const share = (percent: number) => Math.ceil((steps * percent) / 100);
  const within = (work: Promise<unknown>, ms: number, what: string) => endsWithin(world, work, ms, what);
  const parts = world.shape.isRestoring ? restoring : usual;
  const clients = [
    ...parts.writers.map((percent) => workload.writer(share(percent))),
    ...parts.readers.map((percent) => workload.reader(share(percent))),
    workload.definer(share(parts.definer)),
    workload.alterer(share(parts.alterer)),
    ...parts.keepers.map((percent) => workload.keeperOfSnapshots(share(percent))),
    ...parts.restorers.map((percent) => workload.restorer(share(percent))),
    ...parts.chaos.map((percent) => workload.chaos(share(percent))),
  ];
  await within(Promise.all(clients), WORK_WITHIN_MS, 'the work of all clients');
  if (world.shape.mode === 'safety') {
    let isOver = false;
    const unrest = workload.unrest(() => isOver);
    const all = Promise.race([ended(workload.spawned), unrest]);
    await within(all, JOBS_UNDER_FAULTS_WITHIN_MS, 'jobs and flushes under faults');
    isOver = true;
    await within(unrest, WORK_WITHIN_MS, 'the last fault');
  }
  world.heal();
  await within(world.up(), START_WITHIN_MS, 'a start without faults');
  await within(ended(workload.spawned), jobsWithinMs, 'jobs and flushes without faults');
  await within(workload.teardown(), WORK_WITHIN_MS, 'the last checks');
}

/** Also those that come meanwhile. */
async function ended(spawned: readonly Promise<void>[]): Promise<void> {
  for (let followed = 0; followed < spawned.length; ) {
    const all = spawned.slice();
    await Promise.all(all);
    followed = all.length;
  }
}

/** Lets time pass until `work` is done. */
export function endsWithin<T>(world: World, work: Promise<T>, ms: number, what: string): Promise<T> {
  return world.clock.finish(Promise.race([work, world.broken]), ms, what).catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith(`${what} did not end`))
      throw new Violation('ends', `${error.message}; open: ${[...world.open].join('; ')}`);
    throw error;
  });
}

export function verdict(error: unknown): NonNullable<Run['failure']> {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error instanceof Violation)
    return { property: error.property, message: error.message, check: checkIn(text) };
  return { property: 'broken', message: text, check: '' };
}

/** The first line of the simulation that is not the helper itself. */
function checkIn(stack: string): string {
  const lines = stack.split('\n').filter((line) => line.includes('/sim/') && !/\bat check /.test(line));
  return /sim\/([\w-]+\.\w+:\d+)/.exec(lines[0] ?? '')?.[1] ?? '';
}

/** What somebody needs who has to find out. */
export function report(
  { seed, trace, failure }: Run,
  options: Pick<RunOptions, 'steps' | 'mode'> = {},
): string {
  const { steps = DEFAULT_STEPS, mode } = options;
  const tail = [TRACE_LEGEND, ...trace.slice(-TAIL)].join('\n  ');
  const more = `${steps === DEFAULT_STEPS ? '' : ` --steps ${steps}`}${mode === undefined ? '' : ` --mode ${mode}`}`;
  return `seed ${seed}: ${failure?.message}\n  ${tail}\nagain: npm run sim -- --seed ${seed}${more} --trace`;
}
