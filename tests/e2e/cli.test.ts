import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { spawnServer } from '../../demo/server.ts';
import { ownConnections } from '../connections.ts';
import { createItems, item, succeed } from './fixture.ts';
import { main, runCli as run } from './run-cli.ts';

describe('the command line', { concurrency: true }, () => {
  let dir = '';
  const free = ['--port', '0', '--http-port', '0'];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tidemark-cli-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  /** One line that says what is wrong, nothing else, and the exit code. */
  async function fails(
    args: readonly string[],
    code: number,
    words: RegExp,
    environment = {},
  ): Promise<void> {
    const outcome = await run(args, environment);
    assert.match(outcome.err, /^tidemark: [^\n]+\n$/, `not one line: ${outcome.err}`);
    assert.match(outcome.err, words);
    assert.deepEqual([outcome.code, outcome.out], [code, '']);
  }

  test('--help and --version answer and end with 0', async () => {
    for (const flag of ['--help', '-h']) {
      const { code, out, err } = await run([flag]);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /^Usage: tidemark[\s\S]*--data[\s\S]*Exit codes: 0 [^\n]*, 1 [^\n]*, 2 wrong usage/);
    }
    for (const flag of ['--version', '-v']) {
      const { code, out, err } = await run([flag]);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /^\d+\.\d+\.\d+\n$/);
    }
  });

  test('what is typed wrong is said in one line and ends with 2', async () => {
    await fails(['--bogus'], 2, /'--bogus'.*--help/);
    await fails(['--port'], 2, /--port/);
    await fails(['--port', 'abc'], 2, /--port: 'abc' is not a number/);
    await fails(['--port', '70000'], 2, /70000/);
    await fails(['frobnicate'], 2, /unknown command 'frobnicate'/);
    await fails(['serve', 'more'], 2, /unexpected argument 'more'/);
    await fails(['snapshot'], 2, /'snapshot' needs one of list, describe, verify, diff, pins/);
    await fails(['gc', '--subset', '5%'], 2, /'tidemark gc' has no flag '--subset'/);
    await fails(['snapshot', 'list', '--server', 'https://x'], 2, /'https:\/\/x' is not http:\/\/HOST:PORT/);
    await fails(['--config', join(dir, 'none.yaml')], 2, /cannot read .*none\.yaml/);
    const bad = join(dir, 'bad.yaml');
    await writeFile(bad, 'proxy:\n  prot: 1\n');
    await fails(['--config', bad], 2, /prot/);
  });

  test('without a server a command says in one line how to get one, and ends with 1', async () => {
    const none = { TIDEMARK_METRICS_PORT: '1' };
    const words =
      /no server answers at http:\/\/127\.0\.0\.1:1: start one with `tidemark serve`, or name it with --server$/m;
    for (const line of ['snapshot list', 'snapshot verify a b', 'gc --dry-run', 'gc', 'restore cancel 1'])
      await fails(line.split(' '), 1, words, none);
  });

  test('each command has a help of its own', async () => {
    const { code, out } = await run(['snapshot', 'verify', '--help']);
    assert.equal(code, 0);
    assert.match(
      out,
      /^Usage: tidemark snapshot verify COLLECTION NAME[\s\S]*--subset PERCENT[\s\S]*--server URL/,
    );
  });

  test('Ctrl-C ends a verification with 130 and nothing more to say, and its connection with it', async () => {
    const step = '{"kind":"progress","objects":1,"bytes":1,"totalObjects":2,"totalBytes":2}\n';
    const endless = createHttpServer((_, response) => void response.write(step));
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
    const gone = new Promise<void>((resolve) =>
      endless.on('connection', (socket) => socket.on('close', resolve)),
    );
    const { port } = endless.address() as { port: number };
    const line = ['snapshot', 'verify', 'a', 'b', '--json', '--server', `127.0.0.1:${port}`];
    const { code, out, err } = await run(line, {}, (child) =>
      child.stdout.once('data', () => child.kill('SIGINT')),
    );
    assert.deepEqual([code, out, err], [130, step, '']);
    await gone;
    await new Promise((resolve) => endless.close(resolve));
  });

  test('output that nobody reads, as behind `| head`, ends a command with 141 and without a word', async () => {
    for (const line of [['--help'], ['snapshot', '--help'], ['gc', '--help'], ['--version']]) {
      const { code, err } = await run(line, {}, (child) => child.stdout.destroy());
      assert.deepEqual([code, err], [141, ''], line.join(' '));
    }
    const bad = await run(['frobnicate'], {}, (child) => child.stderr.destroy());
    assert.equal(bad.code, 2);
  });

  test('a server whose words nobody reads any more goes on, and stops cleanly with 0', async () => {
    const { code, err } = await run(['--data', join(dir, 'unread'), ...free], {}, (child) =>
      child.stdout.once('data', () => {
        child.stdout.destroy();
        setTimeout(() => child.kill('SIGTERM'), 50);
      }),
    );
    assert.deepEqual([code, err], [0, '']);
  });

  test('results that cannot be written end with 1 and one line', async () => {
    if (process.platform !== 'linux') return;
    const full = await open('/dev/full', 'w');
    const child = spawn(process.execPath, [main, '--help'], { stdio: ['ignore', full.fd, 'pipe'] });
    let err = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    const [code] = await once(child, 'close');
    await full.close();
    assert.deepEqual([code, err], [1, 'tidemark: cannot write: ENOSPC: no space left on device, write\n']);
  });

  test('a data directory that cannot be used is said in one line and ends with 1', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    await fails(['--data', file, ...free], 1, /data directory '.*file' cannot be used/);
    await fails(['--data', join(file, 'x'), ...free], 1, /cannot be used/);
    if (process.platform === 'linux') await fails(['--data', '/proc/none/x', ...free], 1, /cannot be used/);
  });

  test('a data directory of a newer format is refused with 1 and left alone', async () => {
    const newer = join(dir, 'newer');
    const server = await spawnServer(newer);
    assert.equal(await server.stop(), 0);
    await writeFile(join(newer, 'tidemark.json'), '{"format":999}\n');
    await fails(['--data', newer, ...free], 1, /format 999, written by a newer Tidemark.*upgrade/);
    await writeFile(join(newer, 'tidemark.json'), 'not json');
    await fails(['--data', newer, ...free], 1, /tidemark\.json/);
  });

  test('a data directory whose catalog was deleted is refused with 1 and one line that says what to do', async () => {
    const halved = join(dir, 'halved');
    const server = await spawnServer(halved);
    const client = new MilvusClient({ address: server.address, channelOptions: ownConnections });
    await createItems(client);
    await succeed(client.insert({ collection_name: 'items', data: [item(1)] }));
    await client.closeConnection();
    assert.equal(await server.stop(), 0);
    await rm(join(halved, 'catalog'), { recursive: true });
    const store = /the catalog is new, this is store \d+\. .*overwrite.*Start with the catalog that belongs/;
    for (let i = 0; i < 2; i++) await fails(['--data', halved, ...free], 1, store);
    // Writes that are only in the log would come back as rows of what gets their ids.
    await rm(join(halved, 'objects'), { recursive: true });
    const log = /the log holds writes to segment \d+, .*Start with the catalog that belongs/;
    for (let i = 0; i < 2; i++) await fails(['--data', halved, ...free], 1, log);
    await rm(join(halved, 'wal'), { recursive: true });
    const anew = await spawnServer(halved);
    assert.equal(await anew.stop(), 0);
  });

  test('ports in use and a locked directory end with 1; the running server goes on', async () => {
    const locked = join(dir, 'locked');
    const server = await spawnServer(locked);
    const portOf = (address: string) => address.split(':').pop() ?? '';
    await fails(['--data', locked, ...free], 1, new RegExp(`in use by process ${server.pid}`));
    const other = join(dir, 'other');
    await fails(
      ['--data', other, '--port', portOf(server.address), '--http-port', '0'],
      1,
      /gRPC port \d+ on .* is in use/,
    );
    await fails(['--data', other, '--port', '0', '--http-port', portOf(server.httpAddress)], 1, /in use/);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    await fails(
      ['--data', other, '--port', String(port), '--http-port', '0'],
      1,
      /gRPC port \d+ on .* is in use/,
    );
    await new Promise((resolve) => taken.close(resolve));
    const client = new MilvusClient({ address: server.address, channelOptions: ownConnections });
    assert.equal((await client.checkHealth()).isHealthy, true);
    await client.closeConnection();
    assert.equal(await server.stop(), 0);
    const next = await spawnServer(other);
    assert.equal(await next.stop(), 0, 'a failed start leaves nothing behind');
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    test(`${signal} in the middle of writes stops cleanly with 0; nothing acknowledged is lost; the directory starts again`, async () => {
      const data = join(dir, signal);
      const server = await spawnServer(data);
      const client = new MilvusClient({
        address: server.address,
        channelOptions: ownConnections,
        maxRetries: 0,
      });
      await createItems(client);
      const acknowledged: number[] = [];
      const writing = (async () => {
        for (let id = 0; ; id++) {
          const sent = client.insert({ collection_name: 'items', data: [item(id)] });
          if ((await sent.catch(() => undefined))?.status.code !== 0) return;
          acknowledged.push(id);
        }
      })();
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(await server.stop(signal), 0);
      await writing;
      await client.closeConnection();
      assert.ok(acknowledged.length > 0);
      const again = await spawnServer(data);
      const later = new MilvusClient({ address: again.address, channelOptions: ownConnections });
      const { data: found } = await succeed(
        later.query({ collection_name: 'items', filter: 'id >= 0', output_fields: ['id'], limit: 16_000 }),
      );
      const ids = new Set(found.map(({ id }) => Number(id)));
      assert.deepEqual(
        acknowledged.filter((id) => !ids.has(id)),
        [],
      );
      await later.closeConnection();
      assert.equal(await again.stop(), 0);
    });
});
