// `npm run demo [-- --synthetic]`: builds what is needed and tells the story of demo/demo.ts.
import { buildStale, compile, installMissing, run } from './build.mjs';

installMissing();
await buildStale();
await compile('tsconfig.test.json');
run(process.execPath, ['.build/demo/demo.js', ...process.argv.slice(2)]);
