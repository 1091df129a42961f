import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { systemClock } from '../support/system-clock.ts';
import { ThreadWorkers } from '../support/system-workers.ts';
import { Catalog, put, type TableSpec } from './catalog.ts';
import { CommitThreadKv } from './commit-thread.ts';
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

kvSuite('lmdb with a thread for commits', async () => {
  const path = await freshPath();
  return { open: () => openThreaded(path) };
});

function openThreaded(path: string): Promise<CommitThreadKv> {
  const script = new URL('../catalog-worker.js', import.meta.url);
  const threads = new ThreadWorkers({
    script,
    maxThreads: 1,
    maxQueued: 100,
    idleMs: 1e6,
    clock: systemClock,
  });
  return CommitThreadKv.open(path, threads);
}

describe('lmdb with a thread for commits', () => {
  test('a read sees what was committed a moment ago, also when a read came just before the commit', async () => {
    const kv = await openThreaded(await freshPath());
    for (let i = 0; i < 200; i++) {
      assert.equal(await kv.get(`key/${i}`), undefined);
      await kv.commit([{ kind: 'put', key: `key/${i}`, value: Uint8Array.of(i) }]);
      assert.deepEqual([...((await kv.get(`key/${i}`)) ?? [])], [i]);
      assert.equal((await kv.range('key/')).length, i + 1);
    }
    await kv.close();
  });

  test('commits run in the order of their calls, and close waits for them', async () => {
    const path = await freshPath();
    const kv = await openThreaded(path);
    const value = (i: number) => Uint8Array.of(i);
    const outcomes = [];
    for (let i = 0; i < 50; i++)
      outcomes.push(
        kv.commit(
          [{ kind: 'put', key: 'k', value: value(i) }],
          [{ key: 'k', value: i === 0 ? undefined : value(i - 1) }],
        ),
      );
    await kv.close();
    assert.deepEqual(new Set(await Promise.all(outcomes)), new Set(['committed']));
    await assert.rejects(kv.commit([]), (error) => isDbError(error, 'service-unavailable'));
    const again = await LmdbKv.open(path);
    assert.deepEqual([...((await again.get('k')) ?? [])], [49]);
    await again.close();
  });

  test('a path that is a file is storage-failed, and no thread stays', async () => {
    const path = await freshPath();
    await writeFile(path, 'no directory');
    await assert.rejects(openThreaded(path), (error) => isDbError(error, 'storage-failed'));
  });
});

describe('R14: a damaged catalog file', () => {
  const words: TableSpec<bigint, { readonly id: bigint; readonly text: string }> = {
    name: 'word',
    version: 1,
    idOf: ({ id }) => id,
  };
  const TEXT = 'what this record says, ';
  const opened = async (path: string): Promise<Catalog> => {
    const kv = await openThreaded(path);
    try {
      return await Catalog.open({ kv, tables: [words], highWater: () => 1n });
    } catch (error) {
      await kv.close();
      throw error;
    }
  };

  test('bytes that change in a record, at any place of it, stop the start and name the record', async () => {
    const path = await freshPath();
    const file = join(path, 'data.mdb');
    const catalog = await opened(path);
    for (let id = 1n; id <= 3n; id++)
      await catalog.commitSure([put(words, { id, text: `${TEXT}${id}` }, undefined)]);
    await catalog.close();
    const whole = await readFile(file);
    // Pages that are not used any more hold older copies: those may change.
    const places = [1n, 2n, 3n].map((id) => whole.lastIndexOf(`${TEXT}${id}`));
    let refused = 0;
    for (const [i, place] of places.entries())
      for (const at of [place + [-10, 0, TEXT.length][i]!]) {
        const changed = Buffer.from(whole.map((byte, i) => (i === at ? byte ^ 1 : byte)));
        await writeFile(file, changed);
        const outcome = await opened(path).then(
          async (again) => {
            const texts = [...again.all(words)].map(({ text }) => text);
            await again.close();
            return texts;
          },
          (error: unknown) => error,
        );
        if (isDbError(outcome, 'data-integrity')) {
          assert.match(outcome.message, /word\/\d|meta\/|'word'/);
          refused++;
        } else
          assert.deepEqual(
            outcome,
            [1, 2, 3].map((id) => `${TEXT}${id}`),
          );
      }
    assert.ok(refused > 0, 'no copy that is in use was changed');
  });

  test('a file that was cut short, or whose head is damaged, is refused by name, before it can end the process', async () => {
    const path = await freshPath();
    const file = join(path, 'data.mdb');
    const catalog = await opened(path);
    for (let id = 1n; id <= 3n; id++) await catalog.commitSure([put(words, { id, text: TEXT }, undefined)]);
    await catalog.close();
    const whole = await readFile(file);
    const heads = [24, 28, 48].map((at) => Buffer.from(whole.map((byte, i) => (i === at ? byte ^ 1 : byte))));
    for (const bytes of [whole.subarray(0, 1), whole.subarray(0, 4096), whole.subarray(0, 8192), ...heads]) {
      await writeFile(file, bytes);
      await assert.rejects(
        opened(path),
        (error) => isDbError(error, 'data-integrity') && error.message.includes(file),
      );
    }
    await writeFile(file, whole);
    const again = await opened(path);
    assert.equal(again.count(words), 3);
    await again.close();
  });
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
