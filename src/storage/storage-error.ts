import { DbError } from '../errors/db-error.ts';
import { codeOf } from './durable-dirs.ts';

/** The world's error under our code, naming what it was about; anything else as it is. */
export function storageError(what: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof DbError || !/^E(?!RR_)/.test(code)) return error;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const words = isFull ? 'no space left on device: free some, then try again' : code;
  return new DbError(isFull ? 'storage-full' : 'storage-failed', `${what}: ${words}`, { cause: error });
}
