/** What must hold, by name. Each check reads the disks and the catalog themselves, not what the system says about them. */
import type { Catalog } from '../../src/catalog/catalog.ts';
import { type CopyJob, copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import type { SnapshotMetadata } from '../../src/coordinator/snapshot/metadata.ts';
import { readManifests, readMetadata } from '../../src/coordinator/snapshot/reader.ts';
import { pins, type SnapshotRecord, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { allFiles, type SnapshotSegment } from '../../src/coordinator/snapshot/segment.ts';
import { collections, indexes, partitions, segments } from '../../src/coordinator/tables.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import { ALL_PARTITIONS, type SegmentId, type SnapshotId } from '../../src/model/ids.ts';
import type { SegmentFile, SegmentRecord } from '../../src/model/records.ts';
import { collectionSegmentsPrefix, IDENTITY_KEY, snapshotManifestKey } from '../../src/storage/keys.ts';
import { crc32 } from '../../src/support/crc32.ts';
import type { Life } from './life.ts';
import type { Disks, World } from './world.ts';

export type PropertyName =
  /** Each completed restore and each read holds the rows of its moment, and no others; what was acknowledged is there. */
  | 'exact'
  /** Nobody sees part of a restore. */
  | 'whole'
  /** Every object that a snapshot or a visible segment needs exists as it was written. */
  | 'kept'
  /** What is copied, and right, is not copied again. */
  | 'once'
  /** With faults gone, every job and every call ends. */
  | 'ends'
  /** After quiet, storage holds what is referenced, and the catalog nothing half done. */
  | 'clean';

export class Violation extends Error {
  readonly property: PropertyName;

  constructor(property: PropertyName, message: string) {
    super(`${property}: ${message}`);
    this.property = property;
  }
}

export function check(property: PropertyName, holds: boolean, message: () => string): void {
  if (!holds) throw new Violation(property, message());
}

/** A snapshot as its own objects tell of it, and those objects. */
interface SnapshotFiles {
  readonly metadata: SnapshotMetadata;
  readonly segments: readonly SnapshotSegment[];
  readonly files: readonly SegmentFile[];
  /** Metadata and manifests. */
  readonly own: readonly Described[];
}

/** An object, as it was written. */
type Described = Pick<SegmentFile, 'key' | 'sizeBytes' | 'crc32'>;

/** Remembers what is immutable, so that a check after every step costs little. */
export class Keeper {
  readonly #snapshots = new Map<bigint, SnapshotFiles>();
  /** Object key to the snapshots that name it. */
  readonly #holders = new Map<string, Set<SnapshotId>>();
  /** Object key and mark whose checksum was found right. */
  readonly #right = new Set<string>();
  /** Objects that the simulation itself has damaged for a while. */
  readonly damaged = new Set<string>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** *kept*. */
  async kept(): Promise<void> {
    const { life } = this.#world;
    if (life.isOver || !life.hasBegun) return;
    const { catalog } = life.planes;
    const isNamed = new Map<Described, () => boolean>();
    for (const segment of visibleSegments(life))
      for (const file of allFiles(segment))
        isNamed.set(file, () => catalog.get(segments, segment.segmentId)?.state === 'flushed');
    for (const record of catalog.find(snapshots, 'state', 'committed')) {
      const isCommitted = () => catalog.get(snapshots, record.snapshotId)?.state === 'committed';
      for (const file of await this.#filesOf(record, isCommitted)) isNamed.set(file, isCommitted);
      for (const object of this.#snapshots.get(record.snapshotId)?.own ?? [])
        isNamed.set(object, isCommitted);
      this.#protected(record);
    }
    for (const [file, stillNamed] of isNamed) {
      const wrong = await this.#wrongWith(file);
      if (wrong !== undefined && stillNamed() && !life.isOver) throw new Violation('kept', wrong);
    }
  }

  /** *kept*, asked at the moment an object goes: nothing that is visible, being written or in a snapshot may. */
  deleting(life: Life, key: string): void {
    if (!life.hasBegun) return;
    const { catalog } = life.planes;
    const holder = [...(this.#holders.get(key) ?? [])].find(
      (snapshotId) => catalog.get(snapshots, snapshotId)?.state === 'committed',
    );
    check('kept', holder === undefined, () => `object '${key}' of snapshot ${holder} is being deleted`);
    const segment = segmentOf(catalog, key);
    if (segment === undefined) return;
    const { state, restoreJobId, collectionId } = segment;
    const isOurs =
      catalog.get(collections, collectionId) !== undefined &&
      (restoreJobId === undefined || catalog.get(copyJobs, restoreJobId)?.state !== 'failed');
    const isNamed = allFiles(segment).some((file) => file.key === key);
    const isBeingMade = state === 'writing' || (restoreJobId !== undefined && state !== 'dropped');
    const isNeeded = isOurs && (isNamed ? state !== 'dropped' : isBeingMade);
    check('kept', !isNeeded, () => `object '${key}' of a ${segment.state} segment is being deleted`);
  }

  async #filesOf(record: SnapshotRecord, isCommitted: () => boolean): Promise<readonly SegmentFile[]> {
    try {
      return (await this.snapshotFiles(record)).files;
    } catch (error) {
      if (isCommitted()) throw new Violation('kept', `snapshot ${record.name}: ${String(error)}`);
      return [];
    }
  }

  async snapshotFiles(record: SnapshotRecord): Promise<SnapshotFiles> {
    const known = this.#snapshots.get(record.snapshotId);
    if (known !== undefined) return known;
    const { store } = this.#world.disks;
    const metadata = await readMetadata(store, record);
    const listed = await readManifests(store, metadata, 4);
    const { metadataKey, metadataSizeBytes, metadataCrc32 } = record;
    const manifests = metadata.manifests.map(({ sizeBytes, crc32: sum }, n) => ({
      key: snapshotManifestKey(record.collectionId, record.snapshotId, n),
      sizeBytes,
      crc32: sum,
    }));
    const own = [{ key: metadataKey, sizeBytes: metadataSizeBytes, crc32: metadataCrc32 }, ...manifests];
    const found = { metadata, segments: listed, files: listed.flatMap(allFiles), own };
    this.#snapshots.set(record.snapshotId, found);
    for (const { key } of [...own, ...found.files]) {
      const holders = this.#holders.get(key);
      if (holders === undefined) this.#holders.set(key, new Set([record.snapshotId]));
      else holders.add(record.snapshotId);
    }
    return found;
  }

  /** While a snapshot's protection runs, the segments it holds are what the collection holds. */
  #protected({ snapshotId, name, compactionProtectedUntilMs }: SnapshotRecord): void {
    const { life, clock } = this.#world;
    const { catalog } = life.planes;
    if (clock.nowMs() + this.#world.slackMs >= compactionProtectedUntilMs) return;
    for (const held of this.#snapshots.get(snapshotId)?.segments ?? []) {
      const is = catalog.get(segments, held.segmentId);
      const isLive =
        (held.partitionId === ALL_PARTITIONS || catalog.get(partitions, held.partitionId) !== undefined) &&
        this.#isCollectionThere(snapshotId);
      check(
        'kept',
        !isLive || is?.state === 'flushed',
        () => `segment ${held.segmentId}, protected by ${name}, is ${is?.state}`,
      );
    }
  }

  #isCollectionThere(snapshotId: SnapshotId): boolean {
    const { catalog } = this.#world.life.planes;
    const record = catalog.get(snapshots, snapshotId);
    return record?.state === 'committed' && catalog.get(collections, record.collectionId) !== undefined;
  }

  async #wrongWith({ key, sizeBytes, crc32: sum }: Described): Promise<string | undefined> {
    const { store } = this.#world.disks;
    if (this.damaged.has(key)) return undefined;
    const stat = await store.stat(key);
    if (stat === undefined) return `object '${key}' is needed and missing`;
    if (stat.sizeBytes !== sizeBytes) return `object '${key}' has ${stat.sizeBytes} bytes, not ${sizeBytes}`;
    const mark = `${key} ${stat.etag} ${sum}`;
    if (this.#right.has(mark)) return undefined;
    const bytes = await store.get(key).catch((error: unknown) => {
      // It may go between the two looks; the caller knows whether it may.
      if (isDbError(error, 'object-not-found')) return undefined;
      throw error;
    });
    if (bytes === undefined) return `object '${key}' is needed and missing`;
    if (crc32(bytes) !== sum) return `object '${key}' has another checksum`;
    this.#right.add(mark);
    return undefined;
  }

  /** *clean*, of a restore that was ended before its time: of its target there is nothing. */
  async nothingLeft({ collectionId, jobId }: Pick<CopyJob, 'collectionId' | 'jobId'>): Promise<void> {
    const { life, disks } = this.#world;
    const { catalog } = life.planes;
    const left: string[] = [];
    if (catalog.get(collections, collectionId) !== undefined) left.push('its target');
    for (const table of [segments, partitions, indexes])
      if (catalog.find(table as typeof segments, 'collection', collectionId).length > 0)
        left.push(table.name);
    if (catalog.find(copyTasks, 'job', jobId).length > 0) left.push('tasks');
    for (const { owner } of catalog.all(pins))
      if (owner.kind === 'restore' && owner.jobId === jobId) left.push('its pin');
    for await (const { key } of disks.store.list(collectionSegmentsPrefix(collectionId))) left.push(key);
    check('clean', left.length === 0, () => `job ${jobId} was cancelled and leaves ${left.join(', ')}`);
  }

  /** *clean*, with nothing under way and garbage collected. */
  async clean(): Promise<void> {
    const { life, disks } = this.#world;
    const { catalog } = life.planes;
    const needed = new Set<string>();
    const held = new Set<SegmentId>();
    const { clock, shape, slackMs } = this.#world;
    const youngFromMs = clock.nowMs() - shape.dropToleranceMs - slackMs;
    // A compaction may have replaced it since the last collection.
    const isYoung = ({ droppedAtMs = 0 }: SegmentRecord) => droppedAtMs > youngFromMs;
    for (const segment of catalog.all(segments)) {
      if (isYoung(segment)) held.add(segment.segmentId);
      if (segment.state === 'flushed') for (const { key } of allFiles(segment)) needed.add(key);
    }
    for (const record of catalog.all(snapshots)) {
      check('clean', record.state === 'committed', () => `snapshot ${record.name} is ${record.state}`);
      const { files, own, segments: ofSnapshot } = await this.snapshotFiles(record);
      for (const { segmentId } of ofSnapshot) held.add(segmentId);
      for (const { key } of [...own, ...files]) needed.add(key);
    }
    const stored = await keysOf(disks);
    const unneeded = stored.filter((key) => {
      const segment = segmentOf(catalog, key);
      return !needed.has(key) && !(segment !== undefined && isYoung(segment));
    });
    check('clean', unneeded.length === 0, () => `objects nothing needs: ${unneeded.join(', ')}`);
    const temporaries: string[] = [];
    for await (const { name } of disks.store.listTemporary()) temporaries.push(name);
    check('clean', temporaries.length === 0, () => `temporaries are left: ${temporaries.join(', ')}`);
    recordsClean(catalog, held);
  }
}

/** `held`: segments of snapshots. */
function recordsClean(catalog: Catalog, held: ReadonlySet<SegmentId>): void {
  for (const job of catalog.all(copyJobs))
    check(
      'clean',
      job.state === 'completed' || job.state === 'failed',
      () => `job ${job.jobId} is ${job.state}`,
    );
  check('clean', catalog.count(copyTasks) === 0, () => `${catalog.count(copyTasks)} copy tasks are left`);
  for (const pin of catalog.all(pins))
    check('clean', pin.owner.kind === 'user', () => `pin ${pin.pinId} of a ${pin.owner.kind} is left`);
  const known = (id: Parameters<typeof catalog.get<bigint, object>>[1]) =>
    catalog.get(collections, id as never) !== undefined;
  for (const { collectionId, partitionId } of catalog.all(partitions))
    check('clean', known(collectionId), () => `partition ${partitionId} has no collection`);
  for (const { collectionId, indexId } of catalog.all(indexes))
    check('clean', known(collectionId), () => `index ${indexId} has no collection`);
  for (const { collectionId, segmentId, state, restoreJobId } of catalog.all(segments)) {
    check('clean', state !== 'writing', () => `segment ${segmentId} is still being written`);
    if (state === 'dropped') {
      check('clean', held.has(segmentId), () => `segment ${segmentId} is dropped, and nothing needs it`);
      continue;
    }
    check('clean', known(collectionId), () => `segment ${segmentId}, ${state}, has no collection`);
    check('clean', restoreJobId === undefined, () => `segment ${segmentId} still names its restore`);
  }
}

/** The segment an object belongs to, by its key. */
function segmentOf(catalog: Catalog, key: string) {
  const id = /^segments\/\d+\/-?\d+\/(\d+)\//.exec(key)?.[1];
  return id === undefined ? undefined : catalog.get(segments, BigInt(id) as SegmentId);
}

/** All but the one that says whose store it is. */
export async function keysOf({ store }: Disks): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) if (key !== IDENTITY_KEY) keys.push(key);
  return keys;
}

function visibleSegments({ planes }: Life) {
  const { catalog, service } = planes;
  return catalog
    .find(segments, 'state', 'flushed')
    .filter(({ collectionId }) => catalog.get(collections, collectionId) !== undefined)
    .filter(({ restoreJobId }) => restoreJobId === undefined || service.gate.isCompleted(restoreJobId));
}
