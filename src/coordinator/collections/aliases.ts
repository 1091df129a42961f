/**
 * Other names of collections. An alias is of a collection, whatever that is called; in its database no collection has its name. Every
 * commit that takes or moves an alias also replaces the database's record, so that no collection takes the name, and the collection's,
 * so that nobody drops it meanwhile.
 */
import { type Catalog, type Change, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId } from '../../model/ids.ts';
import type { AliasRecord, DatabaseRecord } from '../../model/records.ts';
import type { TimeSource } from '../allocator.ts';
import type { Aliases, CollectionInfo, CollectionName } from '../api.ts';
import { aliases, collections } from '../tables.ts';
import {
  aliasesOf,
  checkCollectionName,
  claimNames,
  claimNamesIn,
  findAlias,
  findCollection,
  requireCollection,
  requireDatabase,
} from './names.ts';

/** What an in-place restore moves from one collection to another in one commit. */
export const MAX_MOVED_ALIASES = 100;

export interface AliasRoomParts {
  readonly catalog: Catalog;
  readonly time: TimeSource;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
  readonly limits: { readonly maxAliasesPerCollection: number };
}

/** The aliases of one collection become another's. */
export const movedAliases = (catalog: Catalog, from: CollectionId, to: CollectionId): readonly Change[] =>
  aliasesOf(catalog, from).map((was) => put(aliases, { ...was, collectionId: to }, was));

export class AliasRoom implements Aliases {
  readonly #parts: AliasRoomParts;
  readonly #catalog: Catalog;

  constructor(parts: AliasRoomParts) {
    this.#parts = parts;
    this.#catalog = parts.catalog;
  }

  async createAlias(at: CollectionName, name: string): Promise<void> {
    checkCollectionName(name);
    for (;;) {
      const { collection, database } = this.#target(at);
      if (findCollection(this.#catalog, database, name) !== undefined)
        throw new DbError(
          'alias-conflict',
          `collection and alias name conflict[database=${database.name}][alias=${name}]`,
        );
      const present = findAlias(this.#catalog, database, name);
      if (present?.collectionId === collection.collectionId) return;
      if (present !== undefined)
        throw new DbError(
          'alias-duplicate',
          `${name} is alias to another collection: alias already exist[database=${database.name}][alias=${name}]`,
        );
      this.#requireRoom(collection.collectionId);
      const { collectionId, databaseId } = collection;
      const record: AliasRecord = { databaseId, name, collectionId, createdTs: this.#parts.time.next() };
      const changes = [claimNames(database), claimNamesIn(collection), put(aliases, record, undefined)];
      if ((await this.#catalog.commit(changes)) === 'committed') return;
    }
  }

  async alterAlias(at: CollectionName, name: string): Promise<void> {
    for (;;) {
      const { collection, database } = this.#target(at);
      const was = this.#require(database, name);
      const { collectionId } = collection;
      if (was.collectionId === collectionId) return;
      this.#requireRoom(collectionId);
      const changes = [
        claimNames(database),
        claimNamesIn(collection),
        put(aliases, { ...was, collectionId }, was),
      ];
      if ((await this.#catalog.commit(changes)) === 'committed') return;
    }
  }

  async dropAlias(databaseName: string, name: string): Promise<void> {
    for (;;) {
      const database = requireDatabase(this.#catalog, databaseName);
      const was = findAlias(this.#catalog, database, name);
      if (was === undefined) return;
      const changes = [claimNames(database), remove(aliases, was)];
      if ((await this.#catalog.commit(changes)) === 'committed') return;
    }
  }

  describeAlias(databaseName: string, name: string): ReturnType<Aliases['describeAlias']> {
    const database = requireDatabase(this.#catalog, databaseName);
    const { collectionId } = this.#require(database, name);
    const collectionName = this.#catalog.get(collections, collectionId)?.name ?? '';
    return { databaseName: database.name, collectionName };
  }

  listAliases(databaseName: string, collection: string): readonly string[] {
    const { databaseId } = requireDatabase(this.#catalog, databaseName);
    const found =
      collection === ''
        ? this.#catalog.find(aliases, 'database', databaseId)
        : aliasesOf(
            this.#catalog,
            requireCollection(this.#catalog, { database: databaseName, name: collection }).collectionId,
          );
    return found.map(({ name }) => name).toSorted();
  }

  #target(at: CollectionName) {
    const { collection } = this.#parts.requireReady(at);
    return { collection, database: requireDatabase(this.#catalog, at.database) };
  }

  #require(database: DatabaseRecord, name: string): AliasRecord {
    const found = findAlias(this.#catalog, database, name);
    if (found === undefined)
      throw new DbError('alias-not-found', `alias not found[database=${database.name}][alias=${name}]`);
    return found;
  }

  #requireRoom(collectionId: CollectionId): void {
    const { maxAliasesPerCollection } = this.#parts.limits;
    if (aliasesOf(this.#catalog, collectionId).length >= maxAliasesPerCollection)
      throw new DbError('resource-exhausted', `a collection has at most ${maxAliasesPerCollection} aliases`);
  }
}
