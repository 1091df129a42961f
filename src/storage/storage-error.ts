import { DbError } from '../errors/db-error.ts';
import { isDiskFull } from '../support/disk-full.ts';
import { codeOf } from './durable-dirs.ts';

/** The world's error under our code, naming what it was about; anything else as it is. */
export function storageError(what: string, error: unknown): unknown {
  const code = codeOf(error);
  const isFull = isDiskFull(error);
  if (error instanceof DbError || !(isFull || /^E(?!RR_)/.test(code))) return error;
  const words = isFull ? 'no space left on device: free some, then try again' : code;
  return new DbError(isFull ? 'storage-full' : 'storage-failed', `${what}: ${words}`, { cause: error });
}
