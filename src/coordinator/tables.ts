/** The catalog's tables of the control plane. Tables of jobs, tasks, snapshots and pins stand in their rooms and are listed here. */
import type { AnyTable, TableSpec } from '../catalog/catalog.ts';
import type { CollectionId, DatabaseId, IndexId, PartitionId, SegmentId } from '../model/ids.ts';
import type {
  AliasRecord,
  CollectionRecord,
  DatabaseRecord,
  IndexRecord,
  PartitionRecord,
  SegmentRecord,
} from '../model/records.ts';

export const databases: TableSpec<DatabaseId, DatabaseRecord> = {
  name: 'database',
  version: 1,
  idOf: (record) => record.databaseId,
  indexes: { name: (record) => record.name },
};

export const collections: TableSpec<CollectionId, CollectionRecord> = {
  name: 'collection',
  version: 1,
  idOf: (record) => record.collectionId,
  indexes: {
    database: (record) => record.databaseId,
    /** `{databaseId}/{name}`. */
    name: (record) => `${record.databaseId}/${record.name}`,
    restoreJob: (record) => record.restoreJobId,
  },
};

/** `{databaseId}/{name}`. */
export const aliasId = (databaseId: DatabaseId, name: string): string => `${databaseId}/${name}`;

export const aliases: TableSpec<string, AliasRecord> = {
  name: 'alias',
  version: 1,
  idOf: ({ databaseId, name }) => aliasId(databaseId, name),
  indexes: { collection: (record) => record.collectionId, database: (record) => record.databaseId },
};

export const partitions: TableSpec<PartitionId, PartitionRecord> = {
  name: 'partition',
  version: 1,
  idOf: (record) => record.partitionId,
  indexes: { collection: (record) => record.collectionId },
};

export const segments: TableSpec<SegmentId, SegmentRecord> = {
  name: 'segment',
  version: 1,
  idOf: (record) => record.segmentId,
  indexes: { collection: (record) => record.collectionId, state: (record) => record.state },
};

export const indexes: TableSpec<IndexId, IndexRecord> = {
  name: 'index',
  version: 1,
  idOf: (record) => record.indexId,
  indexes: { collection: (record) => record.collectionId },
};

/** One record: the next id that has not been leased. */
export interface IdLease {
  readonly nextId: bigint;
}
export const idLeases: TableSpec<string, IdLease> = { name: 'id-lease', version: 1, idOf: () => 'global' };

export const coreTables: readonly AnyTable[] = [
  databases,
  collections,
  aliases,
  partitions,
  segments,
  indexes,
  idLeases,
];
