import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withServer } from './fixture.ts';

const root = join(import.meta.dirname, '../../..');

test("the README's program prints what the README says", () =>
  withServer(async ({ server }) => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const program = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    assert.ok(program.includes('127.0.0.1:19530'), 'the README has no program');
    const expected = /console\.log\(.*\/\/ (.*)/.exec(program)?.[1];
    const file = join(root, '.build', `readme-${process.pid}.mjs`);
    try {
      await writeFile(
        file,
        `${program.replace('127.0.0.1:19530', server.address)}\nawait client.closeConnection();\n`,
      );
      const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 });
      assert.equal(stdout.trim(), expected);
    } finally {
      await rm(file, { force: true });
    }
  }));
