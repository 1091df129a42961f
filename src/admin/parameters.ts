/** Parameters of requests, checked. Everything throws `parameter-invalid`. */
import type { SnapshotAt } from '../coordinator/admin-api.ts';
import type { CollectionName } from '../coordinator/api.ts';
import { DbError } from '../errors/db-error.ts';

const MAX_ID = 2n ** 63n - 1n;
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;
const MAX_REASON_LENGTH = 200;

const wrong = (message: string): DbError => new DbError('parameter-invalid', message);

/** A name that a database, collection or snapshot can have. */
export function parseName(what: string, text: string | undefined): string {
  if (text === undefined || !/^[A-Za-z_][\w$]{0,254}$/.test(text))
    throw wrong(`'${text ?? ''}' cannot be the name of a ${what}: letters, digits, _ and $, at most 255`);
  return text;
}

/** Empty when it is not given: all of them. */
export const parseOptionalName = (what: string, text: string | undefined): string =>
  text === undefined || text === '' ? '' : parseName(what, text);

export function parseId<Id extends bigint>(what: string, text: string | undefined): Id {
  const id = /^\d{1,19}$/.test(text ?? '') ? BigInt(text ?? '') : -1n;
  if (id < 0n || id > MAX_ID) throw wrong(`${what}: '${text ?? ''}' is no id`);
  return id as Id;
}

/** `DATABASE/COLLECTION/NAME`. */
export function parseSnapshot(what: string, text: string | undefined): SnapshotAt {
  const parts = (text ?? '').split('/');
  if (parts.length !== 3) throw wrong(`${what}: '${text ?? ''}' is not DATABASE/COLLECTION/SNAPSHOT`);
  return snapshotAt(parts[0], parts[1], parts[2]);
}

export const snapshotAt = (
  database: string | undefined,
  collection: string | undefined,
  name: string | undefined,
): SnapshotAt => ({
  at: { database: parseName('database', database), name: parseName('collection', collection) },
  name: parseName('snapshot', name),
});

/** `DATABASE/COLLECTION`. */
export function parseCollection(what: string, text: string | undefined): CollectionName {
  const parts = (text ?? '').split('/');
  if (parts.length !== 2) throw wrong(`${what}: '${text ?? ''}' is not DATABASE/COLLECTION`);
  return { database: parseName('database', parts[0]), name: parseName('collection', parts[1]) };
}

/** `a,b`. Undefined when it is not given: all of them. */
export function parsePartitions(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  return text === '' ? [] : text.split(',').map((name) => parseName('partition', name));
}

/** `5%` → 0.05. Everything when it is not given. */
export function parseSubset(text: string | undefined): number {
  if (text === undefined) return 1;
  const percent = /^\d{1,3}(\.\d{1,6})?%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  if (!(percent > 0 && percent <= 100)) throw wrong(`subset: '${text}' is not a percentage such as 5%`);
  return percent / 100;
}

export function parseOneOf<T extends string>(
  what: string,
  text: string | undefined,
  values: readonly T[],
): T | undefined {
  if (text === undefined) return undefined;
  const found = values.find((value) => value === text);
  if (found === undefined) throw wrong(`${what}: '${text}' is not one of ${values.join(', ')}`);
  return found;
}

/** Text for people that is kept with a record. */
export function parseReason(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length > MAX_REASON_LENGTH || /\p{Cc}/u.test(text))
    throw wrong(`reason: at most ${MAX_REASON_LENGTH} characters in one line`);
  return text;
}

export interface PageRequest {
  readonly limit: number;
  /** The last id of the page before. */
  readonly after: bigint;
}

export function parsePage(query: Readonly<Record<string, string>>): PageRequest {
  const text = query['limit'] ?? String(DEFAULT_PAGE);
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_PAGE) throw wrong(`limit: '${text}' is not a number from 1 to ${MAX_PAGE}`);
  return { limit, after: query['after'] === undefined ? 0n : parseId('after', query['after']) };
}

/** The items after `after` by id, at most `limit`; `next` is what to give as `after` for more, absent when there is no more. */
export function pageOf<T>(
  items: readonly T[],
  idOf: (item: T) => bigint,
  { limit, after }: PageRequest,
): { readonly items: readonly T[]; readonly next?: bigint } {
  const rest = items
    .filter((item) => idOf(item) > after)
    .toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : idOf(a) > idOf(b) ? 1 : 0));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return rest.length > page.length && last !== undefined
    ? { items: page, next: idOf(last) }
    : { items: page };
}
