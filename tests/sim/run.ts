/** One seed from start to verdict. */
import type { Plant } from './plants.ts';
import { type PropertyName, Violation } from './properties.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

export interface RunOptions {
  /** Steps of all clients together, about. */
  readonly steps?: number;
  readonly plant?: Plant;
  readonly verbose?: boolean;
  /** Virtual time that jobs are given to end in once faults are gone. */
  readonly jobsWithinMs?: number;
}

export interface Run {
  readonly seed: number;
  readonly trace: readonly string[];
  readonly faults: ReadonlyMap<string, number>;
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

/** Percent of the steps, of each client. */
const usual = {
  writers: [20, 15],
  readers: [15, 5],
  definer: 15,
  keepers: [10, 10],
  restorers: [6],
  chaos: [10],
};
const restoring = {
  writers: [18],
  readers: [6],
  definer: 8,
  keepers: [10],
  restorers: [14, 14],
  chaos: [8, 8],
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
  const { steps = DEFAULT_STEPS, jobsWithinMs = 6 * MINUTE } = options;
  const share = (percent: number) => Math.ceil((steps * percent) / 100);
  const within = (work: Promise<unknown>, ms: number, what: string) => endsWithin(world, work, ms, what);
  const parts = world.shape.isRestoring ? restoring : usual;
  const clients = [
    ...parts.writers.map((percent) => workload.writer(share(percent))),
    ...parts.readers.map((percent) => workload.reader(share(percent))),
    workload.definer(share(parts.definer)),
    ...parts.keepers.map((percent) => workload.keeperOfSnapshots(share(percent))),
    ...parts.restorers.map((percent) => workload.restorer(share(percent))),
    ...parts.chaos.map((percent) => workload.chaos(share(percent))),
  ];
  await within(Promise.all(clients), 20 * MINUTE, 'the work of all clients');
  world.heal();
  await within(world.up(), MINUTE, 'a start without faults');
  for (let followed = 0; followed < workload.spawned.length; ) {
    const all = workload.spawned.slice();
    await within(Promise.all(all), jobsWithinMs, 'jobs and flushes without faults');
    followed = all.length;
  }
  await within(workload.teardown(), 20 * MINUTE, 'the last checks');
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
export function report({ seed, trace, failure }: Run, steps = DEFAULT_STEPS): string {
  const tail = trace.slice(-40).join('\n  ');
  const more = steps === DEFAULT_STEPS ? '' : ` --steps ${steps}`;
  return `seed ${seed}: ${failure?.message}\n  ${tail}\nagain: npm run sim -- --seed ${seed}${more}`;
}
