/** A spawned server over a temporary directory and the official client, for one test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type SpawnedServer, spawnServer } from '../../demo/server.ts';

export interface Fixture {
  readonly dir: string;
  server: SpawnedServer;
  client: MilvusClient;
  /** kill -9 or a clean stop, then a new server over the same directory. */
  restart(how: 'kill' | 'stop'): Promise<void>;
}

export async function withServer(run: (fixture: Fixture) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tidemark-e2e-'));
  let server = await spawnServer(dir);
  let client = new MilvusClient({ address: server.address });
  const fixture: Fixture = {
    dir,
    server,
    client,
    async restart(how) {
      await client.closeConnection();
      await (how === 'kill' ? server.kill() : server.stop());
      server = await spawnServer(dir);
      client = new MilvusClient({ address: server.address });
      fixture.server = server;
      fixture.client = client;
    },
  };
  try {
    await run(fixture);
  } finally {
    await client.closeConnection();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

export const DIM = 8;

/** A small collection with an index, loaded: `id` Int64 key, `name` VarChar, `vector`. */
export async function createItems(client: MilvusClient, name = 'items'): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name: name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'name', data_type: DataType.VarChar, max_length: 64 },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await succeed(
    client.createIndex({
      collection_name: name,
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: 'L2',
      params: { M: 8 },
    }),
  );
  await succeed(client.loadCollectionSync({ collection_name: name }));
}

/** Row `id` is a pure function of `id` and `version`. */
export const item = (id: number, version = 0): { id: number; name: string; vector: number[] } => ({
  id,
  name: `item ${id} v${version}`,
  vector: Array.from({ length: DIM }, (_, i) => Math.fround(Math.sin(id * 7.3 + i + version * 0.1))),
});

type Status = { error_code?: unknown; reason?: string; code?: number };

/** Resolves when the call succeeded; throws with the server's words when not. */
export async function succeed<T extends Status | { status: Status }>(call: Promise<T>): Promise<T> {
  const answer = await call;
  const status: Status = 'status' in answer ? answer.status : answer;
  if (String(status.error_code) !== 'Success' || (status.code ?? 0) !== 0)
    throw new Error(`answered ${String(status.error_code)} (${status.code}): ${status.reason}`);
  return answer;
}
