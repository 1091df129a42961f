import assert from 'node:assert/strict';
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DbError, isDbError } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import { LocalStore } from './local.ts';
import { objectStoreSuite } from './object-store.suite.ts';
import type { CopyOptions } from './object-store.ts';
import { storageError } from './storage-error.ts';

const roots: string[] = [];
async function freshRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-store-'));
  roots.push(root);
  return root;
}
after(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));

const refused = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code, errno: -1 }));

async function leave({ location }: LocalStore, name: string, sizeBytes: number): Promise<void> {
  const path = join(location.root, '.tmp', name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, new Uint8Array(sizeBytes));
}

objectStoreSuite('local', async () => LocalStore.open(await freshRoot()), leave);
objectStoreSuite(
  'local without hard links',
  async () => LocalStore.open(await freshRoot(), { link: refused('EXDEV') }),
  leave,
);

describe('local store', () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);
  const options = (etag: string, mode: CopyOptions['mode'] = 'shared'): CopyOptions => ({
    sizeBytes: bytes.length,
    crc32: crc32(bytes),
    etag,
    mode,
  });

  test('a copy of bytes asks its pace before every window, a link and a refused copy leave nothing half done', async () => {
    const store = await LocalStore.open(await freshRoot());
    const { etag } = await store.put('a', bytes);
    const asked: number[] = [];
    const pace = {
      windowBytes: 2000,
      take: (count: number) => {
        asked.push(count);
        return Promise.resolve();
      },
    };
    assert.equal((await store.copy('a', 'linked', { ...options(etag), pace })).method, 'hard-link');
    assert.deepEqual(asked, []);
    assert.equal((await store.copy('a', 'copied', { ...options(etag, 'physical'), pace })).method, 'stream');
    assert.deepEqual(asked, [2000, 2000, 1000]);
    assert.deepEqual(await store.get('copied'), bytes);
    const stop = { windowBytes: 2000, take: () => Promise.reject(new DbError('cancelled', 'dropped')) };
    await assert.rejects(store.copy('a', 'refused', { ...options(etag, 'physical'), pace: stop }), (error) =>
      isDbError(error, 'cancelled'),
    );
    assert.equal(await store.stat('refused'), undefined);
    assert.equal((await store.copy('a', 'refused', options(etag))).method, 'hard-link');
    await store.close();
  });

  test('makes its directory, with parents, and finds its objects again', async () => {
    const root = join(await freshRoot(), 'deep', 'er');
    const first = await LocalStore.open(root);
    const { etag } = await first.put('a/b', bytes);
    await first.close();
    await first.close();
    await assert.rejects(first.put('a/c', bytes), (error) => isDbError(error, 'service-unavailable'));
    await using second = new AsyncDisposableStore(await LocalStore.open(root));
    assert.equal((await second.store.stat('a/b'))?.etag, etag);
    assert.deepEqual(second.store.location, { kind: 'local', root });
  });

  test('how copies share is chosen per file system by one probe, which leaves nothing', async () => {
    const root = await freshRoot();
    let links = 0;
    const store = await LocalStore.open(root, {
      link: () => {
        links++;
        return refused('EPERM')();
      },
    });
    assert.ok(['clone', 'none'].includes(await store.sharing()));
    await store.sharing();
    assert.equal(links, 1);
    const [own] = await readdir(join(root, '.tmp'));
    assert.deepEqual(await readdir(join(root, '.tmp', own!)), []);
    await store.close();
    const linking = await LocalStore.open(await freshRoot());
    assert.equal(await linking.sharing(), 'hard-link');
    assert.ok((await linking.capacity()).freeBytes > 0);
    await linking.close();
  });

  test('a probe that fails for another reason is made again', async () => {
    let errors = 1;
    const store = await LocalStore.open(await freshRoot(), {
      link: (from, to) => (errors-- > 0 ? refused('EIO')() : link(from, to)),
    });
    await assert.rejects(store.sharing(), (error) => isDbError(error, 'storage-failed'));
    assert.equal(await store.sharing(), 'hard-link');
    await store.close();
  });

  test('what a crash left half written is removed at open, but not by a further opener', async () => {
    const root = await freshRoot();
    await mkdir(join(root, '.tmp', 'w-old'), { recursive: true });
    await writeFile(join(root, '.tmp', 'w-old', '7'), 'half');
    const guest = await LocalStore.attach(root);
    assert.ok((await readdir(join(root, '.tmp'))).includes('w-old'));
    await guest.put('a', bytes);
    await guest.close();
    const owner = await LocalStore.open(root);
    assert.deepEqual(await readdir(join(root, '.tmp')), []);
    await owner.put('b', bytes);
    assert.equal((await readdir(join(root, '.tmp'))).length, 1);
    assert.equal((await owner.get('a')).length, bytes.length);
    await owner.close();
    assert.deepEqual(await readdir(join(root, '.tmp')), []);
  });

  test('an instance that only reads leaves nothing, and is no temporary', async () => {
    const root = await freshRoot();
    await using owner = new AsyncDisposableStore(await LocalStore.open(root));
    await owner.store.put('a', bytes);
    const guest = await LocalStore.attach(root);
    assert.equal((await guest.get('a')).length, bytes.length);
    for await (const { name } of owner.store.listTemporary()) assert.fail(name);
    await guest.close();
  });

  test('the directory of a thread that is gone is a temporary; one that is alive makes its own again', async () => {
    const root = await freshRoot();
    await using owner = new AsyncDisposableStore(await LocalStore.open(root));
    await using guest = new AsyncDisposableStore(await LocalStore.attach(root));
    const names = async () => {
      const found: string[] = [];
      for await (const { name } of owner.store.listTemporary()) found.push(name);
      return found;
    };
    await guest.store.put('a/a', bytes);
    const [idle] = await names();
    assert.match(idle ?? '', /^w-/);
    await owner.store.deleteTemporary(idle ?? '');
    assert.deepEqual(await names(), []);
    const { crc32: sum } = await guest.store.put('a/b', bytes);
    assert.equal(sum, crc32(bytes));
    assert.deepEqual(await names(), [idle]);
    await owner.store.deleteTemporary(idle ?? '');
    const copied = await guest.store.copy('a/b', 'a/c', options('', 'physical'));
    assert.equal(copied.method, 'stream');
    await assert.rejects(guest.store.copy('a/none', 'a/d', options('')), (e) =>
      isDbError(e, 'object-not-found'),
    );
  });

  test('foreign names in the directory are not listed', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    await writeFile(join(root, '.hidden'), 'x');
    await writeFile(join(root, 'with space'), 'x');
    await held.store.put('a', bytes);
    const keys: string[] = [];
    for await (const { key } of held.store.list('')) keys.push(key);
    assert.deepEqual(keys, ['a']);
  });

  test('a shared copy is the same inode; a physical one is not, also over a shared one', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    const { etag } = await held.store.put('s', bytes);
    const inodeOf = async (key: string) => (await stat(join(root, key))).ino;
    const shared = await held.store.copy('s', 'd/t', options(etag));
    assert.equal(shared.method, 'hard-link');
    assert.equal(shared.etag, etag);
    assert.equal(await inodeOf('d/t'), await inodeOf('s'));
    assert.equal((await held.store.copy('s', 'd/t', options(etag))).checkedBytes, 0);
    const physical = await held.store.copy('s', 'd/t', options(etag, 'physical'));
    assert.equal(physical.method, 'stream');
    assert.notEqual(await inodeOf('d/t'), await inodeOf('s'));
  });

  for (const code of ['EXDEV', 'EMLINK', 'EPERM', 'ENOTSUP'])
    test(`where a hard link answers ${code} the bytes are cloned or copied`, async () => {
      const root = await freshRoot();
      await using held = new AsyncDisposableStore(await LocalStore.open(root, { link: refused(code) }));
      const { etag } = await held.store.put('s', bytes);
      const { method } = await held.store.copy('s', 't', options(etag));
      assert.ok(method === 'clone' || method === 'stream', method);
      assert.equal(Buffer.compare(await readFile(join(root, 't')), bytes), 0);
    });

  test('a full disk is storage-full, leaves no target and nothing half written', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root, { link: refused('ENOSPC') }));
    const { etag } = await held.store.put('s', bytes);
    await assert.rejects(held.store.copy('s', 'd/t', options(etag)), (error) =>
      isDbError(error, 'storage-full'),
    );
    assert.equal(await held.store.stat('d/t'), undefined);
    const [temp] = await readdir(join(root, '.tmp'));
    assert.deepEqual(await readdir(join(root, '.tmp', temp!)), []);
  });

  for (const mode of ['shared', 'physical'] as const)
    test(`a source changed in place, its size kept, is found by a ${mode} copy`, async () => {
      const root = await freshRoot();
      await using held = new AsyncDisposableStore(await LocalStore.open(root));
      const { etag } = await held.store.put('s', bytes);
      const file = await open(join(root, 's'), 'r+');
      await file.write(Uint8Array.of(bytes[9]! ^ 1), 0, 1, 9);
      await file.close();
      // Some file systems keep time in steps of milliseconds: the write may fall into the step of the put.
      await utimes(join(root, 's'), 1e9, 1e9);
      await assert.rejects(
        held.store.copy('s', 't', options(etag, mode)),
        (error) => isDbError(error, 'data-integrity') && error.message.includes("'s'"),
      );
      assert.equal(await held.store.stat('t'), undefined);
    });

  test('a source whose mark changed but whose bytes did not is copied after reading it', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    const { etag } = await held.store.put('s', bytes);
    await utimes(join(root, 's'), 1e9, 1e9);
    assert.equal((await held.store.copy('s', 't', options(etag))).checkedBytes, bytes.length);
  });

  test('empty directories go with their last object', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    await held.store.put('a/b/c/d', bytes);
    await held.store.put('a/e', bytes);
    await held.store.delete('a/b/c/d');
    assert.deepEqual(await readdir(join(root, 'a')), ['e']);
    await held.store.put('a/b/c/d', bytes);
    assert.deepEqual(await readdir(join(root, 'a')), ['b', 'e']);
  });

  test('a directory that vanished behind our back is made again', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    const { etag } = await held.store.put('s', bytes);
    await held.store.put('a/b/c', bytes);
    await rm(join(root, 'a'), { recursive: true });
    await held.store.put('a/b/c', bytes);
    await rm(join(root, 'a'), { recursive: true });
    await held.store.copy('s', 'a/b/d', options(etag));
    assert.deepEqual(await readdir(join(root, 'a/b')), ['d']);
  });

  test('a store that cannot be written answers storage-failed with the cause, naming the key', async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    await writeFile(join(root, 'a'), 'a file where a directory is needed');
    await assert.rejects(
      held.store.put('a/b', bytes),
      (error) =>
        isDbError(error, 'storage-failed') && error.message.includes("'a/b'") && error.cause !== undefined,
    );
    await assert.rejects(LocalStore.open(join(root, 'a')), (error) => isDbError(error, 'storage-failed'));
  });

  test('a read-only directory answers storage-failed', {
    skip: process.getuid?.() === 0 && 'root may write anywhere',
  }, async () => {
    const root = await freshRoot();
    await using held = new AsyncDisposableStore(await LocalStore.open(root));
    await held.store.put('a/b', bytes);
    await chmod(join(root, 'a'), 0o500);
    await assert.rejects(held.store.put('a/c', bytes), (error) => isDbError(error, 'storage-failed'));
    await chmod(join(root, 'a'), 0o700);
  });

  test('only errors of the operating system become storage errors', () => {
    const worldly = (code: string) => storageError('x', Object.assign(new Error(code), { code }));
    assert.ok(isDbError(worldly('ENOSPC'), 'storage-full'));
    assert.ok(isDbError(worldly('EDQUOT'), 'storage-full'));
    assert.ok(isDbError(worldly('EIO'), 'storage-failed'));
    assert.ok(!isDbError(worldly('ERR_OUT_OF_RANGE')));
  });
});

class AsyncDisposableStore {
  readonly store: LocalStore;
  constructor(store: LocalStore) {
    this.store = store;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.store.close();
  }
}
