/** A whole server in one process over a real directory of objects, with a collection that has every class of object, and a second one beside it. */
import assert from 'node:assert/strict';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { MemoryKv } from '../../src/catalog/memory.ts';
import type { CollectionName, Coordinator } from '../../src/coordinator/api.ts';
import { defaultCompactionLimits } from '../../src/coordinator/compaction/limits.ts';
import { openFoundations } from '../../src/coordinator/compose.ts';
import { createCoordinator } from '../../src/coordinator/coordinator.ts';
import { Cluster } from '../../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../../src/coordinator/scheduler/scheduler.ts';
import type { SnapshotLimits } from '../../src/coordinator/snapshot/limits.ts';
import { SnapshotService, snapshotTables } from '../../src/coordinator/snapshot-service.ts';
import { compactDeletesExecutor, compactExecutor } from '../../src/datanode/compact/executor.ts';
import { copySegmentExecutor } from '../../src/datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { flushExecutor } from '../../src/datanode/flush/executor.ts';
import { indexBuildContext } from '../../src/datanode/indexbuild/context.ts';
import { indexBuildExecutor } from '../../src/datanode/indexbuild/executor.ts';
import { indexBuildTasks } from '../../src/datanode/indexbuild/task.ts';
import { compileFilter } from '../../src/expr/evaluate.ts';
import { primaryKeysOf } from '../../src/expr/primary-keys.ts';
import type { CollectionId, NodeId } from '../../src/model/ids.ts';
import { ArenaEngine } from '../../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../../src/querynode/querynode.ts';
import { WorkerFiles } from '../../src/querynode/segment-files.ts';
import { compactTasks } from '../../src/segment/compact.ts';
import { fingerprintTasks, WorkerFingerprints } from '../../src/segment/fingerprint.ts';
import { flushTasks } from '../../src/segment/flush.ts';
import { loadTasks } from '../../src/segment/load.ts';
import { checkObjectTasks, WorkerObjectChecker } from '../../src/storage/check-object.ts';
import { LocalStore } from '../../src/storage/local.ts';
import { LogStreamingNode } from '../../src/streamingnode/streamingnode.ts';
import { inlineWorkers } from '../../src/support/inline-workers.ts';
import { silentLog } from '../../src/support/log.ts';
import { seededRandom } from '../../src/support/random.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { VectorArena } from '../../src/vector-index/arena.ts';
import { MemoryWal } from '../../src/wal/memory.ts';
import type { Wal } from '../../src/wal/wal.ts';
import { deletesOf, Extras, fieldIdOf, insertParts, rowsOf, schema } from '../sim/rows.ts';

export const named = (name: string): CollectionName => ({ database: '', name });
export const DAMAGED = 'damaged';
export const BESIDE = 'beside';
/** Of the collection that is damaged: made before its segments were compacted, and after. */
export const OLD = 'old';
export const SNAP = 'snap';
const MB = 2 ** 20;
/** Nothing here waits for a tick; one that is needed shows as a run that takes this long. */
const TICK_MS = 20_000;

/** What outlives a restart. */
export interface Disks {
  /** Directory of the objects. */
  readonly objects: string;
  readonly kv: MemoryKv;
  /** A new log over the same bytes. */
  readonly wal: () => Promise<Wal>;
}

export const memoryDisks = (objects: string): Disks => {
  let wal = new MemoryWal();
  let isNew = true;
  return {
    objects,
    kv: new MemoryKv(),
    wal: () => {
      if (!isNew) wal = wal.reopen();
      isNew = false;
      return Promise.resolve(wal);
    },
  };
};

export class World {
  readonly disks: Disks;
  readonly catalog: Catalog;
  readonly store: LocalStore;
  readonly coordinator: Coordinator;
  readonly streamingNode: LogStreamingNode;
  readonly queryNode: LocalQueryNode;
  readonly #close: () => Promise<void>;

  private constructor(parts: Omit<World, 'close' | 'rows' | 'write' | 'flush'>, close: () => Promise<void>) {
    this.disks = parts.disks;
    this.catalog = parts.catalog;
    this.store = parts.store;
    this.coordinator = parts.coordinator;
    this.streamingNode = parts.streamingNode;
    this.queryNode = parts.queryNode;
    this.#close = close;
  }

  /** As `src/server.ts` composes it, in one thread. What it rejects with has left nothing open. */
  static async open(disks: Disks, limits: Partial<SnapshotLimits> = {}): Promise<World> {
    const steps: (() => Promise<void>)[] = [];
    const close = async () => {
      for (const step of steps.splice(0).reverse()) await step();
    };
    try {
      return await World.#open(disks, limits, steps, close);
    } catch (error) {
      await close();
      throw error;
    }
  }

  static async #open(
    disks: Disks,
    limits: Partial<SnapshotLimits>,
    steps: (() => Promise<void>)[],
    close: () => Promise<void>,
  ): Promise<World> {
    const clock = systemClock;
    const random = seededRandom(1);
    const log = silentLog;
    const foundations = await openFoundations(disks.kv, clock, snapshotTables);
    const { catalog, time, registry } = foundations;
    steps.push(() => catalog.close());
    const store = await LocalStore.open(disks.objects);
    steps.push(() => store.close());
    const wal = await disks.wal();
    steps.push(() => wal.close());
    const streamingNode = new LogStreamingNode({ wal, opener: registry, time, clock });
    steps.push(() => streamingNode.close());
    const queryNode = queryNodeOver(streamingNode, store);
    steps.push(() => queryNode.close());
    const node = dataNodeOver(store, wal);
    steps.push(() => node.close());
    const cluster = new Cluster(clock);
    cluster.join(node);
    const scheduler = new TaskScheduler({ cluster, clock, random, log });
    const stop = new AbortController();
    const running = scheduler.run(stop.signal);
    steps.push(() => {
      stop.abort();
      return running;
    });
    const coordinator = await createCoordinator({
      ...foundations,
      clock,
      log,
      streamingNode,
      queryNode,
      scheduler,
      limits: {
        minRowsToIndex: 6,
        compaction: { ...defaultCompactionLimits, isAutomatic: false },
        sealTickMs: TICK_MS,
        repairTickMs: TICK_MS,
      },
      snapshots: (rooms) =>
        new SnapshotService({
          ...foundations,
          ...rooms,
          store,
          clock,
          random,
          scheduler,
          checker: new WorkerObjectChecker(inlineWorkers(checkObjectTasks(store))),
          fingerprints: new WorkerFingerprints(inlineWorkers(fingerprintTasks(store))),
          log,
          limits: { checkIntervalMs: TICK_MS, ...limits },
        }),
    });
    steps.push(() => coordinator.close());
    return new World({ disks, catalog, store, coordinator, streamingNode, queryNode }, close);
  }

  close(): Promise<void> {
    return this.#close();
  }

  /** Rows of new keys, `number` of each its key; keys to delete. */
  async write(name: string, keys: readonly bigint[], gone: readonly bigint[] = []): Promise<void> {
    const { collection, partitions } = this.coordinator.requireReady(named(name));
    const { collectionId, channels } = collection;
    const partitionId = partitions.find((each) => each.name === '_default')?.partitionId;
    assert(partitionId !== undefined);
    const rows = keys.map((key) => ({ key, number: Number(key) }));
    await this.streamingNode.write(collectionId, [
      ...deletesOf(gone, channels),
      ...insertParts(rows, collection.schema, channels, partitionId),
    ]);
  }

  async flush(collectionId: CollectionId): Promise<void> {
    const { sealedIds } = await this.coordinator.flush(collectionId);
    await until('the flush', () => this.coordinator.isFlushed(sealedIds));
  }

  /** Every row that readers see. */
  async rows(name: string): Promise<ReadonlyMap<bigint, string>> {
    const { collection } = this.coordinator.requireReady(named(name));
    const { schema: of, collectionId } = collection;
    const outputFields = schema.fields.map((each) => fieldIdOf(of, each.name));
    return rowsOf(await this.queryNode.query({ collectionId, outputFields }), of, new Extras());
  }
}

function dataNodeOver(store: LocalStore, wal: Wal): LocalDataNode {
  const workers = inlineWorkers({
    ...flushTasks({ store, wal }),
    ...compactTasks({ store }),
    ...indexBuildTasks(indexBuildContext(store)),
  });
  return new LocalDataNode({
    nodeId: 1n as NodeId,
    slots: 8,
    log: silentLog,
    executors: {
      flush: flushExecutor(workers),
      compact: compactExecutor(workers),
      'compact-deletes': compactDeletesExecutor(workers),
      'build-index': indexBuildExecutor(workers),
      'copy-segment': copySegmentExecutor(store, { filesAtOnce: 4 }),
    },
  });
}

function queryNodeOver(streamingNode: LogStreamingNode, store: LocalStore): LocalQueryNode {
  const workers = inlineWorkers(loadTasks({ store }));
  const arena = new VectorArena({ maxBytes: 64 * MB, memoryBytes: 16 * MB, growBytes: MB });
  const engine = new ArenaEngine({ arena, workers, scanThreads: 1 });
  const filters = { compile: compileFilter, primaryKeys: primaryKeysOf };
  const files = new WorkerFiles({ workers, store, engine });
  return new LocalQueryNode({ streamingNode, files, engine, filters, clock: systemClock });
}

const MAX_WAIT_MS = 30_000;
const { signal: never } = new AbortController();

/** Asks again and again; what it waits for comes from events, within milliseconds. */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const end = systemClock.nowMs() + MAX_WAIT_MS;
  while (!isTrue()) {
    if (systemClock.nowMs() > end) throw new Error(`${what} does not come`);
    await systemClock.sleep(1, never);
  }
}

const keys = (from: number, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => BigInt(from + i));

/** With an index for its vectors. */
export async function collectionOf(world: World, name: string, shardsNum = 1): Promise<CollectionId> {
  const { collectionId } = await world.coordinator.createCollection({
    ...named(name),
    schema,
    shardsNum,
    consistencyLevel: 'Bounded',
    properties: {},
  });
  await world.coordinator.createIndex(named(name), 'vec', '', {
    index_type: 'HNSW',
    metric_type: 'L2',
    M: '4',
    efConstruction: '8',
  });
  return collectionId;
}

export const snapshot = (world: World, name: string, of: string) =>
  world.coordinator.createSnapshot({
    at: named(of),
    name,
    description: '',
    compactionProtectionSeconds: 0,
  });

export const indexed = (world: World, name: string) =>
  until('the index', () =>
    world.coordinator.describeIndexes(named(name), '').every(({ state }) => state === 'finished'),
  );

/**
 * `damaged`: a snapshot `old`; then its segments are compacted and more is written, in two segments with deletes apart; then a snapshot
 * `snap`, which shares no object with `old`. `beside`: another collection with a snapshot `snap`. Both are loaded.
 */
export async function fill(world: World): Promise<void> {
  const { coordinator } = world;
  const beside = await collectionOf(world, BESIDE);
  await world.write(BESIDE, keys(1, 12));
  await world.flush(beside);
  await indexed(world, BESIDE);
  await snapshot(world, SNAP, BESIDE);
  const collectionId = await collectionOf(world, DAMAGED);
  for (const from of [1, 101]) {
    await world.write(DAMAGED, keys(from, 10), from === 101 ? [1n, 2n] : []);
    await world.flush(collectionId);
  }
  await indexed(world, DAMAGED);
  await snapshot(world, OLD, DAMAGED);
  const { compactionId } = await coordinator.compact({ collectionId, isDeletesOnly: false });
  await until('the compaction', () => coordinator.compactionState(compactionId).state === 'completed');
  for (const from of [201, 301]) {
    // As many rows and deletes in both: what is swapped has the same size, and is told by its checksum alone.
    await world.write(DAMAGED, keys(from, 10), keys(from - 198, 2));
    await world.flush(collectionId);
  }
  await indexed(world, DAMAGED);
  await snapshot(world, SNAP, DAMAGED);
  await coordinator.load(named(DAMAGED));
  await coordinator.load(named(BESIDE));
}
