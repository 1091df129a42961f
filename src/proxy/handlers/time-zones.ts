/**
 * The time zone of a call: that of its parameters, else of the collection's properties, else of the database's, else UTC. Moments that are
 * written without an offset are told in it, and moments are shown in it.
 */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import { type TimeField, timeFields } from '../../timestamptz/text.ts';
import { TimeZone } from '../../timestamptz/zones.ts';
import type { CallContext } from '../context.ts';

/** Property of collections and databases, and parameter of reads. */
export const TIME_ZONE = 'timezone';
const TIME_FIELDS = 'time_fields';
const DEFAULT_DATABASE = 'default';

/** The zone a property names, if any. Throws `parameter-invalid` for a name that is no zone. */
export const requireZone = (properties: Properties): TimeZone | undefined =>
  properties[TIME_ZONE] === undefined ? undefined : new TimeZone(properties[TIME_ZONE]);

const databaseZoneName = (call: CallContext, name: string): string =>
  call.coordinator.describeDatabase(name === '' ? DEFAULT_DATABASE : name).properties[TIME_ZONE] ?? 'UTC';

export const databaseZone = (call: CallContext, name: string): TimeZone =>
  new TimeZone(databaseZoneName(call, name));

export const zoneNameOf = (call: CallContext, { collection, databaseName }: CollectionInfo): string =>
  collection.properties[TIME_ZONE] ?? databaseZoneName(call, databaseName);

/** How a read shows moments. */
export interface Times {
  readonly zone: TimeZone;
  /** The parts to show, in order; empty: text. */
  readonly fields: readonly TimeField[];
}

/** Throws `parameter-invalid` for a zone or a part of a date that is none. */
export function timesOf(call: CallContext, info: CollectionInfo, params: Properties): Times {
  const zone = requireZone(params) ?? new TimeZone(zoneNameOf(call, info));
  const fields = (params[TIME_FIELDS] ?? '').split(/[\s,]+/).filter((name) => name !== '');
  return { zone, fields: fields.map(timeField) };
}

function timeField(name: string): TimeField {
  const field = timeFields.find((each) => each === name.toLowerCase());
  if (field === undefined)
    throw new DbError(
      'parameter-invalid',
      `unsupported field in ${TIME_FIELDS}: '${name.slice(0, 30)}', it must be one of ${timeFields.join(', ')}`,
    );
  return field;
}
