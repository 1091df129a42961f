// Compiles and runs tests: `npm test` runs unit, architecture and simulation tests in one process; arguments narrow it to
// files whose path holds one of them.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
};
if (!existsSync('node_modules/typescript')) run('npm', ['ci']);
const { generateStale } = await import('./generate.mjs');
await generateStale();
run('npx', ['tsc', '-p', 'tsconfig.test.json']);
run(process.execPath, ['--enable-source-maps', '.build/tests/all.js', ...process.argv.slice(2)]);
