import { collectionAt, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { requireName } from '../wire/names.ts';
import { success } from '../wire/status.ts';

export const createAlias: Handler<'CreateAlias'> = async (request, call) => {
  await call.coordinator.createAlias(collectionAt(call, request), requireName('alias', request.alias));
  return done;
};

export const alterAlias: Handler<'AlterAlias'> = async (request, call) => {
  await call.coordinator.alterAlias(collectionAt(call, request), requireName('alias', request.alias));
  return done;
};

export const dropAlias: Handler<'DropAlias'> = async (request, call) => {
  await call.coordinator.dropAlias(databaseOf(call, request.db_name), requireName('alias', request.alias));
  return done;
};

export const describeAlias: Handler<'DescribeAlias'> = (request, call) => {
  const alias = requireName('alias', request.alias);
  const { databaseName, collectionName } = call.coordinator.describeAlias(
    databaseOf(call, request.db_name),
    alias,
  );
  return { status: success, db_name: databaseName, alias, collection: collectionName };
};

export const listAliases: Handler<'ListAliases'> = (request, call) => {
  const database = databaseOf(call, request.db_name);
  const name = request.collection_name === '' ? '' : collectionAt(call, request).name;
  const aliases = call.coordinator.listAliases(database, name);
  return { status: success, db_name: database, collection_name: name, aliases };
};
