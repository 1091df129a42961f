// Compiles and runs the simulation: `npm run sim -- --seed N | --seeds N [--from N] [--steps N] [--verbose] [--trace]`.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run(process.execPath, ['--enable-source-maps', '.build/tests/sim/main.js', ...process.argv.slice(2)]);
