/**
 * How records stand in a log file: a file header, then records, each with a 32-byte header, aligned to 8 bytes. Layout in
 * docs/formats.md, "Write-ahead log". Both adapters write and recover by this code.
 *
 * What recovery must tell apart: a torn tail (records that were never durable: cut), and damage to durable records (an error,
 * never a silent loss). So every record states how much of its file was durable when it was written: if any intact
 * record further on says that the damaged place had been durable, it is damage; otherwise it is the torn end.
 */
import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { crc32 } from '../support/crc32.ts';
import { ALIGNMENT } from './pieces.ts';

export const FILE_HEADER_BYTES = 32;
export const RECORD_HEADER_BYTES = 32;
/** The largest payload: far above what one request can hold. */
export const MAX_PAYLOAD_BYTES = 1 << 30;

const FILE_MAGIC = 0x4c57_4d54; // "TMWL"
const RECORD_MAGIC = 0x4352_4d54; // "TMRC"
const VERSION = 1;
/** Read at once when a file is replayed or searched. */
const WINDOW_BYTES = 1 << 20;

export interface RecordHeader {
  readonly payloadLength: number;
  readonly payloadCrc: number;
  readonly ts: HybridTime;
  /** Bytes of this file that were durable when the record was written. */
  readonly durableBytes: number;
}

export interface FrameSource {
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes, in a buffer of their own that starts at a multiple of 8. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

export const paddedLength = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const checksum = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => crc32(piece, sum), 0);

/** Checksummed in one turn of the event loop: about two milliseconds. */
const CHECKSUM_BYTES = 8 << 20;

/** The checksum of a payload, a large one over several turns of the event loop. */
export async function checksumInTurns(payload: readonly Uint8Array[]): Promise<number> {
  let sum = 0;
  let spent = 0;
  for (const piece of payload)
    for (let from = 0; from < piece.length; ) {
      const slice = piece.subarray(from, from + CHECKSUM_BYTES - spent);
      sum = crc32(slice, sum);
      from += slice.length;
      spent += slice.length;
      if (spent < CHECKSUM_BYTES) continue;
      spent = 0;
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
  return sum;
}

/** `salt`: a random number that ties records to their file, so that no row content can pass for a record. */
export function encodeFileHeader(file: number, salt: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, FILE_MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setBigUint64(8, BigInt(file), true);
  view.setBigUint64(16, salt, true);
  view.setUint32(28, crc32(bytes.subarray(0, 28)), true);
  return bytes;
}

/** The salt. Throws `data-integrity`, also for a newer version and for a file under another's name. */
export function decodeFileHeader(bytes: Uint8Array, file: number, name: string): bigint {
  const view = viewOf(bytes);
  const isIntact =
    bytes.length === FILE_HEADER_BYTES &&
    view.getUint32(0, true) === FILE_MAGIC &&
    view.getUint32(28, true) === crc32(bytes.subarray(0, 28)) &&
    view.getBigUint64(8, true) === BigInt(file);
  if (!isIntact) throw new DbError('data-integrity', `log file '${name}': damaged header`);
  const version = view.getUint32(4, true);
  if (version !== VERSION)
    throw new DbError('data-integrity', `log file '${name}': unknown version ${version}; please upgrade`);
  return view.getBigUint64(16, true);
}

const headerCrc = (header: Uint8Array, salt: bigint, offset: number): number => {
  const seed = new Uint8Array(16);
  viewOf(seed).setBigUint64(0, salt, true);
  viewOf(seed).setBigUint64(8, BigInt(offset), true);
  return crc32(header.subarray(8, RECORD_HEADER_BYTES), crc32(seed));
};

export interface RecordPlace {
  readonly offset: number;
  readonly salt: bigint;
  readonly durableBytes: number;
}

export function encodeRecordHeader(
  ts: HybridTime,
  payload: readonly Uint8Array[],
  place: RecordPlace,
  payloadCrc = checksum(payload),
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, RECORD_MAGIC, true);
  view.setUint32(8, byteLength(payload), true);
  view.setUint32(12, payloadCrc, true);
  view.setBigInt64(16, ts, true);
  view.setBigUint64(24, BigInt(place.durableBytes), true);
  view.setUint32(4, headerCrc(bytes, place.salt, place.offset), true);
  return bytes;
}

export const byteLength = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => sum + piece.length, 0);

/** Undefined when the bytes are no header of a record at this place. */
export function decodeRecordHeader(
  bytes: Uint8Array,
  salt: bigint,
  offset: number,
): RecordHeader | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined;
  if (view.getUint32(4, true) !== headerCrc(bytes, salt, offset)) return undefined;
  return {
    payloadLength: view.getUint32(8, true),
    payloadCrc: view.getUint32(12, true),
    ts: view.getBigInt64(16, true) as HybridTime,
    durableBytes: Number(view.getBigUint64(24, true)),
  };
}

export interface ScannedRecord {
  readonly offset: number;
  /** Header and payload, without padding. */
  readonly length: number;
  readonly ts: HybridTime;
  readonly payload: Uint8Array;
}

export interface ScanEnd {
  /** Where the next record goes: behind the intact ones and the padding of the last, which may be missing on the disk. */
  readonly offset: number;
  /** Bytes behind that were never durable. */
  readonly tornBytes: number;
}

/**
 * Every intact record of a file, in order, one window in memory. `isLast`: the end may be torn. Returns where the records end.
 * Throws `data-integrity` naming file and offset when a record that was durable is damaged.
 */
export async function* scanRecords(
  source: FrameSource,
  salt: bigint,
  isLast: boolean,
): AsyncGenerator<ScannedRecord, ScanEnd> {
  let offset = FILE_HEADER_BYTES;
  while (offset < source.size) {
    const window = await readWindow(source, offset, salt);
    let at = 0;
    for (let record = recordAt(window, at, offset, salt); record !== undefined; ) {
      yield record;
      at += paddedLength(record.length);
      record = at < window.length ? recordAt(window, at, offset, salt) : undefined;
    }
    if (at === 0) return await judgeEnd(source, offset, salt, isLast);
    offset += at;
  }
  return { offset, tornBytes: 0 };
}

/** At least one whole record from `offset`, if there is one. */
async function readWindow(
  source: FrameSource,
  offset: number,
  salt: bigint,
): Promise<Uint8Array<ArrayBuffer>> {
  const rest = source.size - offset;
  const window = await source.read(offset, Math.min(WINDOW_BYTES, rest));
  if (window.length < RECORD_HEADER_BYTES) return window;
  const header = decodeRecordHeader(window, salt, offset);
  const wanted = header === undefined ? 0 : RECORD_HEADER_BYTES + header.payloadLength;
  return wanted > window.length && wanted <= rest ? await source.read(offset, wanted) : window;
}

/** The record `at` bytes into a window that starts at `windowOffset`; undefined when it is not whole and intact. */
function recordAt(
  window: Uint8Array,
  at: number,
  windowOffset: number,
  salt: bigint,
): ScannedRecord | undefined {
  if (window.length - at < RECORD_HEADER_BYTES) return undefined;
  const offset = windowOffset + at;
  const header = decodeRecordHeader(window.subarray(at, at + RECORD_HEADER_BYTES), salt, offset);
  if (header === undefined) return undefined;
  const start = at + RECORD_HEADER_BYTES;
  const end = start + header.payloadLength;
  if (end > window.length) return undefined;
  const payload = window.subarray(start, end);
  if (crc32(payload) !== header.payloadCrc) return undefined;
  return { offset, length: RECORD_HEADER_BYTES + header.payloadLength, ts: header.ts, payload };
}

async function judgeEnd(
  source: FrameSource,
  offset: number,
  salt: bigint,
  isLast: boolean,
): Promise<ScanEnd> {
  if (!isLast || (await wasDurable(source, offset, salt)))
    throw new DbError('data-integrity', `log file '${source.name}': damaged record at offset ${offset}`);
  return { offset, tornBytes: source.size - offset };
}

/** Whether a record behind `offset` says that this place was durable before it was written. */
async function wasDurable(source: FrameSource, offset: number, salt: bigint): Promise<boolean> {
  for (let start = offset; start < source.size; start += WINDOW_BYTES) {
    const length = Math.min(WINDOW_BYTES + RECORD_HEADER_BYTES, source.size - start);
    const window = await source.read(start, length);
    for (let at = 0; at + RECORD_HEADER_BYTES <= window.length; at += ALIGNMENT) {
      const header = decodeRecordHeader(window.subarray(at, at + RECORD_HEADER_BYTES), salt, start + at);
      if (header !== undefined && header.durableBytes > offset) return true;
    }
  }
  return false;
}

/** The payload of a record read by its position. Throws `data-integrity`. */
export function checkRecord(
  bytes: Uint8Array<ArrayBuffer>,
  salt: bigint,
  offset: number,
  name: string,
): Uint8Array<ArrayBuffer> {
  const record = recordAt(bytes, 0, offset, salt);
  if (record === undefined || record.length !== bytes.length)
    throw new DbError('data-integrity', `log file '${name}': damaged record at offset ${offset}`);
  return bytes.subarray(RECORD_HEADER_BYTES);
}
