/**
 * Pure: which virtual channel a primary key belongs to. The hash is CRC-32 of the key (Int64: its eight bytes, little-endian;
 * VarChar: its UTF-8 bytes) modulo the number of channels. It is part of what is stored: it must never change.
 */
import type { PrimaryKeys, RowBatch } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { assert, present } from '../../support/assert.ts';
import { crc32 } from '../../support/crc32.ts';
import { takeRows } from '../wire/fill.ts';

/** Shard of each key. */
export function shardsOf(keys: PrimaryKeys, shardsNum: number): Uint32Array {
  const shards = new Uint32Array(keys.values.length);
  if (shardsNum === 1) return shards;
  if (keys.type === 'Int64') {
    const bytes = new Uint8Array(keys.values.buffer, keys.values.byteOffset, keys.values.byteLength);
    for (let i = 0; i < shards.length; i++) shards[i] = crc32(bytes.subarray(i * 8, i * 8 + 8)) % shardsNum;
  } else
    keys.values.forEach((key, i) => {
      shards[i] = crc32(Buffer.from(key)) % shardsNum;
    });
  return shards;
}

/** Row numbers by shard; shards without rows are left out. */
export function rowsByShard(shards: Uint32Array, shardsNum: number): ReadonlyMap<number, readonly number[]> {
  const rows = new Map<number, number[]>();
  for (let shard = 0; shard < shardsNum; shard++) rows.set(shard, []);
  for (let row = 0; row < shards.length; row++) present(rows.get(shards[row] ?? 0), 'shard').push(row);
  for (const [shard, list] of rows) if (list.length === 0) rows.delete(shard);
  return rows;
}

export function takeBatch(batch: RowBatch, rows: readonly number[]): RowBatch {
  if (rows.length === batch.rowCount) return batch;
  const columns = [...batch.columns].map(([id, column]) => [id, takeRows(column, rows)] as const);
  return { rowCount: rows.length, columns: new Map(columns) };
}

export function takeKeys(keys: PrimaryKeys, rows: readonly number[]): PrimaryKeys {
  if (rows.length === keys.values.length) return keys;
  if (keys.type === 'Int64')
    return { type: 'Int64', values: BigInt64Array.from(rows, (row) => present(keys.values[row], 'key')) };
  return { type: 'VarChar', values: rows.map((row) => present(keys.values[row], 'key')) };
}

/** The keys of a batch, from its primary-key column. */
export function keysOf(batch: RowBatch, { fieldId }: FieldSchema): PrimaryKeys {
  const column = batch.columns.get(fieldId);
  if (column?.layout === 'fixed' && column.type === 'Int64')
    return { type: 'Int64', values: column.values as BigInt64Array };
  assert(column?.layout === 'bytes', 'the primary key is Int64 or VarChar');
  const { offsets, data } = column;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  const values = Array.from({ length: batch.rowCount }, (_, row) =>
    text.toString('utf8', offsets[row], offsets[row + 1]),
  );
  return { type: 'VarChar', values };
}
