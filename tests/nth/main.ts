/**
 * `npm run nth`: every operation, every call, every flavour. `--only NAME` narrows it to operations whose name holds NAME; `--at N
 * --port PORT --flavour FLAVOUR` is one case of one operation (`--at 0`: no fault), with its trace; `--calls` prints the calls; `--every K`
 * fails each K-th call only.
 */
import { parseArgs } from 'node:util';
import { systemUptimeMs } from '../../src/support/system-clock.ts';
import { report, runAll, runCase } from './loop.ts';
import type { Operation } from './operation.ts';
import { operations } from './operations.ts';
import { type Aim, type Flavour, flavoursOf, type Port, ports } from './trigger.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    at: { type: 'string' },
    port: { type: 'string' },
    flavour: { type: 'string' },
    calls: { type: 'boolean' },
    verbose: { type: 'boolean' },
    /** `i/n`: every n-th operation, from the i-th: several processes share the work. */
    part: { type: 'string' },
    every: { type: 'string' },
    list: { type: 'boolean' },
  },
});

const { only, part = '1/1' } = values;
const [first = 1, of = 1] = part.split('/').map(Number);
const exact = operations.filter(({ name }) => name === only);
const held = operations.filter(({ name }) => only === undefined || name.includes(only));
const chosen = (exact.length > 0 ? exact : held).filter((_, i) => i % of === first - 1);

function aimOf(): Aim | undefined {
  const { at = '0', port = 'catalog', flavour = 'error-before' } = values;
  if (!(ports as readonly string[]).includes(port)) throw new Error(`--port is one of ${ports.join(', ')}`);
  const flavours = flavoursOf(port as Port);
  if (!(flavours as readonly string[]).includes(flavour))
    throw new Error(`--flavour of ${port} is one of ${flavours.join(', ')}`);
  return Number(at) === 0 ? undefined : { at: Number(at), port: port as Port, flavour: flavour as Flavour };
}

async function one(operation: Operation): Promise<boolean> {
  const aim = aimOf();
  const done = await runCase(operation, { aim, isVerbose: values.verbose === true });
  console.log(done.trace.join('\n'));
  if (values.calls === true) console.log(done.calls.join('\n'));
  console.log(`calls: ${JSON.stringify(done.counts)}; failed call: ${done.hit ?? 'none'}`);
  if (done.failure !== undefined) console.error(report(operation, aim, { ...done, trace: [] }));
  return done.failure === undefined;
}

async function all(): Promise<boolean> {
  const startedAt = systemUptimeMs();
  let cases = 0;
  let failures = 0;
  console.log(
    `${'operation'.padEnd(46)} ${ports.map((port) => port.padStart(10)).join('')}  cases  failed     ms`,
  );
  for (const operation of chosen) {
    const from = systemUptimeMs();
    const result = await runAll(operation, { every: Number(values.every ?? 1), onFailure: console.error });
    cases += result.cases;
    failures += result.failures.length;
    const calls = ports.map((port) => String(result.calls[port]).padStart(10)).join('');
    const ms = Math.round(systemUptimeMs() - from);
    const failed = String(result.failures.length).padStart(7);
    console.log(
      `${operation.name.padEnd(46)} ${calls} ${String(result.cases).padStart(6)} ${failed} ${String(ms).padStart(6)}`,
    );
  }
  const ms = Math.round(systemUptimeMs() - startedAt);
  console.log(`${chosen.length} operations, ${cases} cases, ${failures} failed, ${ms} ms`);
  return failures === 0;
}

if (chosen.length === 0) throw new Error(`no operation is called '${only}'`);
if (values.list === true) for (const { name } of chosen) console.log(name);
else {
  let isRight = true;
  if (values.at === undefined) isRight = await all();
  else for (const operation of chosen) isRight = (await one(operation)) && isRight;
  process.exitCode = isRight ? 0 : 1;
}
