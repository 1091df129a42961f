/** Statistics of an L1 segment: small, read without its rows. Layout in docs/formats.md, "Segment files". */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { Column, PrimaryKey } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { crc32 } from '../support/crc32.ts';
import { damaged } from './damage.ts';
import { lengthOf } from './pick-rows.ts';

export interface SegmentStats {
  readonly rowCount: number;
  /** Of the first and the last write. */
  readonly minTs: HybridTime;
  readonly maxTs: HybridTime;
  /** Of all rows, deleted ones included. Strings are ordered by their UTF-8 bytes. */
  readonly minKey: PrimaryKey;
  readonly maxKey: PrimaryKey;
}

const MAGIC = 0x5453_4d54; // "TMST"
/** 1, never released, ended with its checksum: the CRC-32 of any such file as a whole is the same number, so records told none apart. */
const VERSION = 2;
const INT64 = 1;
const VARCHAR = 2;
const CRC_FROM = 12;
const HEADER_BYTES = 40;

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Smallest and largest key of a key column, which has rows. */
export function keyRange(column: Column): Pick<SegmentStats, 'minKey' | 'maxKey'> {
  assert(lengthOf(column) > 0, 'a range of keys has keys');
  if (column.layout === 'fixed' && column.values instanceof BigInt64Array) {
    let minKey = column.values[0] as bigint;
    let maxKey = minKey;
    for (const key of column.values) {
      if (key < minKey) minKey = key;
      if (key > maxKey) maxKey = key;
    }
    return { minKey, maxKey };
  }
  assert(column.layout === 'bytes', 'keys are Int64 or VarChar');
  const keyAt = (i: number) => column.data.subarray(column.offsets[i], column.offsets[i + 1]);
  let min = keyAt(0);
  let max = min;
  for (let i = 1; i < column.offsets.length - 1; i++) {
    const key = keyAt(i);
    if (Buffer.compare(key, min) < 0) min = key;
    if (Buffer.compare(key, max) > 0) max = key;
  }
  return { minKey: textOf(min), maxKey: textOf(max) };
}

function textOf(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    throw damaged('a key that is not UTF-8', error);
  }
}

export function encodeStats(stats: SegmentStats): Uint8Array<ArrayBuffer> {
  const keys = [stats.minKey, stats.maxKey].map(encodeKey);
  const length = keys.reduce((sum, key) => sum + 4 + key.length, HEADER_BYTES);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(12, typeof stats.minKey === 'bigint' ? INT64 : VARCHAR, true);
  view.setBigUint64(16, BigInt(stats.rowCount), true);
  view.setBigInt64(24, stats.minTs, true);
  view.setBigInt64(32, stats.maxTs, true);
  let at = HEADER_BYTES;
  for (const key of keys) {
    view.setUint32(at, key.length, true);
    bytes.set(key, at + 4);
    at += 4 + key.length;
  }
  view.setUint32(8, crc32(bytes.subarray(CRC_FROM)), true);
  return bytes;
}

function encodeKey(key: PrimaryKey): Uint8Array {
  if (typeof key === 'string') return utf8.encode(key);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, key, true);
  return bytes;
}

/** Throws `data-integrity`. */
export function decodeStats(bytes: Uint8Array): SegmentStats {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  if (end < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) throw damaged('no statistics');
  const version = view.getUint32(4, true);
  if (version !== VERSION) throw damaged(`version ${version} of statistics is not known`);
  if (view.getUint32(8, true) !== crc32(bytes.subarray(CRC_FROM))) throw damaged('checksum of statistics');
  const keys: PrimaryKey[] = [];
  const type = view.getUint32(12, true);
  let at = HEADER_BYTES;
  while (at + 4 <= end && keys.length < 2) {
    const length = view.getUint32(at, true);
    if (length > end - at - 4) break;
    keys.push(decodeKey(type, bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  const [minKey, maxKey] = keys;
  if (minKey === undefined || maxKey === undefined || at !== end) throw damaged('keys of statistics');
  return {
    rowCount: Number(view.getBigUint64(16, true)),
    minTs: view.getBigInt64(24, true) as HybridTime,
    maxTs: view.getBigInt64(32, true) as HybridTime,
    minKey,
    maxKey,
  };
}

function decodeKey(type: number, bytes: Uint8Array): PrimaryKey {
  if (type === VARCHAR) return textOf(bytes);
  if (type !== INT64 || bytes.length !== 8) throw damaged('keys of statistics');
  return new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);
}
