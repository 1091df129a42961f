import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isDbError } from '../errors/db-error.ts';
import { buildFolder } from './system-package.ts';

test('scripts of threads lie beside the build that runs', () => {
  assert.ok(existsSync(new URL('catalog-worker.js', buildFolder())));
});

test('a program that bundles us finds the build of the installed package; without one it is told what to do', async () => {
  const app = await mkdtemp(join(tmpdir(), 'tidemark-bundle-'));
  try {
    const bundle = pathToFileURL(join(app, 'out/app.mjs')).href;
    const refused = (error: unknown) =>
      isDbError(error, 'unimplemented') && /outside of the bundle/.test(error.message);
    assert.throws(() => buildFolder(bundle), refused);
    // As an import.meta that a bundler has emptied.
    assert.throws(() => buildFolder(''), refused);
    const installed = join(app, 'node_modules/tidemark/dist');
    await mkdir(installed, { recursive: true });
    await writeFile(join(installed, '../package.json'), '{"type":"module","exports":"./dist/index.js"}');
    await writeFile(join(installed, 'index.js'), '');
    assert.match(buildFolder(bundle).href, /node_modules\/tidemark\/dist\/$/);
  } finally {
    await rm(app, { recursive: true });
  }
});
