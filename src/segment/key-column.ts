/**
 * Primary keys as bytes and machine words, so that a lookup makes no string and no bigint: `KeyList` is a batch of keys to look
 * for, `KeyColumn` the keys of a unit's rows. Both hash alike.
 */

import type { Column, PrimaryKeys } from '../model/rows.ts';
import { assert } from '../support/assert.ts';

/** Int64 keys: low half of key `i` at `2i`, high half at `2i + 1`. Every platform of Node is little-endian. */
export interface IntKeys {
  readonly type: 'Int64';
  readonly halves: Int32Array;
}

/** VarChar keys in UTF-8. */
export interface ByteKeys {
  readonly type: 'VarChar';
  readonly offsets: Uint32Array;
  readonly data: Uint8Array;
}

export type KeyColumn = IntKeys | ByteKeys;

/** Source: Appleby, MurmurHash3, the 32-bit finalizer over both halves. */
export function hashHalves(low: number, high: number): number {
  let h = Math.imul(low ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + high, 0xc2b2ae35);
  h ^= h >>> 13;
  h = Math.imul(h, 0x27d4eb2f);
  return h ^ (h >>> 16);
}

/** Source: Fowler, Noll, Vo: FNV-1a, mixed once more because the table takes the low bits. */
export function hashBytes(data: Uint8Array, from: number, to: number): number {
  let h = 0x811c9dc5;
  for (let i = from; i < to; i++) h = Math.imul(h ^ (data[i] ?? 0), 0x01000193);
  return Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) ^ (h >>> 12);
}

export function hashKey(keys: KeyColumn, at: number): number {
  return keys.type === 'Int64'
    ? hashHalves(keys.halves[2 * at] ?? 0, keys.halves[2 * at + 1] ?? 0)
    : hashBytes(keys.data, keys.offsets[at] ?? 0, keys.offsets[at + 1] ?? 0);
}

function compareInts(a: Int32Array, i: number, b: Int32Array, j: number): number {
  const high = (a[2 * i + 1] ?? 0) - (b[2 * j + 1] ?? 0);
  return high === 0 ? ((a[2 * i] ?? 0) >>> 0) - ((b[2 * j] ?? 0) >>> 0) : high;
}

function compareBytes(a: ByteKeys, i: number, b: ByteKeys, j: number): number {
  const aFrom = a.offsets[i] ?? 0;
  const bFrom = b.offsets[j] ?? 0;
  const aLength = (a.offsets[i + 1] ?? 0) - aFrom;
  const bLength = (b.offsets[j + 1] ?? 0) - bFrom;
  const shared = Math.min(aLength, bLength);
  for (let at = 0; at < shared; at++) {
    const difference = (a.data[aFrom + at] ?? 0) - (b.data[bFrom + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** Negative, zero or positive. Int64 by value, VarChar by the bytes of its UTF-8, as Milvus orders. */
export function compareKeys(a: KeyColumn, i: number, b: KeyColumn, j: number): number {
  if (a.type === 'Int64') {
    assert(b.type === 'Int64', 'keys of two types');
    return compareInts(a.halves, i, b.halves, j);
  }
  assert(b.type === 'VarChar', 'keys of two types');
  return compareBytes(a, i, b, j);
}

export function intKeys(values: BigInt64Array): IntKeys {
  return { type: 'Int64', halves: new Int32Array(values.buffer, values.byteOffset, values.length * 2) };
}

/** The primary-key column of a unit, seen as keys. */
export function keysOfColumn(column: Column): KeyColumn {
  if (column.layout === 'bytes') return { type: 'VarChar', offsets: column.offsets, data: column.data };
  assert(
    column.layout === 'fixed' && column.values instanceof BigInt64Array,
    'a primary key is Int64 or VarChar',
  );
  return intKeys(column.values);
}

const encoder = new TextEncoder();

export interface KeyList {
  readonly count: number;
  readonly column: KeyColumn;
}

export function keyList(keys: PrimaryKeys): KeyList {
  const count = keys.values.length;
  if (keys.type === 'Int64') return { count, column: intKeys(keys.values) };
  const parts = keys.values.map((key) => encoder.encode(key));
  const offsets = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) offsets[i + 1] = (offsets[i] ?? 0) + (parts[i]?.length ?? 0);
  const data = new Uint8Array(offsets[count] ?? 0);
  for (let i = 0; i < count; i++) data.set(parts[i] ?? [], offsets[i]);
  return { count, column: { type: 'VarChar', offsets, data } };
}
