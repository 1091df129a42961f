// Compiles and fuzzes every decoder: `npm run fuzz -- [decoder …] [--minutes N] [--seed N]`.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run(process.execPath, ['--enable-source-maps', '.build/tests/fuzz/main.js', ...process.argv.slice(2)]);
