import { Packr } from 'msgpackr';
import { DbError, messageOf } from '../errors/db-error.ts';

/**
 * Record to bytes and back: MessagePack of `[version, record]`. A bigint is always written as a 64-bit integer and read back as
 * a bigint, a number never is, so ids survive without a schema.
 */
const packr = new Packr({ int64AsType: 'bigint', useRecords: false, moreTypes: true, mapsAsObjects: true });

export const encodeRecord = (version: number, record: unknown): Uint8Array => packr.pack([version, record]);

/** Throws `data-integrity` for bytes that are no record, or one of a newer version than `known`. */
export function decodeRecord(known: number, bytes: Uint8Array, what: string): unknown {
  let decoded: unknown;
  try {
    decoded = packr.unpack(bytes);
  } catch (error) {
    throw new DbError('data-integrity', `${what}: not a record (${messageOf(error)})`, { cause: error });
  }
  if (!Array.isArray(decoded) || decoded.length !== 2 || typeof decoded[0] !== 'number')
    throw new DbError('data-integrity', `${what}: not a record`);
  if (decoded[0] > known)
    throw new DbError(
      'data-integrity',
      `${what}: written by a newer Tidemark (record version ${decoded[0]}, known ${known}); please upgrade`,
    );
  return decoded[1];
}
