/** One life of the coordinator's process: everything between a start and a crash, composed as `src/server.ts` does it, over adapters of the simulation. */
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
import type { DataNode } from '../../src/datanode/api.ts';
import { compileFilter } from '../../src/expr/evaluate.ts';
import { primaryKeysOf } from '../../src/expr/primary-keys.ts';
import type { NodeId } from '../../src/model/ids.ts';
import type { SegmentRecord } from '../../src/model/records.ts';
import { ArenaEngine } from '../../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../../src/querynode/querynode.ts';
import { WorkerFiles } from '../../src/querynode/segment-files.ts';
import { fingerprintTasks, WorkerFingerprints } from '../../src/segment/fingerprint.ts';
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
import type { FaultKind } from './fault-kinds.ts';
import type { Call, Chances, Fault } from './faults.ts';
import { FaultyKv } from './faulty-kv.ts';
import { FaultyStore } from './faulty-store.ts';
import type { JobWatch } from './job-watch.ts';
import { type Plant, storeWith } from './plants.ts';
import type { Shape } from './shape.ts';
import { type LifeClock, never, type SimClock } from './sim-clock.ts';
import type { SimNode } from './sim-node.ts';
import { type LogFaults, SimWal } from './sim-wal.ts';
import type { Disks } from './world.ts';

const LEASE_MS = 3000;
const HEARTBEAT_MS = 1000;
const MB = 2 ** 20;
/** A listing is behind by this much at most. */
const STALE_MS = 10_000;
const SLOW_SYNC_MS = 400;
const LATE_ANSWER_MS = 60;

/** Faults by name of the port and of the call. */
export type Plan = (port: string, name: string, key: string) => Fault | undefined;

export interface LifeOptions {
  /** Of this life, among those of the world. */
  readonly number: number;
  readonly disks: Disks;
  readonly clock: SimClock;
  /** How wrong the wall clock is now. */
  readonly skewMs: () => number;
  readonly random: Random;
  readonly plant: Plant;
  readonly shape: Shape;
  /** Data nodes that run. */
  readonly nodes: () => Iterable<SimNode>;
  readonly addNode: (nodeId: NodeId) => void;
  readonly loseNode: (nodeId: NodeId) => void;
  /** Faults are gone for good. */
  readonly isQuiet: () => boolean;
  readonly log: Log;
  /** A port has been told to crash: `kv`, `store` or `log`. */
  readonly onCrash: (port: string) => void;
  /** A fault for this call of a port. */
  readonly plan: Plan | undefined;
  /** `call` is absent where nobody's call fails. */
  readonly tell: (kind: FaultKind, call?: Call) => void;
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

const storeKinds: Readonly<Record<Fault['kind'], FaultKind>> = {
  'error-before': 'store error-before',
  'error-after': 'store error-after',
  torn: 'store error-before',
  delay: 'store slow',
  crash: 'store crash-before',
};

function storeKind({ fault, name }: Call): FaultKind {
  if (fault?.kind === 'error-before' && fault.code === 'storage-full') return 'store full';
  if (fault?.kind === 'error-after' && name.startsWith('list')) return 'store list-breaks';
  if (fault?.kind === 'torn' && name === 'put') return 'store put-torn';
  if (fault?.kind === 'torn' && name.startsWith('get')) return 'store read-short';
  if (fault?.kind === 'crash' && fault.hasEffect === 'half' && name === 'put') return 'store crash-torn';
  if (fault?.kind === 'crash' && fault.hasEffect === true) return 'store crash-after';
  return storeKinds[fault?.kind ?? 'delay'];
}

const kvKinds: Readonly<Record<Fault['kind'], FaultKind>> = {
  'error-before': 'kv error-before',
  'error-after': 'kv error-after',
  torn: 'kv error-before',
  delay: 'kv slow',
  crash: 'kv crash-before',
};

const isFull = ({ fault }: Call): boolean => fault?.kind === 'error-before' && fault.code === 'storage-full';

function kvKind(call: Call): FaultKind {
  const { fault, name } = call;
  if (isFull(call)) return 'kv full';
  if (name !== 'commit' && (fault?.kind === 'error-before' || fault?.kind === 'error-after'))
    return 'kv read-error';
  if (fault?.kind === 'crash' && fault.hasEffect === true && name === 'commit') return 'kv crash-after';
  return kvKinds[fault?.kind ?? 'delay'];
}

export interface Planes {
  readonly catalog: Catalog;
  readonly streamingNode: LogStreamingNode;
  readonly queryNode: LocalQueryNode;
  readonly coordinator: Coordinator;
  readonly service: SnapshotService;
}

export class Life {
  readonly number: number;
  readonly clock: LifeClock;
  readonly kv: FaultyKv;
  readonly store: FaultyStore;
  readonly wal: SimWal;
  readonly cluster: Cluster;
  readonly #options: LifeOptions;
  readonly #doors = new Map<SimNode, DataNode>();
  #composed: Planes | undefined;
  #catalog: Catalog | undefined;
  #lateAnswers = 0;
  #slowSyncs = 0;
  isOver = false;
  isDoomed = false;
  /** Rejects when the life ends. */
  readonly over: Promise<never>;
  #end: (error: Error) => void = () => undefined;

  constructor(options: LifeOptions) {
    const { disks, clock, random, plant, watch, tell } = options;
    this.#options = options;
    this.number = options.number;
    this.clock = clock.life(options.skewMs);
    const faults = { clock: this.clock, random };
    const kv = { ...faults, ...this.#port('kv') };
    this.kv = new FaultyKv(disks.kv, { ...kv, onFault: (call) => this.#kvFault(call) });
    const { store } = disks.listings;
    const watched = watchedStore(store, (key) => {
      watch((jobs) => jobs.deleted(key));
      options.onDelete(key);
    });
    this.store = new FaultyStore(plant.store?.(watched) ?? watched, {
      ...faults,
      ...this.#port('store'),
      leaveHalf: (key, half) => disks.store.leaveHalf(key, half),
      onFault: (call) => tell(storeKind(call), call),
    });
    this.wal = new SimWal(disks.wal, this.clock, random, {
      slowMs: () => this.#slowSyncMs(),
      faults: this.#logFaults(),
    });
    this.cluster = new Cluster(this.clock);
    this.over = new Promise((_, reject) => {
      this.#end = reject;
    });
    this.over.catch(() => undefined);
  }

  #port(name: string) {
    const { plan, onCrash } = this.#options;
    const planned = plan === undefined ? {} : { plan: (call: string, key: string) => plan(name, call, key) };
    return { onCrash: () => onCrash(name), ...planned };
  }

  #logFaults(): LogFaults | undefined {
    const { plan, onCrash, onLogBroken, tell } = this.#options;
    if (plan === undefined) return undefined;
    return {
      onCrash: () => onCrash('log'),
      onBroken: onLogBroken,
      due: (name) => {
        const fault = plan('log', name, '');
        if (fault !== undefined) tell('log broken', { number: 0, name, key: '', fault });
        return fault;
      },
    };
  }

  #kvFault(call: Call): void {
    const { fault, name } = call;
    this.#options.tell(kvKind(call), call);
    const isUnknown = name === 'commit' && (fault?.kind === 'error-before' || fault?.kind === 'error-after');
    if (!isUnknown || isFull(call) || this.isDoomed) return;
    this.isDoomed = true;
    this.#options.onDoom();
  }

  #slowSyncMs(): number {
    const { random, tell } = this.#options;
    if (random.next() >= this.#slowSyncs) return 0;
    tell('log slow');
    return 1 + random.below(SLOW_SYNC_MS);
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
    const { random, log, plant, shape } = this.#options;
    const { clock, kv, store, wal } = this;
    const foundations = await openFoundations(kv, clock, snapshotTables);
    const { time, timestamps, registry } = foundations;
    const catalog: Catalog = foundations.catalog;
    this.#catalog = catalog;
    const streamingNode = new LogStreamingNode({ wal, opener: registry, time, timestamps, clock });
    const queryNode = this.#queryNode(streamingNode);
    for (const node of this.#options.nodes()) this.join(node);
    const tasks = new TaskScheduler({ cluster: this.cluster, clock, random, log, limits: shape });
    // Its own: what runs listens to it, again and again.
    void tasks.run(new AbortController().signal);
    const { watch } = this.#options;
    const scheduler = watchedScheduler(tasks, new Fairness(shape), (look) => watch(look));
    void this.#heartbeats();
    let service: SnapshotService | undefined;
    const coordinator: Coordinator = await createCoordinator({
      ...foundations,
      clock,
      log,
      streamingNode: this.#late(streamingNode, ['seal', 'release', 'drop', 'read']),
      queryNode: this.#late(queryNode, ['load', 'update', 'release']),
      scheduler,
      limits: coordinatorLimits(shape),
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
          limits: snapshotLimits(shape),
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

  /** A data node that runs. */
  join(node: SimNode): void {
    this.cluster.join(this.#door(node), LEASE_MS);
  }

  addNode(nodeId: NodeId): void {
    this.#options.addNode(nodeId);
  }

  loseNode(nodeId: NodeId): void {
    this.#options.loseNode(nodeId);
  }

  #door(node: SimNode): DataNode {
    const known = this.#doors.get(node);
    if (known !== undefined) return known;
    const { watch } = this.#options;
    const door = node.network.door({
      number: this.number,
      isOver: () => this.isOver,
      onCreate: (task) => watch((jobs) => jobs.sent(this.#catalog, node.nodeId, task)),
    });
    this.#doors.set(node, door);
    return door;
  }

  setChances(chances: Chances): void {
    const { errorBefore = 0, errorAfter = 0, full = 0, delay = 0 } = chances;
    this.store.faults.setChances(chances);
    // A catalog write of unknown outcome ends the process: rare, or nothing else would happen.
    const kv = {
      errorBefore: errorBefore / 40,
      errorAfter: errorAfter / 40,
      full: full / 4,
      torn: 0,
    };
    this.kv.faults.setChances({ ...chances, ...kv });
    const { random, disks, tell, isQuiet } = this.#options;
    const stale = isQuiet() ? 0 : 0.1 + errorBefore;
    this.store.staleList = (prefix) => {
      if (random.next() >= stale) return undefined;
      // The collector comes again: nobody's call is worse for it.
      const call = { number: 0, name: 'list', key: prefix, fault: undefined };
      tell('store list-stale', prefix === '' ? undefined : call);
      return disks.listings.list(prefix, random.below(STALE_MS));
    };
    this.#lateAnswers = isQuiet() ? 0 : delay / 3;
    this.#slowSyncs = isQuiet() ? 0 : delay / 5;
  }

  /** Everything in memory is gone; what runs never gets an answer. */
  end(): void {
    this.isOver = true;
    this.clock.end();
    this.wal.end();
    for (const faults of [this.kv.faults, this.store.faults]) faults.crash();
    this.#end(new Error('the process died'));
  }

  /** Renews the leases of nodes that answer; one that was given up, or is new, joins with what it knows. */
  async #heartbeats(): Promise<void> {
    for (;;) {
      await this.clock.sleep(HEARTBEAT_MS, never());
      for (const node of this.#options.nodes()) {
        if (node.network.isCut) continue;
        const isMember = this.cluster.get(node.nodeId) === this.#door(node);
        if (!isMember || !this.cluster.renew(node.nodeId)) this.join(node);
      }
    }
  }

  /** The same plane; answers of these calls come late now and then. */
  #late<T extends object>(inner: T, names: readonly (keyof T)[]): T {
    const { random, tell } = this.#options;
    return proxied(inner, names, async (answer: Promise<unknown>) => {
      const result = await answer;
      if (random.next() >= this.#lateAnswers) return result;
      tell('plane answer-late');
      await this.clock.sleep(1 + random.below(LATE_ANSWER_MS), never());
      return result;
    });
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

const watchedStore = (inner: ObjectStore, onDelete: (key: string) => void): ObjectStore =>
  storeWith(inner, {
    delete: (key) => {
      onDelete(key);
      return inner.delete(key);
    },
  });

/** The same object; what the named methods answer goes through `answered`. */
function proxied<T extends object>(
  inner: T,
  names: readonly (keyof T)[],
  answered: (answer: Promise<unknown>) => Promise<unknown>,
): T {
  return new Proxy(inner, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (!(names as readonly unknown[]).includes(key)) return method;
      return (...args: unknown[]) => answered(method(...args) as Promise<unknown>);
    },
  });
}

const coordinatorLimits = ({ minRowsToIndex, sealIdleMs, sealBytes, compaction }: Shape) => ({
  minRowsToIndex,
  seal: { ...defaultSealLimits, maxIdleMs: sealIdleMs, minIdleSizeBytes: 200, maxSizeBytes: sealBytes },
  compaction: { ...defaultCompactionLimits, ...compaction, tickMs: 2000, retryAfterMs: 3000 },
});

/** Virtual time is cheap but not free: waits are short enough that a run sees many of each. */
const snapshotLimits = (shape: Shape) => ({
  capture: shape.capture,
  copyMode: shape.copyMode,
  jobRetentionMs: shape.jobRetentionMs,
  jobTimeoutMs: shape.jobTimeoutMs,
  maxSegmentsPerCopyTask: shape.maxSegmentsPerCopyTask,
  maxBytesPerCopyTask: shape.maxBytesPerCopyTask,
  bytesPerSlot: shape.bytesPerSlot,
  objectsAtOnce: shape.objectsAtOnce,
  checkIntervalMs: shape.checkIntervalMs,
  progressIntervalMs: shape.progressIntervalMs,
  gcIntervalMs: shape.gcIntervalMs,
  dropToleranceMs: shape.dropToleranceMs,
  missingToleranceMs: shape.missingToleranceMs,
  maxCopyAttempts: 30,
  refIndexLoadIntervalMs: 2000,
  refIndexLoadTimeoutMs: 5000,
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
