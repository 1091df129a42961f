/** Builds the rooms of the coordinator and connects them. What each may know of the others is visible here. */

import type { AnyTable } from '../catalog/catalog.ts';
import { Catalog } from '../catalog/catalog.ts';
import type { Kv } from '../catalog/kv.ts';
import type { CollectionId } from '../model/ids.ts';
import type { QueryNode } from '../querynode/api.ts';
import type { StreamingNode } from '../streamingnode/api.ts';
import type { Clock } from '../support/clock.ts';
import type { Log } from '../support/log.ts';
import { Signal } from '../support/signal.ts';
import type { RestoreAdmin, SnapshotAdmin } from './admin-api.ts';
import { IdSource, TimeSource, TimestampLease } from './allocator.ts';
import type { CollectionInfo, CollectionName, Snapshots } from './api.ts';
import { CaptureGate } from './capture-gate.ts';
import { AliasRoom } from './collections/aliases.ts';
import { AlterRoom, type AlterRoomParts } from './collections/alter.ts';
import { CollectionRoom } from './collections/collections.ts';
import { type CatalogLimits, DatabaseRoom, defaultCatalogLimits } from './collections/databases.ts';
import { DropCascade } from './collections/drop.ts';
import { CollectionNames } from './collections/names.ts';
import { Truncation } from './collections/truncate.ts';
import { Compactor } from './compaction/compactor.ts';
import { type CompactionLimits, defaultCompactionLimits } from './compaction/limits.ts';
import { IndexBuilder } from './indexes/builder.ts';
import { IndexRoom } from './indexes/indexes.ts';
import { LoadRoom } from './load/load.ts';
import type {
  AheadLoads,
  CollectionDrops,
  IndexBuilds,
  RestoreGate,
  SegmentFlusher,
  SegmentProtection,
} from './rooms.ts';
import type { Scheduler } from './scheduler/task.ts';
import { Flusher } from './segments/flusher.ts';
import { SegmentRegistry } from './segments/registry.ts';
import { defaultSealLimits, type SealLimits } from './segments/seal-policy.ts';
import { SegmentRoom } from './segments/segments.ts';
import { coreTables } from './tables.ts';

/** What the streaming node and the coordinator both stand on. */
export interface Foundations {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  /** Timestamps that are told without anything being written for them. */
  readonly timestamps: TimestampLease;
  /** The streaming node's `SegmentOpener`. */
  readonly registry: SegmentRegistry;
}

/** Opens the catalog and makes sure that time goes on where it stood. `tables`: those beyond the core tables. */
export async function openFoundations(
  kv: Kv,
  clock: Clock,
  tables: readonly AnyTable[],
): Promise<Foundations> {
  const time = new TimeSource(clock);
  const catalog = await Catalog.open({
    kv,
    tables: [...coreTables, ...tables],
    highWater: () => time.highWater,
  });
  time.observe(catalog.recoveredHighWater);
  const ids = new IdSource(catalog);
  const timestamps = new TimestampLease(time, catalog);
  return { catalog, ids, time, timestamps, registry: new SegmentRegistry(catalog, ids) };
}

export interface CoordinatorLimits {
  readonly catalog: CatalogLimits;
  readonly seal: SealLimits;
  readonly compaction: CompactionLimits;
  /** `indexCoord.segment.minSegmentNumRowsToEnableIndex`: smaller segments are scanned. */
  readonly minRowsToIndex: number;
  readonly sealTickMs: number;
  /** How often what failed is tried again. */
  readonly repairTickMs: number;
  /** How long a shutdown waits for what runs. */
  readonly drainMs: number;
}

export const defaultCoordinatorLimits: CoordinatorLimits = {
  catalog: defaultCatalogLimits,
  seal: defaultSealLimits,
  compaction: defaultCompactionLimits,
  minRowsToIndex: 1024,
  sealTickMs: 1000,
  repairTickMs: 5000,
  drainMs: 10_000,
};

/** Snapshots and restores: built on the rooms below, and told when a collection goes. */
export interface SnapshotRoom extends Snapshots, SnapshotAdmin, RestoreAdmin, SegmentProtection {
  readonly gate: RestoreGate;
  /** Once, before anything is written to the catalog or the store. */
  identify(): Promise<void>;
  /** Once, before anything is asked of it. */
  recover(): Promise<void>;
  /** Its loops, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Drops its snapshots, except pinned ones, and ends the restores that fill it. Repeatable. */
  collectionDropped(collectionId: CollectionId): Promise<void>;
  /** What keeps it from working as it should. */
  troubles(): readonly string[];
}

export interface CoordinatorParts extends Foundations {
  readonly clock: Clock;
  readonly log: Log;
  readonly streamingNode: StreamingNode;
  readonly queryNode: QueryNode;
  readonly scheduler: Scheduler;
  /** Called once, before anything is recovered. */
  readonly snapshots: (rooms: {
    readonly flusher: SegmentFlusher;
    readonly resolve: CollectionNames;
    readonly builds: IndexBuilds;
    /** Captures pass it, and so do the commits of compactions. */
    readonly captureGate: CaptureGate;
    readonly loads: AheadLoads;
    readonly drops: CollectionDrops;
  }) => SnapshotRoom;
  readonly limits?: Partial<CoordinatorLimits>;
}

export interface Rooms {
  readonly databases: DatabaseRoom;
  readonly collections: CollectionRoom;
  readonly aliases: AliasRoom;
  readonly alter: AlterRoom;
  readonly truncation: Truncation;
  readonly drops: DropCascade;
  readonly segments: SegmentRoom;
  readonly flusher: Flusher;
  readonly indexes: IndexRoom;
  readonly builder: IndexBuilder;
  readonly builderWake: Signal;
  readonly load: LoadRoom;
  readonly snapshots: SnapshotRoom;
  readonly compactor: Compactor;
  readonly compactorWake: Signal;
}

const gateOf = (room: () => SnapshotRoom): RestoreGate => ({
  isCompleted: (jobId) => room().gate.isCompleted(jobId),
  progress: (jobId) => room().gate.progress(jobId),
});

type AlterHooks = Pick<AlterRoomParts, 'offer' | 'flushAll' | 'cancelBuilds'>;

const alterHooks = (load: LoadRoom, segments: SegmentRoom, builder: IndexBuilder): AlterHooks => ({
  offer: (id) => load.offer(id),
  flushAll: (id) => segments.flushAll(id),
  cancelBuilds: (ids) => builder.cancel(({ indexId }) => ids.has(indexId)),
});

/** What keeps the records of what users name. */
function namedRooms(
  { catalog, ids, time }: CoordinatorParts,
  limits: CoordinatorLimits,
  gate: RestoreGate,
  { drops, ...hooks }: { readonly drops: DropCascade } & AlterHooks,
): Pick<Rooms, 'databases' | 'collections' | 'aliases' | 'alter' | 'truncation'> {
  const parts = { catalog, ids, time, limits: limits.catalog };
  const collections = new CollectionRoom({ ...parts, gate, drops });
  const requireReady = (at: CollectionName): CollectionInfo => collections.requireReady(at);
  const aliases = new AliasRoom({ ...parts, requireReady });
  const alter = new AlterRoom({ ...parts, ...hooks, requireReady });
  const truncation = new Truncation({ ...parts, drops, requireReady });
  return {
    databases: new DatabaseRoom(catalog, ids, time, limits.catalog),
    collections,
    aliases,
    alter,
    truncation,
  };
}

export function composeRooms(parts: CoordinatorParts, limits: CoordinatorLimits): Rooms {
  const { catalog, clock, log, streamingNode } = parts;
  // The rooms below ask the gate, which stands on a room above them.
  const gate = gateOf(() => snapshots);
  const requireReady = (at: CollectionName): CollectionInfo => collections.requireReady(at);
  const load = new LoadRoom({ ...parts, gate, requireReady });
  const captureGate = new CaptureGate();
  const flusher = new Flusher({
    ...parts,
    offer: (collectionId) => load.offer(collectionId),
    released: (collectionId) => compactor.look(collectionId),
  });
  const segments = new SegmentRoom({ ...parts, gate, flusher, limits: limits.seal });
  const builderWake = new Signal();
  const builder = new IndexBuilder({ ...parts, gate, wake: builderWake, minRows: limits.minRowsToIndex });
  const snapshots = parts.snapshots({
    flusher: segments,
    resolve: new CollectionNames(catalog, limits.catalog),
    builds: builder,
    captureGate,
    loads: load,
    drops: { finishCollection: (collectionId) => drops.finishCollection(collectionId) },
  });
  const compactorWake = new Signal();
  const compactor = new Compactor({
    ...parts,
    gate,
    captureGate,
    protection: snapshots,
    outputIndexes: builder,
    wake: compactorWake,
    limits: limits.compaction,
  });
  const drops = new DropCascade(catalog, clock, log, {
    streamingNode,
    hooks: {
      release: (collectionId) => load.drop(collectionId),
      publish: (collectionId) => load.publish(collectionId),
      cancelWork: async (segmentIds) => {
        const gone = new Set(segmentIds);
        await flusher.cancel(segmentIds);
        await builder.cancel(({ segmentId }) => gone.has(segmentId));
        await compactor.cancel(segmentIds);
      },
      collectionDropped: (collectionId) => snapshots.collectionDropped(collectionId),
    },
  });
  const names = namedRooms(parts, limits, gate, { drops, ...alterHooks(load, segments, builder) });
  const { collections } = names;
  const indexes = new IndexRoom({
    ...parts,
    gate,
    builder,
    requireReady,
    isLoaded: (collectionId) => load.isLoaded(collectionId),
  });
  return {
    ...names,
    drops,
    segments,
    flusher,
    indexes,
    builder,
    builderWake,
    load,
    snapshots,
    compactor,
    compactorWake,
  };
}
