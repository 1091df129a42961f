// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process, then the built server under the
// official client. Arguments narrow it: a part of a path, or `e2e`; `--name R07` runs the tests whose names match, wherever they stand.
// Only when asked for: `e2e faults`, rounds of faults over one data directory, and `e2e faults scenarios [PART]`, what breaks told one by one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { buildStale, compile, installMissing, run } from './build.mjs';

const node = (...args) => run(process.execPath, ['--enable-source-maps', ...args]);
const [room, part, ...rest] = process.argv.slice(2);

installMissing();
await compile('tsconfig.test.json');
if (room === 'e2e' && part === 'faults') {
  await buildStale();
  if (rest[0] === 'scenarios') node('.build/tests/e2e/faults/all.js', ...rest.slice(1));
  else node('.build/tests/e2e/faults/main.js', ...rest);
} else await runTests();

async function runTests() {
  const { positionals: wanted, values } = parseArgs({
    allowPositionals: true,
    options: { name: { type: 'string' } },
  });
  const byName = values.name === undefined ? [] : [`--test-name-pattern=${values.name}`];
  const unit = [...byName, '.build/tests/all.js', ...wanted];
  const e2e = [...byName, '.build/tests/e2e/all.js', ...wanted.slice(1)];
  if (wanted[0] === 'e2e') {
    await buildStale();
    node(...e2e);
  } else if (wanted.length > 0 || values.name !== undefined) node(...unit);
  else {
    await buildStale();
    await both(unit, e2e);
  }
}

/** Side by side, told one after the other. The second goes on to its end when the first fails. */
async function both(first, second) {
  const begin = (args, stdio) =>
    spawn(process.execPath, ['--enable-source-maps', ...args], { stdio: ['ignore', ...stdio] });
  const [live, kept] = [begin(first, ['inherit', 'inherit']), begin(second, ['pipe', 'pipe'])];
  const [firstEnd, secondEnd, out, errors] = [
    once(live, 'close'),
    once(kept, 'close'),
    buffer(kept.stdout),
    buffer(kept.stderr),
  ];
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      live.kill(signal);
      kept.kill(signal);
    });
  const [status] = await firstEnd;
  const [other] = await secondEnd;
  process.stdout.write(await out);
  process.stderr.write(await errors);
  process.exitCode = status || other || (status === null || other === null ? 1 : 0);
}
