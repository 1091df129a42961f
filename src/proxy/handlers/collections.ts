import type { CollectionInfo, CollectionName } from '../../coordinator/api.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import { physicalMs } from '../../model/hybrid-time.ts';
import type { CollectionId } from '../../model/ids.ts';
import { TimeZone } from '../../timestamptz/zones.ts';
import { type CallContext, collectionAt, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { consistencyLevelFromWire, consistencyLevelToWire } from '../wire/enums.ts';
import { fromProperties, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { decodeSchema, encodeSchema } from '../wire/schema.ts';
import { statusOf, success } from '../wire/status.ts';
import { databaseZone, requireZone, zoneNameOf } from './time-zones.ts';

export const DEFAULT_SHARDS = 1;
const MAX_SHARDS = 16;

export const createCollection: Handler<'CreateCollection'> = async (request, call) => {
  const at = collectionAt(call, request);
  const properties = toProperties(request.properties);
  const schema = decodeSchema(request.schema, requireZone(properties) ?? databaseZone(call, at.database));
  const shardsNum = request.shards_num === 0 ? DEFAULT_SHARDS : request.shards_num;
  if (shardsNum < 1 || shardsNum > MAX_SHARDS)
    throw new DbError(
      'parameter-invalid',
      `maximum shards's number should be limited to ${MAX_SHARDS}, got ${shardsNum}`,
    );
  const consistencyLevel = consistencyLevelFromWire.get(request.consistency_level);
  if (consistencyLevel === undefined)
    throw new DbError('parameter-invalid', `consistency level ${request.consistency_level} is unknown`);
  const numPartitions = Number(request.num_partitions);
  if (numPartitions < 0)
    throw new DbError(
      'parameter-invalid',
      `the specified partitions (${numPartitions}) should be greater than 0`,
    );
  await call.coordinator.createCollection({
    ...{ ...at, schema, shardsNum, consistencyLevel, properties },
    ...(numPartitions === 0 ? {} : { numPartitions }),
  });
  return done;
};

export const dropCollection: Handler<'DropCollection'> = async (request, call) => {
  await call.coordinator.dropCollection(collectionAt(call, request));
  return done;
};

/** Clients tell an absent collection by these words of DescribeCollection, and by code 100. */
function inDescribeWords(error: unknown): unknown {
  if (!isDbError(error, 'collection-not-found')) return error;
  return new DbError(error.code, `can't find collection: ${error.message}`, { cause: error });
}

export const hasCollection: Handler<'HasCollection'> = (request, call) => {
  const at = collectionAt(call, request);
  try {
    call.coordinator.describeCollection(at);
    return { status: success, value: true };
  } catch (error) {
    if (isDbError(error, 'collection-not-found')) return { status: success, value: false };
    throw error;
  }
};

/** Shown by a collection that a restore is still filling: the job to follow. */
export const RESTORING_PROPERTY = 'tidemark.restoring_job_id';

function describe(call: CallContext, info: CollectionInfo) {
  const { collection, databaseName, partitions, aliases = [], restoringJobId } = info;
  const properties = fromProperties(collection.properties);
  if (restoringJobId !== undefined)
    properties.push({ key: RESTORING_PROPERTY, value: String(restoringJobId) });
  return {
    status: success,
    schema: encodeSchema(
      collection.name,
      collection.schema,
      databaseName,
      new TimeZone(zoneNameOf(call, info)),
    ),
    collectionID: collection.collectionId,
    collection_name: collection.name,
    virtual_channel_names: collection.channels,
    physical_channel_names: collection.channels.map((channel) => channel.replace(/_\d+v\d+$/, '')),
    created_timestamp: collection.createdTs,
    created_utc_timestamp: BigInt(physicalMs(collection.createdTs)),
    update_timestamp: collection.updatedTs ?? collection.createdTs,
    update_timestamp_str: String(collection.updatedTs ?? collection.createdTs),
    shards_num: collection.shardsNum,
    consistency_level: consistencyLevelToWire[collection.consistencyLevel],
    aliases,
    properties,
    db_name: databaseName,
    db_id: collection.databaseId,
    num_partitions: BigInt(partitions.length),
  };
}

export const describeCollection: Handler<'DescribeCollection'> = (request, call) => {
  const { collectionID } = request;
  try {
    const info =
      request.collection_name === '' && collectionID > 0n
        ? call.coordinator.describeCollectionById(collectionID as CollectionId)
        : call.coordinator.describeCollection(collectionAt(call, request));
    return { ...describe(call, info), request_time: call.coordinator.now };
  } catch (error) {
    throw inDescribeWords(error);
  }
};

/** One answer per collection, in the order asked; a failing one carries its own status. */
export const batchDescribeCollection: Handler<'BatchDescribeCollection'> = (request, call) => ({
  status: success,
  responses: [
    ...request.collection_name.map((name) =>
      answered(call, { collection_name: name }, () => {
        const at = collectionAt(call, { db_name: request.db_name, collection_name: name });
        return call.coordinator.describeCollection(at);
      }),
    ),
    ...request.collectionID.map((collectionID) =>
      answered(call, { collectionID }, () =>
        call.coordinator.describeCollectionById(collectionID as CollectionId),
      ),
    ),
  ],
});

function answered<Asked extends object>(call: CallContext, asked: Asked, find: () => CollectionInfo) {
  try {
    return describe(call, find());
  } catch (error) {
    // The official client looks into the schema of every answer.
    return { status: statusOf(inDescribeWords(error)), schema: {}, ...asked };
  }
}

const IN_MEMORY = 1;

/** An empty list names all. */
const isNamed = (named: ReadonlySet<string>, names: readonly string[]): boolean =>
  named.size === 0 || names.some((name) => named.has(name));

export const showCollections: Handler<'ShowCollections'> = (request, call) => {
  const database = databaseOf(call, request.db_name);
  const named = new Set(request.collection_names);
  const wanted = call.coordinator
    .listCollections(database)
    .filter(({ collection, aliases = [] }) => isNamed(named, [collection.name, ...aliases]))
    .map(({ collection }) => ({
      collection,
      load: call.coordinator.loadState({ database, name: collection.name }),
    }))
    .filter(({ load }) => request.type !== IN_MEMORY || load.state === 'loaded' || load.state === 'loading');
  return {
    status: success,
    collection_names: wanted.map(({ collection }) => collection.name),
    collection_ids: wanted.map(({ collection }) => collection.collectionId),
    created_timestamps: wanted.map(({ collection }) => collection.createdTs),
    created_utc_timestamps: wanted.map(({ collection }) => BigInt(physicalMs(collection.createdTs))),
    inMemory_percentages: wanted.map(({ load }) => BigInt(Math.floor(load.progress))),
    query_service_available: wanted.map(({ load }) => load.state === 'loaded'),
    shards_num: wanted.map(({ collection }) => collection.shardsNum),
  };
};

export const renameCollection: Handler<'RenameCollection'> = async (request, call) => {
  const at: CollectionName = {
    database: databaseOf(call, request.db_name),
    name: requireName('collection', request.oldName),
  };
  const newName = requireName('collection', request.newName);
  const newDatabase = request.newDBName === '' ? at.database : requireName('database', request.newDBName);
  await call.coordinator.renameCollection(at, newName, newDatabase);
  return done;
};

export const getCollectionStatistics: Handler<'GetCollectionStatistics'> = (request, call) => {
  const { collection } = call.coordinator.describeCollection(collectionAt(call, request));
  const rows = call.coordinator.rowCount(collection.collectionId);
  return { status: success, stats: [{ key: 'row_count', value: String(rows) }] };
};
