import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../run-cli.ts';
import { Life, withLife } from './life.ts';
import { lacks, Place } from './place.ts';
import { eventually, pause } from './session.ts';

/** What is said when a server cannot start over `dir`. */
async function refusedStart(life: Life, options?: Parameters<Life['start']>[0]): Promise<string> {
  const words = await life.start(options).then(
    () => 'started',
    (error: unknown) => (error as Error).message,
  );
  console.log(`  ${words.trim().replaceAll('\n', '\n  ')}`);
  assert.match(words, /ended with code 1:\ntidemark: [^\n]+\n$/, 'one line and code 1');
  return words;
}

test('a read-only file system: the start says so in one line, and after that it starts with everything', async (t) => {
  const disk = await Place.memory(48);
  if (typeof disk === 'string') return t.skip(disk);
  const life = new Life(disk.dir);
  try {
    await life.begin({ through: disk.through });
    assert.equal(await life.write(200), undefined);
    await life.stop();
    disk.run('mount', '-o', 'remount,ro', disk.mountPoint);
    assert.match(await refusedStart(life, { through: disk.through }), /file system is read-only/);
    disk.run('mount', '-o', 'remount,rw', disk.mountPoint);
    await life.start({ through: disk.through });
    await life.compareAgain('after the file system could be written again');
  } finally {
    await life.session?.kill();
    await disk.close();
  }
});

test('a file system that turns read-only under a running server: nothing is acknowledged any more, it goes on answering reads or ends with one line, and a start on a sound one brings all', async (t) => {
  const why = lacks('mkfs.ext4', '-V') || (process.getuid?.() !== 0 && 'a loop device needs root');
  if (why) return t.skip(why);
  const scratch = await mkdtemp(join(tmpdir(), 'tidemark-image-'));
  const image = join(scratch, 'image');
  execFileSync('truncate', ['-s', '64M', image]);
  execFileSync('mkfs.ext4', ['-q', '-e', 'remount-ro', image]);
  const disk = await Place.mount(`mount -o loop,errors=remount-ro '${image}' "$1"`);
  if (typeof disk === 'string') return t.skip(disk);
  const life = new Life(disk.dir);
  try {
    await life.begin({ through: disk.through });
    for (let n = 0; n < 3; n++) assert.equal(await life.write(200), undefined);
    await life.snapshot('before');
    const loop = basename(disk.run('losetup', '-j', image).split(':')[0] ?? '');
    // The file system itself finds an error, and does what it does then.
    disk.run('sh', '-c', `echo test > /sys/fs/ext4/${loop}/trigger_fs_error`);
    const words = await eventually('a write is refused', 10_000, () => life.write(200));
    console.log('  write:', words);
    assert.match(words, /read-only|EROFS|EIO|i\/o error/i);
    const code = await Promise.race([life.session.server.exited, pause(5000).then(() => 'running')]);
    console.log('  said:', life.session.server.printed().split('\n').slice(5).join('\n  '));
    if (code === 'running') await life.compare('on a read-only file system');
    else {
      // The catalog was written first, and what became of that write is not known.
      assert.equal(code, 1);
      assert.match(life.session.server.printed(), /tidemark: giving up: .*read-only/i);
    }
    await life.session.kill();
    disk.run('umount', disk.mountPoint);
    try {
      execFileSync('fsck.ext4', ['-p', image], { stdio: 'ignore' });
    } catch (error) {
      // 1: it had something to correct.
      assert.equal((error as { status: number }).status, 1);
    }
    disk.run('mount', '-o', 'loop', image, disk.mountPoint);
    await life.start({ through: disk.through });
    await life.compareAgain('after the file system was mounted again');
    assert.equal(await life.write(200), undefined);
  } finally {
    await life.session?.kill();
    await disk.close();
    await rm(scratch, { recursive: true, force: true });
  }
});

test('a data directory that is removed under a running server: it acknowledges nothing more, and ends with one line', () =>
  withLife(async (life) => {
    await life.begin();
    assert.equal(await life.write(100), undefined);
    await rm(life.dir, { recursive: true, force: true });
    const first = await life.write(100);
    console.log('  write:', first);
    assert.notEqual(first, undefined, 'a write into a removed log was acknowledged');
    const code = await Promise.race([life.session.server.exited, pause(20_000).then(() => 'running')]);
    const said = life.session.server.printed().split('\n').slice(5).join('\n');
    console.log('  said:', said);
    assert.equal(code, 1);
    assert.match(said, /^tidemark: giving up: the data directory '.*' was removed/m);
  }));

test('an idle server ends by itself when its data directory is removed or replaced', () =>
  withLife(async (life) => {
    await life.begin();
    await rm(life.dir, { recursive: true, force: true });
    await mkdir(life.dir);
    const code = await Promise.race([life.session.server.exited, pause(20_000).then(() => 'running')]);
    console.log('  said:', life.session.server.printed().split('\n').slice(5).join('\n'));
    assert.equal(code, 1);
    assert.deepEqual(await readdir(life.dir), [], 'it writes into a directory that is not its own');
  }));

/** Root may do everything: without these it may not. */
const ORDINARY =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--'] : [];

test('a file that cannot be read, whichever it is: the start names it in one line and changes nothing', async (t) => {
  const why = ORDINARY.length > 0 && lacks('setpriv', '--version');
  if (why) return t.skip(why);
  await withLife(async (life) => {
    await life.begin();
    assert.equal(await life.write(300), undefined);
    await life.snapshot('s');
    await life.session.kill();
    const files = (await readdir(life.dir, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.startsWith('lock.'))
      .map((entry) => join(entry.path, entry.name));
    const of = (part: string) => files.find((file) => file.includes(part)) ?? '';
    for (const file of [
      of('catalog/data.mdb'),
      of('/wal/'),
      of('tidemark.json'),
      of('identity/'),
      join(life.dir, 'objects'),
      join(life.dir, 'wal'),
      life.dir,
    ]) {
      const { mode } = await stat(file);
      execFileSync('chmod', ['000', file]);
      const words = await life.start({ through: ORDINARY }).then(
        () => 'started',
        (error: unknown) => (error as Error).message,
      );
      execFileSync('chmod', [(mode & 0o777).toString(8), file]);
      console.log(`  ${file.slice(life.dir.length) || '/'}: ${words.trim().replaceAll('\n', ' | ')}`);
      if (words === 'started') await life.session.kill();
      else assert.match(words, /ended with code 1:\n(.*\n)*tidemark: [^\n]+\n$/);
    }
    await life.start({ through: ORDINARY });
    await life.compareAgain('with its permissions again');
  });
});

test('of several servers started at once over one directory one runs, the others say so in one line', () =>
  withLife(async (life) => {
    await life.begin();
    assert.equal(await life.write(100), undefined);
    const second = await runCli(['--data', life.dir, '--port', '0', '--http-port', '0']);
    console.log(' ', second.err.trim());
    assert.equal(second.code, 1);
    assert.match(
      second.err,
      /^tidemark: the data directory '[^']+' is in use by process \d+\. Stop that process, or choose another directory\n$/,
    );
    await life.session.kill();
    const starts = [1, 2, 3, 4].map(() => new Life(life.dir));
    const outcomes = await Promise.all(
      starts.map((each) =>
        each.start().then(
          () => 'runs',
          (error: unknown) => (error as Error).message,
        ),
      ),
    );
    assert.equal(outcomes.filter((each) => each === 'runs').length, 1, outcomes.join('\n'));
    for (const words of outcomes) if (words !== 'runs') assert.match(words, /is in use by process \d+/);
    const winner = starts[outcomes.indexOf('runs')] as Life;
    life.session = winner.session;
    await life.compareAgain('after the race');
  }));
