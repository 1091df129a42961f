import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { kvSuite } from './kv.suite.ts';
import { LmdbKv } from './lmdb.ts';

const roots: string[] = [];
async function freshPath(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-kv-'));
  roots.push(root);
  return join(root, 'catalog');
}
after(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));

kvSuite('lmdb', async () => {
  const path = await freshPath();
  return { open: () => LmdbKv.open(path) };
});

describe('lmdb kv', () => {
  test('it grows beyond the address space it began with', async () => {
    const kv = await LmdbKv.open(await freshPath(), { mapSize: 1 << 20 });
    for (let i = 0; i < 4; i++)
      await kv.commit([{ kind: 'put', key: `big/${i}`, value: new Uint8Array(1_400_000) }]);
    assert.equal((await kv.range('big/')).length, 4);
    await kv.close();
  });

  // biome-ignore lint/plugin: only an operator of the tests can say where a small file system is mounted.
  const disk = process.env['TIDEMARK_SMALL_DISK'];
  test('on a full disk a commit is storage-full, nothing of it is written, and smaller commits go on', {
    skip: disk === undefined && 'TIDEMARK_SMALL_DISK names no directory of a small file system',
  }, async () => {
    const path = join(disk ?? '', 'catalog');
    const kv = await LmdbKv.open(path);
    const put = (key: string, bytes: number) =>
      kv.commit([
        { kind: 'put', key: `${key}/a`, value: new Uint8Array(10) },
        { kind: 'put', key, value: new Uint8Array(bytes) },
      ]);
    let written = 0;
    const fill = async () => {
      for (; written < 1000; written++) await put(`n${written}`, 200_000);
    };
    await assert.rejects(fill(), (error) => isDbError(error, 'storage-full'));
    assert.equal((await kv.range('')).length, 2 * written);
    await put('small', 10);
    assert.equal((await kv.range('')).length, 2 * written + 2);
    await kv.close();
    await rm(path, { recursive: true });
  });

  test('a path that is a file is storage-failed; a closed catalog refuses', async () => {
    const path = await freshPath();
    await writeFile(path, 'no directory');
    await assert.rejects(LmdbKv.open(path), (error) => isDbError(error, 'storage-failed'));
    const kv = await LmdbKv.open(await freshPath());
    await kv.close();
    await assert.rejects(kv.get('a'), (error) => isDbError(error, 'service-unavailable'));
  });
});
