/** A spawned server over a temporary directory, the official client and a raw channel to it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type SpawnedServer, spawnServer } from '../demo/server.ts';
import type { LoopReport } from './loop-watch.ts';

export interface Bench {
  readonly dir: string;
  readonly server: SpawnedServer;
  readonly client: MilvusClient;
  /** Sends an encoded request as it is: measures the server, not the client's encoder. */
  call(rpc: string, body: Buffer): Promise<Buffer>;
  /** How the server's event loop was blocked since the last call. */
  loop(): Promise<LoopReport>;
}

export async function withBench(
  extra: readonly string[],
  run: (bench: Bench) => Promise<void>,
  /** Fills the data directory before the server starts. */
  prepare: (dir: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
  await prepare(dir);
  const server = await spawnServer(dir, extra, { preload: new URL('./loop-watch.js', import.meta.url) });
  const client = new MilvusClient({ address: server.address });
  const options = { 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 };
  const raw = new Client(server.address, credentials.createInsecure(), options);
  const same = (bytes: Buffer) => bytes;
  try {
    await client.connectPromise;
    await run({
      dir,
      server,
      client,
      call: (rpc, body) =>
        new Promise((resolve, reject) => {
          raw.makeUnaryRequest(
            `/milvus.proto.milvus.MilvusService/${rpc}`,
            same,
            same,
            body,
            (error, answer) => {
              if (error) reject(error);
              else resolve(answer ?? Buffer.alloc(0));
            },
          );
        }),
      loop: async () => (await server.ask('loop')) as LoopReport,
    });
  } finally {
    raw.close();
    await client.closeConnection();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Peak resident memory during `work` above what it was before, MB; undefined where the system does not tell. */
export async function aboveIdle(
  server: SpawnedServer,
  work: () => Promise<unknown>,
): Promise<number | undefined> {
  // 5: the peak counts from now.
  const canReset = await writeFile(`/proc/${server.pid}/clear_refs`, '5').then(
    () => true,
    () => false,
  );
  const before = await server.memory();
  await work();
  const after = await server.memory();
  return canReset && before && after ? after.peakMb - before.rssMb : undefined;
}

/** Peak resident memory of the server, as text. */
export async function peak(server: SpawnedServer): Promise<string> {
  const memory = await server.memory();
  return memory === undefined ? 'unknown' : `${memory.peakMb} MB`;
}
