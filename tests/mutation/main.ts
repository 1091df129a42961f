/**
 * `npm run mutate`: every mutant of the rooms below, or of the files whose path holds one of the arguments, each against the tests that run
 * its code. `--sample N` takes N of them (`--seed N` says which) and leaves docs/mutants.md as it is.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../src/support/random.ts';
import { systemClock, systemUptimeMs } from '../../src/support/system-clock.ts';
import type { Answer, End, PlannedTest, Request } from './child.ts';
import { instrument, type Mutant } from './instrument.ts';
import { type Judged, reportOf } from './report.ts';

const ROOMS = [
  'src/coordinator/copy-segment',
  'src/coordinator/gc',
  'src/coordinator/restore',
  'src/coordinator/snapshot',
  'src/datanode/copy-segment',
];
const TESTS = [...ROOMS, 'tests/heart'];
/** What killed tests leave in memory goes with their process. */
const MAX_RUNS_PER_PROCESS = 150;
const MAX_LOAD_MS = 120_000;
/** Of the limits of processor time that a test has: a loop that never yields cannot look at them itself. */
const SLOWER_UNDER_LOAD = 15;
/** How long the tests of one mutant may take on unchanged code. What everything runs, as a start, is run by every test. */
const MAX_TESTS_MS = 1500;
const QUICK_MS = 15;
const MAX_TEST_MS = 3000;

const root = join(import.meta.dirname, '../../..');
const compiled = join(root, '.mutants');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { sample: { type: 'string' }, seed: { type: 'string' }, verbose: { type: 'boolean' } },
});

const list = (folder: string, pattern: RegExp): readonly string[] =>
  readdirSync(join(compiled, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);

/** One process of tests. Ends by itself with this one. */
class Runner {
  readonly #child: ChildProcess;
  #take: ((answer: Answer | undefined) => void) | undefined;
  #limit: ReturnType<typeof setTimeout> | undefined;
  runs = 0;

  constructor(files: readonly string[], active: string) {
    this.#child = fork(join(compiled, 'tests/mutation/child.js'), [active, ...files], {
      stdio: ['ignore', 'ignore', values.verbose === true ? 'inherit' : 'ignore', 'ipc'],
    });
    this.#child.on('message', (answer: Answer) => {
      if (answer.kind === 'at') this.#expect(SLOWER_UNDER_LOAD * answer.limitMs);
      else this.#take?.(answer);
    });
    this.#child.on('exit', () => this.#take?.(undefined));
    this.#expect(MAX_LOAD_MS);
  }

  /** Undefined: it ended, or did not answer in time and was ended. */
  next(): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      this.#take = (answer) => {
        clearTimeout(this.#limit);
        this.#take = undefined;
        resolve(answer);
      };
    });
  }

  ask(request: Request): Promise<Answer | undefined> {
    this.#expect(MAX_LOAD_MS * 10);
    this.runs++;
    const answer = this.next();
    this.#child.send(request);
    return answer;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  #expect(withinMs: number): void {
    clearTimeout(this.#limit);
    this.#limit = setTimeout(() => this.end(), withinMs);
  }
}

async function start(files: readonly string[], active = ''): Promise<Runner | End> {
  const runner = new Runner(files, active);
  const answer = await runner.next();
  if (answer?.kind === 'ready') return runner;
  runner.end();
  return answer?.kind === 'done' ? answer.end : { status: 'timeout' };
}

async function startPlain(files: readonly string[]): Promise<Runner> {
  const runner = await start(files);
  if (runner instanceof Runner) return runner;
  throw new Error('the unchanged tests cannot be loaded: run again with --verbose');
}

interface Plan {
  readonly tests: readonly PlannedTest[];
  /** It takes part when modules are loaded. */
  readonly isStatic: boolean;
}

/** Which tests run which mutant: quick ones, then those beside it, then others. */
async function planFor(testFiles: readonly string[], mutants: readonly Mutant[]) {
  const runner = await startPlain(testFiles);
  const dry = await runner.ask({ kind: 'dry' });
  runner.end();
  if (dry?.kind !== 'dry' || dry.failures.length > 0)
    throw new Error(`the unchanged tests fail:\n${dry?.kind === 'dry' ? dry.failures.join('\n') : ''}`);
  const { coverage, durations } = dry;
  const quickFirst = Object.entries(durations)
    .filter(([, durationMs]) => durationMs <= MAX_TEST_MS)
    .sort((a, b) => a[1] - b[1]);
  const hitsOf = (test: string, mutant: string) => coverage.perTest[test]?.[mutant] ?? 0;
  return (mutant: Mutant): Plan => {
    const isStatic = mutant.id in coverage.static;
    const idsOfFile = mutants.filter(({ file }) => file === mutant.file).map(({ id }) => id);
    // What a module holds is used by tests that run something in it, or by those beside it.
    const isNear = (test: string) =>
      folderOf(test) === folderOf(mutant.file) || idsOfFile.some((id) => hitsOf(test, id) > 0);
    const running = quickFirst
      .filter(([test]) => (isStatic ? isNear(test) : hitsOf(test, mutant.id) > 0))
      .map(([id, durationMs]) => ({ id, durationMs, hits: hitsOf(id, mutant.id) }));
    const isBeside = ({ id }: PlannedTest) => folderOf(id) === folderOf(mutant.file);
    const rank = (test: PlannedTest) => (test.durationMs < QUICK_MS ? 0 : isBeside(test) ? 1 : 2);
    const nearFirst = running.toSorted((a, b) => rank(a) - rank(b));
    let totalMs = 0;
    const tests = nearFirst.filter(({ durationMs }, i) => {
      totalMs += durationMs;
      return i === 0 || totalMs <= MAX_TESTS_MS;
    });
    return { tests, isStatic };
  };
}

const fileOf = (test: string): string => test.split(' > ')[0] ?? '';
/** Of a test's or a product's file. */
const folderOf = (path: string): string => fileOf(path).replace(/\/[^/]*$/, '');

async function judgeStatic({ id }: Mutant, tests: readonly PlannedTest[]): Promise<End> {
  const runner = await start([...new Set(tests.map((test) => fileOf(test.id)))], id);
  if (!(runner instanceof Runner)) return runner;
  const answer = await runner.ask({ kind: 'mutant', mutant: id, tests });
  runner.end();
  return answer?.kind === 'done' ? answer.end : { status: 'timeout' };
}

/** The others share processes: loading modules takes longer than most of their tests. */
class Judge {
  readonly #files: readonly string[];
  #runner: Runner | undefined;
  constructor(files: readonly string[]) {
    this.#files = files;
  }

  async judge(mutant: Mutant, tests: readonly PlannedTest[], isAgain = false): Promise<End> {
    this.#runner ??= await startPlain(this.#files);
    const answer = await this.#runner.ask({ kind: 'mutant', mutant: mutant.id, tests });
    const end: End = answer?.kind === 'done' ? answer.end : { status: 'timeout' };
    if (end.status === 'timeout' || end.status === 'dirty' || this.#runner.runs >= MAX_RUNS_PER_PROCESS)
      this.close();
    if (end.status !== 'dirty') return end;
    return isAgain ? { ...end, status: 'killed' } : this.judge(mutant, tests, true);
  }

  close(): void {
    this.#runner?.end();
    this.#runner = undefined;
  }
}

function sampleOf(mutants: readonly Mutant[]): readonly Mutant[] {
  if (values.sample === undefined) return mutants;
  const random = seededRandom(Number(values.seed ?? 1));
  const rest = [...mutants];
  return Array.from({ length: Math.min(Number(values.sample), rest.length) }, () =>
    rest.splice(Math.floor(random.next() * rest.length), 1),
  ).flat();
}

/** Those asked for, in the order in which they were. */
const inOrder = (files: readonly string[]): readonly string[] =>
  positionals.length === 0
    ? files
    : [...new Set(positionals.flatMap((part) => files.filter((file) => `${file}.ts`.includes(part))))];

async function main(): Promise<void> {
  setPriority(10);
  const startedAt = systemUptimeMs();
  const isProduct = (file: string) => !/\.(test|suite)\.js$/.test(file);
  const product = ROOMS.flatMap((room) => list(room, /\.js$/))
    .filter(isProduct)
    .map((file) => file.replace(/\.js$/, ''));
  const files = inOrder(product);
  for (const file of ['src', 'tests'].flatMap((folder) => list(folder, /\.(test|suite)\.js$/))) {
    const text = readFileSync(join(compiled, file), 'utf8');
    const collect = join(compiled, 'tests/mutation/collect.js');
    writeFileSync(join(compiled, file), text.replace(/from 'node:test'/, `from '${collect}'`));
  }
  const mutants = await instrument(root, compiled, files);
  const testFiles = TESTS.flatMap((folder) => list(folder, /\.test\.js$/));
  const planOf = await planFor(testFiles, mutants);
  const sample = sampleOf(mutants);
  console.log(`${sample.length} of ${mutants.length} mutants in ${files.length} files`);
  const judge = new Judge(testFiles);
  const all: Judged[] = [];
  for (const file of files.map((name) => `${name}.ts`)) {
    const judged: Judged[] = [];
    for (const mutant of sample.filter((one) => one.file === file))
      judged.push({ mutant, status: await statusOf(mutant, planOf(mutant), judge) });
    all.push(...judged);
    // A run that is broken off keeps what it has.
    if (values.sample === undefined) write(judged, file);
  }
  judge.close();
  const count = (status: Judged['status']) => all.filter((one) => one.status === status).length;
  console.log(
    `${all.length} mutants in ${Math.round((systemUptimeMs() - startedAt) / 1000)} s: ${count('killed')} killed, ` +
      `${count('timeout')} timeouts, ${count('survived')} survived, ${count('uncovered')} not covered`,
  );
}

async function statusOf(mutant: Mutant, { tests, isStatic }: Plan, judge: Judge): Promise<Judged['status']> {
  const since = systemUptimeMs();
  const verdict = () => (isStatic ? judgeStatic(mutant, tests) : judge.judge(mutant, tests));
  const end = tests.length === 0 ? undefined : await verdict();
  const status = end === undefined ? 'uncovered' : end.status === 'dirty' ? 'killed' : end.status;
  if (status === 'killed' && values.verbose !== true) return status;
  const short = (text: string) => text.replace(/\s+/g, ' ').slice(0, 200);
  const by = end?.by === undefined ? '' : `, by ${end.by}`;
  console.log(
    `${status} ${mutant.file}:${mutant.line} ${short(mutant.original)} -> ${short(mutant.replacement)}` +
      `  (${tests.length} tests, ${Math.round(systemUptimeMs() - since)} ms${by})`,
  );
  return status;
}

function write(judged: readonly Judged[], file: string): void {
  const path = join(root, 'docs/mutants.md');
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const date = new Date(systemClock.nowMs()).toISOString().slice(0, 10);
  const { text, unexplained } = reportOf(judged, file, old, date);
  writeFileSync(path, text);
  if (unexplained === 0) return;
  console.log(`${file}: ${unexplained} living mutants have no reason in docs/mutants.md`);
  process.exitCode = 1;
}

await main();
