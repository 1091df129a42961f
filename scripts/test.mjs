// Compiles and runs tests: `node scripts/test.mjs` for unit, architecture and simulation tests in one process.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
};
if (!existsSync('node_modules/typescript')) run('npm', ['ci']);
run('npx', ['tsc', '-p', 'tsconfig.test.json']);
run(process.execPath, ['--enable-source-maps', '.build/tests/all.js', ...process.argv.slice(2)]);
