// Compiles and runs the corruption matrix in full: `npm run matrix`. `npm test` runs a part of it.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run(process.execPath, ['--enable-source-maps', '.build/tests/matrix/main.js', ...process.argv.slice(2)]);
