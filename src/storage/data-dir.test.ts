import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { isDbError } from '../errors/db-error.ts';
import { openDataDir } from './data-dir.ts';

async function withDir(run: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'tidemark-dir-'));
  try {
    await run(path);
  } finally {
    await rm(path, { recursive: true });
  }
}
const refused = (words: RegExp) => (error: unknown) =>
  isDbError(error, 'parameter-invalid') && words.test(error.message);

test('a data directory can be opened once at a time', () =>
  withDir(async (path) => {
    const first = await openDataDir(path);
    await assert.rejects(
      openDataDir(path),
      refused(new RegExp(`is open already in this process \\(${process.pid}\\)`)),
    );
    await first.release();
    await (await openDataDir(path)).release();
    assert.deepEqual((await readdir(path)).sort(), ['lock.1', 'tidemark.json']);
  }));

test('of many starters at one stale lock exactly one wins', () =>
  withDir(async (path) => {
    await writeFile(join(path, 'lock.7'), JSON.stringify({ pid: 2 ** 22 + 1, started: 'gone' }));
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => openDataDir(path)));
    const winners = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    assert.equal(winners.length, 1);
    await winners[0]!.release();
  }));

test('a lock of a process id that now belongs to another process is stale', () =>
  withDir(async (path) => {
    await writeFile(join(path, 'lock.7'), JSON.stringify({ pid: process.pid, started: 'another boot/1' }));
    await (await openDataDir(path)).release();
  }));

test(
  'a lock of a killed process that nobody has waited for is stale',
  {
    skip: process.platform !== 'linux',
  },
  () =>
    withDir(async (path) => {
      // The shell becomes a process that knows nothing of its child.
      const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60']);
      try {
        const [pid] = await once(parent.stdout, 'data');
        const statOf = async () => {
          const stat = await readFile(`/proc/${Number(pid)}/stat`, 'utf8');
          return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        };
        const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
        const holder = { pid: Number(pid), started: `${boot}/${(await statOf())[19]}` };
        await writeFile(join(path, 'lock.7'), JSON.stringify(holder));
        await assert.rejects(openDataDir(path), refused(/in use by process/));
        while ((await statOf())[0] !== 'Z') await setTimeout(10);
        await (await openDataDir(path)).release();
      } finally {
        parent.kill();
        await once(parent, 'close');
      }
    }),
);

test('a lock file cut short by a crash is stale', () =>
  withDir(async (path) => {
    await writeFile(join(path, 'lock.7'), '{"pid":');
    await (await openDataDir(path)).release();
  }));

test('a directory of a newer format is refused and left as it is', () =>
  withDir(async (path) => {
    await writeFile(join(path, 'tidemark.json'), '{"format":2}');
    await assert.rejects(openDataDir(path), refused(/format 2, written by a newer Tidemark/));
    assert.equal(await readFile(join(path, 'tidemark.json'), 'utf8'), '{"format":2}');
    assert.deepEqual(await readdir(path), ['tidemark.json']);
  }));

test('a path that is a file is refused by name', () =>
  withDir(async (path) => {
    await writeFile(join(path, 'file'), '');
    await assert.rejects(openDataDir(join(path, 'file')), refused(/cannot be used/));
  }));

test('missing parents are made', () =>
  withDir(async (path) => {
    const deep = join(path, 'a', 'b', 'c');
    await (await openDataDir(deep)).release();
    assert.ok((await readdir(deep)).includes('tidemark.json'));
  }));

test('directories that are opened at once make the parents they share', () =>
  withDir(async (path) => {
    const deep = Array.from({ length: 16 }, (_, n) => join(path, 'a', 'b', String(n)));
    const opened = await Promise.all(deep.map(openDataDir));
    for (const dir of opened) await dir.release();
  }));

test('a place where no directory can be made is refused, at once', {
  skip: process.platform !== 'linux',
}, async () => {
  await assert.rejects(openDataDir('/proc/tidemark/data'), refused(/cannot be used/));
});

test('a marker that is no JSON, or names no format, is damage and says where', () =>
  withDir(async (path) => {
    for (const text of ['', 'not json', 'null', '{"format":"1"}']) {
      await writeFile(join(path, 'tidemark.json'), text);
      await assert.rejects(openDataDir(path), refused(/tidemark\.json' is damaged/));
    }
  }));

/** Time passes at once. */
const quickClock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  sleep: (_ms: number, signal: AbortSignal) => setTimeout(1, undefined, { signal }),
};

test('a data directory that is removed is lost, and so is one that is replaced; one that stays is not', () =>
  withDir(async (path) => {
    const over = new AbortController();
    const kept = await openDataDir(join(path, 'kept'));
    const stays = kept.lost(quickClock, over.signal).then(() => 'lost');
    for (const how of ['removed', 'replaced']) {
      const where = join(path, how);
      const opened = await openDataDir(where);
      const loss = opened.lost(quickClock, over.signal);
      await rm(where, { recursive: true });
      if (how === 'replaced') await (await openDataDir(where)).release();
      assert.match((await loss).message, /'.*' was removed or replaced under the running server/);
      const before = how === 'replaced' ? await readFile(join(where, 'lock.0'), 'utf8') : '';
      await assert.rejects(opened.release(), /was removed or replaced/);
      if (how === 'replaced') assert.equal(await readFile(join(where, 'lock.0'), 'utf8'), before);
      else await assert.rejects(readdir(where));
    }
    assert.equal(await Promise.race([stays, setTimeout(20, 'there')]), 'there');
    over.abort();
    await kept.release();
  }));
