/** A coordinator over memory adapters and fake planes, and the restart of it. */

import type { Kv } from '../../src/catalog/kv.ts';
import { MemoryKv } from '../../src/catalog/memory.ts';
import type { RestoreAdmin, SnapshotAdmin } from '../../src/coordinator/admin-api.ts';
import type { CollectionName, Coordinator, CreateCollection, Snapshots } from '../../src/coordinator/api.ts';
import type { CaptureGate } from '../../src/coordinator/capture-gate.ts';
import {
  type CoordinatorLimits,
  type Foundations,
  openFoundations,
  type SnapshotRoom,
} from '../../src/coordinator/compose.ts';
import { createCoordinator } from '../../src/coordinator/coordinator.ts';
import type { AheadLoads, RestoreGate, SegmentFlusher } from '../../src/coordinator/rooms.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { CollectionId, JobId, PartitionId, SegmentId } from '../../src/model/ids.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';
import type { Clock } from '../../src/support/clock.ts';
import { silentLog } from '../../src/support/log.ts';
import { fieldSchema } from '../field-schema.ts';
import { FakeQueryNode, FakeScheduler, FakeStreamingNode, honestNode, LogDisk } from './fake-nodes.ts';

/** Time stands still unless a test moves it; `wake` ends every sleep at once. */
export class StillClock implements Clock {
  ms = 1_700_000_000_000;
  readonly #sleepers = new Set<() => void>();

  nowMs(): number {
    return this.ms;
  }

  monotonicMs(): number {
    return this.nowMs();
  }
  sleep(_ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal.removeEventListener('abort', stop);
        this.#sleepers.delete(wake);
        resolve();
      };
      const stop = () => {
        this.#sleepers.delete(wake);
        reject(signal.reason as Error);
      };
      if (signal.aborted) {
        stop();
        return;
      }
      this.#sleepers.add(wake);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }
}

/** Fails every commit after the first `left` ones, as a process that died would. */
export class DyingKv implements Kv {
  readonly #kv: Kv;
  left = Number.POSITIVE_INFINITY;
  commits = 0;
  constructor(kv: Kv) {
    this.#kv = kv;
  }
  get(key: string) {
    return this.#kv.get(key);
  }
  range(prefix: string) {
    return this.#kv.range(prefix);
  }
  commit(...args: Parameters<Kv['commit']>) {
    this.commits++;
    if (this.left-- <= 0) return Promise.reject(new DbError('storage-failed', 'the machine is gone'));
    return this.#kv.commit(...args);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Jobs are what a test says they are. */
export class FakeGate implements RestoreGate {
  readonly running = new Map<JobId, number>();
  isCompleted(jobId: JobId): boolean {
    return !this.running.has(jobId);
  }
  progress(jobId: JobId): number {
    return this.running.get(jobId) ?? 100;
  }
}

export interface World {
  readonly coordinator: Coordinator;
  readonly foundations: Foundations;
  readonly log: FakeStreamingNode;
  readonly queries: FakeQueryNode;
  readonly scheduler: FakeScheduler;
  readonly gate: FakeGate;
  readonly clock: StillClock;
  readonly kv: DyingKv;
  readonly disk: LogDisk;
  readonly flusher: SegmentFlusher;
  /** Collections whose drop reached the snapshots. */
  readonly cascaded: CollectionId[];
  /** Captures of snapshots pass it. */
  readonly captureGate: CaptureGate;
  readonly loads: AheadLoads;
  /** Segments under the compaction protection of a snapshot. */
  readonly protectedIds: Set<SegmentId>;
  /** One turn of every background loop, and what follows from it. */
  tick(): Promise<void>;
  /** A new process over what is on disk. */
  restart(): Promise<World>;
}

export interface WorldOptions {
  readonly limits?: Partial<CoordinatorLimits>;
  readonly kv?: Kv;
  readonly disk?: LogDisk;
  readonly gate?: FakeGate;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const stored = options.kv ?? new MemoryKv();
  const kv = new DyingKv(stored);
  const disk = options.disk ?? new LogDisk();
  const clock = new StillClock();
  const foundations = await openFoundations(kv, clock, []);
  const log = new FakeStreamingNode(disk, foundations.registry, foundations.time);
  log.openedAtMs = clock.ms;
  const queries = new FakeQueryNode(log);
  const scheduler = new FakeScheduler(honestNode(disk));
  const gate = options.gate ?? new FakeGate();
  const cascaded: CollectionId[] = [];
  const protectedIds = new Set<SegmentId>();
  let flusher: SegmentFlusher | undefined;
  let captureGate: CaptureGate | undefined;
  let loads: AheadLoads | undefined;
  const coordinator = await createCoordinator({
    ...foundations,
    clock,
    log: silentLog,
    streamingNode: log,
    queryNode: queries,
    scheduler,
    snapshots: (rooms) => {
      flusher = rooms.flusher;
      captureGate = rooms.captureGate;
      loads = rooms.loads;
      return noSnapshots(gate, cascaded, protectedIds);
    },
    limits: options.limits ?? {},
  });
  if (flusher === undefined || captureGate === undefined || loads === undefined)
    throw new Error('the snapshots were not built');
  return {
    coordinator,
    foundations,
    log,
    queries,
    scheduler,
    gate,
    clock,
    kv,
    disk,
    flusher,
    cascaded,
    captureGate,
    loads,
    protectedIds,
    async tick() {
      await settle();
      clock.wake();
      await settle();
    },
    async restart() {
      await coordinator.close();
      return startWorld({ ...options, kv: stored, disk, gate });
    },
  };
}

function noSnapshots(
  gate: RestoreGate,
  cascaded: CollectionId[],
  protectedIds: ReadonlySet<SegmentId>,
): SnapshotRoom {
  const none = () => {
    throw new DbError('unimplemented', 'no snapshots in this world');
  };
  const door: Record<keyof Snapshots | keyof SnapshotAdmin | keyof RestoreAdmin, () => never> = {
    restoreInPlace: none,
    settleSwap: none,
    drillRestore: none,
    snapshotReports: none,
    snapshotReport: none,
    verifySnapshot: none,
    diffSnapshots: none,
    planGarbage: none,
    lastCollection: none,
    collectGarbage: none,
    cancelRestore: none,
    copySegmentStats: none,
    createSnapshot: none,
    dropSnapshot: none,
    listSnapshots: none,
    describeSnapshot: none,
    pinSnapshot: none,
    unpinSnapshot: none,
    restoreSnapshot: none,
    previewRestore: none,
    restoreState: none,
    listRestoreJobs: none,
    listPins: none,
    snapshotStats: none,
  };
  return {
    ...door,
    gate,
    identify: () => Promise.resolve(),
    troubles: () => [],
    recover: () => Promise.resolve(),
    run: () => Promise.resolve(),
    isProtected: (_, segmentId) => protectedIds.has(segmentId),
    collectionDropped: (collectionId) => {
      cascaded.push(collectionId);
      return Promise.resolve();
    },
  };
}

/** Lets everything that is under way and waits for nothing settle. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((done) => setImmediate(done));
}

export const field = fieldSchema;

export const schemaOf = (...more: readonly FieldSchema[]): CollectionSchema => ({
  description: '',
  fields: [field('id', { isPrimaryKey: true }), field('vec', { dataType: 'FloatVector', dim: 4 }), ...more],
  enableDynamicField: false,
  version: 1,
});

export const named = (name: string, database = ''): CollectionName => ({ database, name });

export const asked = (name: string, more: Partial<CreateCollection> = {}): CreateCollection => ({
  database: '',
  name,
  schema: schemaOf(),
  shardsNum: 1,
  consistencyLevel: 'Bounded',
  properties: {},
  ...more,
});

/** A collection `books` with an index, ready to take rows. */
export async function books(world: World, index: Record<string, string> = { index_type: 'HNSW' }) {
  const { collectionId } = await world.coordinator.createCollection(asked('books'));
  await world.coordinator.createIndex(named('books'), 'vec', '', index);
  const partitionId = world.coordinator.describeCollection(named('books')).partitions[0]
    ?.partitionId as PartitionId;
  return { collectionId, partitionId, at: named('books') };
}
