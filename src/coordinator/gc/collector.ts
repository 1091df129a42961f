/** Removes what nothing needs any more: dropped segments after their tolerance, snapshots that are deleting or were never committed, partitions and indexes of targets that never came to be. */
import { type Catalog, remove } from '../../catalog/catalog.ts';
import type { CollectionId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { ALL_SEGMENTS_PREFIX, parseIndexKey, segmentPrefix } from '../../storage/keys.ts';
import type { ListedObject, ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import { commitEach } from '../batches.ts';
import type { IndexBuilds } from '../rooms.ts';
import type { SnapshotLimits } from '../snapshot/limits.ts';
import type { SnapshotReferences } from '../snapshot/meta.ts';
import type { SnapshotRemoval } from '../snapshot/removal.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import { type GcPlan, isStrayIndex, planCollection } from './plan.ts';
import type { ObjectRemover } from './remover.ts';

export interface CollectorParts {
  readonly catalog: Catalog;
  readonly references: SnapshotReferences;
  readonly removal: SnapshotRemoval;
  readonly remover: ObjectRemover;
  readonly store: ObjectStore;
  readonly builds: IndexBuilds;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: SnapshotLimits;
}

export class Collector {
  readonly #parts: CollectorParts;
  readonly #catalog: Catalog;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  /** What a pass would do now to segments. */
  plan(): GcPlan {
    const { references, clock, limits } = this.#parts;
    return planCollection({
      dropped: this.#catalog.find(segments, 'state', 'dropped'),
      isSegmentReferenced: (collectionId, segmentId) =>
        references.isSegmentReferenced(collectionId, segmentId),
      isBuildReferenced: ({ collectionId, indexes: built }) =>
        built.some(({ buildId }) => references.isBuildReferenced(collectionId, buildId)),
      nowMs: clock.nowMs(),
      dropToleranceMs: limits.dropToleranceMs,
    });
  }

  /** Ends early, between two segments or objects, when `signal` aborts. */
  async pass(signal?: AbortSignal): Promise<void> {
    const { references, removal, log, limits } = this.#parts;
    await references.load(limits.objectsAtOnce);
    if (references.unknownCollections.size > 0)
      log.error('gc-keeps-unknown', { collectionIds: [...references.unknownCollections] });
    await removal.pass();
    await this.#sweep(this.plan(), signal);
    await this.#sweepIndexes(signal);
  }

  /**
   * Once, at start, before any restore or create runs: partitions and indexes whose collection is not there belong to requests
   * that did not get as far as their deciding commit, or to drops.
   */
  async removeOrphans(): Promise<void> {
    const isOrphan = ({ collectionId }: { readonly collectionId: CollectionId }) =>
      this.#catalog.get(collections, collectionId) === undefined;
    const partitionIds = [...this.#catalog.all(partitions)].filter(isOrphan).map((p) => p.partitionId);
    await commitEach(this.#catalog, partitionIds, (id) => {
      const was = this.#catalog.get(partitions, id);
      return was === undefined ? undefined : remove(partitions, was);
    });
    const indexIds = [...this.#catalog.all(indexes)].filter(isOrphan).map((i) => i.indexId);
    await commitEach(this.#catalog, indexIds, (id) => {
      const was = this.#catalog.get(indexes, id);
      return was === undefined ? undefined : remove(indexes, was);
    });
  }

  /** The record goes last: as long as an object may be there, something names it. */
  async #sweep({ remove: garbage }: GcPlan, signal: AbortSignal | undefined): Promise<void> {
    for (const segment of garbage) {
      if (signal?.aborted) return;
      await this.#removeSegment(segment);
    }
  }

  /** Files of build attempts that came to nothing, and of dropped indexes: only their keys tell of them. */
  async #sweepIndexes(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return;
    for await (const object of this.#parts.store.list(ALL_SEGMENTS_PREFIX)) {
      if (signal?.aborted) return;
      if (this.#isStray(object)) await this.#parts.remover.removeKeys([object.key]);
    }
  }

  /** Asked right before the file goes: a build begun later writes to another key. */
  #isStray({ key, modifiedAtMs }: ListedObject): boolean {
    const { references, builds, clock, limits } = this.#parts;
    const parsed = parseIndexKey(key);
    if (parsed === undefined) return false;
    const { collectionId, segmentId, buildId } = parsed;
    return isStrayIndex({
      segment: this.#catalog.get(segments, segmentId),
      buildId,
      isBuilding: builds.isBuilding(segmentId),
      isBuildReferenced: references.isBuildReferenced(collectionId, buildId),
      modifiedAtMs,
      nowMs: clock.nowMs(),
      dropToleranceMs: limits.dropToleranceMs,
    });
  }

  async #removeSegment(segment: SegmentRecord): Promise<void> {
    // A snapshot may have come since the plan was made; it cannot have captured a dropped segment, but asking is cheap.
    if (this.#parts.references.isSegmentReferenced(segment.collectionId, segment.segmentId)) return;
    await this.#parts.remover.removeBelow(segmentPrefix(segment));
    await this.#catalog.commit([remove(segments, segment)]);
  }
}
