/** Changes of what describes collections, databases, fields and indexes. Each is one commit on the record it changes. */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, FieldId, IndexId } from '../../model/ids.ts';
import type { CollectionRecord, IndexRecord } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { present } from '../../support/assert.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { AddedIndex, Alterations, CollectionInfo, CollectionName } from '../api.ts';
import { checkIndexParams } from '../indexes/params.ts';
import { collections, databases, indexes } from '../tables.ts';
import {
  type AddedFunction,
  type AddedStruct,
  type DroppedPart,
  withFunctionField,
  withoutDynamicField,
  withoutPart,
  withStruct,
} from './change-schema.ts';
import { requireDatabase } from './names.ts';
import {
  alteredCollection,
  alteredField,
  alteredIndex,
  changed,
  checkChange,
  checkDatabaseProperties,
  dynamicTurn,
  type PropertyChange,
} from './properties.ts';
import { withDynamicField, withField } from './schema.ts';

export interface AlterRoomParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
  /** Resolves when readers of a loaded collection use what the catalog holds now, or could not take it. */
  readonly offer: (collectionId: CollectionId) => Promise<void>;
  /** Resolves when every row written so far stands in files. */
  readonly flushAll: (collectionId: CollectionId) => Promise<unknown>;
  /** Ends the builds of these indexes. */
  readonly cancelBuilds: (indexIds: ReadonlySet<IndexId>) => Promise<void>;
}

export class AlterRoom implements Omit<Alterations, 'truncateCollection'> {
  readonly #parts: AlterRoomParts;

  constructor(parts: AlterRoomParts) {
    this.#parts = parts;
  }

  alterCollection(at: CollectionName, change: PropertyChange): Promise<void> {
    return this.#replace(at, (was) => {
      const is = alteredCollection(was, change);
      const turn = dynamicTurn(was, change);
      if (turn === undefined) return is;
      return { ...is, schema: turn === 'on' ? withDynamicField(is.schema) : withoutDynamicField(is.schema) };
    });
  }

  alterField(at: CollectionName, fieldName: string, change: PropertyChange): Promise<void> {
    return this.#replace(at, (was) => alteredField(was, fieldName, change));
  }

  async addField(at: CollectionName, field: FieldSchema, index?: AddedIndex): Promise<void> {
    await this.#grow(at, index, field.name, (schema) => withField(schema, field));
  }

  addStruct(at: CollectionName, struct: AddedStruct): Promise<void> {
    return this.#replace(at, (was) => ({ ...was, schema: withStruct(was.schema, struct) }));
  }

  /** Rows that stand in the log alone get what the function writes when they are in files: then readers have all of it. */
  async addFunctionField(
    at: CollectionName,
    field: FieldSchema,
    added: AddedFunction,
    index: AddedIndex,
  ): Promise<void> {
    const { flushAll, offer } = this.#parts;
    const collectionId = await this.#grow(at, index, field.name, (schema) =>
      withFunctionField(schema, field, added),
    );
    // The change is made. A flush that fails now is tried again, and until it succeeds those rows are not found by the new field.
    await flushAll(collectionId).catch(() => undefined);
    await offer(collectionId);
  }

  async dropPart(at: CollectionName, part: DroppedPart): Promise<void> {
    const { catalog, time, requireReady, offer, cancelBuilds } = this.#parts;
    for (;;) {
      const was = requireReady(at).collection;
      const { schema, gone } = withoutPart(was.schema, part);
      const dropped = this.#indexesOf(was, gone);
      const is = { ...was, schema, updatedTs: time.next() };
      const changes = [put(collections, is, was), ...dropped.map((index) => remove(indexes, index))];
      if ((await catalog.commit(changes)) === 'stale') continue;
      await cancelBuilds(new Set(dropped.map(({ indexId }) => indexId)));
      return offer(is.collectionId);
    }
  }

  #indexesOf({ collectionId }: CollectionRecord, fieldIds: readonly FieldId[]): readonly IndexRecord[] {
    return this.#parts.catalog
      .find(indexes, 'collection', collectionId)
      .filter(({ fieldId }) => fieldIds.includes(fieldId));
  }

  /** A field, with its index in the same commit. */
  async #grow(
    at: CollectionName,
    index: AddedIndex | undefined,
    fieldName: string,
    grown: (schema: CollectionRecord['schema']) => CollectionRecord['schema'],
  ): Promise<CollectionId> {
    const { catalog, ids, time, requireReady, offer } = this.#parts;
    const indexId = await ids.next<IndexId>();
    for (;;) {
      const was = requireReady(at).collection;
      const is = { ...was, schema: grown(was.schema), updatedTs: time.next() };
      const made = index === undefined ? [] : [this.#newIndex(is, fieldName, indexId, index)];
      const changes = [put(collections, is, was), ...made.map((record) => put(indexes, record, undefined))];
      if ((await catalog.commit(changes)) === 'stale') continue;
      await offer(is.collectionId);
      return is.collectionId;
    }
  }

  #newIndex(
    { collectionId, schema }: CollectionRecord,
    fieldName: string,
    indexId: IndexId,
    { name, params }: AddedIndex,
  ): IndexRecord {
    const { catalog, time } = this.#parts;
    const field = present(
      schema.fields.find((each) => each.name === fieldName),
      'the field that is added',
    );
    const own = name === '' ? fieldName : name;
    if (catalog.find(indexes, 'collection', collectionId).some((each) => each.name === own))
      throw new DbError('index-duplicate', `CreateIndex failed: index already exist: ${own}`);
    return {
      indexId,
      collectionId,
      fieldId: field.fieldId,
      name: own,
      params: checkIndexParams(field, params),
      createdTs: time.next(),
    };
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
      const kept = new Set(is.schema.fields.map(({ fieldId }) => fieldId));
      // The dynamic field goes with its indexes.
      const gone = was.schema.fields.filter(({ fieldId }) => !kept.has(fieldId));
      const dropped = this.#indexesOf(
        was,
        gone.map(({ fieldId }) => fieldId),
      );
      const changes = [put(collections, is, was), ...dropped.map((index) => remove(indexes, index))];
      if ((await catalog.commit(changes)) === 'stale') continue;
      return offer(is.collectionId);
    }
  }
}
