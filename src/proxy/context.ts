/** What every handler works with. */
import type { CollectionName, Coordinator } from '../coordinator/api.ts';
import type { CheckedFilter } from '../expr/check.ts';
import type { FieldId } from '../model/ids.ts';
import type { PrimaryKeys } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { QueryNode } from '../querynode/api.ts';
import type { StreamingNode } from '../streamingnode/api.ts';
import type { Clock } from '../support/clock.ts';
import type { Log } from '../support/log.ts';
import type { Workers } from '../support/workers.ts';
import type { TimeZone } from '../timestamptz/zones.ts';
import { requireName } from './wire/names.ts';

/** A value of an expression template, `{name}` in a filter. */
export type TemplateValue = boolean | bigint | number | string | readonly TemplateValue[];

/** The filter language, as far as the proxy sees it. */
export interface Filters {
  /** Moments without an offset are told in `zone`. Throws `filter-invalid` with the position. */
  check(
    text: string,
    schema: CollectionSchema,
    values: ReadonlyMap<string, TemplateValue>,
    zone: TimeZone,
  ): CheckedFilter;
  /** The keys of a filter that only names primary keys (`id in [1, 2]`, `id == 1`); undefined for every other one. */
  primaryKeysOf(filter: CheckedFilter, primaryFieldId: FieldId): PrimaryKeys | undefined;
  /** The rows with these keys. */
  ofKeys(keys: PrimaryKeys, primaryFieldId: FieldId): CheckedFilter;
  /** Values of which every matching row has one in the Int64 or VarChar field; undefined: any value may match. */
  valuesOf(filter: CheckedFilter, fieldId: FieldId): PrimaryKeys | undefined;
}

export interface ProxyLimits {
  /** Connections at once; more are dropped. */
  readonly maxConnections: number;
  /** Bytes of one request. */
  readonly maxReceiveBytes: number;
  /** Calls worked on at once; more are refused with a retriable error. */
  readonly maxRunningCalls: number;
  /** Bytes of the requests worked on at once; at least one request always fits. */
  readonly maxRunningBytes: number;
  /** How long `stop` waits for running calls. */
  readonly drainMs: number;
  /** How long a load call waits for the load to end. */
  readonly loadAnswerMs: number;
  /** Rows that one delete by filter may look up. */
  readonly maxDeleteRows: number;
}

export const defaultLimits: ProxyLimits = {
  maxConnections: 10_000,
  maxReceiveBytes: 256 * 1024 * 1024,
  maxRunningCalls: 1024,
  maxRunningBytes: 1024 * 1024 * 1024,
  drainMs: 10_000,
  loadAnswerMs: 5_000,
  maxDeleteRows: 1_000_000,
};

export interface Services {
  readonly coordinator: Coordinator;
  readonly queryNode: QueryNode;
  readonly streamingNode: StreamingNode;
  readonly filters: Filters;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: ProxyLimits;
  /** Prepare large writes (`writeTasks`). Absent: the calling thread does. */
  readonly workers?: Workers;
}

/** One call: the services and what its metadata said. */
export interface CallContext extends Services {
  /** The `dbname` metadata; empty when absent. */
  readonly metadataDatabase: string;
  /** The user's name in the `authorization` metadata; undefined when it says none. Nobody checks it: a note, not a proof. */
  readonly user: string | undefined;
}

/** Milvus's user names. Whatever else stands there, such as a token, is not repeated anywhere. */
const USER_NAME = /^[A-Za-z][\w.-]{0,63}$/;

/** The user part of `authorization`: base64 of `user:password`. */
export function userOf(authorization: string | undefined): string | undefined {
  const [user, password] = Buffer.from(authorization ?? '', 'base64')
    .toString('latin1')
    .split(':');
  return password !== undefined && user !== undefined && USER_NAME.test(user) ? user : undefined;
}

/** The database a call means: the request's, else the metadata's, else empty for `default`. */
export function databaseOf(call: CallContext, requested: string): string {
  const name = requested === '' ? call.metadataDatabase : requested;
  return name === '' ? '' : requireName('database', name);
}

/** The collection a request names. */
export const collectionAt = (
  call: CallContext,
  request: { readonly db_name: string; readonly collection_name: string },
): CollectionName => ({
  database: databaseOf(call, request.db_name),
  name: requireName('collection', request.collection_name),
});
