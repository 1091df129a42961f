// Compiles and runs tests. `npm test`: unit, architecture and simulation tests in one process; arguments narrow it to files
// whose path holds one of them.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run(process.execPath, ['--enable-source-maps', '.build/tests/all.js', ...process.argv.slice(2)]);
