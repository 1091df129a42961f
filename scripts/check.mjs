// `npm run check`: format, lint, types, dead code, documents in step with the tables, architecture.
import { compile, installMissing, run } from './build.mjs';

installMissing();
await compile('tsconfig.test.json');
run('npx', ['biome', 'check', '--error-on-warnings', '.']);
run('npx', ['knip', '--no-progress']);
run(process.execPath, ['scripts/docs.mjs', '--check']);
run(process.execPath, ['.build/tests/all.js', 'architecture']);
