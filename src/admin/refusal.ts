/** How an error looks over HTTP. */
import { type ErrorName, errorCodes } from '../errors/codes.ts';
import { DbError, isDbError, messageOf } from '../errors/db-error.ts';

/** A request that is refused at the edge, before anything is asked of the coordinator. */
export class HttpRefusal extends DbError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super('parameter-invalid', message);
    this.status = status;
    this.headers = headers;
  }
}

const statuses = {
  'service-unavailable': 503,
  'resource-exhausted': 429,
  internal: 500,
  unimplemented: 501,
  'collection-not-found': 404,
  'collection-not-loaded': 409,
  'collection-loaded': 409,
  'collection-on-recovering': 503,
  'partition-not-loaded': 409,
  'partition-not-found': 404,
  'index-not-found': 404,
  'index-duplicate': 409,
  'index-invalid': 400,
  'database-not-found': 404,
  'database-not-empty': 409,
  'node-not-found': 503,
  'object-not-found': 500,
  'storage-failed': 500,
  'storage-full': 507,
  'data-integrity': 500,
  'store-mismatch': 409,
  'parameter-invalid': 400,
  'parameter-missing': 400,
  'parameter-too-large': 413,
  'alias-not-found': 404,
  'alias-conflict': 409,
  'alias-duplicate': 409,
  'job-not-found': 404,
  'compaction-not-found': 404,
  'snapshot-not-found': 404,
  'snapshot-pinned': 409,
  'filter-invalid': 400,
  'partition-key-mode': 400,
  'field-not-found': 404,
  'field-not-retrievable': 400,
  'collection-duplicate': 409,
  cancelled: 503,
} as const satisfies Record<ErrorName, number>;

export const statusOf = (error: unknown): number => {
  if (error instanceof HttpRefusal) return error.status;
  return isDbError(error) ? statuses[error.code] : 500;
};

/** The body of an error, and the last line of a stream that fails on the way: no other line has `error`. */
export interface ErrorBody {
  /** Milvus's number. */
  readonly code: number;
  /** The name in docs/errors.md. */
  readonly error: ErrorName;
  readonly message: string;
}

export const errorBody = (error: unknown): ErrorBody => {
  const name = isDbError(error) ? error.code : 'internal';
  return { code: errorCodes[name].wire, error: name, message: messageOf(error) };
};
