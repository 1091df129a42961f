/**
 * Snapshots over the real log, flush and segment files: what is in one is decided row by row, by reading its files, against what
 * every write was told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryKv } from '../../src/catalog/memory.ts';
import { openFoundations } from '../../src/coordinator/compose.ts';
import { createCoordinator } from '../../src/coordinator/coordinator.ts';
import type { SegmentFlusher } from '../../src/coordinator/rooms.ts';
import { Cluster } from '../../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../../src/coordinator/scheduler/scheduler.ts';
import type { CaptureMode } from '../../src/coordinator/snapshot/limits.ts';
import { readManifests, readMetadata } from '../../src/coordinator/snapshot/reader.ts';
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import { SnapshotService, snapshotTables } from '../../src/coordinator/snapshot-service.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { flushExecutor } from '../../src/datanode/flush/executor.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import {
  ALL_PARTITIONS,
  type CollectionId,
  type FieldId,
  type NodeId,
  type PartitionId,
} from '../../src/model/ids.ts';
import type { SegmentFile } from '../../src/model/records.ts';
import type { RowBatch } from '../../src/model/rows.ts';
import type { FieldSchema } from '../../src/model/schema.ts';
import { readDeletes } from '../../src/segment/deletes-file.ts';
import { fingerprintFile } from '../../src/segment/fingerprint.ts';
import { flushTasks } from '../../src/segment/flush.ts';
import { bytesReader, type RangedReader } from '../../src/segment/parquet-reader.ts';
import { readColumns, readRowsMeta, readTimestamps } from '../../src/segment/rows-file.ts';
import { checkParts, type ObjectPart } from '../../src/storage/check-object.ts';
import { MemoryStore } from '../../src/storage/memory.ts';
import type { WritePart } from '../../src/streamingnode/api.ts';
import { LogStreamingNode } from '../../src/streamingnode/streamingnode.ts';
import { silentLog } from '../../src/support/log.ts';
import { seededRandom } from '../../src/support/random.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import type { Workers, WorkerTasks } from '../../src/support/workers.ts';
import { MemoryWal, type MemoryWalOptions } from '../../src/wal/memory.ts';
import { FakeQueryNode, type FakeStreamingNode } from './fake-nodes.ts';
import { asked, named, settle } from './world.ts';

const books = named('books');
const SHARDS = 3;
const KEYS = 40;

interface Write {
  readonly kind: 'insert' | 'delete' | 'upsert';
  readonly keys: readonly bigint[];
  readonly ts: HybridTime;
}

class Node {
  readonly store = new MemoryStore(() => 0);
  wal: MemoryWal;
  readonly kv = new MemoryKv();
  readonly acknowledged: Write[] = [];
  /** Flushes wait for it. */
  onFlush: () => Promise<void> = () => Promise.resolve();
  #close: () => Promise<void> = () => Promise.resolve();
  #parts: Awaited<ReturnType<Node['open']>> | undefined;
  #collectionId = 0n as CollectionId;
  #partitionId = 0n as PartitionId;

  private constructor(wal: MemoryWalOptions) {
    this.wal = new MemoryWal(wal);
  }

  static async start(capture: CaptureMode = 'acknowledged', wal: MemoryWalOptions = {}): Promise<Node> {
    const node = new Node(wal);
    node.#parts = await node.open(capture);
    const { collectionId } = await node.parts.coordinator.createCollection(
      asked('books', { shardsNum: SHARDS }),
    );
    node.#collectionId = collectionId;
    node.#partitionId = node.parts.coordinator.describeCollection(books).partitions[0]!.partitionId;
    return node;
  }

  get parts() {
    return this.#parts!;
  }

  async open(capture: CaptureMode) {
    const { store, wal } = this;
    const random = seededRandom(5);
    const foundations = await openFoundations(this.kv, systemClock, snapshotTables);
    const { registry: opener, time, catalog } = foundations;
    const streamingNode = new LogStreamingNode({ wal, opener, time, clock: systemClock });
    const tasks: WorkerTasks = flushTasks({ store, wal });
    const workers: Workers = {
      run: async (name, input) => {
        await this.onFlush();
        return (await (tasks[name] as unknown as (i: unknown) => Promise<{ output: never }>)(input)).output;
      },
      close: () => Promise.resolve(),
    };
    const cluster = new Cluster(systemClock);
    const executors = { flush: flushExecutor(workers) };
    cluster.join(new LocalDataNode({ nodeId: 1n as NodeId, slots: 4, log: silentLog, executors }));
    const scheduler = new TaskScheduler({ cluster, clock: systemClock, random, log: silentLog });
    const stop = new AbortController();
    const running = scheduler.run(stop.signal);
    const queryNode = new FakeQueryNode(streamingNode as unknown as FakeStreamingNode);
    const shared = { ...foundations, clock: systemClock, log: silentLog, scheduler };
    let flusher: SegmentFlusher | undefined;
    const coordinator = await createCoordinator({
      ...shared,
      streamingNode,
      queryNode,
      snapshots: (rooms) => {
        flusher = rooms.flusher;
        const checker = { check: (parts: readonly ObjectPart[]) => checkParts(store, parts) };
        const fingerprints = { of: (file: SegmentFile) => fingerprintFile(store, file) };
        const limits = { capture };
        return new SnapshotService({ ...shared, ...rooms, store, checker, fingerprints, random, limits });
      },
    });
    this.#close = async () => {
      await coordinator.close();
      stop.abort();
      await running;
      await streamingNode.close();
      await wal.close();
    };
    return { coordinator, streamingNode, catalog, flusher: flusher! };
  }

  close(): Promise<void> {
    return this.#close();
  }

  async restart(): Promise<void> {
    await this.#close();
    this.wal = this.wal.reopen();
    this.#parts = await this.open('acknowledged');
  }

  async write(kind: Write['kind'], keys: readonly bigint[]): Promise<HybridTime> {
    const parts: WritePart[] = [];
    const { channels } = this.parts.coordinator.describeCollection(books).collection;
    channels.forEach((channel, shard) => {
      const own = keys.filter((key) => Number(key) % SHARDS === shard);
      if (own.length === 0) return;
      const values = BigInt64Array.from(own);
      const keyed = { type: 'Int64', values } as const;
      if (kind !== 'insert')
        parts.push({ kind: 'delete', channel, partitionId: ALL_PARTITIONS, keys: keyed });
      if (kind !== 'delete')
        parts.push({ kind: 'insert', channel, partitionId: this.#partitionId, rows: batch(values) });
    });
    const ts = await this.parts.streamingNode.write(this.#collectionId, parts);
    this.acknowledged.push({ kind, keys, ts });
    return ts;
  }

  async create(name: string): Promise<HybridTime> {
    const { coordinator } = this.parts;
    await coordinator.createSnapshot({ at: books, name, description: '', compactionProtectionSeconds: 0 });
    return coordinator.describeSnapshot(books, name).createTs;
  }

  flush(): Promise<HybridTime> {
    return this.parts.flusher.flushAll(this.#collectionId);
  }

  flushedUpTo(): HybridTime {
    return this.parts.flusher.flushedUpTo(this.#collectionId);
  }

  /** `key@ts` of every row of the snapshot that no delete of it kills; with `upTo`, as of then. */
  async rowsOf(name: string, upTo?: HybridTime): Promise<string[]> {
    const [record] = this.parts.catalog.find(snapshots, 'name', `${this.#collectionId}/${name}`);
    const metadata = await readMetadata(this.store, record!);
    const rows: (readonly [bigint, bigint])[] = [];
    const deletes: (readonly [bigint, bigint])[] = [];
    const [keyField] = metadata.collection.schema.fields;
    for (const { files } of await readManifests(this.store, metadata, 4))
      for (const { kind, key } of files.filter((file) => file.kind !== 'stats')) {
        const reader = bytesReader(await this.store.get(key));
        const { keys, timestamps } =
          kind === 'deletes' ? await readDeletes(reader) : await readRows(reader, keyField!);
        const into = kind === 'deletes' ? deletes : rows;
        for (const [i, ts] of timestamps.entries()) into.push([keys.values[i] as bigint, ts]);
      }
    const counts = (ts: bigint) => upTo === undefined || ts <= upTo;
    return rows
      .filter(([, ts]) => counts(ts))
      .filter(([key, ts]) => !deletes.some(([k, at]) => k === key && at > ts && counts(at)))
      .map(([key, ts]) => `${key}@${ts}`)
      .sort();
  }

  /** What is there after every acknowledged write up to `upTo`, in the same words. */
  expected(upTo: HybridTime): string[] {
    const rows = new Map<string, bigint>();
    for (const { kind, keys, ts } of this.acknowledged.toSorted((a, b) => (a.ts < b.ts ? -1 : 1))) {
      if (ts > upTo) continue;
      for (const key of keys) {
        if (kind !== 'insert') for (const [row, of] of rows) if (of === key) rows.delete(row);
        if (kind !== 'delete') rows.set(`${key}@${ts}`, key);
      }
    }
    return [...rows.keys()].sort();
  }
}

async function readRows(reader: RangedReader, keyField: FieldSchema) {
  const meta = await readRowsMeta(reader);
  const column = (await readColumns(reader, meta, [keyField])).get(keyField.fieldId);
  return {
    keys: column as unknown as { readonly values: BigInt64Array },
    timestamps: await readTimestamps(reader, meta),
  };
}

const batch = (values: BigInt64Array<ArrayBuffer>): RowBatch => ({
  rowCount: values.length,
  columns: new Map([
    [100 as FieldId, { layout: 'fixed', type: 'Int64', values }],
    [
      101 as FieldId,
      { layout: 'vector', type: 'FloatVector', dim: 4, values: new Float32Array(values.length * 4) },
    ],
  ]),
});

test('a snapshot holds every write acknowledged before the call and none begun after it returned, over several shards, with upserts and deletes in flight', async () => {
  const node = await Node.start();
  const random = seededRandom(17);
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      const kind = (['insert', 'upsert', 'upsert', 'delete'] as const)[random.below(4)]!;
      const keys = new Set(Array.from({ length: 1 + random.below(6) }, () => BigInt(random.below(KEYS))));
      await node.write(kind, [...keys]);
      if (random.below(3) === 0) await settle();
    }
  };
  const clients = [client(), client(), client()];
  const times: HybridTime[] = [];
  for (let i = 0; i < 6; i++) {
    await settle();
    const before = node.acknowledged.map(({ ts }) => ts);
    const createTs = await node.create(`s${i}`);
    const after = await node.write('upsert', [0n, 1n, 2n]);
    assert.ok(before.length > 0 && before.every((ts) => ts <= createTs));
    assert.ok(after > createTs);
    times.push(createTs);
  }
  isOver = true;
  await Promise.all(clients);
  for (const [i, createTs] of times.entries()) {
    assert.deepEqual(await node.rowsOf(`s${i}`), node.expected(createTs), `snapshot ${i}`);
    assert.ok(node.expected(createTs).length > 0);
  }
  await node.close();
});

test('a write that is sent while a create flushes is acknowledged before that flush ends, and is not in the snapshot', async () => {
  const node = await Node.start();
  await node.write('insert', [1n, 2n, 3n]);
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let flushes = 0;
  node.onFlush = () => {
    flushes++;
    return gate;
  };
  let isCreated = false;
  const creating = node.create('snap').then((ts) => {
    isCreated = true;
    return ts;
  });
  while (flushes < SHARDS) await settle();
  const during = [
    await node.write('insert', [4n]),
    await node.write('upsert', [1n]),
    await node.write('delete', [2n]),
  ];
  assert.equal(isCreated, false);
  letGo();
  const createTs = await creating;
  assert.ok(during.every((ts) => ts > createTs));
  assert.deepEqual(await node.rowsOf('snap'), node.expected(createTs));
  assert.equal(node.expected(createTs).length, 3);
  await node.close();
});

test('`snapshot.capture: flushed` holds what is flushed: complete up to its time, which lies just below the oldest write that is not', async () => {
  const node = await Node.start('flushed', { sync: 'manual' });
  const synced = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      node.wal.sync();
      await settle();
    }
    return done;
  };
  await synced(node.write('insert', [1n, 2n, 3n]));
  await synced(node.write('upsert', [1n]));
  const flushed = await synced(node.flush());
  const all = await node.create('all');
  assert.ok(all > flushed);
  assert.deepEqual(await node.rowsOf('all'), node.expected(all));
  // On its way to the disk: not yet counted by anybody, but no boundary may pass it.
  const first = node.write('insert', [7n]);
  await settle();
  const early = node.flushedUpTo();
  const ts = await synced(first);
  assert.equal(early, ts - 1n);
  await synced(node.write('delete', [3n]));
  assert.equal(node.flushedUpTo(), ts - 1n);
  const createTs = await node.create('some');
  assert.equal(createTs, ts - 1n);
  assert.deepEqual(await node.rowsOf('some', createTs), node.expected(createTs));
  assert.deepEqual(await node.rowsOf('some'), await node.rowsOf('all'));
  const [growing] = node.parts.streamingNode.segments();
  assert.equal(growing?.sealed, false);
  await node.close();
});

test('references that are not loaded are visible in health, with their reason, and in what metrics count, until they are loaded', async () => {
  const node = await Node.start();
  await node.write('insert', [1n]);
  await node.create('snap');
  const [record] = node.parts.catalog.find(snapshots, 'state', 'committed');
  const bytes = await node.store.get(record!.metadataKey);
  await node.store.delete(record!.metadataKey);
  await node.restart();
  const counted = () => node.parts.coordinator.snapshotStats();
  while (node.parts.coordinator.health().reasons.length === 0) await settle();
  assert.equal(node.parts.coordinator.health().isHealthy, true, 'reads and writes go on');
  assert.match(node.parts.coordinator.health().reasons.join(), /snapshot 'snap'.*not loaded.*missing/);
  assert.deepEqual(counted(), { snapshots: 1, pins: 0, referencesNotLoaded: 1 });
  assert.deepEqual(node.parts.coordinator.listSnapshots(books), ['snap']);
  await node.store.put(record!.metadataKey, bytes);
  await node.restart();
  while (counted().referencesNotLoaded > 0) await settle();
  assert.deepEqual(node.parts.coordinator.health(), { isHealthy: true, reasons: [] });
  assert.deepEqual(counted(), { snapshots: 1, pins: 0, referencesNotLoaded: 0 });
  await node.close();
});
