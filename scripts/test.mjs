// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process, then the built server under the
// official client. Arguments narrow it: a part of a path, or `e2e`; `--name R07` runs the tests whose names match, wherever they stand.
import { parseArgs } from 'node:util';
import { buildStale, compile, installMissing, run } from './build.mjs';

const { positionals: wanted, values } = parseArgs({ allowPositionals: true, options: { name: { type: 'string' } } });
const byName = values.name === undefined ? [] : [`--test-name-pattern=${values.name}`];
const node = (script, ...rest) => run(process.execPath, ['--enable-source-maps', ...byName, script, ...rest]);
installMissing();
await compile('tsconfig.test.json');
if (wanted[0] !== 'e2e') node('.build/tests/all.js', ...wanted);
if ((wanted.length === 0 && values.name === undefined) || wanted[0] === 'e2e') {
  await buildStale();
  node('.build/tests/e2e/all.js', ...wanted.slice(1));
}
