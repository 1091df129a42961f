/**
 * `npm run e2e -- faults`: rounds of faults over one data directory. `--minutes N` or `--rounds N` say how long, `--seed N` repeats the
 * chance of a run (what the processes make of it is theirs).
 */
import { parseArgs } from 'node:util';
import { FaultRun } from './run.ts';
import { counts } from './users.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    rounds: { type: 'string' },
    seed: { type: 'string' },
    verbose: { type: 'boolean' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const rounds = Number(values.rounds ?? Number.POSITIVE_INFINITY);
const until =
  Date.now() +
  60_000 * Number(values.minutes ?? (values.rounds === undefined ? 2 : Number.POSITIVE_INFINITY));
const run = new FaultRun(
  seed,
  (text) => (values.verbose === true || !text.startsWith('round')) && console.log(text),
);
const started = Date.now();
let round = 0;
let isRight = false;
console.log(`seed ${seed}`);
try {
  await run.open();
  while (round < rounds && Date.now() < until) await run.round(++round);
  await run.end();
  isRight = true;
} catch (error) {
  console.error(`round ${round} of seed ${seed}:`, error);
  console.error(`again: npm run e2e -- faults --seed ${seed} --rounds ${round}`);
  process.exitCode = 1;
} finally {
  await run.close(isRight);
}
console.log(
  `${round} rounds in ${Math.round((Date.now() - started) / 1000)} s, ${isRight ? 'all right' : 'FAILED'}`,
);
for (const [what, n] of [...counts].sort()) console.log(`  ${String(n).padStart(7)}  ${what}`);
