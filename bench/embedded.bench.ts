/**
 * Tidemark in the caller's process against the same as a server: opening and closing an empty directory and one with ten loaded
 * collections, the first question, memory. Each measurement is a process of its own. `--rounds 5`, `--rows 2000` (of each collection).
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { spawnServer } from '../demo/server.ts';
import { ok } from '../demo/table.ts';
import { Tidemark } from '../src/index.ts';
import { heading, median, ms, printTable } from './report.ts';

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string' }, rows: { type: 'string' } },
  strict: false,
});
const ROUNDS = Number(flags['rounds'] ?? 5);
const ROWS = Number(flags['rows'] ?? 2000);
const COLLECTIONS = 10;
const DIM = 32;

interface Measured {
  readonly sdkMs: number;
  readonly openMs: number;
  readonly connectMs: number;
  readonly firstMs: number;
  readonly nextMs: number;
  readonly closeMs: number;
  readonly lanceMs?: number;
  readonly plainMb: number;
  readonly clientMb: number;
  readonly openMb: number;
  readonly endMb: number;
}

const run = promisify(execFile);
const program = join(import.meta.dirname, 'embedded-program.js');
const measure = async (...args: string[]): Promise<Measured> =>
  JSON.parse((await run(process.execPath, [program, ...args])).stdout) as Measured;

async function rounds<T>(one: () => Promise<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for (let i = 0; i < ROUNDS; i++) all.push(await one());
  return all;
}
const mid = <T>(all: readonly T[], pick: (one: T) => number) => ms(median(all.map(pick)));

const root = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
try {
  const filled = join(root, 'filled');
  await fill(filled);
  const table: string[][] = [];
  let node = '';
  let count = 0;
  for (const [name, dirOf] of [
    ['new directory', () => join(root, String(count++))],
    [`${COLLECTIONS} loaded collections`, () => filled],
  ] as const) {
    const embedded = await rounds(() => measure(dirOf()));
    table.push([
      `embedded, ${name}`,
      mid(embedded, ({ openMs }) => openMs),
      mid(embedded, ({ connectMs }) => connectMs),
      mid(embedded, ({ firstMs }) => firstMs),
      mid(embedded, ({ nextMs }) => nextMs),
      mid(embedded, ({ closeMs }) => closeMs),
      `${mid(embedded, ({ openMb }) => openMb)}, then ${mid(embedded, ({ endMb }) => endMb)}`,
    ]);
    const served = await rounds(() => throughServer(dirOf()));
    table.push([
      `server, ${name}`,
      mid(served, ({ readyMs }) => readyMs),
      mid(served, ({ connectMs }) => connectMs),
      mid(served, ({ firstMs }) => firstMs),
      mid(served, ({ nextMs }) => nextMs),
      mid(served, ({ stopMs }) => stopMs),
      `${mid(served, ({ serverMb }) => serverMb)} and ${mid(served, ({ endMb }) => endMb)}`,
    ]);
    const lance = embedded.flatMap(({ lanceMs }) => lanceMs ?? []);
    if (lance.length > 0) table.push([`@lancedb/lancedb, ${name}`, ms(median(lance)), '', '', '', '', '']);
    node = `A plain Node process: ${mid(embedded, ({ plainMb }) => plainMb)} MB; the official client adds ${mid(embedded, ({ clientMb }) => clientMb)} MB and ${mid(embedded, ({ sdkMs }) => sdkMs)} ms.\n`;
  }
  heading('Embedded');
  console.log(node);
  printTable(
    [
      'medians',
      'open ms (server: until ready)',
      'client ms',
      'first question ms',
      'next ones p50 ms',
      'close ms',
      'MB over Node with client: opened, after 200 questions (server: its process, and the client)',
    ],
    table,
  );
} finally {
  await rm(root, { recursive: true, force: true });
}

async function throughServer(
  dir: string,
): Promise<Measured & { readyMs: number; stopMs: number; serverMb: number }> {
  const server = await spawnServer(dir);
  const measured = await measure(dir, server.address);
  const serverMb = (await server.memory())?.rssMb ?? Number.NaN;
  const started = performance.now();
  await server.stop();
  return { ...measured, readyMs: server.readyMs, stopMs: performance.now() - started, serverMb };
}

async function fill(dir: string): Promise<void> {
  await using db = await Tidemark.open({ dir });
  const client = await db.client();
  for (let i = 0; i < COLLECTIONS; i++) {
    const collection_name = `c${i}`;
    await ok(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      }),
    );
    await ok(
      client.createIndex({ collection_name, field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }),
    );
    const vectorOf = (id: number) => Array.from({ length: DIM }, (_, d) => Math.sin(id * 7.3 + d + i));
    const data = Array.from({ length: ROWS }, (_, id) => ({ id, vector: vectorOf(id) }));
    await ok(client.insert({ collection_name, data }).then(({ status }) => status));
    await client.flushSync({ collection_names: [collection_name] });
    await client.loadCollectionSync({ collection_name });
  }
}
