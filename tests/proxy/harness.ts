/** A proxy over the in-memory planes and the official client talking to it. */
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { MilvusServer, type MilvusServerOptions } from '../../src/proxy/server.ts';
import { silentLog } from '../../src/support/log.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { ownConnections } from '../connections.ts';
import { FakePlanes, fakeFilters } from './fake-planes.ts';

export interface Harness {
  readonly planes: FakePlanes;
  readonly server: MilvusServer;
  readonly client: MilvusClient;
}

export async function startServer(
  planes = new FakePlanes(),
  options: Partial<MilvusServerOptions> = {},
): Promise<MilvusServer> {
  const { coordinator, queryNode, streamingNode } = planes;
  return MilvusServer.listen({
    port: 0,
    coordinator,
    queryNode,
    streamingNode,
    filters: fakeFilters,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
}

/** Runs `body` against a fresh server and closes everything after it. */
export async function withClient(
  body: (harness: Harness) => Promise<void>,
  options: Partial<MilvusServerOptions> = {},
): Promise<void> {
  const planes = new FakePlanes();
  const server = await startServer(planes, options);
  const client = new MilvusClient({
    address: `127.0.0.1:${server.port}`,
    maxRetries: 0,
    channelOptions: ownConnections,
  });
  try {
    await client.connectPromise;
    await body({ planes, server, client });
  } finally {
    await client.closeConnection();
    await server.stop();
  }
}
