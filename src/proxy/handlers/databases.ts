import { type CallContext, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { fromProperties, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { success } from '../wire/status.ts';
import { requireZone } from './time-zones.ts';

const DEFAULT_DATABASE = 'default';
/** The database named by the request itself: the `dbname` metadata only says where the client works. */
const named = (name: string): string => requireName('database', name);

export const createDatabase: Handler<'CreateDatabase'> = async (request, { coordinator }) => {
  const properties = toProperties(request.properties);
  requireZone(properties);
  await coordinator.createDatabase(named(request.db_name), properties);
  return done;
};

export const dropDatabase: Handler<'DropDatabase'> = async (request, { coordinator }) => {
  await coordinator.dropDatabase(named(request.db_name));
  return done;
};

export const listDatabases: Handler<'ListDatabases'> = (_request, { coordinator }) => {
  const databases = coordinator.listDatabases();
  return {
    status: success,
    db_names: databases.map(({ name }) => name),
    created_timestamp: databases.map(({ createdTs }) => createdTs),
    db_ids: databases.map(({ databaseId }) => databaseId),
  };
};

const describedName = (call: CallContext, name: string): string => {
  const database = databaseOf(call, name);
  return database === '' ? DEFAULT_DATABASE : database;
};

export const describeDatabase: Handler<'DescribeDatabase'> = (request, call) => {
  const database = call.coordinator.describeDatabase(describedName(call, request.db_name));
  return {
    status: success,
    db_name: database.name,
    dbID: database.databaseId,
    created_timestamp: database.createdTs,
    properties: fromProperties(database.properties),
  };
};
