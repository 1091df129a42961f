/** Changes of what describes collections, databases, fields and indexes. Each is one commit on the record it changes. */
import { type Catalog, put } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId } from '../../model/ids.ts';
import type { CollectionRecord } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import type { TimeSource } from '../allocator.ts';
import type { Alterations, CollectionInfo, CollectionName } from '../api.ts';
import { collections, databases, indexes } from '../tables.ts';
import { requireDatabase } from './names.ts';
import {
  alteredCollection,
  alteredField,
  alteredIndex,
  changed,
  checkChange,
  checkDatabaseProperties,
  type PropertyChange,
  turnsDynamicOn,
} from './properties.ts';
import { withDynamicField, withField } from './schema.ts';

export interface AlterRoomParts {
  readonly catalog: Catalog;
  readonly time: TimeSource;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
  /** Resolves when readers of a loaded collection use what the catalog holds now, or could not take it. */
  readonly offer: (collectionId: CollectionId) => Promise<void>;
}

export class AlterRoom implements Omit<Alterations, 'truncateCollection'> {
  readonly #parts: AlterRoomParts;

  constructor(parts: AlterRoomParts) {
    this.#parts = parts;
  }

  alterCollection(at: CollectionName, change: PropertyChange): Promise<void> {
    return this.#replace(at, (was) => {
      const is = alteredCollection(was, change);
      return turnsDynamicOn(was, change) ? { ...is, schema: withDynamicField(is.schema) } : is;
    });
  }

  alterField(at: CollectionName, fieldName: string, change: PropertyChange): Promise<void> {
    return this.#replace(at, (was) => alteredField(was, fieldName, change));
  }

  addField(at: CollectionName, field: FieldSchema): Promise<void> {
    return this.#replace(at, (was) => ({ ...was, schema: withField(was.schema, field) }));
  }

  async alterDatabase(name: string, change: PropertyChange): Promise<void> {
    checkChange(change);
    checkDatabaseProperties(change.set);
    const { catalog } = this.#parts;
    for (;;) {
      const was = requireDatabase(catalog, name);
      const is = { ...was, properties: changed(was.properties, change) };
      if ((await catalog.commit([put(databases, is, was)])) === 'committed') return;
    }
  }

  async alterIndex(at: CollectionName, indexName: string, change: PropertyChange): Promise<void> {
    const { catalog, requireReady } = this.#parts;
    for (;;) {
      const { collection } = requireReady(at);
      const was = catalog
        .find(indexes, 'collection', collection.collectionId)
        .find(({ name }) => name === indexName);
      if (was === undefined)
        throw new DbError(
          'index-not-found',
          `index not found[collection=${collection.name}][index=${indexName}]`,
        );
      const is = alteredIndex(was, collection, change);
      // With the collection, so that it is not loaded meanwhile.
      const changes = [put(indexes, is, was), put(collections, { ...collection }, collection)];
      if ((await catalog.commit(changes)) === 'committed') return;
    }
  }

  async #replace(at: CollectionName, alter: (was: CollectionRecord) => CollectionRecord): Promise<void> {
    const { catalog, time, requireReady, offer } = this.#parts;
    for (;;) {
      const was = requireReady(at).collection;
      const is = { ...alter(was), updatedTs: time.next() };
      if ((await catalog.commit([put(collections, is, was)])) === 'stale') continue;
      return offer(is.collectionId);
    }
  }
}
