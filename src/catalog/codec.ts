import { Packr } from 'msgpackr';
import { DbError, messageOf } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';

/**
 * Record to bytes and back: a byte that MessagePack never begins with, the CRC-32 of what follows, MessagePack of `[version, record]`:
 * the store below does not notice when its bytes change. A bigint is always written as a 64-bit integer and read back as
 * a bigint, a number never is, so ids survive without a schema.
 */
const packr = new Packr({ int64AsType: 'bigint', useRecords: false, moreTypes: true, mapsAsObjects: true });

const MARK = 0xc1;
const HEADER_BYTES = 5;

export function encodeRecord(version: number, record: unknown): Uint8Array {
  const packed = packr.pack([version, record]);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + packed.length);
  bytes[0] = MARK;
  bytes.writeUInt32LE(crc32(packed), 1);
  bytes.set(packed, HEADER_BYTES);
  return bytes;
}

/** Throws `data-integrity` for bytes that are no record, or one of a newer version than `known`. */
export function decodeRecord(known: number, bytes: Uint8Array, what: string): unknown {
  let decoded: unknown;
  const packed = bytes.subarray(HEADER_BYTES);
  if (bytes.length <= HEADER_BYTES || bytes[0] !== MARK)
    throw new DbError('data-integrity', `${what}: not a record`);
  const sum = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1, true);
  if (sum !== crc32(packed))
    throw new DbError('data-integrity', `${what}: a record that is not what was written`);
  try {
    decoded = packr.unpack(packed);
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
