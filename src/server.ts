/**
 * The composition root: the only file that names adapters. Builds a standalone server, all roles in one process, and ends it in
 * the reverse order: refuse, drain, stop loops, close adapters.
 */
import { AdminServer } from './admin/server.ts';
import type { Catalog } from './catalog/catalog.ts';
import { CommitThreadKv } from './catalog/commit-thread.ts';
import type { Config } from './config/options.ts';
import type { Coordinator } from './coordinator/api.ts';
import { openFoundations } from './coordinator/compose.ts';
import { createCoordinator } from './coordinator/coordinator.ts';
import { Cluster } from './coordinator/scheduler/cluster.ts';
import type { SchedulerLimits } from './coordinator/scheduler/limits.ts';
import { TaskScheduler } from './coordinator/scheduler/scheduler.ts';
import { SnapshotService, snapshotTables } from './coordinator/snapshot-service.ts';
import { compactDeletesExecutor, compactExecutor } from './datanode/compact/executor.ts';
import { copySegmentExecutor } from './datanode/copy-segment/executor.ts';
import { LocalDataNode } from './datanode/datanode.ts';
import { flushExecutor } from './datanode/flush/executor.ts';
import { indexBuildExecutor } from './datanode/indexbuild/executor.ts';
import { DbError, messageOf } from './errors/db-error.ts';
import { filterOf } from './expr/check.ts';
import { testCost } from './expr/cost.ts';
import { compileFilter } from './expr/evaluate.ts';
import { filterOfKeys, primaryKeysOf, valuesOf } from './expr/primary-keys.ts';
import { sizeBefore } from './expr/weight.ts';
import type { NodeId } from './model/ids.ts';
import { defaultLimits } from './proxy/context.ts';
import { privateSocket } from './proxy/private-socket.ts';
import { MilvusServer } from './proxy/server.ts';
import { ArenaEngine } from './querynode/arena-engine.ts';
import { LocalQueryNode } from './querynode/querynode.ts';
import { WorkerFiles } from './querynode/segment-files.ts';
import { WorkerFingerprints } from './segment/fingerprint.ts';
import { coordinatorLimits, copyLimits, schedulerLimits, snapshotLimits } from './server-limits.ts';
import { WorkerObjectChecker } from './storage/check-object.ts';
import { type DataDir, openDataDir } from './storage/data-dir.ts';
import { LocalStore } from './storage/local.ts';
import { LogStreamingNode } from './streamingnode/streamingnode.ts';
import type { Log } from './support/log.ts';
import { backgroundClock, systemClock } from './support/system-clock.ts';
import { systemCores, systemMaxFiles } from './support/system-limits.ts';
import { buildFolder } from './support/system-package.ts';
import { systemRandom } from './support/system-random.ts';
import { ThreadWorkers } from './support/system-workers.ts';
import { VectorArena } from './vector-index/arena.ts';
import { FileWal } from './wal/file.ts';
import type { WorkerData } from './worker.ts';

const MB = 2 ** 20;
const SECOND = 1000;
/** More threads than this build a graph only when asked to. */
const MAX_GRAPH_THREADS = 16;
const WORKER_IDLE_MS = 30 * SECOND;
const LOOPBACK = '127.0.0.1';
/** The longest that a timer waits. */
const NEVER_MS = 2 ** 31 - 1;
/** Large inserts are prepared in threads of their own: they must not wait behind flushes, index builds and scans. */
const WRITE_THREADS = 2;
/** Verifications and drills read and sum up in threads of their own: neither a flush nor a search waits behind one. */
const VERIFY_THREADS = 2;
/** The only data node of a standalone server. Stored with attempts, so that a restart asks the same node. */
const STANDALONE_NODE = 1n as NodeId;
/** A flush, load or scan beyond this is refused and tried again by whoever wanted it. */
const MAX_QUEUED_TASKS = 100_000;

export interface ServerOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Log;
  /** Where clients reach it. `ports`: by `proxy.*` and `metrics.*`; `private`: by a Unix socket of its own, or a free port of loopback. */
  readonly grpc: 'ports' | 'private';
  /** Whether HTTP is served, by `metrics.port`. */
  readonly http: boolean;
  /** Ends an opening, with its reason, as soon as the step under way has ended. */
  readonly signal?: AbortSignal;
}

export interface RunningServer {
  /** What a client is given: `host:port` or `unix:/path`. */
  readonly grpcAddress: string;
  /** Calls of this process, which go through no socket. */
  readonly calls: Pick<MilvusServer, 'call' | 'search' | 'write' | 'schemaOf'>;
  /** Absent when HTTP is not served. */
  readonly httpAddress: string | undefined;
  /** Resolves, with the reason, when only a restart can help: what the catalog holds is not known any more, or the data directory is gone. */
  readonly failed: Promise<DbError>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What has been opened so far, closed in reverse order. */
class Closing {
  readonly #steps: (() => Promise<void>)[] = [];
  #closed: Promise<void> | undefined;

  add(step: () => Promise<void>): void {
    this.#steps.unshift(step);
  }

  close(): Promise<void> {
    this.#closed ??= this.#run();
    return this.#closed;
  }

  /** A step that fails does not keep the others from their turn. */
  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}

/** Opens the data directory, recovers, listens. Throws `DbError` with one clear sentence; then nothing stays open. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const closing = new Closing();
  try {
    return await open(options, closing);
  } catch (error) {
    // Why it could not start is what counts, whatever closing meets.
    await Promise.allSettled([closing.close()]);
    throw error;
  }
}

async function open(options: ServerOptions, closing: Closing): Promise<RunningServer> {
  const { config, signal } = options;
  signal?.throwIfAborted();
  const dir = await openDataDir(config['localStorage.path']);
  closing.add(() => dir.release());
  const watch = new AbortController();
  closing.add(async () => watch.abort());
  const lost = dir.lost(backgroundClock, watch.signal);
  signal?.throwIfAborted();
  const planes = await openPlanes(options, dir, closing);
  signal?.throwIfAborted();
  const proxy = await openProxy(options, planes, closing);
  const httpAddress = await openAdmin(options, planes.coordinator, closing);
  signal?.throwIfAborted();
  return {
    ...proxy,
    httpAddress,
    failed: Promise.race([planes.catalog.failed.then(restartable), lost]),
    close: () => closing.close(),
  };
}

async function openProxy(
  { config, log, grpc }: ServerOptions,
  { catalog: _, ...planes }: Planes,
  closing: Closing,
): Promise<Pick<RunningServer, 'grpcAddress' | 'calls'>> {
  const socket = grpc === 'private' ? await privateSocket(config['localStorage.path']) : undefined;
  if (socket !== undefined) closing.add(() => socket.remove());
  const host = grpc === 'private' ? LOOPBACK : config['proxy.ip'];
  const proxy = await MilvusServer.listen({
    ...planes,
    workers: openThreads({ script: 'write-worker.js', maxThreads: WRITE_THREADS }, closing),
    host,
    port: grpc === 'private' ? 0 : config['proxy.port'],
    ...(socket && { path: socket.path }),
    filters: { check: filterOf, ofKeys: filterOfKeys, primaryKeysOf, valuesOf },
    clock: systemClock,
    log,
    limits: {
      maxReceiveBytes: config['proxy.grpc.serverMaxRecvSize'],
      maxConnections: maxConnections(await systemMaxFiles()),
    },
  });
  closing.add(() => proxy.stop());
  return {
    grpcAddress: socket === undefined ? `${host}:${proxy.port}` : `unix:${socket.path}`,
    calls: proxy,
  };
}

async function openAdmin(
  { config, version, log, http }: ServerOptions,
  coordinator: Coordinator,
  closing: Closing,
): Promise<string | undefined> {
  if (!http) return undefined;
  const host = config['proxy.ip'];
  const port = config['metrics.port'];
  const admin = await AdminServer.listen({ host, port, coordinator, version, clock: systemClock, log });
  closing.add(() => admin.close());
  return `${host}:${admin.port}`;
}

/** However many clients there are, files for the log, the objects and the catalog are left. */
const maxConnections = (maxFiles = Number.POSITIVE_INFINITY): number =>
  Math.min(defaultLimits.maxConnections, Math.floor(maxFiles / 2));

const restartable = (failure: DbError): DbError =>
  new DbError(failure.code, `${failure.message}. Start it again: what was acknowledged is kept`, {
    cause: failure,
  });

interface Planes {
  readonly catalog: Catalog;
  readonly coordinator: Coordinator;
  readonly queryNode: LocalQueryNode;
  readonly streamingNode: LogStreamingNode;
}

async function openPlanes(
  { config, log, signal }: ServerOptions,
  dir: DataDir,
  closing: Closing,
): Promise<Planes> {
  const writer = openThreads({ script: 'catalog-worker.js', maxThreads: 1, idleMs: NEVER_MS }, closing);
  const kv = await CommitThreadKv.open(dir.catalog, writer);
  closing.add(() => kv.close());
  signal?.throwIfAborted();
  const foundations = await openFoundations(kv, systemClock, snapshotTables);
  const { catalog, time, timestamps, registry } = foundations;
  closing.add(() => catalog.close());
  const store = await LocalStore.open(dir.objects);
  closing.add(() => store.close());
  await reportSharing(store, log);
  const wal = await FileWal.open(dir.wal, { random: systemRandom });
  closing.add(() => wal.close());
  signal?.throwIfAborted();
  const streamingNode = new LogStreamingNode({
    wal,
    opener: registry,
    time,
    timestamps,
    clock: systemClock,
    log,
  });
  closing.add(() => streamingNode.close());
  const readers = openWorkers(dir, config['queryNode.threads'], closing);
  const queryNode = openQueryNode(config, streamingNode, store, readers);
  closing.add(() => queryNode.close());
  const scheduler = runScheduler(
    openDataNode(config, dir, store, log, closing),
    schedulerLimits(config),
    log,
    closing,
  );
  const verifiers = openWorkers(dir, VERIFY_THREADS, closing);
  const coordinator = await createCoordinator({
    ...foundations,
    clock: systemClock,
    log,
    streamingNode,
    queryNode,
    scheduler,
    limits: coordinatorLimits(config),
    snapshots: (rooms) =>
      new SnapshotService({
        ...foundations,
        ...rooms,
        store,
        clock: systemClock,
        random: systemRandom,
        scheduler,
        checker: new WorkerObjectChecker(verifiers),
        fingerprints: new WorkerFingerprints(verifiers),
        log,
        limits: snapshotLimits(config),
      }),
  });
  closing.add(() => coordinator.close());
  reportTornTail(wal, log);
  return { catalog, coordinator, queryNode, streamingNode };
}

/** How restores will share files here. A full disk cannot be asked; that is no reason not to start. */
async function reportSharing(store: LocalStore, log: Log): Promise<void> {
  try {
    log.info('object-store-opened', { sharing: await store.sharing() });
  } catch (error) {
    log.warn('object-store-sharing-unknown', { reason: messageOf(error) });
  }
}

/** Bytes that were cut were never acknowledged; still, somebody may want to know that the last stop was not clean. */
function reportTornTail({ tornTail }: FileWal, log: Log): void {
  if (tornTail !== undefined) log.warn('torn-log-tail-cut', { ...tornTail });
}

interface Threads {
  /** In the folder of this build. */
  readonly script: string;
  readonly workerData?: WorkerData;
  readonly maxThreads: number;
  readonly idleMs?: number;
}

function openThreads({ script, workerData, maxThreads, idleMs }: Threads, closing: Closing): ThreadWorkers {
  const workers = new ThreadWorkers({
    script: new URL(script, buildFolder()),
    workerData,
    maxThreads,
    maxQueued: MAX_QUEUED_TASKS,
    idleMs: idleMs ?? WORKER_IDLE_MS,
    clock: backgroundClock,
  });
  closing.add(() => workers.close());
  return workers;
}

function openWorkers(dir: DataDir, maxThreads: number, closing: Closing, graphThreads = 1): ThreadWorkers {
  const workerData: WorkerData = { objects: dir.objects, wal: dir.wal, graphThreads };
  return openThreads({ script: 'worker.js', workerData, maxThreads }, closing);
}

function openDataNode(
  config: Config,
  dir: DataDir,
  store: LocalStore,
  log: Log,
  closing: Closing,
): LocalDataNode {
  const graphThreads = config['dataNode.index.threads'] || Math.min(systemCores(), MAX_GRAPH_THREADS);
  const workers = openWorkers(dir, config['dataNode.threads'], closing, graphThreads);
  const dataNode = new LocalDataNode({
    nodeId: STANDALONE_NODE,
    slots: config['dataNode.slots'],
    log,
    executors: {
      flush: flushExecutor(workers),
      compact: compactExecutor(workers),
      'compact-deletes': compactDeletesExecutor(workers),
      'build-index': indexBuildExecutor(workers),
      'copy-segment': copySegmentExecutor(store, copyLimits(config)),
    },
  });
  closing.add(() => dataNode.close());
  return dataNode;
}

function runScheduler(
  dataNode: LocalDataNode,
  limits: SchedulerLimits,
  log: Log,
  closing: Closing,
): TaskScheduler {
  const cluster = new Cluster(systemClock);
  cluster.join(dataNode);
  const scheduler = new TaskScheduler({ cluster, clock: systemClock, random: systemRandom, log, limits });
  const stop = new AbortController();
  const running = scheduler.run(stop.signal);
  closing.add(async () => {
    stop.abort();
    await running;
  });
  return scheduler;
}

function openQueryNode(
  config: Config,
  streamingNode: LogStreamingNode,
  store: LocalStore,
  workers: ThreadWorkers,
): LocalQueryNode {
  const arena = new VectorArena({ maxBytes: config['queryNode.memoryLimit'] * MB });
  const engine = new ArenaEngine({ arena, workers, scanThreads: config['queryNode.threads'] });
  return new LocalQueryNode({
    streamingNode,
    files: new WorkerFiles({ workers, store, engine }),
    engine,
    filters: {
      compile: (filter) => compileFilter(filter, { workers }),
      primaryKeys: primaryKeysOf,
      sizeBefore,
      testCost,
      random: systemRandom,
    },
    clock: systemClock,
    workers,
  });
}
