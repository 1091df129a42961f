import { type ErrorName, errorCodes } from './codes.ts';

/** A failure a caller can act upon. The code is a promise, the message is not; the cause is kept. */
export class DbError extends Error {
  override readonly name = 'DbError';
  readonly code: ErrorName;

  constructor(code: ErrorName, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Whether the same call may succeed later. */
  get retriable(): boolean {
    return errorCodes[this.code].retriable;
  }
}

export const isDbError = (error: unknown, code?: ErrorName): error is DbError =>
  error instanceof DbError && (code === undefined || error.code === code);

/** The text of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
