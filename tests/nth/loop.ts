/**
 * Fails the first, the second, the third ... call of each port of an operation, in each flavour, until a pass in which there was no such
 * call; after each, the oracle.
 */
import type { Plant } from '../sim/plants.ts';
import { endsWithin, type Run, verdict } from '../sim/run.ts';
import { World } from '../sim/world.ts';
import type { Operation } from './operation.ts';
import { Stage } from './stage.ts';
import { type Aim, flavoursOf, type Port, ports, Trigger } from './trigger.ts';

/** Few surprises: shared copies, four slots, long retention, whole slices. */
const SEED = 16;
const MINUTE = 60_000;

export interface Case {
  readonly failure: Run['failure'];
  /** The call that was made to fail; undefined: there was none. */
  readonly hit: string | undefined;
  readonly calls: readonly string[];
  readonly counts: Readonly<Record<Port, number>>;
  readonly trace: readonly string[];
}

export interface CaseOptions {
  /** Without an aim nothing fails. */
  readonly aim?: Aim | undefined;
  readonly plant?: Plant | undefined;
  readonly isVerbose?: boolean;
  /** Virtual time that each part of it has to end in. */
  readonly withinMs?: number | undefined;
}

export async function runCase(operation: Operation, options: CaseOptions = {}): Promise<Case> {
  const { aim, plant, isVerbose = false, withinMs = 20 * MINUTE } = options;
  const trigger = new Trigger(aim);
  const { plan, onStrike } = trigger;
  const world = World.start(SEED, {
    plan,
    onStrike,
    verbose: isVerbose,
    shape: operation.shape ?? {},
    ...(plant === undefined ? {} : { plant }),
  });
  const stage = new Stage(world, trigger);
  let failure: Run['failure'];
  const putBack = plant?.patch?.(world);
  try {
    await play(operation, stage, withinMs);
    const missing = (operation.reaches ?? []).filter(
      (call) => !trigger.calls.some((each) => call.test(each)),
    );
    if (aim === undefined && missing.length > 0)
      throw new Error(
        `'${operation.name}' does not do what it is for: no call is like ${missing.join(', ')}`,
      );
  } catch (error) {
    failure = verdict(error);
  } finally {
    world.end();
    putBack?.();
  }
  const counts = Object.fromEntries(ports.map((port) => [port, trigger.count(port)]));
  const { hit, calls } = trigger;
  return { failure, hit, calls, counts: counts as Case['counts'], trace: world.trace };
}

async function play({ name, make, during, isStill }: Operation, stage: Stage, ms: number): Promise<void> {
  const { world, trigger } = stage;
  const within = (work: Promise<unknown>, what: string) => endsWithin(world, work, ms, what);
  const { prepare, run, after } = make(stage);
  await within(world.up(), 'the first start');
  await within(prepare(), `what comes before '${name}'`);
  await within(followAll(stage), 'what was begun before it');
  trigger.open(() => during === undefined || during(stage));
  world.note(`now ${name}`);
  await (isStill === true ? run() : within(run(), name));
  trigger.close();
  world.note(`${name} is over`);
  await within(stage.quiet(), 'what a fault brings with it');
  await within(after(), `what must hold after '${name}'`);
  await within(followAll(stage), 'jobs and flushes after it');
  await within(stage.stillRight(), 'the checks after it');
  world.heal();
  await within(stage.teardown(), 'the last checks');
}

async function followAll({ spawned }: Stage): Promise<void> {
  for (let followed = 0; followed < spawned.length; ) {
    followed = spawned.length;
    await Promise.all(spawned);
  }
}

export interface Result {
  readonly operation: Operation;
  readonly calls: Case['counts'];
  readonly cases: number;
  readonly failures: readonly string[];
}

export interface LoopOptions extends Pick<CaseOptions, 'plant' | 'withinMs'> {
  /** Stops after so many failures. */
  readonly maxFailures?: number;
  /** Every so manieth call only: a sample, for those who cannot wait. */
  readonly every?: number;
  readonly onFailure?: (report: string) => void;
}

/** All cases of one operation. */
export async function runAll(operation: Operation, options: LoopOptions = {}): Promise<Result> {
  const { maxFailures = 10, every = 1, onFailure, plant, withinMs } = options;
  const failures: string[] = [];
  const note = (aim: Aim | undefined, done: Case) => {
    if (done.failure === undefined) return;
    const text = report(operation, aim, done);
    failures.push(text);
    onFailure?.(text);
  };
  const clean = await runCase(operation, { plant, withinMs });
  note(undefined, clean);
  let cases = 1;
  // Without a call of the port that was the pass in which the fault is not reached.
  for (const port of ports.filter((each) => clean.counts[each] > 0))
    for (let at = 1, isReached = true; isReached; at += every)
      for (const flavour of flavoursOf(port)) {
        const aim = { port, flavour, at };
        const done = await runCase(operation, { plant, withinMs, aim });
        cases++;
        note(aim, done);
        isReached = done.hit !== undefined && failures.length < maxFailures;
        // Up to the fault every flavour is the same.
        if (!isReached) break;
      }
  return { operation, calls: clean.counts, cases, failures };
}

/** What somebody needs who has to find out. */
export function report({ name }: Operation, aim: Aim | undefined, { failure, hit, trace }: Case): string {
  const what = aim === undefined ? 'no fault' : `${aim.flavour} at call ${aim.at} of ${aim.port}, ${hit}`;
  return `${name}, ${what}: ${failure?.message}\n  ${trace.slice(-30).join('\n  ')}\nagain: ${command(name, aim)}`;
}

const command = (name: string, aim: Aim | undefined): string => {
  const at = aim === undefined ? '--at 0' : `--at ${aim.at} --port ${aim.port} --flavour ${aim.flavour}`;
  return `npm run nth -- --only '${name}' ${at}`;
};
