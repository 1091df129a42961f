// Compiles and runs the n-th-call loops: `npm run nth -- [--only NAME] [--at N --port PORT --flavour FLAVOUR] [--part I/N] [--calls] [--verbose] [--list]`.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run(process.execPath, ['--enable-source-maps', '.build/tests/nth/main.js', ...process.argv.slice(2)]);
