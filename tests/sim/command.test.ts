/** `npm run sim`: the same seed, the same history, byte for byte, in whatever process; and a command that says what is wrong with it. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseJson } from '../../src/support/json.ts';
import { ArgumentError, parseArguments } from './arguments.ts';
import { plantList } from './plant-list.ts';
import { report, runSeed } from './run.ts';
import { resultOf } from './seed-runner.ts';
import { Summary } from './summary.ts';
import { TRACE_LEGEND } from './world.ts';

const run = promisify(execFile);
const main = new URL('./main.js', import.meta.url).pathname;
const short = { steps: 30, mode: undefined, isTraced: true, isVerbose: false };

interface Told {
  readonly seeds: number;
  readonly histories: string;
  readonly faults: Readonly<Record<string, number>>;
}

describe('the command of the simulation', () => {
  test('the same seed gives the same history in another process, byte for byte, and so do processes side by side', async () => {
    const here = new Summary();
    const traces: string[] = [];
    for (const seed of [3, 4]) {
      const result = await resultOf({ seed, options: short });
      assert.deepEqual(await resultOf({ seed, options: short }), result);
      traces.push(...result.trace);
      here.add(result);
    }
    const flags = ['--from', '3', '--seeds', '2', '--steps', '30'];
    const [traced, counted] = await Promise.all([
      run(process.execPath, [main, ...flags, '--trace']),
      run(process.execPath, [main, ...flags, '--workers', '2', '--json']),
    ]);
    assert.ok(traced.stdout.startsWith(`${traces.join('\n')}\n`));
    const { seeds, histories, faults } = parseJson(counted.stdout) as Told;
    assert.deepEqual([seeds, histories], [2, here.digest]);
    assert.ok(Object.values(faults).some((count) => count > 0));
  });

  test('a seed that fails prints the command that replays it, and a trace of one line per event under a legend', async () => {
    const planted = plantList.find(({ name }) => name === 'lostDelete');
    assert.ok(planted);
    const options = { steps: 40, mode: 'liveness' } as const;
    let failed = await runSeed(1, { ...options, plant: planted.make() });
    for (let seed = 2; failed.failure === undefined; seed++)
      failed = await runSeed(seed, { ...options, plant: planted.make() });
    const lines = report(failed, options).split('\n');
    assert.match(lines[0] ?? '', new RegExp(`^seed ${failed.seed}: exact: `));
    assert.equal(
      lines.at(-1),
      `again: npm run sim -- --seed ${failed.seed} --steps 40 --mode liveness --trace`,
    );
    assert.equal(lines[1], `  ${TRACE_LEGEND}`);
    for (const line of lines.slice(2, -1)) assert.match(line, /^ {2} *\d+ \w+ +\S+/);
  });

  test('Ctrl-C prints what is known so far and ends with status 130', async () => {
    const child = spawn(process.execPath, [
      main,
      '--seeds',
      '1000',
      '--steps',
      '20',
      '--workers',
      '2',
      '--json',
      '--trace',
    ]);
    let told = '';
    child.stdout.on('data', (bytes: Buffer) => {
      // A seed has ended.
      if (told === '') child.kill('SIGINT');
      told += bytes.toString();
    });
    const [status] = (await once(child, 'close')) as [number];
    assert.equal(status, 130);
    const result = parseJson(told.slice(told.indexOf('\n{'))) as Told & { readonly isWhole: boolean };
    assert.equal(result.isWhole, false);
    assert.ok(result.seeds >= 1 && result.seeds < 1000);
  });

  test('wrong flags are refused by name, with what they take', () => {
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['--seeds', 'many'], /--seeds takes a whole number from 1 to \d+, not 'many'/],
      [['--seeds', '0'], /--seeds takes .*, not '0'/],
      [['--seed', '-1'], /--seed/],
      [['--seed', '1.5'], /not '1.5'/],
      [['--workers', '0'], /--workers takes a whole number from 1 to 256/],
      [['--minutes', 'soon'], /--minutes takes a number above 0, not 'soon'/],
      [['--mode', 'both'], /--mode is safety or liveness, not 'both'/],
      [['--seed', '3', '--seeds', '5'], /--seed is one seed/],
      [['--sed', '3'], /'--sed'/],
      [['7'], /'7'/],
    ];
    for (const [args, message] of wrong)
      assert.throws(
        () => parseArguments(args),
        (error) => error instanceof ArgumentError && message.test(error.message),
        args.join(' '),
      );
    assert.equal(parseArguments(['--seeds', '5', '--help']), 'help');
    const { from, count, minutes } = parseArguments(['--minutes', '0.5', '--from', '7']) as Exclude<
      ReturnType<typeof parseArguments>,
      'help'
    >;
    assert.deepEqual([from, count, minutes], [7, Number.POSITIVE_INFINITY, 0.5]);
  });
});
