/** A directory for one test, and what a process holds, to see that a database leaves nothing of it. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DataType } from '@zilliz/milvus2-sdk-node';
import type { Tidemark } from '../../src/index.ts';
import { succeed } from '../e2e/fixture.ts';

export async function inDirectory(run: (dir: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'embedded-'));
  try {
    await run(join(root, 'data'));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

export const DIM = 8;

/** A collection of `count` rows with a graph, flushed and loaded. */
export async function fill(db: Tidemark, collection_name: string, count = 1200): Promise<void> {
  const client = await db.client();
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  await succeed(
    client.createIndex({ collection_name, field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }),
  );
  const data = Array.from({ length: count }, (_, id) => ({ id, vector: vectorOf(id) }));
  await succeed(client.insert({ collection_name, data }));
  await succeed(client.flushSync({ collection_names: [collection_name] }) as never);
  await succeed(client.loadCollectionAsync({ collection_name }));
}

export const vectorOf = (id: number): number[] =>
  Array.from({ length: DIM }, (_, i) => Math.fround(Math.sin(id * 7.3 + i)));

const EVENTS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException', 'unhandledRejection', 'exit', 'warning'];

/** How many there are of each thing that keeps a process alive, of its files, of its listeners. */
export type Holdings = Readonly<Record<string, number>>;

/** Over by itself in a moment, whoever began it. */
const passing = new Set(['FSReqPromise', 'FSReqCallback', 'CloseReq', 'Immediate']);

export function holdings(): Holdings {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo())
    if (!passing.has(name)) counts[name] = (counts[name] ?? 0) + 1;
  if (existsSync('/proc/self/fd')) counts['files'] = readdirSync('/proc/self/fd').length;
  for (const name of EVENTS) counts[`listeners of ${name}`] = process.listenerCount(name);
  return counts;
}

/** What there is more of than before, once what a close has begun has ended: handles go a turn or two after it. */
export async function leftSince(before: Holdings): Promise<readonly string[]> {
  const more = () =>
    Object.entries(holdings()).flatMap(([name, count]) =>
      count > (before[name] ?? 0) ? [`${name}: ${count}, not ${before[name] ?? 0}`] : [],
    );
  for (let i = 0; i < 50 && more().length > 0; i++) await setTimeout(10);
  return more();
}
