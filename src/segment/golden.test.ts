import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parquetMetadata } from 'hyparquet';
import { bytesColumn } from '../../tests/arbitrary-rows.ts';
import { fieldOf } from '../../tests/arbitrary-segment.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import { crc32 } from '../support/crc32.ts';
import { encodeFileHeader, encodeRecordHeader } from '../wal/frame.ts';
import { type AppliedWrite, encodeWrite } from '../wal/message.ts';
import { encodeDeletes } from './deletes-file.ts';
import { encodeRows } from './rows-file.ts';
import { encodeStats } from './stats.ts';

const ts = 77n as HybridTime;
const valid = Uint8Array.of(1, 0);
const columns: Column[] = [
  { layout: 'fixed', type: 'Int64', values: BigInt64Array.of(1n, -2n) },
  { layout: 'fixed', type: 'Int8', values: Int8Array.of(-128, 127) },
  { ...bytesColumn('VarChar', ['é', '']), valid },
  {
    layout: 'list',
    type: 'Array',
    offsets: Uint32Array.of(0, 1, 1),
    items: { layout: 'fixed', type: 'Int16', values: Int16Array.of(3) },
  },
  { layout: 'vector', type: 'FloatVector', dim: 2, values: Float32Array.of(1, 2, 3, 4) },
];
const fields = columns.map((column, i) => fieldOf(100 + i, column, column.valid !== undefined));
const rows = { rowCount: 2, columns: new Map(columns.map((column, i) => [(100 + i) as FieldId, column])) };
const keys = { type: 'VarChar' as const, values: ['a', 'b'] };

test('formats do not change without a new version', () => {
  const write = {
    collectionId: 1n,
    ts,
    parts: [
      { kind: 'insert', channel: 'c', partitionId: 2n, rows },
      { kind: 'delete', channel: 'c', partitionId: -1n, keys },
    ],
    segmentIds: [3n, 4n],
  } as unknown as AppliedWrite;
  const images = {
    write: Buffer.concat(encodeWrite(write)),
    rows: encodeRows(fields, [{ ts, rows }]),
    deletes: encodeDeletes([{ ts, keys }]),
    log: Buffer.concat([
      encodeFileHeader(3, 0x1234_5678_9abcn),
      encodeRecordHeader(ts, [Uint8Array.of(1, 2)], { offset: 32, salt: 9n, durableBytes: 32 }),
    ]),
    stats: encodeStats({ rowCount: 2, minTs: ts, maxTs: ts, minKey: 'a', maxKey: 'b' }),
  };
  assert.deepEqual(
    Object.fromEntries(Object.entries(images).map(([name, bytes]) => [name, [bytes.length, crc32(bytes)]])),
    {
      write: [304, 1255583831],
      rows: [1189, 2523760778],
      deletes: [395, 3298019131],
      log: [64, 373112686],
      stats: [50, 1591664085],
    },
  );
});

test('small integers have no logical type: with the one hyparquet-writer 0.17 writes, DuckDB refuses the file', () => {
  const { schema } = parquetMetadata(encodeRows(fields, [{ ts, rows }]));
  const small = schema.filter(({ converted_type: type }) => type === 'INT_8' || type === 'INT_16');
  assert.deepEqual(
    small.map(({ type, logical_type: logical }) => [type, logical]),
    [
      ['INT32', undefined],
      ['INT32', undefined],
    ],
  );
});
