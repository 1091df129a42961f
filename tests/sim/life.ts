/** One life of the process: everything between a start and a crash, composed as `src/server.ts` does it, over adapters of the simulation. */
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { Coordinator } from '../../src/coordinator/api.ts';
import { defaultCompactionLimits } from '../../src/coordinator/compaction/limits.ts';
import { openFoundations, type SnapshotRoom } from '../../src/coordinator/compose.ts';
import { createCoordinator } from '../../src/coordinator/coordinator.ts';
import type { RestoreGate } from '../../src/coordinator/rooms.ts';
import { Cluster } from '../../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../../src/coordinator/scheduler/scheduler.ts';
import { defaultSealLimits } from '../../src/coordinator/segments/seal-policy.ts';
import { SnapshotService, snapshotTables } from '../../src/coordinator/snapshot-service.ts';
import { segments } from '../../src/coordinator/tables.ts';
import { compactDeletesExecutor, compactExecutor } from '../../src/datanode/compact/executor.ts';
import { Bandwidth } from '../../src/datanode/copy-segment/bandwidth.ts';
import { copySegmentExecutor } from '../../src/datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { flushExecutor } from '../../src/datanode/flush/executor.ts';
import { indexBuildContext } from '../../src/datanode/indexbuild/context.ts';
import { indexBuildExecutor } from '../../src/datanode/indexbuild/executor.ts';
import { indexBuildTasks } from '../../src/datanode/indexbuild/task.ts';
import { compileFilter } from '../../src/expr/evaluate.ts';
import { primaryKeysOf } from '../../src/expr/primary-keys.ts';
import type { NodeId } from '../../src/model/ids.ts';
import type { SegmentRecord } from '../../src/model/records.ts';
import { ArenaEngine } from '../../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../../src/querynode/querynode.ts';
import { WorkerFiles } from '../../src/querynode/segment-files.ts';
import { compactTasks } from '../../src/segment/compact.ts';
import { fingerprintTasks, WorkerFingerprints } from '../../src/segment/fingerprint.ts';
import { flushTasks } from '../../src/segment/flush.ts';
import { loadTasks } from '../../src/segment/load.ts';
import { checkObjectTasks, WorkerObjectChecker } from '../../src/storage/check-object.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { LogStreamingNode } from '../../src/streamingnode/streamingnode.ts';
import { inlineWorkers } from '../../src/support/inline-workers.ts';
import type { Log } from '../../src/support/log.ts';
import type { Random } from '../../src/support/random.ts';
import { VectorArena } from '../../src/vector-index/arena.ts';
import { vectorTasks } from '../../src/vector-index/search-tasks.ts';
import { Fairness, watchedScheduler } from './fairness.ts';
import { type Call, type Chances, type Fault, Faults } from './faults.ts';
import { FaultyKv } from './faulty-kv.ts';
import { FaultyNode } from './faulty-node.ts';
import { FaultyStore } from './faulty-store.ts';
import type { JobWatch } from './job-watch.ts';
import { type Plant, storeWith } from './plants.ts';
import { DROP_TOLERANCE_MS, type Shape } from './shape.ts';
import type { SimClock } from './sim-clock.ts';
import { type LogFaults, SimWal } from './sim-wal.ts';
import type { Disks } from './world.ts';

export const NODES = 3;
const LEASE_MS = 3000;
const HEARTBEAT_MS = 1000;
const never = (): AbortSignal => new AbortController().signal;
const MB = 2 ** 20;

/** Virtual time is cheap but not free: waits are short enough that a run sees many of each. */
const limits = {
  gcIntervalMs: 20_000,
  dropToleranceMs: DROP_TOLERANCE_MS,
  missingToleranceMs: DROP_TOLERANCE_MS,
  maxCopyAttempts: 30,
  refIndexLoadIntervalMs: 2000,
  refIndexLoadTimeoutMs: 5000,
};

/** Segments of a few rows are small, two of them are worth a compaction, and so is one deleted row in ten. */
const compaction = {
  ...defaultCompactionLimits,
  maxSizeBytes: 24_000,
  minSegments: 2,
  maxSegments: 4,
  deleteRatio: 0.1,
  minDeleteSegments: 2,
  tickMs: 2000,
  maxOpenPlans: 8,
  retryAfterMs: 3000,
};

/** Faults by name of the port and of the call. */
export type Plan = (port: string, name: string, key: string) => Fault | undefined;

export interface LifeOptions {
  readonly disks: Disks;
  readonly clock: SimClock;
  readonly random: Random;
  readonly plant: Plant;
  readonly shape: Shape;
  readonly isSlow: () => boolean;
  /** Faults are gone for good. */
  readonly isQuiet: () => boolean;
  readonly log: Log;
  /** A port has been told to crash: of a node, or of the coordinator's process. */
  readonly onCrash: (port: string) => void;
  /** A fault for this call of a port: `kv`, `store`, `log`, `node1`, `node1.store`, and so on. */
  readonly plan: Plan | undefined;
  readonly onFault: (what: string) => void;
  /** A compaction has replaced segments. */
  readonly onCompacted: () => void;
  /** The coordinator deletes an object now. */
  readonly onDelete: (key: string) => void;
  /** What it finds ends the run. */
  readonly watch: (look: (jobs: JobWatch) => void) => void;
  /** The catalog will refuse every write from now on. */
  readonly onDoom: () => void;
  /** The log will. */
  readonly onLogBroken: () => void;
}

export interface Planes {
  readonly catalog: Catalog;
  readonly streamingNode: LogStreamingNode;
  readonly queryNode: LocalQueryNode;
  readonly coordinator: Coordinator;
  readonly service: SnapshotService;
}

export class Life {
  readonly clock: ReturnType<SimClock['life']>;
  readonly kv: FaultyKv;
  readonly store: FaultyStore;
  readonly wal: SimWal;
  readonly nodes = new Map<
    NodeId,
    { readonly door: FaultyNode; readonly faults: Faults; readonly store: Faults }
  >();
  readonly cluster: Cluster;
  readonly #options: LifeOptions;
  #composed: Planes | undefined;
  #catalog: Catalog | undefined;
  #chances: Chances = {};
  isOver = false;
  isDoomed = false;
  /** Rejects when the life ends. */
  readonly over: Promise<never>;
  #end: (error: Error) => void = () => undefined;

  constructor(options: LifeOptions) {
    const { disks, clock, random } = options;
    this.#options = options;
    this.clock = clock.life();
    this.kv = new FaultyKv(disks.kv, this.#faultsOptions('kv'));
    const watched = watchedStore(disks.store, (key) => {
      options.watch((jobs) => jobs.deleted(key));
      options.onDelete(key);
    });
    this.store = new FaultyStore(options.plant.store?.(watched) ?? watched, this.#faultsOptions('store'));
    this.wal = new SimWal(disks.wal, this.clock, random, this.#logFaults());
    this.cluster = new Cluster(this.clock);
    this.over = new Promise((_, reject) => {
      this.#end = reject;
    });
    this.over.catch(() => undefined);
  }

  #faultsOptions(port: string) {
    const { random, onCrash, onFault, plan } = this.#options;
    return {
      clock: this.clock,
      random,
      chances: { delay: 0.15, maxDelayMs: 8 },
      onCrash: () => onCrash(port),
      ...(plan === undefined ? {} : { plan: (name: string, key: string) => plan(port, name, key) }),
      onFault: ({ fault, name, key }: Call) => {
        onFault(`${port} ${fault?.kind} ${name} ${key.slice(0, 60)}`);
        if (port !== 'kv' || fault?.kind === 'crash' || this.isDoomed) return;
        this.isDoomed = true;
        this.#options.onDoom();
      },
    };
  }

  #logFaults(): LogFaults | undefined {
    const { plan, onCrash, onFault, onLogBroken } = this.#options;
    if (plan === undefined) return undefined;
    return {
      onCrash: () => onCrash('log'),
      onBroken: onLogBroken,
      due: (name) => {
        const fault = plan('log', name, '');
        if (fault !== undefined) onFault(`log ${fault.kind} ${name}`);
        return fault;
      },
    };
  }

  get planes(): Planes {
    if (this.#composed === undefined) throw new Error('this life has not begun');
    return this.#composed;
  }

  get hasBegun(): boolean {
    return this.#composed !== undefined;
  }

  async start(): Promise<void> {
    this.#composed = await this.#compose();
  }

  async #compose(): Promise<Planes> {
    const { random, log, plant } = this.#options;
    const { clock, kv, store, wal } = this;
    const foundations = await openFoundations(kv, clock, snapshotTables);
    const { time, registry } = foundations;
    const catalog: Catalog = foundations.catalog;
    this.#catalog = catalog;
    const streamingNode = new LogStreamingNode({ wal, opener: registry, time, clock });
    const queryNode = this.#queryNode(streamingNode);
    for (let n = 1; n <= NODES; n++) this.addNode(BigInt(n) as NodeId);
    const { shape, watch } = this.#options;
    const tasks = new TaskScheduler({ cluster: this.cluster, clock, random, log, limits: shape });
    void tasks.run(never());
    const fairness = new Fairness(shape);
    const scheduler = watchedScheduler(tasks, fairness, (look) => watch(look));
    void this.#heartbeats();
    let service: SnapshotService | undefined;
    const coordinator: Coordinator = await createCoordinator({
      ...foundations,
      clock,
      log,
      streamingNode,
      queryNode,
      scheduler,
      limits: {
        minRowsToIndex: 6,
        seal: { ...defaultSealLimits, maxIdleMs: 3000, minIdleSizeBytes: 200, maxSizeBytes: 3000 },
        compaction,
      },
      snapshots: (rooms) => {
        service = new SnapshotService({
          ...foundations,
          ...rooms,
          store,
          clock,
          random,
          scheduler,
          checker: new WorkerObjectChecker(inlineWorkers(checkObjectTasks(store))),
          fingerprints: new WorkerFingerprints(inlineWorkers(fingerprintTasks(store))),
          log,
          limits: { ...limits, ...this.#options.shape },
        });
        return plant.gate === undefined ? service : withGate(service, plant.gate(service.gate));
      },
    });
    catalog.onChange((changes) => {
      this.#options.watch((jobs) => jobs.committed(catalog, changes));
      for (const { table, was, is } of changes)
        if (table === segments && stateOf(was) === 'writing' && stateOf(is) === 'flushed')
          this.#options.onCompacted();
    });
    if (service === undefined) throw new Error('the snapshots were not built');
    return { catalog, streamingNode, queryNode, coordinator, service };
  }

  /** A data node with an empty memory joins. */
  addNode(nodeId: NodeId): void {
    const { random, log, disks, plant, shape, watch } = this.#options;
    const { clock, wal } = this;
    const storeFaults = this.#faultsOptions(`node${nodeId}.store`);
    const store = new FaultyStore(plant.store?.(disks.store) ?? disks.store, storeFaults);
    store.onCopied = (key, isTorn) => {
      if (isTorn) this.#options.onFault(`node${nodeId}.store torn ${key}`);
      watch((jobs) => jobs.copied(key, isTorn));
    };
    store.tears = () => {
      const { errorAfter = 0 } = this.#chances;
      return errorAfter > 0 && random.next() < errorAfter;
    };
    const workers = inlineWorkers({
      ...flushTasks({ store, wal }),
      ...compactTasks({ store }),
      ...indexBuildTasks(indexBuildContext(store)),
    });
    const inner = new LocalDataNode({
      nodeId,
      slots: shape.slots,
      log,
      executors: {
        flush: flushExecutor(workers),
        compact: compactExecutor(workers),
        'compact-deletes': compactDeletesExecutor(workers),
        'build-index': indexBuildExecutor(workers),
        'copy-segment': copySegmentExecutor(paced(store), { filesAtOnce: 4, ...this.#bandwidth() }),
      },
    });
    inner.onReport((report) => watch((jobs) => jobs.reported(report)));
    const faults = new Faults(this.#faultsOptions(`node${nodeId}`));
    const door = new FaultyNode(plant.node?.(inner) ?? inner, { clock, random, faults });
    door.onCreate = (task) => watch((jobs) => jobs.sent(this.#catalog, nodeId, task));
    this.nodes.set(nodeId, { door, faults, store: store.faults });
    this.cluster.join(door, LEASE_MS);
    this.setChances(this.#chances);
  }

  #bandwidth(): { readonly bandwidth?: Bandwidth } {
    const { copyBytesPerSecond } = this.#options.shape;
    return copyBytesPerSecond === undefined
      ? {}
      : { bandwidth: new Bandwidth(copyBytesPerSecond, this.clock) };
  }

  /** The node's process dies: nothing of it goes on, nobody is told. */
  loseNode(nodeId: NodeId): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.door.die();
    node.store.crash();
    this.nodes.delete(nodeId);
  }

  setChances(chances: Chances): void {
    this.#chances = chances;
    const { errorBefore = 0, errorAfter = 0, delay = 0.15, maxDelayMs = 8 } = chances;
    const all = { errorBefore, errorAfter, delay, maxDelayMs };
    this.store.faults.setChances(all);
    // A catalog write of unknown outcome ends the process: rare, or nothing else would happen.
    const only = new Set(['commit']);
    this.kv.faults.setChances({ ...all, errorBefore: errorBefore / 40, errorAfter: errorAfter / 40, only });
    this.store.isStale = () => errorBefore > 0 && this.#options.random.next() < errorBefore;
    const isSlow = this.#options.isSlow();
    // A network is never in order; that fails nobody's call.
    const noise = this.#options.isQuiet() ? 0 : 0.06;
    for (const { door, faults, store } of this.nodes.values()) {
      faults.setChances(all);
      store.setChances(isSlow ? { ...all, delay: 0.8, maxDelayMs: 500 } : all);
      door.reports = {
        lost: errorBefore,
        late: Math.max(noise, errorBefore),
        repeated: Math.max(noise, errorBefore),
        stale: 3 * noise,
      };
    }
  }

  /** Everything in memory is gone; what runs never gets an answer. */
  end(): void {
    this.isOver = true;
    this.clock.end();
    this.wal.end();
    for (const faults of [this.kv.faults, this.store.faults]) faults.crash();
    for (const { door, faults, store } of this.nodes.values()) {
      door.isCut = true;
      faults.crash();
      store.crash();
    }
    this.#end(new Error('the process died'));
  }

  /** Renews the leases of nodes that answer; one that was given up joins again with what it still knows. */
  async #heartbeats(): Promise<void> {
    for (;;) {
      await this.clock.sleep(HEARTBEAT_MS, never());
      for (const { door } of this.nodes.values())
        if (!door.isCut && !this.cluster.renew(door.nodeId)) this.cluster.join(door, LEASE_MS);
    }
  }

  #queryNode(streamingNode: LogStreamingNode): LocalQueryNode {
    const { clock, store } = this;
    const workers = inlineWorkers({ ...loadTasks({ store }), ...vectorTasks() });
    const arena = new VectorArena({ maxBytes: 64 * MB, memoryBytes: 16 * MB, growBytes: MB });
    const engine = new ArenaEngine({ arena, workers, scanThreads: 1 });
    const files = new WorkerFiles({ workers, store: store as ObjectStore, engine });
    const filters = { compile: compileFilter, primaryKeys: primaryKeysOf };
    const { slices } = this.#options.shape;
    return new LocalQueryNode({ streamingNode, files, engine, filters, clock, slices });
  }
}

const stateOf = (record: object | undefined) => (record as SegmentRecord | undefined)?.state;

/** Bytes that are moved wait for the node's bandwidth, as a local store's do. */
const paced = (inner: ObjectStore): ObjectStore =>
  storeWith(inner, {
    copy: async (from, to, options) => {
      if (options.mode === 'physical') await options.pace?.take(options.sizeBytes);
      return inner.copy(from, to, options);
    },
  });

const watchedStore = (inner: ObjectStore, onDelete: (key: string) => void): ObjectStore =>
  storeWith(inner, {
    delete: (key) => {
      onDelete(key);
      return inner.delete(key);
    },
  });

/** The service with another gate. */
function withGate(service: SnapshotService, gate: RestoreGate): SnapshotRoom {
  return new Proxy(service, {
    get(target, key) {
      if (key === 'gate') return gate;
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
