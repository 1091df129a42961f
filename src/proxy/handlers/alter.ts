import { TimeZone } from '../../timestamptz/zones.ts';
import { collectionAt, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { flattenParams, type KeyValue, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { decodeAddedField } from '../wire/schema.ts';
import { success } from '../wire/status.ts';
import { requireZone, zoneNameOf } from './time-zones.ts';

function changeOf(set: readonly KeyValue[], unset: readonly string[]) {
  const change = { set: toProperties(set), unset };
  requireZone(change.set);
  return change;
}

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
  const at = collectionAt(call, request);
  const zone = new TimeZone(zoneNameOf(call, call.coordinator.describeCollection(at)));
  await call.coordinator.addField(at, decodeAddedField(request.schema, zone));
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
