/** `npm run sim`: see `--help`. */
import { systemUptimeMs } from '../../src/support/system-clock.ts';
import { ArgumentError, HELP, parseArguments, type SimArguments } from './arguments.ts';
import { plantRuns } from './plant-runs.ts';
import { inAnotherProcess, inThisProcess, type SeedRunner } from './seed-runner.ts';
import { type SeedResult, Summary } from './summary.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const CLEAR_LINE = '\r\u001b[K';

class Simulation {
  readonly #args: SimArguments;
  readonly #summary = new Summary();
  readonly #runners: readonly SeedRunner[];
  readonly #startedAtMs = systemUptimeMs();
  readonly #isTerminal = process.stderr.isTTY === true;
  #next: number;
  #shownAtMs = 0;
  #isStopped = false;

  constructor(args: SimArguments) {
    this.#args = args;
    this.#next = args.from;
    const workers = Math.min(args.workers, args.count);
    this.#runners =
      workers === 1 ? [inThisProcess(args)] : Array.from({ length: workers }, () => inAnotherProcess(args));
  }

  get #tookMs(): number {
    return systemUptimeMs() - this.#startedAtMs;
  }

  async run(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => this.#drive(runner)));
    this.#end(true);
  }

  /** Tells what is known. */
  interrupt(): void {
    this.#end(false);
  }

  async #drive(runner: SeedRunner): Promise<void> {
    const { from, count, minutes } = this.#args;
    while (!this.#isStopped && this.#next < from + count && this.#tookMs < minutes * MINUTE_MS)
      this.#take(await runner.run(this.#next++));
  }

  #take(result: SeedResult): void {
    if (this.#isStopped) return;
    this.#summary.add(result);
    if (result.trace.length > 0) console.log(result.trace.join('\n'));
    if (result.report !== undefined) console.error(`${this.#isTerminal ? CLEAR_LINE : ''}${result.report}`);
    this.#showProgress();
  }

  #showProgress(): void {
    const { count, minutes } = this.#args;
    if (this.#tookMs - this.#shownAtMs < (this.#isTerminal ? SECOND_MS / 4 : MINUTE_MS)) return;
    this.#shownAtMs = this.#tookMs;
    const { seeds, failures } = this.#summary;
    const perSecond = (seeds * SECOND_MS) / this.#tookMs;
    const leftMs = Math.min(((count - seeds) / perSecond) * SECOND_MS, minutes * MINUTE_MS - this.#tookMs);
    const of = Number.isFinite(count) ? ` of ${count}` : '';
    const line = `${seeds}${of} seeds, ${failures} failed, ${perSecond.toFixed(1)} a second, ${Math.ceil(leftMs / SECOND_MS)} s left`;
    process.stderr.write(this.#isTerminal ? `${CLEAR_LINE}${line}` : `${line}\n`);
  }

  #end(isWhole: boolean): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const runner of this.#runners) runner.stop();
    if (this.#isTerminal) process.stderr.write(CLEAR_LINE);
    const { isJson } = this.#args;
    const [tookMs, workers] = [this.#tookMs, this.#runners.length];
    console.log(isJson ? this.#summary.json(tookMs, workers, isWhole) : this.#summary.text(tookMs, workers));
    if (!isWhole) console.error('interrupted: this is what was known by then');
    process.exitCode = isWhole ? Number(this.#summary.failures > 0) : 130;
  }
}

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2));
  if (args === 'help') {
    console.log(HELP);
    return;
  }
  if (args.plant !== undefined) {
    process.exitCode = await plantRuns(args.plant === '' ? undefined : args.plant, args.count);
    return;
  }
  const simulation = new Simulation(args);
  process.once('SIGINT', () => {
    simulation.interrupt();
    process.exit();
  });
  await simulation.run();
}

main().catch((error: unknown) => {
  if (!(error instanceof ArgumentError)) throw error;
  console.error(`${error.message}\nnpm run sim -- --help tells what there is`);
  process.exitCode = 2;
});
