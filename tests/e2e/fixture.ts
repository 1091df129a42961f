/** A spawned server over a temporary directory and the official client, for one test. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type SpawnedServer, spawnServer } from '../../demo/server.ts';
import { ownConnections } from '../connections.ts';

export interface Fixture {
  readonly dir: string;
  server: SpawnedServer;
  client: MilvusClient;
  /** kill -9 or a clean stop, then a new server over the same directory. */
  restart(how: 'kill' | 'stop'): Promise<void>;
}

class Running implements Fixture {
  dir = '';
  server!: SpawnedServer;
  client!: MilvusClient;
  readonly #flags: readonly string[];

  constructor(flags: readonly string[] = []) {
    this.#flags = flags;
  }

  async open(): Promise<void> {
    this.dir = await mkdtemp(join(tmpdir(), 'tidemark-e2e-'));
    await this.#start();
  }

  async #start(): Promise<void> {
    this.server = await spawnServer(this.dir, this.#flags);
    this.client = new MilvusClient({ address: this.server.address, channelOptions: ownConnections });
  }

  async restart(how: 'kill' | 'stop'): Promise<void> {
    await this.client.closeConnection();
    await (how === 'kill' ? this.server.kill() : this.server.stop());
    await this.#start();
  }

  async close(): Promise<void> {
    await this.client.closeConnection();
    const code = await this.server.stop();
    await rm(this.dir, { recursive: true, force: true });
    assert.equal(code, 0, `the server did not stop cleanly:\n${this.server.printed()}`);
  }
}

/** A server of its own for one test, with these flags. */
export async function withServer(
  run: (fixture: Fixture) => Promise<void>,
  flags: readonly string[] = [],
): Promise<void> {
  const fixture = new Running(flags);
  await fixture.open();
  try {
    await run(fixture);
  } finally {
    await fixture.close();
  }
}

/** The server of every `describe` block that needs none of its own: a fresh process spends more on its first calls than on a whole block. */
const common = new Running();
let isCommonOpen = false;

async function closeCommon(): Promise<void> {
  if (!isCommonOpen) return;
  isCommonOpen = false;
  await common.close();
}
after(closeCommon);

/** An empty server for all tests of the `describe` block that calls it. They share it: each names its own collections. */
export function sharedServer(): Fixture {
  before(async () => {
    if (!isCommonOpen) await common.open();
    isCommonOpen = true;
  });
  // What cannot be dropped is the concern of the block that made it; the next one gets another server.
  after(() => dropAll(common.client).catch(closeCommon));
  return common;
}

async function dropAll(client: MilvusClient): Promise<void> {
  const { db_names } = await succeed(client.listDatabases());
  for (const db_name of db_names) {
    await client.use({ db_name });
    const { data } = await succeed(client.showCollections());
    for (const { name: collection_name } of data) {
      const { aliases } = await succeed(client.listAliases({ collection_name }));
      for (const alias of aliases) await succeed(client.dropAlias({ alias }));
      await succeed(client.dropCollection({ collection_name }));
    }
    await client.use({ db_name: 'default' });
    if (db_name !== 'default') await succeed(client.dropDatabase({ db_name }));
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
  await load(client, name);
}

/** Loads; the server answers when everything can be searched. The client's own way asks twice a second. */
export async function load(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(client.loadCollectionAsync({ collection_name }));
  assert.equal((await succeed(client.getLoadState({ collection_name }))).state, 'LoadStateLoaded');
}

/** Flushes and waits until the server says that all of it is flushed. */
export async function flush(client: MilvusClient, collection_name: string): Promise<void> {
  const { coll_segIDs } = await succeed(client.flush({ collection_names: [collection_name] }));
  const segmentIDs = coll_segIDs[collection_name]?.data ?? [];
  while (segmentIDs.length > 0) {
    if ((await succeed(client.getFlushState({ segmentIDs: segmentIDs as never }))).flushed) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Row `id` is a pure function of `id` and `version`. */
export const item = (id: number, version = 0): { id: number; name: string; vector: number[] } => ({
  id,
  name: `item ${id} v${version}`,
  vector: Array.from({ length: DIM }, (_, i) => Math.fround(Math.sin(id * 7.3 + i + version * 0.1))),
});

/** Restores and waits until the job is completed, watching that its progress never goes back. */
export async function restore(
  client: MilvusClient,
  request: Parameters<MilvusClient['restoreSnapshot']>[0],
): Promise<string> {
  const { job_id } = await succeed(client.restoreSnapshot(request));
  for (let progress = 0; ; ) {
    const { info } = await succeed(client.getRestoreSnapshotState({ job_id }));
    assert.ok(info.progress >= progress, 'progress goes back');
    progress = info.progress;
    assert.equal(progress === 100, info.state === 'RestoreSnapshotCompleted');
    if (info.state === 'RestoreSnapshotCompleted') {
      assert.ok(Number(info.start_time) > 0 && Number(info.time_cost) > 0);
      return job_id;
    }
    assert.notEqual(info.state, 'RestoreSnapshotFailed', info.reason);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

type Status = { error_code?: unknown; reason?: string; code?: number };

/** Resolves when the call succeeded; throws with the server's words when not. */
export async function succeed<T extends Status | { status: Status }>(call: Promise<T>): Promise<T> {
  const answer = await call;
  const status: Status = 'status' in answer ? answer.status : answer;
  if (String(status.error_code) !== 'Success' || (status.code ?? 0) !== 0)
    throw new Error(`answered ${String(status.error_code)} (${status.code}): ${status.reason}`);
  return answer;
}

interface Refusal {
  readonly code: number;
  readonly words: string;
  /** The name older clients compare. */
  readonly legacy?: string;
}

/** Asserts that the call is answered with this error, by number and by words. */
export async function refused(
  call: Promise<Status | { status: Status }>,
  { code, words, legacy }: Refusal,
): Promise<void> {
  const answer = await call;
  const status: Status = 'status' in answer ? answer.status : answer;
  assert.equal(status.code, code, `code ${status.code}, wanted ${code}: ${status.reason}`);
  assert.ok(status.reason?.includes(words), `'${status.reason}' does not say '${words}'`);
  assert.notEqual(String(status.error_code), 'Success');
  if (legacy !== undefined) assert.equal(String(status.error_code), legacy);
}
