import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { LocalChannel } from '../../src/embedded/channel.ts';
import { CallRefused, grpcStatus, type IncomingCall } from '../../src/proxy/transport.ts';
import { systemClock } from '../../src/support/system-clock.ts';

type Answer = (call: IncomingCall) => Promise<Uint8Array>;

/** A client of gRPC whose calls `answer` answers, in this process. */
const clientOf = (answer: Answer): Client =>
  new Client('unix:/nowhere', credentials.createInsecure(), {
    channelOverride: new LocalChannel({ grpcAddress: 'unix:/nowhere', calls: { call: answer } }),
  });

const asIs = (bytes: Buffer) => bytes;

const ask = (client: Client, body: Uint8Array, deadline = Number.POSITIVE_INFINITY): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest('/s.S/Echo', asIs, asIs, Buffer.from(body), { deadline }, (error, answer) =>
      error === null ? resolve(answer as Buffer) : reject(error),
    );
  });

const ends = (call: Promise<unknown>, code: number, text: string) =>
  assert.rejects(call, (error: ServiceError) => error.code === code && error.details.includes(text));

test('a call in the process has its name, its body and its metadata, and its answer comes back', async () => {
  const client = clientOf(async ({ rpc, body, metadata }) =>
    Buffer.from(`${rpc} ${Buffer.from(body)} ${metadata('absent')}`),
  );
  assert.equal(String(await ask(client, Buffer.from('hello'))), 'Echo hello undefined');
});

test('the bytes of a call are its own: a large request may move to another thread', async () => {
  const client = clientOf(async ({ body }) => {
    structuredClone(body.buffer, { transfer: [body.buffer as ArrayBuffer] });
    return new Uint8Array(1);
  });
  const given = Buffer.from('from the common pool');
  await ask(client, given);
  assert.equal(String(given), 'from the common pool');
});

test('a refusal comes with its status and its text as it is', async () => {
  const client = clientOf(async () => {
    throw new CallRefused(grpcStatus.unavailable, 'später: 100 %');
  });
  await ends(ask(client, new Uint8Array(1)), 14, 'später: 100 %');
});

test('a deadline ends a call whose answer comes late; the answer is nobody’s', async () => {
  const late = setTimeout(50, new Uint8Array(1));
  const client = clientOf(() => late);
  await ends(ask(client, new Uint8Array(1), systemClock.nowMs() + 5), 4, 'Deadline');
  await late;
  await setTimeout(1);
});

test('a call after the end of its client is refused', async () => {
  const client = clientOf(async ({ body }) => body);
  await new Promise<void>((resolve, reject) =>
    client.waitForReady(systemClock.nowMs() + 1000, (error) => (error ? reject(error) : resolve())),
  );
  client.close();
  await ends(ask(client, new Uint8Array(1)), 14, 'closed');
});

test('calls one after another, each answered at once, leave timers their turn', async () => {
  const client = clientOf(async ({ body }) => body);
  let isOver = false;
  const timer = setTimeout(10).then(() => {
    isOver = true;
  });
  const until = systemClock.monotonicMs() + 20_000;
  while (!isOver && systemClock.monotonicMs() < until) await ask(client, new Uint8Array(1));
  assert.ok(isOver);
  await timer;
});
