import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { systemClock } from '../support/system-clock.ts';
import { frameMessage } from './grpc-frames.ts';
import { listenHttp2 } from './http2-transport.ts';
import { CallRefused, grpcStatus, type IncomingCall, type Transport } from './transport.ts';

type Answer = (call: IncomingCall) => Promise<Uint8Array>;

async function withTransport(
  answer: Answer,
  body: (transport: Transport) => Promise<void>,
  path?: string,
): Promise<void> {
  const transport = await listenHttp2({
    host: '127.0.0.1',
    port: 0,
    ...(path === undefined ? {} : { path }),
    maxConnections: 20,
    dropped: () => undefined,
    maxReceiveBytes: 1_000_000,
    maxIncomingBytes: 1_000_000,
    service: 's.S',
    clock: systemClock,
    served: ['Echo'],
    unserved: new Map([['Other', 'Other is not implemented by this server']]),
    answer,
  });
  try {
    await body(transport);
  } finally {
    transport.close();
  }
}

const echo: Answer = async ({ body }) => body;

interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A request as bytes, without any gRPC library. */
async function send(
  { port }: Transport,
  headers: Record<string, string>,
  pieces: readonly Uint8Array[],
  path?: string,
): Promise<RawAnswer> {
  const createConnection = path === undefined ? undefined : () => connectTcp(path);
  const session = connect(`http://127.0.0.1:${port}`, createConnection && { createConnection });
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/s.S/Echo',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let answerHeaders: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (got) => {
      answerHeaders = got;
    });
    stream.on('trailers', (got) => {
      trailers = got;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (const piece of pieces) stream.write(piece);
    stream.end();
    await new Promise((resolve, reject) => {
      stream.once('close', resolve);
      stream.once('error', reject);
    });
    return { headers: answerHeaders, trailers, body: Buffer.concat(chunks) };
  } finally {
    session.close();
  }
}

function callBytes({ port }: Transport, body: Uint8Array, deadlineMs?: number): Promise<Buffer> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const asIs = (bytes: Buffer) => bytes;
  return new Promise<Buffer>((resolve, reject) => {
    const options = deadlineMs === undefined ? {} : { deadline: deadlineMs };
    client.makeUnaryRequest('/s.S/Echo', asIs, asIs, Buffer.from(body), options, (error, answer) => {
      client.close();
      if (error === null) resolve(answer as Buffer);
      else reject(error);
    });
  });
}

test('messages of every size go there and back, empty ones too', () =>
  withTransport(echo, async (transport) => {
    for (const length of [0, 1, 65_536, 65_537, 1_000_000])
      assert.equal((await callBytes(transport, new Uint8Array(length).fill(7))).length, length);
  }));

test('an answer ends with status 0 in the trailers', () =>
  withTransport(echo, async (transport) => {
    const { headers, trailers, body } = await send(transport, {}, frameMessage(Uint8Array.of(1, 2)));
    assert.deepEqual([headers[':status'], trailers['grpc-status']], [200, '0']);
    assert.deepEqual([...body], [0, 0, 0, 0, 2, 1, 2]);
  }));

test('a request that is never ended is answered when its message is whole, and its stream ends', () =>
  withTransport(echo, async ({ port }) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const headers = { ':method': 'POST', ':path': '/s.S/Echo', 'content-type': 'application/grpc' };
    for (const length of [0, 3, 200_000]) {
      const stream = session.request(headers, { endStream: false });
      const trailers = new Promise<IncomingHttpHeaders>((resolve) => stream.once('trailers', resolve));
      const closed = new Promise((resolve) => stream.once('close', resolve));
      let received = 0;
      stream.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      for (const piece of frameMessage(new Uint8Array(length))) stream.write(piece);
      assert.equal((await trailers)['grpc-status'], '0');
      await closed;
      assert.equal(received, length + 5);
    }
    session.destroy();
  }));

test('compressed requests are read; what decompresses to too much, is damaged or unknown is refused', () =>
  withTransport(echo, async (transport) => {
    const compressed = (bytes: Uint8Array): Uint8Array[] => {
      const [prefix, ...rest] = [Buffer.concat(frameMessage(bytes))];
      if (prefix !== undefined) prefix[0] = 1;
      return [prefix as Uint8Array, ...rest];
    };
    const gzip = { 'grpc-encoding': 'gzip' };
    const whole = await send(transport, gzip, compressed(gzipSync(Buffer.from('hello'))));
    assert.equal(whole.body.subarray(5).toString(), 'hello');
    const bomb = await send(transport, gzip, compressed(gzipSync(Buffer.alloc(1_000_001))));
    assert.equal(bomb.headers['grpc-status'], '8');
    const damaged = await send(transport, gzip, compressed(Buffer.from('no gzip')));
    assert.equal(damaged.headers['grpc-status'], '13');
    const unknown = await send(transport, { 'grpc-encoding': 'br' }, compressed(Buffer.from('x')));
    assert.equal(unknown.headers['grpc-status'], '12');
  }));

test('what is not gRPC, not a method of the service, or no message is refused', () =>
  withTransport(echo, async (transport) => {
    const framed = frameMessage(new Uint8Array(1));
    const html = await send(transport, { 'content-type': 'text/html' }, framed);
    assert.equal(html.headers[':status'], 415);
    const statuses = [];
    for (const path of ['/s.S/Other', '/s.S/toString', '/other/Echo', '/'])
      statuses.push((await send(transport, { ':path': path }, framed)).headers['grpc-status']);
    assert.deepEqual(statuses, ['12', '12', '12', '12']);
    assert.equal((await send(transport, {}, [])).headers['grpc-status'], '13');
    assert.equal((await send(transport, { 'grpc-timeout': 'soon' }, framed)).headers['grpc-status'], '13');
  }));

test('a deadline that passes is answered, and the call after it is served', () => {
  let calls = 0;
  const slowOnce: Answer = ({ body }) =>
    calls++ === 0 ? new Promise(() => undefined) : echo({ body } as IncomingCall);
  return withTransport(slowOnce, async (transport) => {
    const late = await send(transport, { 'grpc-timeout': '20m' }, frameMessage(new Uint8Array(1)));
    assert.equal(late.headers['grpc-status'], '4');
    assert.equal((await callBytes(transport, new Uint8Array(3), systemClock.nowMs() + 60_000)).length, 3);
  });
});

test('a refusal carries its status and text, other failures say nothing of the inside', async () => {
  await withTransport(
    () => Promise.reject(new CallRefused(grpcStatus.unavailable, 'später')),
    (transport) =>
      assert.rejects(
        callBytes(transport, new Uint8Array(1)),
        (error: ServiceError) => error.code === 14 && error.details === 'später',
      ),
  );
  await withTransport(
    () => Promise.reject(new Error('secret')),
    (transport) =>
      assert.rejects(
        callBytes(transport, new Uint8Array(1)),
        (error: ServiceError) => error.code === 13 && !error.details.includes('secret'),
      ),
  );
});

test('a client that goes away in the middle of a request costs nothing: room for others is there again', () =>
  withTransport(echo, async (transport) => {
    for (let i = 0; i < 3; i++) {
      const session = connect(`http://127.0.0.1:${transport.port}`);
      const stream = session.request({
        ':method': 'POST',
        ':path': '/s.S/Echo',
        'content-type': 'application/grpc',
      });
      stream.on('error', () => undefined);
      await new Promise((resolve) =>
        stream.write(Buffer.concat(frameMessage(new Uint8Array(60_000))).subarray(0, 50_000), resolve),
      );
      const closed = new Promise((resolve) => session.once('close', resolve));
      session.destroy();
      await closed;
    }
    assert.equal((await callBytes(transport, new Uint8Array(1_000_000))).length, 1_000_000);
  }));

test('answers that a client does not take count: further calls are refused until they are gone', async () => {
  const big = new Uint8Array(900_000);
  await withTransport(
    async ({ body }) => (body.length === 0 ? big : body),
    async (transport) => {
      const session = connect(`http://127.0.0.1:${transport.port}`);
      const idle = session.request({
        ':method': 'POST',
        ':path': '/s.S/Echo',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      idle.on('error', () => undefined);
      idle.end(Buffer.concat(frameMessage(new Uint8Array(0))));
      await new Promise((resolve) => idle.once('response', resolve));
      const call = () => send(transport, {}, frameMessage(new Uint8Array(200_000)));
      assert.equal((await call()).headers['grpc-status'], String(grpcStatus.resourceExhausted));
      session.destroy();
      await systemClock.sleep(50, new AbortController().signal);
      assert.equal((await call()).trailers['grpc-status'], '0');
    },
  );
});

async function stopWithSilentClients(path?: string): Promise<void> {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow: Answer = async ({ body }) => {
    await held;
    return body;
  };
  const stop = async (transport: Transport) => {
    const open = () => {
      const socket = path === undefined ? connectTcp(transport.port, '127.0.0.1') : connectTcp(path);
      return new Promise<typeof socket>((resolve) => socket.once('connect', () => resolve(socket)));
    };
    // Nobody reads these: what the server says to them, its end included, is not seen.
    const silent = await Promise.all([open(), open(), open(), open()]);
    silent[0]?.write('PRI * HTTP/2.0\r\n');
    const call = send(transport, {}, frameMessage(Buffer.from('x')), path);
    await setTimeout(50);
    const drained = transport.drain().then(() => 'drained');
    assert.equal(await Promise.race([drained, setTimeout(1500, 'waits')]), 'waits');
    release();
    assert.equal((await call).trailers['grpc-status'], '0');
    assert.equal(await Promise.race([drained, setTimeout(2000, 'waits')]), 'drained');
    for (const socket of silent) socket.destroy();
  };
  await withTransport(slow, stop, path);
}

test('clients that are silent, or say nothing to a goodbye, do not hold up a stop; a call under way is waited for', () =>
  stopWithSilentClients());

test('nor do they on a Unix socket, where clients have no addresses', {
  skip: process.platform === 'win32',
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tm-'));
  try {
    await stopWithSilentClients(join(folder, 's'));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a connection whose client never says goodbye is gone after close', () =>
  withTransport(echo, async (transport) => {
    const socket = connectTcp(transport.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const drained = transport.drain().then(() => 'drained');
    transport.close();
    assert.equal(await Promise.race([drained, setTimeout(500, 'waits')]), 'drained');
    socket.destroy();
  }));
