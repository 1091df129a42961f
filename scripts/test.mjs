// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process, then the built server under the
// official client. Arguments narrow it: a part of a path, or `e2e`; `--name R07` runs the tests whose names match, wherever they stand.
// Only when asked for: `e2e faults`, rounds of faults over one data directory, and `e2e faults scenarios [PART]`, what breaks told one by one.
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
  if (wanted[0] !== 'e2e') node(...byName, '.build/tests/all.js', ...wanted);
  if (wanted[0] !== 'e2e' && (wanted.length > 0 || values.name !== undefined)) return;
  await buildStale();
  node(...byName, '.build/tests/e2e/all.js', ...wanted.slice(1));
}
