import { collectionAt, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { flattenParams, type KeyValue, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { decodeAddedField } from '../wire/schema.ts';
import { success } from '../wire/status.ts';

const changeOf = (set: readonly KeyValue[], unset: readonly string[]) => ({ set: toProperties(set), unset });

export const alterCollection: Handler<'AlterCollection'> = async (request, call) => {
  const change = changeOf(request.properties, request.delete_keys);
  await call.coordinator.alterCollection(collectionAt(call, request), change);
  return done;
};

export const alterCollectionField: Handler<'AlterCollectionField'> = async (request, call) => {
  const change = changeOf(request.properties, request.delete_keys);
  await call.coordinator.alterField(
    collectionAt(call, request),
    requireName('field', request.field_name),
    change,
  );
  return done;
};

export const addCollectionField: Handler<'AddCollectionField'> = async (request, call) => {
  await call.coordinator.addField(collectionAt(call, request), decodeAddedField(request.schema));
  return done;
};

export const truncateCollection: Handler<'TruncateCollection'> = async (request, call) => {
  await call.coordinator.truncateCollection(collectionAt(call, request));
  return { status: success };
};

export const alterDatabase: Handler<'AlterDatabase'> = async (request, call) => {
  await call.coordinator.alterDatabase(
    databaseOf(call, request.db_name),
    changeOf(request.properties, request.delete_keys),
  );
  return done;
};

/** Clients send the parameters one by one, or as JSON under `params`. */
export const alterIndex: Handler<'AlterIndex'> = async (request, call) => {
  const change = { set: flattenParams(request.extra_params), unset: request.delete_keys };
  await call.coordinator.alterIndex(
    collectionAt(call, request),
    requireName('index', request.index_name),
    change,
  );
  return done;
};
