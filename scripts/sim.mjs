// Compiles and runs the simulation: `npm run sim -- --help`.
import { compile, installMissing } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
process.setSourceMapsEnabled(true);
// In this process: Ctrl-C must not leave one behind.
await import('../.build/tests/sim/main.js');
