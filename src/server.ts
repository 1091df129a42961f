/**
 * The composition root: the only file that names adapters. Builds a standalone server, all roles in one process, and ends it in
 * the reverse order: refuse, drain, stop loops, close adapters.
 */
import { AdminServer } from './admin/server.ts';
import type { Catalog } from './catalog/catalog.ts';
import { CommitThreadKv } from './catalog/commit-thread.ts';
import type { Config } from './config/options.ts';
import type { Coordinator } from './coordinator/api.ts';
import { type CompactionLimits, defaultCompactionLimits } from './coordinator/compaction/limits.ts';
import { type CoordinatorLimits, openFoundations } from './coordinator/compose.ts';
import { createCoordinator } from './coordinator/coordinator.ts';
import { Cluster } from './coordinator/scheduler/cluster.ts';
import {
  defaultSchedulerLimits,
  type RestorePriority,
  type SchedulerLimits,
} from './coordinator/scheduler/limits.ts';
import { TaskScheduler } from './coordinator/scheduler/scheduler.ts';
import { defaultSealLimits } from './coordinator/segments/seal-policy.ts';
import type { SnapshotLimits } from './coordinator/snapshot/limits.ts';
import { SnapshotService, snapshotTables } from './coordinator/snapshot-service.ts';
import { compactDeletesExecutor, compactExecutor } from './datanode/compact/executor.ts';
import { Bandwidth } from './datanode/copy-segment/bandwidth.ts';
import { type CopyLimits, copySegmentExecutor } from './datanode/copy-segment/executor.ts';
import { LocalDataNode } from './datanode/datanode.ts';
import { flushExecutor } from './datanode/flush/executor.ts';
import { indexBuildExecutor } from './datanode/indexbuild/executor.ts';
import { DbError, messageOf } from './errors/db-error.ts';
import { filterOf } from './expr/check.ts';
import { compileFilter } from './expr/evaluate.ts';
import { filterOfKeys, primaryKeysOf, valuesOf } from './expr/primary-keys.ts';
import type { NodeId } from './model/ids.ts';
import { defaultLimits } from './proxy/context.ts';
import { MilvusServer } from './proxy/server.ts';
import { ArenaEngine } from './querynode/arena-engine.ts';
import { LocalQueryNode } from './querynode/querynode.ts';
import { WorkerFiles } from './querynode/segment-files.ts';
import { WorkerFingerprints } from './segment/fingerprint.ts';
import { WorkerObjectChecker } from './storage/check-object.ts';
import { type DataDir, openDataDir } from './storage/data-dir.ts';
import { LocalStore } from './storage/local.ts';
import { LogStreamingNode } from './streamingnode/streamingnode.ts';
import type { Log } from './support/log.ts';
import { backgroundClock, systemClock } from './support/system-clock.ts';
import { systemMaxFiles } from './support/system-limits.ts';
import { systemLog } from './support/system-log.ts';
import { systemRandom } from './support/system-random.ts';
import { ThreadWorkers } from './support/system-workers.ts';
import { VectorArena } from './vector-index/arena.ts';
import { FileWal } from './wal/file.ts';
import type { WorkerData } from './worker.ts';

const MB = 2 ** 20;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const WORKER_IDLE_MS = 30 * SECOND;
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

export interface RunningServer {
  readonly grpcAddress: string;
  readonly httpAddress: string;
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
export async function startServer(config: Config, version: string): Promise<RunningServer> {
  const closing = new Closing();
  try {
    return await open(config, version, closing);
  } catch (error) {
    // Why it could not start is what counts, whatever closing meets.
    await Promise.allSettled([closing.close()]);
    throw error;
  }
}

async function open(config: Config, version: string, closing: Closing): Promise<RunningServer> {
  const log = systemLog(config['log.level']);
  const dir = await openDataDir(config['localStorage.path']);
  closing.add(() => dir.release());
  const watch = new AbortController();
  closing.add(async () => watch.abort());
  const lost = dir.lost(backgroundClock, watch.signal);
  const { catalog, ...planes } = await openPlanes(config, dir, log, closing);
  const { coordinator } = planes;
  const host = config['proxy.ip'];
  const proxy = await MilvusServer.listen({
    ...planes,
    workers: openThreads({ script: 'write-worker.js', maxThreads: WRITE_THREADS }, closing),
    host,
    port: config['proxy.port'],
    filters: { check: filterOf, ofKeys: filterOfKeys, primaryKeysOf, valuesOf },
    clock: systemClock,
    log,
    limits: {
      maxReceiveBytes: config['proxy.grpc.serverMaxRecvSize'],
      maxConnections: maxConnections(await systemMaxFiles()),
    },
  });
  closing.add(() => proxy.stop());
  const admin = await AdminServer.listen({
    host,
    port: config['metrics.port'],
    coordinator,
    version,
    clock: systemClock,
    log,
  });
  closing.add(() => admin.close());
  return {
    grpcAddress: `${host}:${proxy.port}`,
    httpAddress: `${host}:${admin.port}`,
    failed: Promise.race([catalog.failed.then(restartable), lost]),
    close: () => closing.close(),
  };
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

async function openPlanes(config: Config, dir: DataDir, log: Log, closing: Closing): Promise<Planes> {
  const writer = openThreads({ script: 'catalog-worker.js', maxThreads: 1, idleMs: NEVER_MS }, closing);
  const kv = await CommitThreadKv.open(dir.catalog, writer);
  closing.add(() => kv.close());
  const foundations = await openFoundations(kv, systemClock, snapshotTables);
  const { catalog, time, timestamps, registry } = foundations;
  closing.add(() => catalog.close());
  const store = await LocalStore.open(dir.objects);
  closing.add(() => store.close());
  await reportSharing(store, log);
  const wal = await FileWal.open(dir.wal, { random: systemRandom });
  closing.add(() => wal.close());
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
  /** Beside this file. */
  readonly script: string;
  readonly workerData?: WorkerData;
  readonly maxThreads: number;
  readonly idleMs?: number;
}

function openThreads({ script, workerData, maxThreads, idleMs }: Threads, closing: Closing): ThreadWorkers {
  const workers = new ThreadWorkers({
    script: new URL(script, import.meta.url),
    workerData,
    maxThreads,
    maxQueued: MAX_QUEUED_TASKS,
    idleMs: idleMs ?? WORKER_IDLE_MS,
    clock: backgroundClock,
  });
  closing.add(() => workers.close());
  return workers;
}

function openWorkers(dir: DataDir, maxThreads: number, closing: Closing): ThreadWorkers {
  const workerData: WorkerData = { objects: dir.objects, wal: dir.wal };
  return openThreads({ script: 'worker.js', workerData, maxThreads }, closing);
}

function openDataNode(
  config: Config,
  dir: DataDir,
  store: LocalStore,
  log: Log,
  closing: Closing,
): LocalDataNode {
  const workers = openWorkers(dir, config['dataNode.threads'], closing);
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
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
    clock: systemClock,
    workers,
  });
}

const coordinatorLimits = (config: Config): Partial<CoordinatorLimits> => ({
  minRowsToIndex: config['indexCoord.segment.minSegmentNumRowsToEnableIndex'],
  seal: {
    ...defaultSealLimits,
    maxSizeBytes: config['dataCoord.segment.maxSize'] * MB,
    maxLifeMs: config['dataCoord.segment.maxLife'] * SECOND,
  },
  compaction: compactionLimits(config),
});

const compactionLimits = (config: Config): CompactionLimits => ({
  ...defaultCompactionLimits,
  isEnabled: config['dataCoord.enableCompaction'] === 'true',
  isAutomatic: config['dataCoord.compaction.enableAutoCompaction'] === 'true',
  maxSizeBytes: config['dataCoord.segment.maxSize'] * MB,
  smallProportion: config['dataCoord.segment.smallProportion'],
  minSegments: config['dataCoord.compaction.min.segment'],
  maxSegments: config['dataCoord.compaction.max.segment'],
  deleteRatio: config['dataCoord.compaction.single.ratio.threshold'],
  minDeleteSegments: config['dataCoord.compaction.levelzero.forceTrigger.deltalogMinNum'],
  tickMs: config['dataCoord.compaction.mix.triggerInterval'] * SECOND,
});

/** 0 in the configuration: no limit. */
const orNone = (limit: number): number => (limit === 0 ? Number.POSITIVE_INFINITY : limit);

const schedulerLimits = (config: Config): SchedulerLimits => ({
  ...defaultSchedulerLimits,
  restoreShare: config['dataCoord.copySegment.reservedShare'],
  restorePriority: config['dataCoord.copySegment.priority'] as RestorePriority,
  maxRestoreTasks: orNone(config['dataCoord.copySegment.maxParallelTasks']),
  maxRestoreTasksPerJob: orNone(config['dataCoord.copySegment.maxParallelTasksPerJob']),
});

const copyLimits = (config: Config): CopyLimits => {
  const limitMb = config['dataNode.copySegment.bandwidthLimit'];
  return {
    filesAtOnce: config['dataNode.copySegment.filesPerTask'],
    nodeFilesAtOnce: config['dataNode.copySegment.filesAtOnce'],
    ...(limitMb === 0 ? {} : { bandwidth: new Bandwidth(limitMb * MB, systemClock) }),
  };
};

const snapshotLimits = (config: Config): Partial<SnapshotLimits> => ({
  maxCompactionProtectionSeconds: config['dataCoord.snapshot.maxCompactionProtectionSeconds'],
  capture: config['snapshot.capture'] === 'flushed' ? 'flushed' : 'acknowledged',
  refIndexLoadIntervalMs: config['dataCoord.snapshot.refIndexLoadInterval'] * SECOND,
  refIndexLoadTimeoutMs: config['dataCoord.snapshot.refIndexLoadTimeout'] * SECOND,
  maxSegmentsPerCopyTask: config['dataCoord.import.maxSegmentsPerCopyTask'],
  maxCopyAttempts: config['dataCoord.copySegmentMaxAttempts'],
  jobTimeoutMs: config['dataCoord.copySegmentJobTimeout'] * SECOND,
  jobRetentionMs: config['dataCoord.copySegmentTaskRetention'] * SECOND,
  checkIntervalMs: config['dataCoord.copySegmentCheckInterval'] * SECOND,
  gcIntervalMs: config['dataCoord.gc.interval'] * SECOND,
  dropToleranceMs: config['dataCoord.gc.dropTolerance'] * SECOND,
  missingToleranceMs: config['dataCoord.gc.missingTolerance'] * SECOND,
  pendingTimeoutMs: config['dataCoord.snapshot.pendingTimeout'] * MINUTE,
  copyMode: config['dataCoord.copySegmentMode'] === 'physical' ? 'physical' : 'shared',
});
