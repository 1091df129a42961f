/**
 * The reference index: which snapshots need a segment, and which an index build. Kept as snapshots come and go, rebuilt
 * at start from their metadata objects. Unknown means keep: while a snapshot's references cannot be read, everything of its collection
 * counts as needed; other collections are not touched by that.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { messageOf } from '../../errors/db-error.ts';
import type { BuildId, CollectionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import { readMetadata } from './reader.ts';
import { type SnapshotRecord, snapshots } from './record.ts';

interface References {
  readonly collectionId: CollectionId;
  readonly segmentIds: readonly SegmentId[];
  readonly buildIds: readonly BuildId[];
}

export class SnapshotReferences {
  readonly #catalog: Catalog;
  readonly #store: ObjectStore;
  readonly #log: Log;
  readonly #known = new Map<SnapshotId, References>();
  readonly #unknown = new Map<SnapshotId, CollectionId>();
  readonly #bySegment = new Map<SegmentId, Set<SnapshotId>>();
  readonly #byBuild = new Map<BuildId, Set<SnapshotId>>();

  constructor(catalog: Catalog, store: ObjectStore, log: Log) {
    this.#catalog = catalog;
    this.#store = store;
    this.#log = log;
  }

  /** Before anything else runs: every committed snapshot counts as unknown until its metadata is read. */
  recover(): void {
    for (const { snapshotId, collectionId } of this.#catalog.find(snapshots, 'state', 'committed'))
      if (!this.#known.has(snapshotId)) this.#unknown.set(snapshotId, collectionId);
  }

  /** Reads what is still unknown. What cannot be read stays unknown, and is said so. */
  async load(objectsAtOnce: number): Promise<void> {
    await mapLimited([...this.#unknown.keys()], objectsAtOnce, async (snapshotId) => {
      const record = this.#catalog.get(snapshots, snapshotId);
      if (record?.state !== 'committed') this.#unknown.delete(snapshotId);
      else await this.#loadOne(record);
    });
  }

  add(snapshotId: SnapshotId, references: References): void {
    this.#known.set(snapshotId, references);
    this.#unknown.delete(snapshotId);
    for (const segmentId of references.segmentIds) addTo(this.#bySegment, segmentId, snapshotId);
    for (const buildId of references.buildIds) addTo(this.#byBuild, buildId, snapshotId);
  }

  remove(snapshotId: SnapshotId): void {
    this.#unknown.delete(snapshotId);
    const references = this.#known.get(snapshotId);
    if (references === undefined) return;
    this.#known.delete(snapshotId);
    for (const segmentId of references.segmentIds) removeFrom(this.#bySegment, segmentId, snapshotId);
    for (const buildId of references.buildIds) removeFrom(this.#byBuild, buildId, snapshotId);
  }

  isSegmentReferenced(collectionId: CollectionId, segmentId: SegmentId): boolean {
    return this.#isUnknown(collectionId) || this.#bySegment.has(segmentId);
  }

  isBuildReferenced(collectionId: CollectionId, buildId: BuildId): boolean {
    return this.#isUnknown(collectionId) || this.#byBuild.has(buildId);
  }

  /** Snapshots that need the segment, as far as known. */
  snapshotsOf(segmentId: SegmentId): readonly SnapshotId[] {
    return [...(this.#bySegment.get(segmentId) ?? [])];
  }

  /** Collections that keep everything because a snapshot's references are not known. */
  get unknownCollections(): ReadonlySet<CollectionId> {
    return new Set(this.#unknown.values());
  }

  #isUnknown(collectionId: CollectionId): boolean {
    if (this.#unknown.size === 0) return false;
    for (const unknown of this.#unknown.values()) if (unknown === collectionId) return true;
    return false;
  }

  async #loadOne(record: SnapshotRecord): Promise<void> {
    const { snapshotId, collectionId } = record;
    try {
      const { segmentIds, buildIds } = await readMetadata(this.#store, record);
      // It may have been dropped while it was read.
      if (this.#catalog.get(snapshots, snapshotId)?.state === 'committed')
        this.add(snapshotId, { collectionId, segmentIds, buildIds });
    } catch (error) {
      this.#log.error('snapshot-references-unknown', { snapshotId, collectionId, reason: messageOf(error) });
    }
  }
}

function addTo<Id>(index: Map<Id, Set<SnapshotId>>, id: Id, snapshotId: SnapshotId): void {
  const present = index.get(id);
  if (present === undefined) index.set(id, new Set([snapshotId]));
  else present.add(snapshotId);
}

function removeFrom<Id>(index: Map<Id, Set<SnapshotId>>, id: Id, snapshotId: SnapshotId): void {
  const present = index.get(id);
  present?.delete(snapshotId);
  if (present?.size === 0) index.delete(id);
}
