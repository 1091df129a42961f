/**
 * The story of Tidemark on real input: words and their vectors, a snapshot, a loss, a restore, and the proof that every row, vector
 * and search result is what it was. Exits 1 on any difference.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { proveRows, proveSearches, type SearchRecord } from './proof.ts';
import { spawnServer } from './server.ts';
import { drawBar, megabytes, Story } from './story.ts';
import { COLLECTION, ok, PARTITIONS, partitionOf, RESTORED, rowOf, SNAPSHOT } from './table.ts';
import { DIM, loadWords, syntheticWords, type Words } from './words.ts';

const { values: flags } = parseArgs({
  options: { synthetic: { type: 'boolean' }, rows: { type: 'string' }, cache: { type: 'string' } },
});
const COUNT = Number(flags.rows ?? 100_000);
const BATCH = 5_000;
const PROBES = ['ocean', 'democracy', 'violin', 'purple'];

const story = new Story();
const dir = await mkdtemp(join(tmpdir(), 'tidemark-demo-'));
const cache = flags.cache ?? join(import.meta.dirname, '../../.cache/words');
let failed = false;
try {
  failed = !(await tell());
} finally {
  await rm(dir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function tell(): Promise<boolean> {
  story.say(`Tidemark demo: ${COUNT.toLocaleString('en')} words\n`);
  const words = await story.step(
    'words and vectors',
    async () =>
      flags.synthetic ? syntheticWords(COUNT) : loadWords(cache, COUNT, (text) => story.say(`  ${text}`)),
    (w) => w.source,
  );
  const server = await story.step(
    'start the server',
    () => spawnServer(dir),
    (s) => `gRPC on ${s.address}`,
  );
  const client = new MilvusClient({ address: server.address });
  try {
    await client.connectPromise;
    await fill(client, words);
    const before = await searchAll(client, COLLECTION, words);
    for (const { word, hits } of before.slice(0, 4))
      story.say(`             ${word}: ${hits.map((h) => h.word).join(', ')}`);
    await story.step('create the snapshot', () =>
      ok(
        client.createSnapshot({
          collection_name: COLLECTION,
          snapshot_name: SNAPSHOT,
          description: 'before the accident',
        }),
      ),
    );
    await damage(client, words);
    await restore(client, server.httpAddress);
    const intact = await prove(client, words, before);
    const memory = await server.memory();
    story.say(`\n${story.table()}`);
    if (memory !== undefined)
      story.say(`  server memory: ${memory.rssMb} MB now, ${memory.peakMb} MB at the peak`);
    story.say(intact ? '\nEvery row, vector and search result equals the snapshot.' : '\nDIFFERENCES FOUND.');
    return intact;
  } finally {
    await client.closeConnection();
    await server.stop();
  }
}

async function fill(client: MilvusClient, words: Words): Promise<void> {
  await story.step('create collection, partitions, index', async () => {
    await ok(
      client.createCollection({
        collection_name: COLLECTION,
        fields: [
          { name: 'word', data_type: DataType.VarChar, is_primary_key: true, max_length: 256 },
          { name: 'rank', data_type: DataType.Int32 },
          { name: 'length', data_type: DataType.Int8 },
          { name: 'first', data_type: DataType.VarChar, max_length: 8 },
          { name: 'info', data_type: DataType.JSON },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
        ],
      }),
    );
    for (const { name } of PARTITIONS)
      await ok(client.createPartition({ collection_name: COLLECTION, partition_name: name }));
    await ok(
      client.createIndex({
        collection_name: COLLECTION,
        field_name: 'vector',
        index_type: 'HNSW',
        metric_type: 'COSINE',
        params: { M: 16, efConstruction: 128 },
      }),
    );
  });
  await story.step(
    'insert',
    () => insertAll(client, words),
    (bytes) => `${COUNT} rows, ${megabytes(bytes)} of vectors`,
  );
  await story.step('flush, load, build the HNSW index', async () => {
    await ok(client.flushSync({ collection_names: [COLLECTION] }).then((r) => r.status));
    await ok(client.loadCollectionSync({ collection_name: COLLECTION }));
    await indexBuilt(client);
  });
}

async function insertAll(client: MilvusClient, words: Words): Promise<number> {
  let batch: ReturnType<typeof rowOf>[] = [];
  let partition = partitionOf(0);
  const send = async () => {
    if (batch.length > 0)
      await ok(
        client
          .insert({ collection_name: COLLECTION, partition_name: partition, data: batch })
          .then((r) => r.status),
      );
    batch = [];
  };
  for (let row = 0; row < COUNT; row++) {
    if (partitionOf(row) !== partition || batch.length === BATCH) await send();
    partition = partitionOf(row);
    batch.push(rowOf(words, row));
  }
  await send();
  return COUNT * DIM * 4;
}

async function indexBuilt(client: MilvusClient): Promise<void> {
  for (;;) {
    const { index_descriptions } = await client.describeIndex({ collection_name: COLLECTION });
    if (
      index_descriptions.every(
        (index) => String(index.state) === 'Finished' && Number(index.pending_index_rows) === 0,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function searchAll(client: MilvusClient, collection: string, words: Words): Promise<SearchRecord[]> {
  const known = new Map(words.words.map((word, row) => [word, row]));
  const probes = PROBES.filter((word) => known.has(word));
  for (let row = 11; probes.length < 50; row += 997) probes.push(words.words[row % COUNT] as string);
  return story.step(`search ${probes.length} words in ${collection}`, async () => {
    const records: SearchRecord[] = [];
    for (const word of probes) {
      const row = known.get(word) as number;
      const { status, results } = await client.search({
        collection_name: collection,
        data: [...words.vectors.subarray(row * DIM, (row + 1) * DIM)],
        limit: 8,
        output_fields: ['word', 'rank'],
        params: { ef: 64 },
      });
      await ok(Promise.resolve(status));
      records.push({ word, hits: results.map((hit) => ({ word: String(hit['word']), score: hit.score })) });
    }
    return records;
  });
}

async function damage(client: MilvusClient, words: Words): Promise<void> {
  story.say('\n  the accident');
  await story.step('delete by filter', () =>
    ok(
      client
        .delete({ collection_name: COLLECTION, filter: 'first in ["a", "b", "c"] and length < 9' })
        .then((r) => r.status),
    ),
  );
  await story.step('upsert 5,000 words with wrong vectors', async () => {
    const rows = Array.from({ length: Math.min(5_000, COUNT) }, (_, row) => {
      const wrong = rowOf(words, row);
      return { ...wrong, rank: -1, vector: wrong.vector.map((value) => -value) };
    });
    await ok(
      client
        .upsert({ collection_name: COLLECTION, partition_name: partitionOf(0), data: rows })
        .then((r) => r.status),
    );
  });
  await story.step('drop a partition', async () => {
    await ok(client.releasePartitions({ collection_name: COLLECTION, partition_names: ['rare'] }));
    await ok(client.dropPartition({ collection_name: COLLECTION, partition_name: 'rare' }));
  });
  const left = await client.count({ collection_name: COLLECTION });
  story.say(`             ${left.data} of ${COUNT} rows are left, 5,000 of them wrong\n`);
}

async function restore(client: MilvusClient, httpAddress: string): Promise<void> {
  await story.step(
    'restore into a new collection',
    async () => {
      const { job_id, status } = await client.restoreSnapshot({
        snapshot_name: SNAPSHOT,
        source_collection_name: COLLECTION,
        target_collection_name: RESTORED,
      });
      await ok(Promise.resolve(status));
      for (;;) {
        const { info } = await client.getRestoreSnapshotState({ job_id });
        const job = (await (await fetch(`http://${httpAddress}/restore-jobs/${job_id}`)).json()) as {
          copiedBytes: number;
          totalBytes: number;
        };
        const ended = info.state === 'RestoreSnapshotCompleted';
        drawBar(ended ? job.totalBytes : job.copiedBytes, job.totalBytes, ended);
        if (ended) return Number(info.time_cost);
        if (info.state === 'RestoreSnapshotFailed') throw new Error(`the restore failed: ${info.reason}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    (cost) => `the job took ${cost} ms`,
  );
}

async function prove(client: MilvusClient, words: Words, before: readonly SearchRecord[]): Promise<boolean> {
  story.say('\n  the proof');
  await story.step('load the restored collection', () =>
    ok(client.loadCollectionSync({ collection_name: RESTORED })),
  );
  const rows = await story.step(
    'compare every row and vector',
    () => proveRows(client, words, COUNT),
    (r) => r.summary,
  );
  const after = await searchAll(client, RESTORED, words);
  const searches = proveSearches(before, after);
  story.say(`             ${searches.summary}`);
  for (const line of [...rows.differences, ...searches.differences].slice(0, 10))
    story.say(`  DIFFERENT: ${line}`);
  return rows.differences.length + searches.differences.length === 0;
}
