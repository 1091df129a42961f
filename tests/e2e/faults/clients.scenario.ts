import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../../connections.ts';
import { succeed } from '../fixture.ts';
import { encoded } from '../raw-client.ts';
import { firstKey } from './history.ts';
import { withLife } from './life.ts';
import { lacks } from './place.ts';
import { rowOf } from './rows.ts';
import { eventually, pause } from './session.ts';
import { MAIN } from './users.ts';

/** Of one write: in the window of a connection. */
const ROWS = 150;

const portOf = (address: string): number => Number(address.split(':').pop());

const open = (address: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(portOf(address), '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });

test('clients that go away in the middle of their calls: the others notice nothing, and their writes are whole or not there', () =>
  withLife(async (life) => {
    await life.begin();
    const { server } = life.session;
    for (let n = 0; n < 30; n++) {
      const hasty = new MilvusClient({
        address: server.address,
        channelOptions: ownConnections,
        maxRetries: 0,
      });
      await hasty.connectPromise;
      const first = firstKey(100 + n);
      const data = Array.from({ length: ROWS }, (_, i) => rowOf(first + i, 1)) as never;
      const calls = [
        hasty.insert({ collection_name: MAIN, data }),
        hasty.query({ collection_name: MAIN, filter: 'id >= 0', output_fields: ['*'], limit: 1000 }),
        hasty.createSnapshot({ collection_name: MAIN, snapshot_name: `s${n}` }),
        hasty.flush({ collection_names: [MAIN] }),
      ].map((call) => call.catch(() => undefined));
      await pause(n * 4);
      await hasty.closeConnection();
      await Promise.all(calls);
      assert.equal(await life.write(20), undefined);
    }
    const { data } = await succeed(
      life.client.query({
        collection_name: MAIN,
        filter: `id >= ${firstKey(100)}`,
        output_fields: ['id'],
        limit: 16_384,
      }),
    );
    const perBlock = new Map<number, number>();
    for (const { id } of data)
      perBlock.set(Math.floor(Number(id) / 10_000), (perBlock.get(Math.floor(Number(id) / 10_000)) ?? 0) + 1);
    for (const [block, rows] of perBlock) assert.equal(rows, ROWS, `write ${block} is there in part`);
    const { snapshots } = await succeed(life.client.listSnapshots({ collection_name: MAIN }));
    for (const snapshot_name of snapshots)
      await succeed(life.client.describeSnapshot({ collection_name: MAIN, snapshot_name }));
    console.log(`  ${perBlock.size} of 30 writes and ${snapshots.length} of 30 snapshots had happened`);
    assert.equal((await life.health()).isHealthy, true);
    await life.stop();
  }));

test('two thousand idle connections, half of them silent and half in the middle of a preface: calls are answered, and a stop does not wait for them', () =>
  withLife(async (life) => {
    await life.begin();
    const { server } = life.session;
    const sockets: Socket[] = [];
    for (let n = 0; n < 2000; n += 100)
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => open(server.address)))));
    for (const socket of sockets) socket.on('error', () => undefined);
    for (const [i, socket] of sockets.entries()) if (i % 2 === 0) socket.write('PRI * HTTP/2.0\r\n');
    const at = performance.now();
    assert.equal(await life.write(50), undefined);
    await life.compare('beside 2000 connections');
    console.log(
      `  a write and a read: ${(performance.now() - at).toFixed(0)} ms; ${JSON.stringify(await server.memory())}`,
    );
    const stopping = performance.now();
    await life.stop();
    const ms = performance.now() - stopping;
    console.log(`  stop: ${ms.toFixed(0)} ms`);
    assert.ok(ms < 15_000);
    for (const socket of sockets) socket.destroy();
  }));

test('two thousand connections of real clients come and go; memory and file handles come back', () =>
  withLife(async (life) => {
    await life.begin();
    const { server } = life.session;
    const handles = async () =>
      (await import('node:fs/promises')).readdir(`/proc/${server.pid}/fd`).then((list) => list.length);
    const before = await handles();
    for (let n = 0; n < 2000; n += 200) {
      const sessions = Array.from({ length: 200 }, () => connectHttp2(`http://${server.address}`));
      await Promise.all(
        sessions.map(
          (session) =>
            new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject)),
        ),
      );
      for (const [i, session] of sessions.entries()) {
        session.on('error', () => undefined);
        if (i % 2 === 0) session.destroy();
        else session.close();
      }
    }
    assert.equal(await life.write(50), undefined);
    await eventually('file handles come back', 20_000, async () =>
      (await handles()) <= before + 10 ? true : undefined,
    );
    await life.stop();
  }));

test('a client that does not read its answers holds up nobody, and nothing grows without bound', () =>
  withLife(async (life) => {
    await life.begin();
    for (let n = 0; n < 8; n++) assert.equal(await life.write(1500), undefined);
    const { server } = life.session;
    const slow = connectHttp2(`http://${server.address}`, { settings: { initialWindowSize: 1 } });
    slow.on('error', () => undefined);
    const body = queryBody();
    for (let n = 0; n < 50; n++) {
      const stream = slow.request({
        ':method': 'POST',
        ':path': '/milvus.proto.milvus.MilvusService/Query',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.end(body);
    }
    await pause(1500);
    const at = performance.now();
    await life.compare('beside a client that does not read');
    const memory = await server.memory();
    console.log(`  a read: ${(performance.now() - at).toFixed(0)} ms; ${JSON.stringify(memory)}`);
    const stopping = performance.now();
    await life.stop();
    console.log(`  stop: ${(performance.now() - stopping).toFixed(0)} ms`);
    assert.ok(performance.now() - stopping < 20_000);
    slow.destroy();
  }));

function queryBody(): Buffer {
  const message = encoded('milvus.QueryRequest', {
    collection_name: MAIN,
    expr: 'id >= 0',
    output_fields: ['id', 'name', 'vector'],
    query_params: [{ key: 'limit', value: '12000' }],
  });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

test('half a request and then silence: other calls are answered, a stop does not wait', () =>
  withLife(async (life) => {
    await life.begin();
    const { server } = life.session;
    const half = connectHttp2(`http://${server.address}`);
    half.on('error', () => undefined);
    for (let n = 0; n < 100; n++) {
      const stream = half.request({
        ':method': 'POST',
        ':path': '/milvus.proto.milvus.MilvusService/Insert',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      // It says that 100 MB will come.
      stream.write(Buffer.concat([Buffer.from([0, 6, 0, 0, 0]), Buffer.alloc(1000)]));
    }
    const http = await Promise.all(Array.from({ length: 50 }, () => open(server.httpAddress)));
    for (const socket of http)
      socket.on('error', () => undefined).write('POST /gc HTTP/1.1\r\nhost: x\r\ncontent-le');
    await pause(500);
    assert.equal(await life.write(50), undefined);
    assert.equal((await life.health()).isHealthy, true);
    console.log(`  ${JSON.stringify(await server.memory())}`);
    const stopping = performance.now();
    await life.stop();
    console.log(`  stop: ${(performance.now() - stopping).toFixed(0)} ms`);
    assert.ok(performance.now() - stopping < 15_000);
    half.destroy();
    for (const socket of http) socket.destroy();
  }));

test(
  'more clients than the process may have files: it goes on for those it has, and for all when they are gone',
  { skip: lacks('prlimit', '--nofile=256:256', 'true') },
  () =>
    withLife(async (life) => {
      // A start needs about 200: the modules are read side by side.
      await life.begin({ through: ['prlimit', '--nofile=256:256'] });
      const { server } = life.session;
      const sockets = await Promise.all(Array.from({ length: 400 }, () => open(server.address)));
      for (const socket of sockets) socket.on('error', () => undefined);
      await pause(300);
      const answers: (string | undefined)[] = [];
      for (let n = 0; n < 5; n++) answers.push(await life.write(200));
      const flush = await life.client
        .flush({ collection_names: [MAIN] })
        .then(({ status }) => status.reason, String);
      const snapshot = await life.client
        .createSnapshot({ collection_name: MAIN, snapshot_name: 's' })
        .then(({ reason }) => reason, String);
      console.log(
        `  write: ${answers.find((each) => each !== undefined) ?? 'taken'}; flush: ${flush || 'done'}; snapshot: ${snapshot || 'created'}`,
      );
      await life.compare('beside too many clients');
      for (const socket of sockets) socket.destroy();
      await eventually('writes are taken', 10_000, async () =>
        (await life.write(20)) === undefined ? true : undefined,
      );
      await eventually('healthy', 30_000, async () => ((await life.health()).isHealthy ? true : undefined));
      await life.compare('after they had gone');
      console.log(`  said: ${server.printed().split('\n').slice(5).join(' | ').slice(0, 800)}`);
      await life.stop();
      await life.start();
      await life.compareAgain('after a restart');
    }),
);
