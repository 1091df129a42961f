import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { privateSocket } from './private-socket.ts';

const hasSockets = process.platform !== 'win32';

async function withDirs(run: (data: string, temporary: string) => Promise<void>): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'tm-')));
  try {
    await mkdir(join(root, 'data'));
    await mkdir(join(root, 't'));
    await run(join(root, 'data'), join(root, 't'));
  } finally {
    await rm(root, { recursive: true });
  }
}

test(
  'a private socket lies in a directory of its own that nobody else may enter, and leaves nothing',
  {
    skip: !hasSockets,
  },
  () =>
    withDirs(async (data, temporary) => {
      const socket = await privateSocket(data, { temporary });
      assert.ok(socket);
      assert.equal((await stat(join(socket.path, '..'))).mode & 0o777, 0o700);
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(socket.path, resolve));
      await new Promise((resolve) => server.close(resolve));
      await socket.remove();
      assert.deepEqual([await readdir(temporary), await readdir(data)], [[], []]);
    }),
);

test('the socket of a killed process is removed by the next one', { skip: !hasSockets }, () =>
  withDirs(async (data, temporary) => {
    const left = await privateSocket(data, { temporary });
    await writeFile(left?.path ?? '', '');
    const next = await privateSocket(data, { temporary });
    assert.notEqual(next?.path, left?.path);
    assert.equal((await readdir(temporary)).length, 1);
    await next?.remove();
    assert.deepEqual(await readdir(temporary), []);
  }),
);

test(
  'whatever the place says, nothing goes but a socket and an empty directory of our name',
  {
    skip: !hasSockets,
  },
  () =>
    withDirs(async (data, temporary) => {
      const kept = join(temporary, 'tidemark-abcdef');
      await mkdir(kept);
      await writeFile(join(kept, 'film'), '');
      const other = join(temporary, 'other');
      await mkdir(other);
      await writeFile(join(other, 'grpc.sock'), '');
      await symlink(other, join(temporary, 'tidemark-linked'));
      for (const text of [kept, other, `${temporary}/tidemark-linked/..`, '', 'tidemark-abcdef', '\0']) {
        await writeFile(join(data, 'socket'), text);
        await (await privateSocket(data, { temporary }))?.remove();
      }
      assert.deepEqual(await readdir(kept), ['film']);
      assert.deepEqual(await readdir(other), ['grpc.sock']);
    }),
);

test('without sockets, without a place for them or with too long a name there is none', () =>
  withDirs(async (data, temporary) => {
    assert.equal(await privateSocket(data, { temporary, platform: 'win32' }), undefined);
    assert.equal(await privateSocket(data, { temporary: join(temporary, 'x'.repeat(100)) }), undefined);
    assert.equal(await privateSocket(data, { temporary: join(temporary, 'none') }), undefined);
    assert.deepEqual([await readdir(temporary), await readdir(data)], [[], []]);
  }));
