import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { Tidemark, TidemarkError } from '../../src/index.ts';
import { startServer } from '../../src/server.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { ownConnections } from '../connections.ts';
import { succeed } from '../e2e/fixture.ts';
import { fill, holdings, inDirectory, leftSince, vectorOf } from './world.ts';

const embedded = (name: string, run: (dir: string) => Promise<void>) => test(name, () => inDirectory(run));

embedded(
  'a database opens in this process, its client finds what it wrote, and so does the next one',
  async (dir) => {
    {
      await using db = await Tidemark.open({ dir });
      await fill(db, 'films');
    }
    await using db = await Tidemark.open({ dir });
    const client = await db.client();
    const found = await succeed(
      client.search({ collection_name: 'films', data: [vectorOf(7)], limit: 3 } as never),
    );
    assert.equal(String(found.results[0]?.['id']), '7');
  },
);

embedded('its address is a socket that only this user reaches, and no port is open', async (dir) => {
  const before = holdings();
  await using db = await Tidemark.open({ dir });
  assert.equal(db.httpAddress, undefined);
  assert.match(db.address, /^unix:\/.*\/tidemark-\w{6}\/grpc\.sock$/);
  assert.equal((await stat(join(db.address.slice('unix:'.length), '..'))).mode & 0o777, 0o700);
  assert.deepEqual(
    (await leftSince(before)).filter((name) => name.startsWith('TCP')),
    [],
  );
});

embedded('other clients connect to its address', async (dir) => {
  await using db = await Tidemark.open({ dir });
  const client = new MilvusClient({ address: db.address, channelOptions: ownConnections });
  await succeed(client.listCollections({}) as never);
  await client.closeConnection();
});

embedded(
  'with ports in its configuration it listens on them, for clients that know nothing else',
  async (dir) => {
    await using db = await Tidemark.open({ dir, config: { 'proxy.port': 0, 'metrics.port': 0 } });
    assert.match(db.address, /^127\.0\.0\.1:\d+$/);
    const health = await fetch(`http://${db.httpAddress}/healthz`);
    assert.equal(health.status, 200);
    await health.text();
    await succeed((await db.client()).listCollections({}) as never);
  },
);

embedded('the client is the same at every call, asked for at once or later', async (dir) => {
  await using db = await Tidemark.open({ dir });
  const [one, two] = await Promise.all([db.client(), db.client()]);
  assert.equal(one, two);
  assert.equal(await db.client(), one);
});

embedded(
  'databases of different directories live side by side, and closing one leaves the others',
  async (dir) => {
    const dirs = ['a', 'b', 'c'].map((name) => join(dir, name));
    const [a, b, c] = await Promise.all(dirs.map((each) => Tidemark.open({ dir: each })));
    assert.ok(a && b && c);
    await Promise.all([fill(a, 'in_a', 10), fill(b, 'in_b', 10), fill(c, 'in_c', 10)]);
    await a.close();
    const names = async (db: Tidemark) =>
      (await succeed((await db.client()).listCollections({}))).data.map(({ name }) => name);
    assert.deepEqual([await names(b), await names(c)], [['in_b'], ['in_c']]);
    await Promise.all([b.close(), c.close()]);
  },
);

embedded('a closed database leaves no handle, file, listener, thread or socket', async (dir) => {
  // What the first one of a process loads stays loaded.
  await (await Tidemark.open({ dir })).close();
  await setTimeout(50);
  const before = holdings();
  const db = await Tidemark.open({ dir, log: 'error' });
  await fill(db, 'films');
  await db.close();
  assert.deepEqual(await leftSince(before), []);
  assert.equal(existsSync(join(db.address.slice('unix:'.length), '..')), false);
});

embedded(
  'close takes less than 100 ms: idle, with loaded collections, with ones that are being loaded, with clients of others',
  async (dir) => {
    const close = async (db: Tidemark): Promise<number> => {
      const started = systemClock.monotonicMs();
      await db.close();
      return systemClock.monotonicMs() - started;
    };
    /** The best of three: what closing takes, and not what else this machine does. */
    const least = async (use: (db: Tidemark) => Promise<void>): Promise<number> => {
      const times: number[] = [];
      for (let round = 0; round < 3; round++) {
        const db = await Tidemark.open({ dir });
        await use(db);
        times.push(await close(db));
      }
      return Math.min(...times);
    };
    const idle = await least(async () => undefined);
    let made = 0;
    const loaded = await least((db) => fill(db, `films${made++}`));
    const loading = await least(async () => undefined);
    const strangers: MilvusClient[] = [];
    const shared = await least(async (db) => {
      const stranger = new MilvusClient({ address: db.address, channelOptions: ownConnections });
      strangers.push(stranger);
      await succeed(stranger.listCollections({}) as never);
    });
    await Promise.all(strangers.map((each) => each.closeConnection()));
    const times = { idle, loaded, loading, shared };
    assert.ok(Math.max(...Object.values(times)) < 100, JSON.stringify(times));
  },
);

embedded('close is idempotent, and a closed database hands out no client', async (dir) => {
  const db = await Tidemark.open({ dir });
  const client = db.client();
  await Promise.all([db.close(), db.close(), client.catch(() => undefined)]);
  await db.close();
  await assert.rejects(db.client(), (error: unknown) => {
    assert.ok(error instanceof TidemarkError);
    assert.equal(error.code, 'service-unavailable');
    return true;
  });
});

embedded('the log is silent unless asked for, and a function is told every line', async (dir) => {
  const lines: string[] = [];
  {
    await using _db = await Tidemark.open({
      dir,
      log: (level, event) => void lines.push(`${level} ${event}`),
    });
  }
  assert.ok(lines.includes('info object-store-opened'), lines.join('\n'));
});

embedded('a relative directory stays where it was when the process goes elsewhere', async (dir) => {
  const home = process.cwd();
  try {
    process.chdir(join(dir, '..'));
    await using db = await Tidemark.open({ dir: 'data' });
    process.chdir(home);
    await fill(db, 'films');
    await (await db.client()).createSnapshot({ collection_name: 'films', snapshot_name: 'monday' });
  } finally {
    process.chdir(home);
  }
});

embedded('the server opens what an embedded database wrote: one composition', async (dir) => {
  {
    await using db = await Tidemark.open({ dir });
    await fill(db, 'films', 10);
  }
  const { serverOptions } = await import('../../src/embedded/server-options.ts');
  const options = await serverOptions({ dir, config: { 'proxy.port': 0, 'metrics.port': 0 } });
  const server = await startServer(options);
  const client = new MilvusClient({ address: server.grpcAddress, channelOptions: ownConnections });
  assert.equal((await succeed(client.hasCollection({ collection_name: 'films' }))).value, true);
  await client.closeConnection();
  await server.close();
});
