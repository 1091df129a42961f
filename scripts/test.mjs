// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process, then the built server under the
// official client. Arguments narrow it: a part of a path, or `e2e`. Only when asked for: `e2e faults`, rounds of faults over one data
// directory, and `e2e faults scenarios [PART]`, what breaks told one by one.
import { buildStale, compile, installMissing, run } from './build.mjs';

const wanted = process.argv.slice(2);
installMissing();
await compile('tsconfig.test.json');
if (wanted[0] !== 'e2e') run(process.execPath, ['--enable-source-maps', '.build/tests/all.js', ...wanted]);
if (wanted[0] === 'e2e' && wanted[1] === 'faults') {
  await buildStale();
  const [file, ...rest] =
    wanted[2] === 'scenarios' ? ['all.js', ...wanted.slice(3)] : ['main.js', ...wanted.slice(2)];
  run(process.execPath, ['--enable-source-maps', `.build/tests/e2e/faults/${file}`, ...rest]);
} else if (wanted.length === 0 || wanted[0] === 'e2e') {
  await buildStale();
  run(process.execPath, ['--enable-source-maps', '.build/tests/e2e/all.js', ...wanted.slice(1)]);
}
