/** The control plane: builds its rooms, brings them back after a restart, runs their loops, and is their door. */
import type { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type {
  CollectionId,
  CompactionId,
  JobId,
  PartitionId,
  PinId,
  SegmentId,
  SnapshotId,
} from '../model/ids.ts';
import type { CollectionRecord, DatabaseRecord, Properties } from '../model/records.ts';
import { runLoop } from '../support/loop.ts';
import { Signal } from '../support/signal.ts';
import { within } from '../support/within.ts';
import type {
  GarbageResult,
  GarbageVerdict,
  PinInfo,
  RestorePreview,
  SnapshotAdmin,
  SnapshotAt,
  SnapshotDiff,
  SnapshotReport,
  SnapshotStats,
  VerifyStep,
} from './admin-api.ts';
import type {
  AddedStruct,
  Aliases,
  Alterations,
  CollectionInfo,
  CollectionName,
  Collections,
  CompactionInfo,
  CompactionStats,
  Coordinator,
  CopySegmentStats,
  CreateCollection,
  CreateSnapshot,
  DroppedPart,
  FlushResult,
  Health,
  IndexProgress,
  ManualCompaction,
  PropertyChange,
  RestoreJobInfo,
  RestoreSnapshot,
  SegmentInfo,
  SnapshotInfo,
} from './api.ts';
import {
  type CoordinatorLimits,
  type CoordinatorParts,
  composeRooms,
  defaultCoordinatorLimits,
  type Rooms,
} from './compose.ts';
import { Operations } from './operations.ts';

const MAX_REASONS = 20;

/**
 * Resolves when the log is replayed, half-done drops are finished, and loading has begun: the coordinator can be asked. The streaming
 * node must not have been written to, and the scheduler must already run or be started right after.
 */
export async function createCoordinator(parts: CoordinatorParts): Promise<Coordinator> {
  const coordinator = new LocalCoordinator(parts);
  await coordinator.recover();
  return coordinator;
}

const refusal = ({ code, message }: DbError): string =>
  code === 'storage-full' || code === 'resource-exhausted'
    ? `the last write was refused: ${message}`
    : `no write is taken until a restart: ${message}`;

class LocalCoordinator implements Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #limits: CoordinatorLimits;
  readonly #rooms: Rooms;
  readonly #operations = new Operations();
  readonly #stop = new AbortController();
  #loops: readonly Promise<void>[] = [];

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#limits = { ...defaultCoordinatorLimits, ...parts.limits };
    this.#rooms = composeRooms(parts, this.#limits);
  }

  async recover(): Promise<void> {
    const { catalog, time, streamingNode, registry } = this.#parts;
    const { databases, drops, segments, load, builder, snapshots, compactor } = this.#rooms;
    await snapshots.identify();
    time.observe(await streamingNode.recover((segmentId) => registry.isRecovered(segmentId)));
    catalog.onChange((changes) => {
      load.changed(changes);
      builder.changed(changes);
      compactor.changed(changes);
    });
    await databases.recover();
    // Half-done drops are found by the partitions they left, which the snapshot room clears away as orphans.
    await drops.recover();
    await snapshots.recover();
    await compactor.recover();
    await segments.recover();
    load.recover();
    builder.recover();
    this.#loops = this.#startLoops();
  }

  health(): Health {
    const { segments, flusher, load, builder, drops, snapshots, compactor } = this.#rooms;
    const { failure } = this.#parts.streamingNode;
    const grave = [
      ...(this.#operations.isRefusing ? ['the coordinator is stopping'] : []),
      ...(failure === undefined ? [] : [refusal(failure)]),
      ...segments.troubles(),
      ...flusher.troubles(),
      ...load.troubles(),
      ...(drops.unfinished > 0 ? [`${drops.unfinished} drops are not finished`] : []),
    ];
    const others = [...builder.troubles(), ...compactor.troubles(), ...snapshots.troubles()];
    return { isHealthy: grave.length === 0, reasons: [...grave, ...others].slice(0, MAX_REASONS) };
  }

  allocateIds(count: number): Promise<bigint> {
    return this.#operations.run(() => this.#parts.ids.range(count));
  }

  timestamp(): Promise<HybridTime> {
    return this.#parts.timestamps.next();
  }

  get now(): HybridTime {
    return this.#parts.time.now;
  }

  /** Refuses, waits for what runs (not for ever), stops the loops. Whoever gave us the nodes and the catalog closes them. */
  async close(): Promise<void> {
    if (this.#operations.isRefusing) return;
    this.#operations.refuse();
    this.#rooms.flusher.close();
    this.#rooms.compactor.close();
    await this.#orLater(Promise.all([this.#rooms.load.close(), this.#operations.drained()]));
    this.#stop.abort();
    await Promise.all(this.#loops);
    const { flusher, load, compactor } = this.#rooms;
    await this.#orLater(Promise.all([flusher.settled(), load.settled(), compactor.settled()]));
  }

  async #orLater(work: Promise<unknown>): Promise<void> {
    await within(this.#parts.clock, this.#limits.drainMs, work, () => undefined);
  }

  #startLoops(): readonly Promise<void>[] {
    const { segments, builder, builderWake, load, drops, snapshots, compactor, compactorWake } = this.#rooms;
    const { sealTickMs, repairTickMs, compaction } = this.#limits;
    const loop = (name: string, fallbackMs: number, pass: () => Promise<void>, wake = new Signal()) =>
      runLoop({
        pass,
        wake,
        fallbackMs,
        clock: this.#parts.clock,
        signal: this.#stop.signal,
        onError: (error) => this.#parts.log.error('pass-failed', { loop: name, error }),
      });
    return [
      loop('seal', sealTickMs, () => segments.pass()),
      loop('index', repairTickMs, () => builder.pass(), builderWake),
      loop('load', repairTickMs, () => load.pass()),
      loop('drop', repairTickMs, () => drops.pass()),
      loop('compaction', compaction.tickMs, () => compactor.pass(), compactorWake),
      snapshots.run(this.#stop.signal),
    ];
  }

  createDatabase(name: string, properties: Properties): Promise<void> {
    return this.#operations.run(() => this.#rooms.databases.createDatabase(name, properties));
  }
  dropDatabase(name: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.databases.dropDatabase(name));
  }
  listDatabases(): readonly DatabaseRecord[] {
    return this.#rooms.databases.listDatabases();
  }
  describeDatabase(name: string): DatabaseRecord {
    return this.#rooms.databases.describeDatabase(name);
  }

  createCollection(request: CreateCollection): Promise<CollectionRecord> {
    return this.#operations.run(() => this.#rooms.collections.createCollection(request));
  }
  dropCollection(at: CollectionName): Promise<void> {
    return this.#operations.run(() => this.#rooms.collections.dropCollection(at));
  }
  describeCollection(at: CollectionName): CollectionInfo {
    return this.#rooms.collections.describeCollection(at);
  }
  describeCollectionById(collectionId: CollectionId): CollectionInfo {
    return this.#rooms.collections.describeCollectionById(collectionId);
  }
  requireReady(at: CollectionName): CollectionInfo {
    return this.#rooms.collections.requireReady(at);
  }
  listCollections(database: string): readonly CollectionInfo[] {
    return this.#rooms.collections.listCollections(database);
  }
  renameCollection(at: CollectionName, newName: string, newDatabase: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.collections.renameCollection(at, newName, newDatabase));
  }
  createAlias(at: CollectionName, alias: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.aliases.createAlias(at, alias));
  }
  alterAlias(at: CollectionName, alias: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.aliases.alterAlias(at, alias));
  }
  dropAlias(database: string, alias: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.aliases.dropAlias(database, alias));
  }
  describeAlias(database: string, alias: string): ReturnType<Aliases['describeAlias']> {
    return this.#rooms.aliases.describeAlias(database, alias);
  }
  listAliases(database: string, collection: string): readonly string[] {
    return this.#rooms.aliases.listAliases(database, collection);
  }
  alterCollection(at: CollectionName, change: PropertyChange): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.alterCollection(at, change));
  }
  alterField(at: CollectionName, fieldName: string, change: PropertyChange): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.alterField(at, fieldName, change));
  }
  alterIndex(at: CollectionName, indexName: string, change: PropertyChange): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.alterIndex(at, indexName, change));
  }
  alterDatabase(database: string, change: PropertyChange): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.alterDatabase(database, change));
  }
  truncateCollection(at: CollectionName): Promise<void> {
    return this.#operations.run(() => this.#rooms.truncation.truncate(at));
  }
  addField(...given: Parameters<Alterations['addField']>): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.addField(...given));
  }
  addStruct(at: CollectionName, struct: AddedStruct): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.addStruct(at, struct));
  }
  addFunctionField(...given: Parameters<Alterations['addFunctionField']>): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.addFunctionField(...given));
  }
  dropPart(at: CollectionName, part: DroppedPart): Promise<void> {
    return this.#operations.run(() => this.#rooms.alter.dropPart(at, part));
  }
  rowCount(collectionId: CollectionId, partitionId?: PartitionId): number {
    return this.#rooms.segments.rowCount(collectionId, partitionId);
  }
  createPartition(at: CollectionName, partition: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.collections.createPartition(at, partition));
  }
  dropPartition(at: CollectionName, partition: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.collections.dropPartition(at, partition));
  }

  load(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void> {
    return this.#operations.run(() => this.#rooms.load.load(at, partitionIds));
  }
  release(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void> {
    return this.#operations.run(() => this.#rooms.load.release(at, partitionIds));
  }
  loadState(at: CollectionName, partitionIds?: readonly PartitionId[]): ReturnType<Collections['loadState']> {
    return this.#rooms.load.loadState(at, partitionIds);
  }

  createIndex(at: CollectionName, fieldName: string, indexName: string, params: Properties): Promise<void> {
    return this.#operations.run(() => this.#rooms.indexes.createIndex(at, fieldName, indexName, params));
  }
  dropIndex(at: CollectionName, fieldName: string, indexName: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.indexes.dropIndex(at, fieldName, indexName));
  }
  describeIndexes(at: CollectionName, indexName: string): readonly IndexProgress[] {
    return this.#rooms.indexes.describeIndexes(at, indexName);
  }
  indexedSegments(at: CollectionName, indexName: string): readonly SegmentId[] {
    return this.#rooms.indexes.indexedSegments(at, indexName);
  }

  flush(collectionId: CollectionId): Promise<FlushResult> {
    return this.#operations.run(async () => {
      const result = await this.#rooms.segments.flush(collectionId);
      await this.#parts.timestamps.cover(result.sealTs);
      return result;
    });
  }
  isFlushed(segmentIds: readonly SegmentId[]): boolean {
    return this.#rooms.segments.isFlushed(segmentIds);
  }
  listSegments(at: CollectionName): readonly SegmentInfo[] {
    return this.#rooms.segments.listSegments(at);
  }

  compact(request: ManualCompaction): Promise<CompactionInfo> {
    return this.#operations.run(() => this.#rooms.compactor.compact(request));
  }
  compactionState(compactionId: CompactionId): CompactionInfo {
    return this.#rooms.compactor.compactionState(compactionId);
  }
  compactionStats(): CompactionStats {
    return this.#rooms.compactor.compactionStats();
  }

  createSnapshot(request: CreateSnapshot): Promise<SnapshotId> {
    return this.#operations.run(() => this.#rooms.snapshots.createSnapshot(request));
  }
  dropSnapshot(at: CollectionName, name: string): Promise<void> {
    return this.#operations.run(() => this.#rooms.snapshots.dropSnapshot(at, name));
  }
  listSnapshots(at: CollectionName): readonly string[] {
    return this.#rooms.snapshots.listSnapshots(at);
  }
  describeSnapshot(at: CollectionName, name: string): SnapshotInfo {
    return this.#rooms.snapshots.describeSnapshot(at, name);
  }
  pinSnapshot(at: CollectionName, name: string, ttlSeconds: number, owner?: string): Promise<PinId> {
    return this.#operations.run(() => this.#rooms.snapshots.pinSnapshot(at, name, ttlSeconds, owner));
  }
  unpinSnapshot(pinId: PinId): Promise<void> {
    return this.#operations.run(() => this.#rooms.snapshots.unpinSnapshot(pinId));
  }
  listPins(): readonly PinInfo[] {
    return this.#rooms.snapshots.listPins();
  }
  snapshotStats(): SnapshotStats {
    return this.#rooms.snapshots.snapshotStats();
  }
  restoreSnapshot(request: RestoreSnapshot): Promise<JobId> {
    return this.#operations.run(() => this.#rooms.snapshots.restoreSnapshot(request));
  }
  previewRestore(request: RestoreSnapshot, signal: AbortSignal): Promise<RestorePreview> {
    return this.#operations.run(() => this.#rooms.snapshots.previewRestore(request, signal));
  }
  restoreState(jobId: JobId): RestoreJobInfo {
    return this.#rooms.snapshots.restoreState(jobId);
  }
  listRestoreJobs(database: string, collection: string): readonly RestoreJobInfo[] {
    return this.#rooms.snapshots.listRestoreJobs(database, collection);
  }

  copySegmentStats(): CopySegmentStats {
    return this.#rooms.snapshots.copySegmentStats();
  }

  snapshotReports(database: string, collection: string): readonly SnapshotReport[] {
    return this.#rooms.snapshots.snapshotReports(database, collection);
  }
  snapshotReport(snapshot: SnapshotAt): ReturnType<SnapshotAdmin['snapshotReport']> {
    return this.#operations.run(() => this.#rooms.snapshots.snapshotReport(snapshot));
  }
  verifySnapshot(snapshot: SnapshotAt, fraction: number, signal: AbortSignal): AsyncIterable<VerifyStep> {
    return this.#operations.each(() => this.#rooms.snapshots.verifySnapshot(snapshot, fraction, signal));
  }
  diffSnapshots(from: SnapshotAt, to: SnapshotAt, signal: AbortSignal): Promise<SnapshotDiff> {
    return this.#operations.run(() => this.#rooms.snapshots.diffSnapshots(from, to, signal));
  }
  lastCollection(): ReturnType<SnapshotAdmin['lastCollection']> {
    return this.#rooms.snapshots.lastCollection();
  }
  planGarbage(signal: AbortSignal): AsyncIterable<GarbageVerdict> {
    return this.#operations.each(() => this.#rooms.snapshots.planGarbage(signal));
  }
  collectGarbage(signal: AbortSignal): Promise<GarbageResult> {
    return this.#operations.run(() => this.#rooms.snapshots.collectGarbage(signal));
  }
  cancelRestore(jobId: JobId, reason?: string): Promise<boolean> {
    return this.#operations.run(() => this.#rooms.snapshots.cancelRestore(jobId, reason));
  }
  restoreInPlace(snapshot: SnapshotAt, mode?: 'shared' | 'physical'): Promise<JobId> {
    return this.#operations.run(() => this.#rooms.snapshots.restoreInPlace(snapshot, mode));
  }
  settleSwap(jobId: JobId, decision: 'confirm' | 'revert'): Promise<void> {
    return this.#operations.run(() => this.#rooms.snapshots.settleSwap(jobId, decision));
  }
  drillRestore(snapshot: SnapshotAt): Promise<JobId> {
    return this.#operations.run(() => this.#rooms.snapshots.drillRestore(snapshot));
  }
}
