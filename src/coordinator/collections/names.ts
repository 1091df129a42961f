/**
 * Names to records, and the guards that keep names unique. Every commit that takes or frees a name in a database also replaces
 * that database's record, and one that takes a name in a collection replaces the collection's: of two racing commits one is stale.
 */
import { type Catalog, type Change, put } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, DatabaseId, JobId } from '../../model/ids.ts';
import type { AliasRecord, CollectionRecord, DatabaseRecord, PartitionRecord } from '../../model/records.ts';
import type { CollectionName } from '../api.ts';
import { aliases, aliasId, collections, databases, partitions } from '../tables.ts';

export const DEFAULT_DATABASE = 'default';
export const DEFAULT_DATABASE_ID = 1n as DatabaseId;
export const DEFAULT_PARTITION = '_default';

/** Add to a commit that creates or renames something in the database: it must still exist, and no other such commit may have passed. */
export const claimNames = (database: DatabaseRecord): Change => put(databases, { ...database }, database);

/** Add to a commit that creates a partition or an index: as `claimNames`, inside a collection. */
export const claimNamesIn = (collection: CollectionRecord): Change =>
  put(collections, { ...collection }, collection);

/** Both, as the contract words them: some clients look for the one, some for the other. */
const absent = (database: string, name: string | CollectionId): DbError =>
  new DbError(
    'collection-not-found',
    `can't find collection: collection not found[database=${database}][collection=${name}]`,
  );

export const collectionGone = (collectionId: CollectionId): DbError => absent('', collectionId);

export function requireDatabase(catalog: Catalog, name: string): DatabaseRecord {
  const found = catalog.find(databases, 'name', name === '' ? DEFAULT_DATABASE : name)[0];
  if (found === undefined) throw new DbError('database-not-found', `database not found[database=${name}]`);
  return found;
}

interface CollectionLimit {
  readonly maxCollectionsPerDatabase: number;
}

/** Throws `resource-exhausted` when the database has as many collections as it may: by its own bound, when it has one. */
export function requireRoom(
  catalog: Catalog,
  { databaseId, properties }: DatabaseRecord,
  { maxCollectionsPerDatabase }: CollectionLimit,
): void {
  const own = Number(properties['database.max.collections'] ?? -1);
  const limit = own < 0 ? maxCollectionsPerDatabase : Math.min(own, maxCollectionsPerDatabase);
  if (catalog.find(collections, 'database', databaseId).length >= limit)
    throw new DbError('resource-exhausted', `exceeded the limit number of collections[limit=${limit}]`);
}

export const findAlias = (
  catalog: Catalog,
  { databaseId }: DatabaseRecord,
  name: string,
): AliasRecord | undefined => catalog.get(aliases, aliasId(databaseId, name));

/** In order. */
export const aliasesOf = (catalog: Catalog, collectionId: CollectionId): readonly AliasRecord[] =>
  catalog
    .find(aliases, 'collection', collectionId)
    .toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));

/** By its own name alone. */
export const findCollection = (
  catalog: Catalog,
  database: DatabaseRecord,
  name: string,
): CollectionRecord | undefined => catalog.find(collections, 'name', `${database.databaseId}/${name}`)[0];

/** By its own name or by an alias. */
export function resolveCollection(
  catalog: Catalog,
  database: DatabaseRecord,
  name: string,
): CollectionRecord | undefined {
  const found = findCollection(catalog, database, name);
  if (found !== undefined) return found;
  const alias = findAlias(catalog, database, name);
  return alias === undefined ? undefined : catalog.get(collections, alias.collectionId);
}

/** By its own name or by an alias. Throws `database-not-found` or `collection-not-found`. */
export function requireCollection(catalog: Catalog, at: CollectionName): CollectionRecord {
  const database = requireDatabase(catalog, at.database);
  const found = resolveCollection(catalog, database, at.name);
  if (found === undefined) throw absent(database.name, at.name);
  return found;
}

export function requireCollectionById(catalog: Catalog, collectionId: CollectionId): CollectionRecord {
  const found = catalog.get(collections, collectionId);
  if (found === undefined) throw collectionGone(collectionId);
  return found;
}

export const findPartition = (
  catalog: Catalog,
  collectionId: CollectionId,
  name: string,
): PartitionRecord | undefined =>
  catalog.find(partitions, 'collection', collectionId).find((partition) => partition.name === name);

const MAX_NAME_LENGTH = 255;

/** Throws `parameter-invalid` for a name no collection may have. */
export function checkCollectionName(name: string): void {
  const wrong = (why: string) => new DbError('parameter-invalid', `Invalid collection name: ${name}. ${why}`);
  if (name === '') throw new DbError('parameter-invalid', 'collection name should not be empty');
  if (name.length > MAX_NAME_LENGTH)
    throw wrong(`the length of a collection name must be less than ${MAX_NAME_LENGTH} characters`);
  if (!/^[A-Za-z_]/.test(name))
    throw wrong('the first character of a collection name must be an underscore or letter');
  if (!/^[A-Za-z0-9_$]+$/.test(name))
    throw wrong('collection name can only contain numbers, letters, dollars and underscores');
}

/** No name that a user can give holds it. */
const ASIDE_MARK = '#';

/** Of a collection that a job makes for itself: nobody's name, and not listed. */
export const asideName = (name: string, jobId: JobId): string => `${name}${ASIDE_MARK}${jobId}`;

export const isAside = (name: string): boolean => name.includes(ASIDE_MARK);

/** What the old collection is called after an in-place restore: the first of these names that is free. */
export function keptName(name: string, jobId: JobId, isTaken: (name: string) => boolean): string {
  for (let n = 1; ; n++) {
    const end = n === 1 ? `_before_${jobId}` : `_before_${jobId}_${n}`;
    const kept = `${name.slice(0, MAX_NAME_LENGTH - end.length)}${end}`;
    if (!isTaken(kept)) return kept;
  }
}

/** Names to records for snapshots and restores, which must not reach into this room. */
export class CollectionNames {
  readonly #catalog: Catalog;
  readonly #limits: CollectionLimit;

  constructor(catalog: Catalog, limits: CollectionLimit) {
    this.#catalog = catalog;
    this.#limits = limits;
  }

  requireCollection(at: CollectionName): CollectionRecord {
    return requireCollection(this.#catalog, at);
  }

  requireDatabase(name: string): DatabaseRecord {
    return requireDatabase(this.#catalog, name);
  }

  checkCollectionName(name: string): void {
    checkCollectionName(name);
  }

  requireRoom(database: DatabaseRecord): void {
    requireRoom(this.#catalog, database, this.#limits);
  }
}
