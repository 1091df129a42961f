import assert from 'node:assert/strict';
import { mkdir, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type OpenOptions, Tidemark, TidemarkError } from '../../src/index.ts';
import { succeed } from '../e2e/fixture.ts';
import { fill, holdings, inDirectory, leftSince, vectorOf } from './world.ts';

const embedded = (name: string, run: (dir: string) => Promise<void>) => test(name, () => inDirectory(run));

/** Refused with this code and these words; nothing stays open. */
async function refused(options: unknown, words: RegExp, code = 'parameter-invalid'): Promise<void> {
  const before = holdings();
  await assert.rejects(Tidemark.open(options as OpenOptions), (error: unknown) => {
    assert.ok(error instanceof TidemarkError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
  // Timers come and go with the databases that are open.
  assert.deepEqual(
    (await leftSince(before)).filter((name) => !name.startsWith('Timeout')),
    [],
  );
}

embedded(
  'a directory that this process has open is refused by name, however it is written, and free after close',
  async (dir) => {
    const db = await Tidemark.open({ dir });
    const words = new RegExp(
      `'.*' is open already in this process \\(${process.pid}\\)\\. Close it there, or choose`,
    );
    await refused({ dir }, words);
    await refused({ dir: join(dir, '..', 'data') }, words);
    const link = join(dirname(dir), 'link');
    await symlink(dir, link);
    await refused({ dir: link }, words);
    await fill(db, 'films', 10);
    await db.close();
    await (await Tidemark.open({ dir: link })).close();
  },
);

embedded('of many opens of one directory at once one wins, and the others are refused', async (dir) => {
  const opens = await Promise.allSettled(Array.from({ length: 6 }, () => Tidemark.open({ dir })));
  const won = opens.flatMap((open) => (open.status === 'fulfilled' ? [open.value] : []));
  assert.equal(won.length, 1);
  for (const open of opens)
    if (open.status === 'rejected') assert.match(open.reason.message, /is open already in this process/);
  await won[0]?.close();
});

embedded(
  'a directory that cannot be made, is a file, damaged or newer is refused as the server refuses it; the next open works',
  async (dir) => {
    await (await Tidemark.open({ dir })).close();
    const file = join(dirname(dir), 'file');
    await writeFile(file, '');
    await refused({ dir: file }, /^the data directory '.*file' cannot be used/);
    await refused({ dir: join(file, 'x') }, /cannot be used/);
    if (process.platform === 'linux') await refused({ dir: '/proc/none/x' }, /cannot be used/);
    const newer = join(dirname(dir), 'newer');
    await mkdir(newer);
    await writeFile(join(newer, 'tidemark.json'), '{"format":999}');
    await refused({ dir: newer }, /has format 999, written by a newer Tidemark.*Please upgrade/);
    await writeFile(join(newer, 'tidemark.json'), 'x');
    await refused({ dir: newer }, /tidemark\.json' is damaged/);
    await (await Tidemark.open({ dir })).close();
  },
);

embedded(
  'a catalog that was cut short, and files without their catalog, are refused; the process and other databases go on',
  async (dir) => {
    await using other = await Tidemark.open({ dir: join(dirname(dir), 'other') });
    {
      await using db = await Tidemark.open({ dir });
      await fill(db, 'films', 10);
    }
    const [mdb = ''] = await readdir(join(dir, 'catalog')).then((names) =>
      names.filter((n) => !n.includes('lock')),
    );
    const catalog = join(dir, 'catalog', mdb);
    await truncate(catalog, Math.floor((await stat(catalog)).size / 2));
    await refused({ dir }, /catalog/, 'data-integrity');
    await rm(join(dir, 'catalog'), { recursive: true });
    await refused({ dir }, /Start with the catalog that belongs/, 'store-mismatch');
    await rm(dir, { recursive: true });
    await fill(other, 'films', 10);
    await (await Tidemark.open({ dir })).close();
  },
);

embedded('options that do not exist or are out of range are refused by name', async (dir) => {
  await refused({}, /Tidemark\.open: dir: is not the name of a directory/);
  await refused({ dir: '' }, /dir: /);
  await refused({ dir, path: 'x' }, /unknown option 'path'/);
  await refused({ dir, config: 7 }, /config: is not an object/);
  await refused({ dir, config: { 'proxy.prot': 1 } }, /config: unknown option 'proxy\.prot'/);
  await refused(
    { dir, config: { 'proxy.port': 70_000 } },
    /config: proxy\.port: '70000' is not a number from 0 to 65535/,
  );
  await refused(
    { dir, config: { 'snapshot.capture': 'some' } },
    /'some' is not one of acknowledged, flushed/,
  );
  await refused(
    { dir, config: { 'localStorage.path': dir } },
    /'localStorage\.path' is given by the option 'dir'/,
  );
  await refused({ dir, config: { 'log.level': 'warn' } }, /'log\.level' is given by the option 'log'/);
  await refused({ dir, log: 'loud' }, /log: 'loud' is not one of debug, info/);
  await assert.rejects(stat(dir), /ENOENT/);
});

embedded(
  'the environment and a configuration file of the working directory mean nothing here',
  async (dir) => {
    const home = process.cwd();
    const name = 'TIDEMARK_METRICS_PORT';
    await mkdir(dir);
    await writeFile(join(dir, 'tidemark.yaml'), 'nonsense: 1');
    try {
      process.chdir(dir);
      Reflect.set(process['env'], name, 'nonsense');
      await using db = await Tidemark.open({ dir });
      assert.equal(db.httpAddress, undefined);
    } finally {
      Reflect.deleteProperty(process['env'], name);
      process.chdir(home);
    }
  },
);

embedded(
  'a port that is taken is refused as the server refuses it, and the directory is free again',
  async (dir) => {
    await using db = await Tidemark.open({ dir, config: { 'proxy.port': 0 } });
    const port = Number(db.address.split(':')[1]);
    const other = join(dirname(dir), 'other');
    await refused({ dir: other, config: { 'proxy.port': port } }, /gRPC port \d+ on 127\.0\.0\.1 is in use/);
    await (await Tidemark.open({ dir: other })).close();
  },
);

embedded(
  'an opening that is aborted ends with the reason and leaves nothing, whenever it is',
  async (dir) => {
    await (await Tidemark.open({ dir })).close();
    await setTimeout(50);
    const before = holdings();
    const reason = new Error('changed my mind');
    await assert.rejects(Tidemark.open({ dir, signal: AbortSignal.abort(reason) }), reason);
    let opened = 0;
    for (let waitMs = 0; waitMs < 60; waitMs += 4) {
      const abort = new AbortController();
      const opening = Tidemark.open({ dir, signal: abort.signal });
      const settled = opening.then(
        (db) => {
          opened++;
          return db.close();
        },
        (error: unknown) => assert.equal(error, reason),
      );
      await setTimeout(waitMs);
      abort.abort(reason);
      await settled;
    }
    assert.ok(opened < 15, 'none was aborted');
    assert.deepEqual(await leftSince(before), []);
    await (await Tidemark.open({ dir })).close();
  },
);

embedded('requests under way at a close end well, or with a status that says why', async (dir) => {
  const db = await Tidemark.open({ dir });
  await fill(db, 'films');
  const client = await db.client();
  const collection_name = 'films';
  const calls = [
    ...Array.from({ length: 20 }, (_, i) =>
      client.search({ collection_name, data: [vectorOf(i)], limit: 3 } as never),
    ),
    client.insert({ collection_name, data: [{ id: 9000, vector: vectorOf(1) }] }),
    client.createSnapshot({ collection_name, snapshot_name: 'monday' }),
    client.flush({ collection_names: [collection_name] }),
    client.releaseCollection({ collection_name }),
    client.loadCollectionAsync({ collection_name }),
  ];
  const closing = db.close();
  const late = client.hasCollection({ collection_name });
  const ends = await Promise.allSettled([...calls, late]);
  await closing;
  for (const end of ends)
    if (end.status === 'rejected')
      assert.match(String(end.reason.message), /UNAVAILABLE|CANCELLED|stopping|draining/, String(end.reason));
    else {
      const answer = end.value as { status?: { error_code: string; reason: string }; error_code?: string };
      const { error_code, reason = '' } = (answer.status ?? answer) as {
        error_code: string;
        reason?: string;
      };
      assert.ok(error_code === 'Success' || /stop|clos|released|not loaded|again/.test(reason), reason);
    }
  await using again = await Tidemark.open({ dir });
  assert.equal((await succeed((await again.client()).hasCollection({ collection_name }))).value, true);
});

embedded('a restore under way at a close goes on at the next open', async (dir) => {
  const db = await Tidemark.open({ dir });
  await fill(db, 'films');
  const client = await db.client();
  await succeed(client.createSnapshot({ collection_name: 'films', snapshot_name: 'monday' }));
  const { job_id } = await succeed(
    client.restoreSnapshot({
      snapshot_name: 'monday',
      source_collection_name: 'films',
      target_collection_name: 'again',
    }),
  );
  await db.close();
  await using next = await Tidemark.open({ dir });
  const after = await next.client();
  let progress = 0;
  while (progress < 100) {
    progress = (await succeed(after.getRestoreSnapshotState({ job_id }))).info.progress;
    await setTimeout(5);
  }
  assert.equal((await succeed(after.hasCollection({ collection_name: 'again' }))).value, true);
});

embedded(
  'a directory that is taken away closes the database and is told by `failed`; the process goes on',
  async (dir) => {
    const before = holdings();
    const db = await Tidemark.open({ dir });
    await fill(db, 'films', 10);
    await rm(dir, { recursive: true });
    const failure = await db.failed;
    assert.equal(failure.code, 'storage-failed');
    assert.match(failure.message, /was removed or replaced/);
    await assert.rejects(db.client(), (error: unknown) => error === failure);
    await assert.rejects(db.close(), /was removed or replaced/);
    assert.deepEqual(await leftSince(before), []);
    await (await Tidemark.open({ dir })).close();
  },
);
