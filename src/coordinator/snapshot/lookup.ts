import type { Catalog } from '../../catalog/catalog.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { SnapshotAt } from '../admin-api.ts';
import type { CollectionLookup } from '../rooms.ts';
import { collections } from '../tables.ts';
import { snapshotNotFound } from './names.ts';
import { type SnapshotRecord, snapshots } from './record.ts';

/** Names to snapshots as they are now, and what is said when one has gone. */
export class SnapshotLookup {
  readonly #catalog: Catalog;
  readonly #resolve: CollectionLookup;

  constructor(catalog: Catalog, resolve: CollectionLookup) {
    this.#catalog = catalog;
    this.#resolve = resolve;
  }

  /**
   * The committed snapshot of that name: of the collection that is called so now, otherwise of the newest one that was called so
   * and is gone. Throws `database-not-found`, `collection-not-found` or `snapshot-not-found`.
   */
  require({ at, name }: SnapshotAt): SnapshotRecord {
    try {
      const { collectionId } = this.#resolve.requireCollection(at);
      const [found] = this.#catalog.find(snapshots, 'name', `${collectionId}/${name}`);
      if (found !== undefined) return found;
      throw snapshotNotFound(name, at.name);
    } catch (error) {
      const isMissing = isDbError(error, 'snapshot-not-found') || isDbError(error, 'collection-not-found');
      const orphan = isMissing ? this.#findOrphan({ at, name }) : undefined;
      if (orphan === undefined) throw error;
      return orphan;
    }
  }

  /** The record as it is now. Throws `snapshot-not-found` once it was dropped. */
  requireStill({ snapshotId, name, collectionName }: SnapshotRecord): SnapshotRecord {
    const now = this.#catalog.get(snapshots, snapshotId);
    if (now?.state !== 'committed') throw snapshotNotFound(name, collectionName);
    return now;
  }

  #findOrphan({ at, name }: SnapshotAt): SnapshotRecord | undefined {
    const database = at.database === '' ? 'default' : at.database;
    return this.#catalog
      .find(snapshots, 'state', 'committed')
      .filter((record) => record.name === name && record.collectionName === at.name)
      .filter((record) => record.databaseName === database)
      .filter(({ collectionId }) => this.#catalog.get(collections, collectionId) === undefined)
      .toSorted((a, b) => (a.createTs < b.createTs ? -1 : 1))
      .at(-1);
  }
}
