import { DbError } from '../errors/db-error.ts';

/** Stored bytes are not what this code has written. */
export const damaged = (what: string, cause?: unknown): DbError =>
  new DbError('data-integrity', `segment file: ${what}`, { cause });
