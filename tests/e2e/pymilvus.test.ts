import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withServer } from './fixture.ts';

const run = promisify(execFile);
/** One with pymilvus in it, such as that of a virtual environment. */
const python = process.env['TIDEMARK_PYTHON'] ?? 'python3';
const scripts = join(import.meta.dirname, '../../../tests/python');

const version = await run(python, ['-c', 'import pymilvus; print(pymilvus.__version__)']).then(
  ({ stdout }) => stdout.trim(),
  () => undefined,
);
const skip =
  version === undefined &&
  `pymilvus is not at hand: '${python}' cannot import it. TIDEMARK_PYTHON names another Python`;

async function rightBy(script: string, said: RegExp): Promise<void> {
  await withServer(async ({ server }) => {
    const done = run(python, [join(scripts, script), server.address], { timeout: 60_000 });
    const { stdout } = await done.catch((error: { stdout: string; stderr: string }) =>
      assert.fail(`pymilvus ${version}:\n${error.stdout}${error.stderr}`),
    );
    assert.match(stdout, said);
  });
}

test('every data type goes in and out through pymilvus', { skip }, () =>
  rightBy('every_type.py', /every type came back/),
);

test('what users of pymilvus do, call by call, answers as they expect', { skip }, () =>
  rightBy('tour.py', /all \d+ parts are right/),
);
