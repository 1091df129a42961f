/**
 * `npm run sim`: `--seed N` replays one seed, `--seeds N` runs many (`--from N` says where to begin), `--steps N` makes them longer or
 * shorter. `--plant NAME` plants a bug and ends well when the check that is meant has caught it, within `--seeds N`; `--plants` all of them.
 */
import { parseArgs } from 'node:util';
import { systemUptimeMs } from '../../src/support/system-clock.ts';
import { plantRuns } from './plant-runs.ts';
import { DEFAULT_STEPS, report, runSeed } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string' },
    steps: { type: 'string' },
    verbose: { type: 'boolean' },
    trace: { type: 'boolean' },
    plant: { type: 'string' },
    plants: { type: 'boolean' },
  },
});
if (values.plant !== undefined || values.plants === true)
  process.exit(await plantRuns(values.plant, Number(values.seeds ?? 200)));
const steps = Number(values.steps ?? DEFAULT_STEPS);
const first = Number(values.seed ?? values.from ?? 1);
const count = values.seed === undefined ? Number(values.seeds ?? 100) : 1;
const faults = new Map<string, number>();
const done = new Map<string, number>();
const add = (to: Map<string, number>, from: ReadonlyMap<string, number>) => {
  for (const [kind, n] of from) to.set(kind, (to.get(kind) ?? 0) + n);
};
const failed: number[] = [];
const startedAt = systemUptimeMs();
for (let seed = first; seed < first + count; seed++) {
  const run = await runSeed(seed, { steps, verbose: values.verbose === true });
  add(faults, run.faults);
  add(done, run.done);
  if (values.trace === true) console.log(run.trace.join('\n'));
  if (run.failure === undefined) continue;
  failed.push(seed);
  console.error(report(run, steps));
}
const text = (of: Map<string, number>) =>
  [...of]
    .sort()
    .map(([kind, n]) => `${kind} ${n}`)
    .join(', ');
console.log(`${count} seeds in ${Math.round(systemUptimeMs() - startedAt)} ms, ${failed.length} failed`);
console.log(`steps: ${text(done)}`);
console.log(`faults: ${text(faults)}`);
if (failed.length > 0) console.log(`failed seeds: ${failed.join(' ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
