// Mutation tests of what may lose data: `npm run mutate -- [path part ...] [--sample N] [--seed N]`. Results: docs/mutants.md.
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compile, installMissing, run } from './build.mjs';

// The last one that runs on Node 20.
const INSTRUMENTER = '@stryker-mutator/instrumenter@9.6.1';

const root = join(import.meta.dirname, '..');
const tools = join(root, '.cache/mutation');
installMissing();
if (!existsSync(join(tools, 'node_modules/@stryker-mutator/instrumenter')))
  run('npm', ['install', '--prefix', tools, '--no-save', '--no-fund', '--no-audit', INSTRUMENTER]);
await compile('tsconfig.test.json');
// As deep as `.build`, so that tests find their golden files.
rmSync(join(root, '.mutants'), { recursive: true, force: true });
for (const part of ['src', 'tests'])
  cpSync(join(root, '.build', part), join(root, '.mutants', part), { recursive: true });
run(process.execPath, ['.mutants/tests/mutation/main.js', ...process.argv.slice(2)]);
