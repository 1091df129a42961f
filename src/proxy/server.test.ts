import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { FakePlanes } from '../../tests/proxy/fake-planes.ts';
import { startServer, withClient } from '../../tests/proxy/harness.ts';
import { DbError } from '../errors/db-error.ts';
import type { Log } from '../support/log.ts';
import { silentLog } from '../support/log.ts';
import { rpcTable } from './compatibility.ts';
import { service } from './service.ts';
import { type CommonStatus, rpcTypes } from './wire/descriptor.generated.ts';
import {
  allRpcs,
  answersStatus,
  decodeMessage,
  encodeMessage,
  type RpcName,
  serviceName,
  statusFieldOf,
} from './wire/descriptor.ts';

/** A bare gRPC call with these bytes. */
async function callBytes(port: number, rpc: string, body: Uint8Array): Promise<Buffer> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const asIs = (bytes: Buffer) => bytes;
      client.makeUnaryRequest(`/${serviceName}/${rpc}`, asIs, asIs, Buffer.from(body), (error, answer) =>
        error === null ? resolve(answer as Buffer) : reject(error),
      );
    });
  } finally {
    client.close();
  }
}

test('the official client connects and learns the version and the health', () =>
  withClient(async ({ client, planes }) => {
    assert.equal((await client.getVersion()).version, '3.0.0');
    assert.equal((await client.checkHealth()).isHealthy, true);
    planes.health = { isHealthy: false, reasons: ['storage is away'] };
    const health = await client.checkHealth();
    assert.deepEqual([health.isHealthy, health.reasons], [false, ['storage is away']]);
  }));

test('R18, R20: every RPC that is not served, those of roles and of exports among them, answers UNIMPLEMENTED with its name', async () => {
  const server = await startServer();
  try {
    const unserved = allRpcs.filter((rpc) => !Object.hasOwn(service, rpc));
    const parts = ['CreateRole', 'SelectGrant', 'OperatePrivilegeV2', 'ExportSnapshot', 'BackupRBAC'];
    for (const rpc of parts) assert.ok((unserved as readonly string[]).includes(rpc), rpc);
    for (const rpc of unserved)
      await assert.rejects(
        callBytes(server.port, rpc, new Uint8Array(0)),
        (error: ServiceError) => error.code === 12 && error.details.includes(rpc),
      );
  } finally {
    await server.stop();
  }
});

test('every served RPC answers any bytes with a status', async () => {
  const server = await startServer();
  try {
    for (const rpc of Object.keys(service) as RpcName[])
      for (const body of [new Uint8Array(0), Uint8Array.of(0xff, 0xff, 0xff), Buffer.from('\n\x05hello')]) {
        const answer = decodeMessage<CommonStatus & Record<string, CommonStatus | null | undefined>>(
          rpcTypes[rpc].response,
          await callBytes(server.port, rpc, body),
        );
        const status = answersStatus(rpc) ? answer : answer[statusFieldOf(rpc)];
        assert.ok(status !== undefined && status !== null, rpc);
        assert.ok(status.code !== 5, `${rpc}: ${status.reason}`);
      }
  } finally {
    await server.stop();
  }
});

test('a fault of ours is answered without its text and logged with it', async () => {
  const planes = new FakePlanes();
  const logged: unknown[] = [];
  const log: Log = { ...silentLog, error: (_event, fields) => logged.push(fields?.['error']) };
  Object.assign(planes.coordinator, {
    listDatabases: () => {
      throw new TypeError('secret path /data');
    },
  });
  const server = await startServer(planes, { log });
  try {
    const answer = await callBytes(server.port, 'ListDatabases', new Uint8Array(0));
    const { status } = decodeMessage<{ status: CommonStatus }>(rpcTypes.ListDatabases.response, answer);
    assert.equal(status.code, 5);
    assert.ok(!JSON.stringify(status).includes('secret'));
    assert.deepEqual(logged, ['secret path /data']);
  } finally {
    await server.stop();
  }
});

test('a request above the limit is refused with RESOURCE_EXHAUSTED', async () => {
  const server = await startServer(undefined, { limits: { maxReceiveBytes: 10_000 } });
  try {
    await assert.rejects(
      callBytes(server.port, 'Insert', new Uint8Array(20_000)),
      (error: ServiceError) => error.code === 8,
    );
  } finally {
    await server.stop();
  }
});

test('a port in use is an error that says so', async () => {
  const server = await startServer();
  try {
    await assert.rejects(
      startServer(undefined, { port: server.port }),
      (error: unknown) => error instanceof DbError && error.message.includes('is in use. Stop what uses it'),
    );
  } finally {
    await server.stop();
  }
});

test('stop lets a running call end, refuses new ones, and cuts off what takes too long', async () => {
  const planes = new FakePlanes();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrived: () => void = () => undefined;
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  Object.assign(planes.coordinator, {
    createDatabase: () => {
      arrived();
      return held;
    },
  });
  const body = encodeMessage('milvus.proto.milvus.CreateDatabaseRequest', { db_name: 'd' });
  const patient = await startServer(planes);
  const running = callBytes(patient.port, 'CreateDatabase', body);
  await arrival;
  const stopped = patient.stop();
  release();
  assert.equal(decodeMessage<CommonStatus>('milvus.proto.common.Status', await running).code, 0);
  await stopped;
  await assert.rejects(callBytes(patient.port, 'GetVersion', new Uint8Array(0)));

  Object.assign(planes.coordinator, { createDatabase: () => new Promise(() => arrived()) });
  const hasty = await startServer(planes, { limits: { drainMs: 30 } });
  const hanging = callBytes(hasty.port, 'CreateDatabase', body);
  const refused = assert.rejects(hanging);
  await new Promise<void>((resolve) => {
    arrived = resolve;
  });
  await hasty.stop();
  await refused;
});

test('more calls at once than the limit are refused, but one call always fits', async () => {
  const planes = new FakePlanes();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrived: () => void = () => undefined;
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  Object.assign(planes.coordinator, {
    createDatabase: () => {
      arrived();
      return held;
    },
  });
  const server = await startServer(planes, { limits: { maxRunningCalls: 1 } });
  const body = encodeMessage('milvus.proto.milvus.CreateDatabaseRequest', { db_name: 'd' });
  const running = callBytes(server.port, 'CreateDatabase', body);
  await arrival;
  await assert.rejects(
    callBytes(server.port, 'GetVersion', new Uint8Array(0)),
    (error: ServiceError) => error.code === 8,
  );
  release();
  await running;
  await server.stop();

  const small = await startServer(planes, { limits: { maxRunningBytes: 1 } });
  await callBytes(small.port, 'CreateDatabase', body);
  await small.stop();
});

test('the compatibility table names every RPC once, and says what is only partly served', () => {
  assert.equal(new Set(rpcTable.map(({ name }) => name)).size, allRpcs.length);
  assert.equal(rpcTable.filter(({ served }) => served !== 'no').length, Object.keys(service).length);
  assert.ok(
    rpcTable.every(({ served, remark }) => served === 'no' || (served === 'partly') === (remark !== '')),
  );
});
