/**
 * The coordinator over the real log, scheduler, data node, segment files, graphs and snapshots; only the query node is a
 * stand-in that counts. No row is lost or doubled on the way to files, through restarts and failing flushes, and a restore
 * gives what the snapshot holds.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryKv } from '../../src/catalog/memory.ts';
import { defaultCompactionLimits } from '../../src/coordinator/compaction/limits.ts';
import { openFoundations } from '../../src/coordinator/compose.ts';
import { createCoordinator } from '../../src/coordinator/coordinator.ts';
import type { SegmentFlusher } from '../../src/coordinator/rooms.ts';
import { Cluster } from '../../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../../src/coordinator/scheduler/scheduler.ts';
import { SnapshotService, snapshotTables } from '../../src/coordinator/snapshot-service.ts';
import { collections, segments } from '../../src/coordinator/tables.ts';
import { compactDeletesExecutor, compactExecutor } from '../../src/datanode/compact/executor.ts';
import { copySegmentExecutor } from '../../src/datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { flushExecutor } from '../../src/datanode/flush/executor.ts';
import { indexBuildContext } from '../../src/datanode/indexbuild/context.ts';
import { indexBuildExecutor } from '../../src/datanode/indexbuild/executor.ts';
import { indexBuildTasks } from '../../src/datanode/indexbuild/task.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { CollectionId, FieldId, NodeId, PartitionId } from '../../src/model/ids.ts';
import type { RowBatch } from '../../src/model/rows.ts';
import { compactTasks } from '../../src/segment/compact.ts';
import { fingerprintFile } from '../../src/segment/fingerprint.ts';
import { flushTasks } from '../../src/segment/flush.ts';
import { checkParts } from '../../src/storage/check-object.ts';
import { MemoryStore } from '../../src/storage/memory.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { LogStreamingNode } from '../../src/streamingnode/streamingnode.ts';
import { silentLog } from '../../src/support/log.ts';
import { seededRandom } from '../../src/support/random.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import type { Workers, WorkerTasks } from '../../src/support/workers.ts';
import { MemoryWal } from '../../src/wal/memory.ts';
import type { Wal } from '../../src/wal/wal.ts';
import { FakeQueryNode, type FakeStreamingNode } from './fake-nodes.ts';
import { asked, named } from './world.ts';

let nextKey = 1n;
function batch(rowCount: number): RowBatch {
  const keys = BigInt64Array.from({ length: rowCount }, () => nextKey++);
  const vectors = Float32Array.from({ length: rowCount * 4 }, (_, i) => Math.sin(Number(nextKey) * 7 + i));
  return {
    rowCount,
    columns: new Map([
      [100 as FieldId, { layout: 'fixed', type: 'Int64', values: keys }],
      [101 as FieldId, { layout: 'vector', type: 'FloatVector', dim: 4, values: vectors }],
    ]),
  };
}

/** Workers in this thread; every fourth flush fails. */
function inlineWorkers(store: ObjectStore, wal: Wal, mayFail: () => boolean): Workers {
  const tasks: WorkerTasks = {
    ...flushTasks({ store, wal }),
    ...compactTasks({ store }),
    ...indexBuildTasks(indexBuildContext(store)),
  };
  return {
    async run(name, input) {
      if (name === 'flush-segment' && mayFail()) throw new DbError('storage-failed', 'by chance');
      const task = tasks[name] as unknown as (input: unknown) => Promise<{ readonly output: never }>;
      return (await task(input)).output;
    },
    close: () => Promise.resolve(),
  };
}

interface Disks {
  readonly kv: MemoryKv;
  readonly store: MemoryStore;
  readonly wal: Wal;
}

async function start({ kv, store, wal }: Disks, seed: number) {
  const random = seededRandom(seed);
  const foundations = await openFoundations(kv, systemClock, snapshotTables);
  const streamingNode = new LogStreamingNode({
    wal,
    opener: foundations.registry,
    time: foundations.time,
    clock: systemClock,
  });
  const workers = inlineWorkers(store, wal, () => random.below(4) === 0);
  const cluster = new Cluster(systemClock);
  const executors = {
    flush: flushExecutor(workers),
    compact: compactExecutor(workers),
    'compact-deletes': compactDeletesExecutor(workers),
    'build-index': indexBuildExecutor(workers),
    'copy-segment': copySegmentExecutor(store, { filesAtOnce: 4 }),
  };
  cluster.join(new LocalDataNode({ nodeId: 1n as NodeId, slots: 4, log: silentLog, executors }));
  const scheduler = new TaskScheduler({
    cluster,
    clock: systemClock,
    random,
    log: silentLog,
    limits: { restoreShare: 0.25, backoff: { baseMs: 1, maxMs: 5 }, tickMs: 20 },
  });
  const stop = new AbortController();
  const running = scheduler.run(stop.signal);
  const queries = new FakeQueryNode(streamingNode as unknown as FakeStreamingNode);
  let flusher: SegmentFlusher | undefined;
  const coordinator = await createCoordinator({
    ...foundations,
    clock: systemClock,
    log: silentLog,
    streamingNode,
    queryNode: queries,
    scheduler,
    snapshots: (rooms) => {
      flusher = rooms.flusher;
      return new SnapshotService({
        ...foundations,
        ...rooms,
        store,
        clock: systemClock,
        random,
        scheduler,
        checker: { check: (parts) => checkParts(store, parts) },
        fingerprints: { of: (file) => fingerprintFile(store, file) },
        log: silentLog,
      });
    },
    limits: {
      sealTickMs: 5,
      repairTickMs: 5,
      minRowsToIndex: 20,
      compaction: { ...defaultCompactionLimits, isAutomatic: false },
    },
  });
  assert.ok(flusher);
  return {
    coordinator,
    streamingNode,
    queries,
    flusher,
    catalog: foundations.catalog,
    async close() {
      await coordinator.close();
      stop.abort();
      await running;
      await streamingNode.close();
    },
  };
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (isTrue()) return;
    await systemClock.sleep(5, new AbortController().signal);
  }
  assert.fail(`never: ${what}`);
}

test('rows written while others flush, fail and restart are in files once, and every flush cuts at its T', async () => {
  const wal = new MemoryWal();
  let disks: Disks = { kv: new MemoryKv(), store: new MemoryStore(() => 0), wal };
  let log = wal;
  let written = 0;
  let collectionId = 0n as CollectionId;
  let partitionId = 0n as PartitionId;
  for (let life = 1; life <= 3; life++) {
    const node = await start(disks, life);
    const { coordinator, flusher, catalog, streamingNode } = node;
    if (life === 1) {
      ({ collectionId } = await coordinator.createCollection(asked('books')));
      await coordinator.createIndex(named('books'), 'vec', '', { index_type: 'HNSW', M: '4' });
      partitionId = coordinator.describeCollection(named('books')).partitions[0]!.partitionId;
    }
    await coordinator.load(named('books'));
    const channel = coordinator.describeCollection(named('books')).collection.channels[0]!;
    const write = async () => {
      for (let i = 0; i < 40; i++) {
        const rows = batch(1 + (i % 3));
        await streamingNode.write(collectionId, [{ kind: 'insert', channel, partitionId, rows }]);
        written += rows.rowCount;
        if (i % 5 === 0) await new Promise<void>((done) => setImmediate(done));
      }
    };
    const flush = async () => {
      for (let i = 0; i < 4; i++) {
        const before = written;
        const sealTs = await flusher.flushAll(collectionId);
        const upTo = catalog
          .find(segments, 'collection', collectionId)
          .filter(({ state, minTs }) => state === 'flushed' && minTs <= sealTs);
        assert.ok(upTo.every(({ maxTs }) => maxTs <= sealTs));
        assert.ok(upTo.reduce((sum, { rowCount }) => sum + rowCount, 0) >= before);
      }
    };
    await Promise.all([write(), write(), flush(), flush()]);
    assert.equal(coordinator.rowCount(collectionId), written);
    assert.equal(node.queries.rowsOf(collectionId), written);
    await node.close();
    await log.close();
    log = log.reopen();
    disks = { ...disks, wal: log };
  }
  const last = await start(disks, 9);
  await last.flusher.flushAll(collectionId);
  assert.equal(last.coordinator.rowCount(collectionId), written);
  const states = last.catalog.find(segments, 'collection', collectionId).map(({ state }) => state);
  assert.ok(states.every((state) => state === 'flushed'));
  await until(() => last.coordinator.describeIndexes(named('books'), '')[0]?.state === 'finished', 'built');
  const built = last.catalog.find(segments, 'collection', collectionId).flatMap((s) => s.indexes);
  assert.ok(built.length > 0);
  for (const { file } of built) assert.equal((await disks.store.stat(file.key))?.sizeBytes, file.sizeBytes);
  await last.close();
});

test('a snapshot of rows nobody flushed is restored with its indexes, loaded, and dropped again', async () => {
  const node = await start({ kv: new MemoryKv(), store: new MemoryStore(() => 0), wal: new MemoryWal() }, 5);
  const { coordinator, streamingNode, queries } = node;
  const { collectionId } = await coordinator.createCollection(asked('books'));
  await coordinator.createIndex(named('books'), 'vec', '', { index_type: 'HNSW', metric_type: 'L2' });
  const { collection, partitions } = coordinator.describeCollection(named('books'));
  const { partitionId } = partitions[0]!;
  const channel = collection.channels[0]!;
  const write = (count: number) =>
    streamingNode.write(collectionId, [{ kind: 'insert', channel, partitionId, rows: batch(count) }]);
  await write(30);
  await node.flusher.flushAll(collectionId);
  await until(() => coordinator.describeIndexes(named('books'), '')[0]?.indexedRows === 30, 'built');
  await write(50);
  await coordinator.createSnapshot({
    at: named('books'),
    name: 's1',
    description: '',
    compactionProtectionSeconds: 0,
  });
  await write(7);
  const jobId = await coordinator.restoreSnapshot({
    source: named('books'),
    name: 's1',
    target: named('copy'),
  });
  await until(() => coordinator.restoreState(jobId).state === 'completed', 'restored');
  const copy = coordinator.requireReady(named('copy')).collection;
  assert.equal(coordinator.rowCount(copy.collectionId), 80);
  assert.equal(coordinator.rowCount(collectionId), 87);
  await coordinator.load(named('copy'));
  assert.equal(queries.rowsOf(copy.collectionId), 80);
  await until(() => coordinator.describeIndexes(named('copy'), '')[0]?.state === 'finished', 'indexed');
  assert.deepEqual(
    coordinator.describeIndexes(named('copy'), '')[0]?.index.params,
    coordinator.describeIndexes(named('books'), '')[0]?.index.params,
  );
  await coordinator.dropCollection(named('books'));
  await coordinator.dropCollection(named('copy'));
  assert.deepEqual(coordinator.listCollections(''), []);
  assert.deepEqual(coordinator.health(), { isHealthy: true, reasons: [] });
  await node.close();
});

test('readers of a name that is replaced in place find a loaded collection, old or new and whole, at every commit', async () => {
  const node = await start({ kv: new MemoryKv(), store: new MemoryStore(() => 0), wal: new MemoryWal() }, 1);
  const { coordinator, catalog, queries, streamingNode } = node;
  const at = named('books');
  const { collectionId, channels } = await coordinator.createCollection(asked('books'));
  await coordinator.createIndex(at, 'vec', '', { index_type: 'HNSW', M: '4' });
  const { partitionId } = coordinator.describeCollection(at).partitions[0]!;
  const write = (count: number) =>
    streamingNode.write(collectionId, [
      { kind: 'insert', channel: channels[0]!, partitionId, rows: batch(count) },
    ]);
  await write(30);
  await coordinator.createSnapshot({ at, name: 's', description: '', compactionProtectionSeconds: 0 });
  await write(12);
  await coordinator.load(at);
  const seen: string[] = [];
  const read = () => {
    const found = coordinator.describeCollection(at).collection;
    const { state } = coordinator.loadState(at);
    const what = `${found.collectionId === collectionId ? 'old' : 'new'} ${queries.rowsOf(found.collectionId)} ${state}`;
    if (seen.at(-1) !== what) seen.push(what);
  };
  catalog.onChange(read);
  const jobId = await coordinator.restoreInPlace({ at, name: 's' });
  const { databaseId } = coordinator.describeCollection(at).collection;
  assert.ok(catalog.find(collections, 'database', databaseId).some(({ name }) => name === `books#${jobId}`));
  assert.deepEqual(
    coordinator.listCollections('').map(({ collection }) => collection.name),
    ['books'],
    'what is restored aside is not listed',
  );
  await until(() => coordinator.restoreState(jobId).state === 'completed', 'completed');
  assert.deepEqual(seen, ['old 42 loaded', 'new 30 loaded']);
  await coordinator.settleSwap(jobId, 'revert');
  assert.deepEqual(seen, ['old 42 loaded', 'new 30 loaded', 'old 42 loaded']);
  assert.equal(queries.views.size, 1, 'the restored one was released');
  const drill = await coordinator.drillRestore({ at, name: 's' });
  await until(() => coordinator.restoreState(drill).state === 'completed', 'compared');
  const { purpose } = coordinator.restoreState(drill);
  assert.ok(purpose?.kind === 'drill');
  assert.deepEqual(purpose.outcome, { isSame: true, segments: 1, rows: 30, deletes: 0, differences: [] });
  const again = await coordinator.restoreInPlace({ at, name: 's' });
  await until(() => coordinator.restoreState(again).state === 'completed', 'completed again');
  await coordinator.settleSwap(again, 'confirm');
  assert.equal(seen.at(-1), 'new 30 loaded');
  assert.equal(queries.views.size, 1, 'the old one was released');
  await node.close();
});
