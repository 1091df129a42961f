/**
 * Collection and partition records. A create, rename or drop is one commit; `names.ts` says how names stay unique under races.
 * The removal of a record is the commit point of a drop: `drop.ts` does the rest.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Catalog, MAX_CHANGES_PER_COMMIT, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, PartitionId } from '../../model/ids.ts';
import type { CollectionRecord, PartitionRecord } from '../../model/records.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { CollectionInfo, CollectionName, CreateCollection } from '../api.ts';
import { commitEach } from '../batches.ts';
import type { RestoreGate } from '../rooms.ts';
import { collections, databases, partitions } from '../tables.ts';
import type { CatalogLimits } from './databases.ts';
import type { DropCascade } from './drop.ts';
import {
  aliasesOf,
  checkCollectionName,
  claimNames,
  claimNamesIn,
  collectionGone,
  DEFAULT_PARTITION,
  findAlias,
  findCollection,
  findPartition,
  isAside,
  requireCollection,
  requireCollectionById,
  requireDatabase,
  requireRoom,
  resolveCollection,
} from './names.ts';
import { checkCollectionProperties, checkIsolation } from './properties.ts';
import { assignFields, channelsOf, checkShards, firstPartitions, partitionKeyOf } from './schema.ts';

export interface CollectionRoomParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly gate: RestoreGate;
  readonly drops: DropCascade;
  readonly limits: CatalogLimits;
}

interface NewCollection {
  readonly collectionId: CollectionId;
  readonly schema: CollectionRecord['schema'];
  /** Partitions that are made with it. */
  readonly first: readonly PartitionRecord[];
  /** Of all its partitions. */
  readonly names: readonly string[];
}

/** Made in the commit of their collection, beside it and its database. */
const PARTITIONS_PER_COMMIT = MAX_CHANGES_PER_COMMIT - 2;

function refuseKeyed({ schema }: CollectionRecord, what: 'create' | 'drop'): void {
  if (partitionKeyOf(schema) === undefined) return;
  throw new DbError('partition-key-mode', `disable ${what} partition if partition key mode is used`);
}

/** As if it had just been created. */
function withoutHistory(schema: CollectionRecord['schema'], version: number): CollectionRecord['schema'] {
  const { maxFieldId: _, ...others } = schema;
  return { ...others, version };
}

const byId = (a: PartitionRecord, b: PartitionRecord): number => (a.partitionId < b.partitionId ? -1 : 1);

export class CollectionRoom {
  readonly #catalog: Catalog;
  readonly #ids: IdSource;
  readonly #time: TimeSource;
  readonly #gate: RestoreGate;
  readonly #drops: DropCascade;
  readonly #limits: CatalogLimits;

  constructor(parts: CollectionRoomParts) {
    this.#catalog = parts.catalog;
    this.#ids = parts.ids;
    this.#time = parts.time;
    this.#gate = parts.gate;
    this.#drops = parts.drops;
    this.#limits = parts.limits;
  }

  /** Creating what already exists with the same schema and settings is success, as in Milvus; with others `collection-duplicate`. */
  async createCollection(request: CreateCollection): Promise<CollectionRecord> {
    checkCollectionName(request.name);
    checkShards(request.shardsNum);
    checkCollectionProperties(request.properties);
    const schema = assignFields(request.schema);
    const names = firstPartitions(
      schema,
      request.numPartitions ?? 0,
      this.#limits.maxPartitionsPerCollection,
    );
    checkIsolation(schema, request.properties);
    const collectionId = await this.#ids.next<CollectionId>();
    const firstId = await this.#ids.range<PartitionId>(names.length);
    const createdTs = this.#time.next();
    const made = names.map(
      (name, i): PartitionRecord => ({
        partitionId: (firstId + BigInt(i)) as PartitionId,
        collectionId,
        name,
        createdTs,
      }),
    );
    const ahead = made.slice(PARTITIONS_PER_COMMIT);
    try {
      // Nobody's, as long as their collection is not there: after a crash the next start removes them.
      await commitEach(this.#catalog, ahead, (record) => put(partitions, record, undefined));
      const first = made.slice(0, PARTITIONS_PER_COMMIT);
      const record = await this.#create(request, { collectionId, schema, first, names });
      if (record.collectionId !== collectionId) await this.#takeBack(ahead);
      return record;
    } catch (error) {
      await this.#takeBack(ahead);
      throw error;
    }
  }

  async #takeBack(ahead: readonly PartitionRecord[]): Promise<void> {
    await commitEach(this.#catalog, ahead, ({ partitionId }) => {
      const was = this.#catalog.get(partitions, partitionId);
      return was === undefined ? undefined : remove(partitions, was);
    });
  }

  async #create(
    request: CreateCollection,
    { collectionId, schema, first, names }: NewCollection,
  ): Promise<CollectionRecord> {
    for (;;) {
      const database = requireDatabase(this.#catalog, request.database);
      const existing = findCollection(this.#catalog, database, request.name);
      if (existing !== undefined) return this.#same(existing, request, schema, names);
      if (findAlias(this.#catalog, database, request.name) !== undefined)
        throw new DbError(
          'collection-duplicate',
          `collection name [${request.name}] conflicts with an existing alias, please choose a unique name`,
        );
      requireRoom(this.#catalog, database, this.#limits);
      const createdTs = this.#time.next();
      const record: CollectionRecord = {
        collectionId,
        databaseId: database.databaseId,
        name: request.name,
        schema,
        shardsNum: request.shardsNum,
        channels: channelsOf(collectionId, request.shardsNum),
        consistencyLevel: request.consistencyLevel,
        properties: request.properties,
        createdTs,
        load: 'none',
      };
      const outcome = await this.#catalog.commit([
        claimNames(database),
        put(collections, record, undefined),
        ...first.map((partition) => put(partitions, partition, undefined)),
      ]);
      if (outcome === 'committed') return record;
    }
  }

  /** Dropping an unknown collection is no error, as in Milvus. Resolves when nothing answers for it any more. */
  async dropCollection(at: CollectionName): Promise<void> {
    for (;;) {
      const database = requireDatabase(this.#catalog, at.database);
      const found = findCollection(this.#catalog, database, at.name);
      if (found === undefined) {
        if (findAlias(this.#catalog, database, at.name) === undefined) return;
        throw new DbError('parameter-invalid', `cannot drop the collection via alias = ${at.name}`);
      }
      this.#refuseAliased(found);
      if ((await this.#catalog.commit([remove(collections, found)])) === 'stale') continue;
      return this.#drops.finishCollection(found.collectionId);
    }
  }

  describeCollection(at: CollectionName): CollectionInfo {
    return this.#info(requireCollection(this.#catalog, at));
  }

  describeCollectionById(collectionId: CollectionId): CollectionInfo {
    return this.#info(requireCollectionById(this.#catalog, collectionId));
  }

  requireReady(at: CollectionName): CollectionInfo {
    const collection = requireCollection(this.#catalog, at);
    this.#refuseRestoring(collection);
    return this.#info(collection);
  }

  listCollections(database: string): readonly CollectionInfo[] {
    const { databaseId } = requireDatabase(this.#catalog, database);
    return this.#catalog
      .find(collections, 'database', databaseId)
      .filter(({ name }) => !isAside(name))
      .map((record) => this.#info(record));
  }

  /** An empty `newDatabase` means that the collection stays where it is. */
  async renameCollection(at: CollectionName, newName: string, newDatabase: string): Promise<void> {
    checkCollectionName(newName);
    for (;;) {
      const { collection: was, aliases = [] } = this.requireReady(at);
      if (was.name !== at.name)
        throw new DbError(
          'parameter-invalid',
          `unsupported use an alias to rename collection, alias:${at.name}`,
        );
      const target = requireDatabase(this.#catalog, newDatabase === '' ? at.database : newDatabase);
      if (target.databaseId !== was.databaseId && aliases.length > 0)
        throw new DbError(
          'parameter-invalid',
          `fail to rename db name, must drop all aliases of this collection before rename: ${aliases.join(', ')}`,
        );
      if (resolveCollection(this.#catalog, target, newName) !== undefined)
        throw new DbError(
          'collection-duplicate',
          `duplicated new collection name ${target.name}:${newName} with other collection name or alias`,
        );
      if (target.databaseId !== was.databaseId) requireRoom(this.#catalog, target, this.#limits);
      const is = { ...was, name: newName, databaseId: target.databaseId };
      const outcome = await this.#catalog.commit([claimNames(target), put(collections, is, was)]);
      if (outcome === 'committed') return;
    }
  }

  /** Creating a partition that exists is success, as in Milvus. */
  async createPartition(at: CollectionName, name: string): Promise<void> {
    if (name === '') throw new DbError('parameter-invalid', 'partition name should not be empty');
    const partitionId = await this.#ids.next<PartitionId>();
    for (;;) {
      const { collection, partitions: present } = this.requireReady(at);
      refuseKeyed(collection, 'create');
      if (present.some((partition) => partition.name === name)) return;
      if (present.length >= this.#limits.maxPartitionsPerCollection)
        throw new DbError(
          'resource-exhausted',
          `partition number (${present.length}) exceeds max configuration (${this.#limits.maxPartitionsPerCollection})`,
        );
      const { collectionId } = collection;
      const record = { partitionId, collectionId, name, createdTs: this.#time.next() };
      const outcome = await this.#catalog.commit([
        claimNamesIn(collection),
        put(partitions, record, undefined),
      ]);
      if (outcome === 'committed') return;
    }
  }

  /** Dropping an unknown partition is no error, as in Milvus; dropping `_default` is. */
  async dropPartition(at: CollectionName, name: string): Promise<void> {
    if (name === DEFAULT_PARTITION)
      throw new DbError('parameter-invalid', 'default partition cannot be deleted');
    for (;;) {
      const { collection } = this.requireReady(at);
      refuseKeyed(collection, 'drop');
      const found = findPartition(this.#catalog, collection.collectionId, name);
      if (found === undefined) return;
      const outcome = await this.#catalog.commit([claimNamesIn(collection), remove(partitions, found)]);
      if (outcome === 'stale') continue;
      return this.#drops.finishPartition(collection.collectionId, found.partitionId);
    }
  }

  #same(
    existing: CollectionRecord,
    request: CreateCollection,
    schema: CollectionRecord['schema'],
    names: readonly string[],
  ): CollectionRecord {
    this.#refuseRestoring(existing);
    const { shardsNum, consistencyLevel, properties } = request;
    const isKeyed = partitionKeyOf(schema) !== undefined;
    const count = isKeyed ? names.length : 0;
    const asked = { schema, shardsNum, consistencyLevel, properties, count };
    const present = {
      schema: withoutHistory(existing.schema, schema.version),
      shardsNum: existing.shardsNum,
      consistencyLevel: existing.consistencyLevel,
      properties: existing.properties,
      count: isKeyed ? this.#catalog.countOf(partitions, 'collection', existing.collectionId) : 0,
    };
    // Clones: what was read from the catalog after a restart has other prototypes.
    if (isDeepStrictEqual(structuredClone(asked), structuredClone(present))) return existing;
    throw new DbError(
      'collection-duplicate',
      `create duplicate collection with different parameters, collection: ${request.name}`,
    );
  }

  /** An alias never points at nothing: an alias that is made now replaces the collection's record. */
  #refuseAliased({ collectionId, name }: CollectionRecord): void {
    const names = aliasesOf(this.#catalog, collectionId).map((alias) => alias.name);
    if (names.length === 0) return;
    throw new DbError(
      'parameter-invalid',
      `unable to drop the collection [${name}] because it has associated aliases [${names.join(' ')}], please remove all aliases before dropping the collection`,
    );
  }

  #refuseRestoring({ name, restoreJobId }: CollectionRecord): void {
    if (restoreJobId === undefined || this.#gate.isCompleted(restoreJobId)) return;
    throw new DbError(
      'collection-on-recovering',
      `collection on recovering[collection=${name}]: restore job ${restoreJobId} is at ${this.#gate.progress(restoreJobId)} %`,
    );
  }

  #info(collection: CollectionRecord): CollectionInfo {
    const database = this.#catalog.get(databases, collection.databaseId);
    if (database === undefined) throw collectionGone(collection.collectionId);
    const { restoreJobId } = collection;
    const isRestoring = restoreJobId !== undefined && !this.#gate.isCompleted(restoreJobId);
    const aliases = aliasesOf(this.#catalog, collection.collectionId).map(({ name }) => name);
    return {
      collection,
      databaseName: database.name,
      ...(aliases.length === 0 ? {} : { aliases }),
      partitions: [...this.#catalog.find(partitions, 'collection', collection.collectionId)].sort(byId),
      ...(isRestoring ? { restoringJobId: restoreJobId } : {}),
    };
  }
}
