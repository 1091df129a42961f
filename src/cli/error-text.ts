import { isDbError, messageOf } from '../errors/db-error.ts';
import { ServerError } from './admin-client.ts';
import { UsageError } from './exit-codes.ts';
import { plain } from './format.ts';

/** What is said about an error: a sentence, or, for a bug of ours, where it is. */
export function errorText(error: unknown): string {
  if (error instanceof UsageError) return `${plain(error.message)}. See tidemark --help`;
  if (isDbError(error) || error instanceof ServerError) return plain(error.message);
  if (isWriteError(error)) return `cannot write: ${plain(messageOf(error))}`;
  const text = (error instanceof Error && error.stack) || messageOf(error);
  return text.split('\n').map(plain).join('\n');
}

const isWriteError = (error: unknown): boolean =>
  error instanceof Error && 'syscall' in error && error.syscall === 'write';
