/**
 * What a snapshot is and what it costs. The list comes from the catalog alone, so that no damaged snapshot hides another; the content is
 * read manifest by manifest, and only sums are kept.
 */
import { setImmediate } from 'node:timers/promises';
import type { Catalog } from '../../catalog/catalog.ts';
import { messageOf } from '../../errors/db-error.ts';
import { physicalMs } from '../../model/hybrid-time.ts';
import type { SnapshotId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import type { Random } from '../../support/random.ts';
import type { SnapshotAt, SnapshotContent, SnapshotReport } from '../admin-api.ts';
import type { ReferenceCounts } from '../rooms.ts';
import { collections, databases } from '../tables.ts';
import { ContentTally } from './content.ts';
import type { KnownDamage } from './damage.ts';
import type { SnapshotLookup } from './lookup.ts';
import { DistinctObjects } from './objects.ts';
import { pinInfo } from './pin-infos.ts';
import type { Pins } from './pins.ts';
import { readManifest, readMetadata } from './reader.ts';
import { type SnapshotRecord, snapshots } from './record.ts';
import { isDamage, withTries } from './tries.ts';

export interface SnapshotReportsParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly pins: Pins;
  readonly lookup: SnapshotLookup;
  readonly damage: KnownDamage;
  readonly references: ReferenceCounts & {
    /** Why the snapshot's metadata could not be read when its references were wanted. */
    damageOf(snapshotId: SnapshotId): string | undefined;
  };
}

export class SnapshotReports {
  readonly #parts: SnapshotReportsParts;

  constructor(parts: SnapshotReportsParts) {
    this.#parts = parts;
  }

  /** By database and collection, both may be empty: all; oldest first. */
  list(database: string, collection: string): readonly SnapshotReport[] {
    return this.#parts.catalog
      .find(snapshots, 'state', 'committed')
      .toSorted((a, b) => (a.createTs < b.createTs ? -1 : a.createTs > b.createTs ? 1 : 0))
      .map((record) => this.ofRecord(record))
      .filter((report) => database === '' || report.databaseName === database)
      .filter((report) => collection === '' || report.collectionName === collection);
  }

  /** `content` is absent when metadata or a manifest cannot be read; `damage` says why. */
  async report(at: SnapshotAt): Promise<SnapshotReport & { readonly content?: SnapshotContent }> {
    const { damage, lookup } = this.#parts;
    const record = lookup.require(at);
    try {
      const content = await this.#read(record);
      damage.note(record.snapshotId, 'description', undefined);
      return { ...this.ofRecord(lookup.requireStill(record)), content };
    } catch (error) {
      // Nothing holds it: when it was dropped meanwhile, that is what the caller hears.
      const still = lookup.requireStill(record);
      const reason = messageOf(error);
      if (isDamage(error)) damage.note(record.snapshotId, 'description', reason);
      return { ...this.ofRecord(still), damage: reason };
    }
  }

  /** From the catalog alone. */
  ofRecord(record: SnapshotRecord): SnapshotReport {
    const { catalog, damage, references, pins } = this.#parts;
    const { snapshotId, createTs } = record;
    const found = damage.of(snapshotId) ?? references.damageOf(snapshotId);
    return {
      ...this.#namesOf(record),
      snapshotId,
      name: record.name,
      description: record.description,
      collectionId: record.collectionId,
      createTs,
      createdAtMs: physicalMs(createTs),
      location: record.metadataKey,
      rowCount: record.rowCount,
      segmentCount: record.segmentCount,
      sizeBytes: totalSizeOf(record),
      protectedUntilMs: record.compactionProtectedUntilMs,
      pins: pins.active(snapshotId).map((pin) => pinInfo(catalog, pin)),
      ...(found === undefined ? {} : { damage: found }),
    };
  }

  #namesOf({ collectionId, databaseName, collectionName }: SnapshotRecord) {
    const { catalog } = this.#parts;
    const now = catalog.get(collections, collectionId);
    if (now === undefined) return { databaseName, collectionName };
    return {
      databaseName: catalog.get(databases, now.databaseId)?.name ?? databaseName,
      collectionName: now.name,
    };
  }

  async #read(record: SnapshotRecord): Promise<SnapshotContent> {
    const { store, catalog, references } = this.#parts;
    const { signal } = new AbortController();
    const metadata = await withTries(() => readMetadata(store, record), this.#parts, signal);
    for (let shared: ReadonlySet<string> = new Set(); ; ) {
      const distinct = new DistinctObjects(record.collectionId, shared);
      const tally = new ContentTally(record, metadata, catalog, references, distinct);
      for (const n of metadata.manifests.keys()) {
        const listed = await withTries(() => readManifest(store, metadata, n), this.#parts, signal);
        await setImmediate();
        for (const segment of listed) tally.add(segment);
      }
      if (!distinct.isWrong) return tally.content();
      shared = distinct.elsewhere;
    }
  }
}

/** Of every object of the snapshot. */
export const totalSizeOf = (record: SnapshotRecord): number =>
  record.sizeBytes + record.manifestSizeBytes + record.metadataSizeBytes;
