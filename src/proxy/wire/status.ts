/** Errors as `common.Status`. What a client may match on is guaranteed here, whoever threw. */
import { type ErrorName, errorCodes } from '../../errors/codes.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CommonStatus } from './descriptor.generated.ts';
import type { Outgoing } from './descriptor.ts';
import { legacyErrorToWire } from './enums.ts';

export type WireStatus = Outgoing<CommonStatus>;

export const success: WireStatus = { code: 0, error_code: 0, reason: '' };

/** Words that clients look for in the reason, case-sensitively. */
const promisedWords: Partial<Record<ErrorName, string>> = {
  'collection-not-found': 'collection not found',
  'partition-not-found': 'partition not found',
  'index-not-found': 'index not found',
  'database-not-found': 'database not found',
  'collection-not-loaded': 'collection not loaded',
  'snapshot-not-found': 'snapshot not found',
  'snapshot-pinned': 'active pins exist',
  'job-not-found': 'not found',
};

function reasonOf(error: DbError): string {
  const words = promisedWords[error.code];
  return words === undefined || error.message.includes(words) ? error.message : `${words}: ${error.message}`;
}

/** A fault of ours tells the caller nothing but that: its text may hold paths or data. The server's log has it. */
const internal = new DbError('internal', 'internal error of the server; its log has the details');

/** Whether the server's operator has to see this error: everything that is not a `DbError`. */
export const isFault = (error: unknown): boolean => !(error instanceof DbError);

export function statusOf(error: unknown): WireStatus {
  const known = error instanceof DbError ? error : internal;
  const { wire, legacy, retriable, input } = errorCodes[known.code];
  const reason = reasonOf(known);
  return {
    code: wire,
    error_code: legacyErrorToWire[legacy],
    reason,
    detail: reason,
    retriable: retriable && !input,
    extra_info: input ? { is_input_error: 'true' } : {},
  };
}
