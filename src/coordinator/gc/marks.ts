/** What the collector knows of the living, asked from the catalog, the reference index and the rooms at work: nothing is copied. */
import type { Catalog } from '../../catalog/catalog.ts';
import type { BuildId, CollectionId, JobId, SegmentId, SnapshotId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { isOpen, isToClear } from '../copy-segment/job.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import type { IndexBuilds } from '../rooms.ts';
import type { SnapshotReferences } from '../snapshot/meta.ts';
import { type SnapshotRecord, snapshots } from '../snapshot/record.ts';
import type { SnapshotRemoval } from '../snapshot/removal.ts';
import { collections, segments } from '../tables.ts';
import type { MarkedSnapshot, Marks } from './verdict.ts';

export interface MarkParts {
  readonly catalog: Catalog;
  readonly references: SnapshotReferences;
  readonly removal: SnapshotRemoval;
  readonly meta: CopyMeta;
  readonly builds: IndexBuilds;
}

export class CatalogMarks implements Marks {
  readonly #parts: MarkParts;
  readonly #catalog: Catalog;
  readonly #foresees: boolean;
  /** A dry run names snapshots; objects of one segment come one after another. */
  #named: { readonly segmentId: SegmentId; readonly names: readonly string[] } | undefined;

  /** `foresees`: as things will be when a pass has begun, which drops snapshots that have outlived their collection. */
  constructor(parts: MarkParts, { foresees }: { readonly foresees: boolean }) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
    this.#foresees = foresees;
  }

  segment(segmentId: SegmentId): SegmentRecord | undefined {
    return this.#catalog.get(segments, segmentId);
  }

  hasCollection(collectionId: CollectionId): boolean {
    return this.#catalog.get(collections, collectionId) !== undefined;
  }

  snapshot(snapshotId: SnapshotId): MarkedSnapshot | undefined {
    const record = this.#catalog.get(snapshots, snapshotId);
    return record && { ...record, state: this.#stateOf(record) };
  }

  areReferencesKnown(collectionId: CollectionId): boolean {
    return (
      this.#parts.references.isLoaded(collectionId) || (this.#foresees && !this.#hasLasting(collectionId))
    );
  }

  snapshotsOf(collectionId: CollectionId, segmentId: SegmentId): readonly string[] {
    if (this.#parts.references.countOf(segmentId) === 0) return [];
    if (!this.#foresees) return ['a snapshot'];
    if (this.#named?.segmentId !== segmentId)
      this.#named = { segmentId, names: this.#namesOf(collectionId, segmentId) };
    return this.#named.names;
  }

  isBuildNeeded(buildId: BuildId): boolean {
    return this.#parts.references.buildCountOf(buildId) > 0;
  }

  isBuilding(segmentId: SegmentId): boolean {
    return this.#parts.builds.isBuilding(segmentId);
  }

  restoreOf(collectionId: CollectionId): JobId | undefined {
    return this.#parts.meta.jobsOf(collectionId).find((job) => isOpen(job) || isToClear(job))?.jobId;
  }

  #stateOf(record: SnapshotRecord): MarkedSnapshot['state'] {
    if (record.state === 'pending')
      return this.#parts.removal.isCreating(record.snapshotId) ? 'creating' : 'abandoned';
    return this.#isDoomed(record) ? 'deleting' : record.state;
  }

  #isDoomed(record: SnapshotRecord): boolean {
    return this.#foresees && this.#parts.removal.hasOutlived(record);
  }

  #namesOf(collectionId: CollectionId, segmentId: SegmentId): readonly string[] {
    return this.#parts.references
      .snapshotsOf(collectionId, segmentId)
      .map((snapshotId) => this.#catalog.get(snapshots, snapshotId))
      .filter((record) => record !== undefined && !this.#isDoomed(record))
      .map((record) => `snapshot '${record?.name}'`);
  }

  /** Whether a snapshot of the collection stays, or will be there. */
  #hasLasting(collectionId: CollectionId): boolean {
    return this.#catalog.find(snapshots, 'collection', collectionId).some((record) => {
      const state = this.#stateOf(record);
      return state === 'committed' || state === 'creating';
    });
  }
}
