// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process, then the built server under the
// official client. Arguments narrow it: a part of a path, or `e2e`; `--name R07` runs the tests whose names match, wherever they stand.
// Only when asked for: `e2e faults`, rounds of faults over one data directory, and `e2e faults scenarios [PART]`, what breaks told one by one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { buildStale, compile, installMissing, run } from './build.mjs';

const node = (...args) => run(process.execPath, ['--enable-source-maps', ...args]);
/** What `npm test` runs, three at once: most of the time one of them waits for something. */
const PARTS = [
  ...['src/', 'tests/'].map((part) => ['.build/tests/all.js', part]),
  ...['1/4', '2/4', '3/4', '4/4'].map((quarter) => ['.build/tests/e2e/all.js', '--part', quarter]),
];
const AT_ONCE = 3;
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
    await sideBySide();
  }
}

/** What each prints is told when it ends. Every one goes on to its end whatever fails. */
async function sideBySide() {
  const children = new Set();
  const waiting = [...PARTS];
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      waiting.length = 0;
      for (const child of children) child.kill(signal);
    });
  const lane = async () => {
    for (let args = waiting.shift(); args !== undefined; args = waiting.shift()) {
      const child = spawn(process.execPath, ['--enable-source-maps', ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.add(child);
      const told = ['stdout', 'stderr'].map(async (name) => [name, await buffer(child[name])]);
      const [status] = await once(child, 'close');
      children.delete(child);
      for (const [name, text] of await Promise.all(told)) process[name].write(text);
      process.exitCode ||= status ?? 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
