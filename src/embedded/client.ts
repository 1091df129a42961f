/** The official client, when it is installed: a program may use another one, and then need not have it. */
import type { ChannelOptions } from '@grpc/grpc-js';
import type { MilvusClient as Client } from '@zilliz/milvus2-sdk-node';
import { DbError } from '../errors/db-error.ts';
import type { RunningServer } from '../server.ts';
import { LocalChannel } from './channel.ts';

const PACKAGE = '@zilliz/milvus2-sdk-node';

/** A client that is connected, without a socket. Throws `parameter-missing` when the package is not there. */
export async function connect(server: RunningServer): Promise<Client> {
  const { MilvusClient } = await load();
  const channel = { channelFactoryOverride: () => new LocalChannel(server) };
  const client = new MilvusClient({ address: server.grpcAddress, channelOptions: channel as ChannelOptions });
  try {
    await client.connectPromise;
    return client;
  } catch (error) {
    await client.closeConnection();
    throw error;
  }
}

async function load(): Promise<typeof import('@zilliz/milvus2-sdk-node')> {
  try {
    return await import('@zilliz/milvus2-sdk-node');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // Not one of its own packages.
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(`'${PACKAGE}'`)) throw cause;
    throw new DbError(
      'parameter-missing',
      `db.client() hands out the official client, which is not installed: npm install ${PACKAGE}. Other clients connect to db.address`,
      { cause },
    );
  }
}
