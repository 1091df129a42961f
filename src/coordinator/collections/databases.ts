/** Database records. `default` exists from the first start on and is never dropped. */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { DatabaseId } from '../../model/ids.ts';
import type { DatabaseRecord, Properties } from '../../model/records.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { Databases } from '../api.ts';
import { collections, databases } from '../tables.ts';
import { MAX_MOVED_ALIASES } from './aliases.ts';
import { claimNames, DEFAULT_DATABASE, DEFAULT_DATABASE_ID, requireDatabase } from './names.ts';

import { checkDatabaseProperties } from './properties.ts';

/** Bounds of the control plane's own tables. */
export interface CatalogLimits {
  readonly maxDatabases: number;
  readonly maxCollectionsPerDatabase: number;
  readonly maxPartitionsPerCollection: number;
  /** An in-place restore moves them in the commit that swaps the names: they have to fit it. */
  readonly maxAliasesPerCollection: number;
}

export const defaultCatalogLimits: CatalogLimits = {
  maxDatabases: 64,
  maxCollectionsPerDatabase: 65_536,
  maxPartitionsPerCollection: 1024,
  maxAliasesPerCollection: MAX_MOVED_ALIASES,
};

export class DatabaseRoom implements Databases {
  readonly #catalog: Catalog;
  readonly #ids: IdSource;
  readonly #time: TimeSource;
  readonly #limits: CatalogLimits;

  constructor(catalog: Catalog, ids: IdSource, time: TimeSource, limits: CatalogLimits) {
    this.#catalog = catalog;
    this.#ids = ids;
    this.#time = time;
    this.#limits = limits;
  }

  /** Creates `default` at the first start. */
  async recover(): Promise<void> {
    if (this.#catalog.get(databases, DEFAULT_DATABASE_ID) !== undefined) return;
    const record = this.#record(DEFAULT_DATABASE_ID, DEFAULT_DATABASE, {});
    await this.#catalog.commitSure([put(databases, record, undefined)]);
  }

  async createDatabase(name: string, properties: Properties): Promise<void> {
    if (name === '') throw new DbError('parameter-invalid', 'database name should not be empty');
    checkDatabaseProperties(properties);
    for (;;) {
      const databaseId = await this.#ids.next<DatabaseId>();
      if (this.#catalog.find(databases, 'name', name).length > 0)
        throw new DbError('parameter-invalid', `database already exist: ${name}`);
      if (this.#catalog.count(databases) >= this.#limits.maxDatabases)
        throw new DbError(
          'resource-exhausted',
          `database number exceeds the limit of ${this.#limits.maxDatabases}`,
        );
      const anchor = requireDatabase(this.#catalog, DEFAULT_DATABASE);
      const created = put(databases, this.#record(databaseId, name, properties), undefined);
      // Database names have no owner of their own: whoever takes one replaces the record of `default`.
      if ((await this.#catalog.commit([created, claimNames(anchor)])) === 'committed') return;
    }
  }

  /** Dropping an unknown database is no error, as in Milvus. */
  async dropDatabase(name: string): Promise<void> {
    if (name === '' || name === DEFAULT_DATABASE)
      throw new DbError('parameter-invalid', `can not drop ${DEFAULT_DATABASE} database`);
    for (;;) {
      const found = this.#catalog.find(databases, 'name', name)[0];
      if (found === undefined) return;
      if (this.#catalog.find(collections, 'database', found.databaseId).length > 0)
        throw new DbError(
          'database-not-empty',
          `database:${name} not empty, must drop all collections before drop database`,
        );
      if ((await this.#catalog.commit([remove(databases, found)])) === 'committed') return;
    }
  }

  listDatabases(): readonly DatabaseRecord[] {
    return [...this.#catalog.all(databases)];
  }

  describeDatabase(name: string): DatabaseRecord {
    return requireDatabase(this.#catalog, name);
  }

  #record(databaseId: DatabaseId, name: string, properties: Properties): DatabaseRecord {
    return { databaseId, name, properties, createdTs: this.#time.next() };
  }
}
