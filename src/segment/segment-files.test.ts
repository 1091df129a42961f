import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesColumn, keys } from '../../tests/arbitrary-rows.ts';
import { fieldOf } from '../../tests/arbitrary-segment.ts';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { MemoryStore } from '../storage/memory.ts';
import { crc32 } from '../support/crc32.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { MemoryWal } from '../wal/memory.ts';
import { encodeWrite, type WritePart } from '../wal/message.ts';
import type { WalPosition } from '../wal/wal.ts';
import { type Deletes, encodeDeletes, readDeletes } from './deletes-file.ts';
import { FLUSH_SEGMENT, type FlushInput, type FlushResult, flushTasks } from './flush.ts';
import { LOAD_DELETES, LOAD_SEGMENT, type LoadedSegment, loadTasks } from './load.ts';
import { bytesReader } from './parquet-reader.ts';
import { decodeStats, encodeStats } from './stats.ts';

const ts = (n: number) => BigInt(n) as HybridTime;
const run = async <T>(tasks: WorkerTasks, name: string, input: unknown): Promise<T> => {
  const { output, transfer } = await tasks[name]!(structuredClone(input) as never);
  return structuredClone(output, { transfer: [...transfer] }) as T;
};
const isDamage = (error: unknown) => isDbError(error, 'data-integrity');

test('deletes come back as they were written', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(keys, { minLength: 1, maxLength: 4 }), async (batches) => {
      const type = batches[0]!.type;
      const writes = batches
        .filter((batch) => batch.type === type && batch.values.length > 0)
        .map((batch, n) => ({ ts: ts(n), keys: batch }));
      fc.pre(writes.length > 0);
      const read = await readDeletes(bytesReader(encodeDeletes(writes)));
      assert.equal(read.keys.type, type);
      assert.deepEqual(
        [...read.keys.values],
        writes.flatMap((write) => [...write.keys.values]),
      );
      assert.deepEqual(
        [...read.timestamps],
        writes.flatMap((write) => Array.from({ length: write.keys.values.length }, () => write.ts)),
      );
    }),
    { numRuns: 100, seed: 9 },
  );
});

test('statistics come back as they were written, and damage is found', () => {
  for (const [minKey, maxKey] of [
    [-(2n ** 63n), 2n ** 63n - 1n],
    ['', 'é😀'],
  ] as const) {
    const stats = { rowCount: 7, minTs: ts(1), maxTs: ts(2), minKey, maxKey };
    const bytes = encodeStats(stats);
    assert.deepEqual(decodeStats(bytes), stats);
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 4;
      assert.throws(() => decodeStats(changed), isDamage);
      assert.throws(() => decodeStats(bytes.subarray(0, at)), isDamage);
    }
  }
});

test('R14: the checksum of a whole statistics file tells it from every other of its size', () => {
  const sums = Array.from({ length: 50 }, (_, i) =>
    crc32(encodeStats({ rowCount: 7 + i, minTs: ts(1), maxTs: ts(2), minKey: 0n, maxKey: BigInt(i) })),
  );
  assert.equal(new Set(sums).size, sums.length);
});

const place = {
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  segmentId: 3n as SegmentId,
};
const other = 4n as SegmentId;
const columnsOf = (ids: readonly string[]): Column[] => [
  bytesColumn('VarChar', ids),
  {
    layout: 'vector',
    type: 'FloatVector',
    dim: 2,
    values: Float32Array.from(ids.flatMap((_, i) => [i, -i])),
  },
];
const fields: FieldSchema[] = columnsOf(['x']).map((column, i) => ({
  ...fieldOf(100 + i, column, false),
  isPrimaryKey: i === 0,
}));
const schema = { description: '', fields, enableDynamicField: false, version: 0 };
const insert = (...ids: string[]): WritePart => ({
  kind: 'insert',
  channel: 'c',
  partitionId: place.partitionId,
  rows: {
    rowCount: ids.length,
    columns: new Map(columnsOf(ids).map((column, i) => [(100 + i) as FieldId, column])),
  },
});
const remove = (...values: string[]): WritePart => ({
  kind: 'delete',
  channel: 'c',
  partitionId: place.partitionId,
  keys: { type: 'VarChar', values },
});

async function logOf(...writes: [WritePart, SegmentId][][]) {
  const wal = new MemoryWal();
  const positions: WalPosition[] = [];
  for (const [n, parts] of writes.entries()) {
    const { position, durable } = wal.append(
      ts(n),
      encodeWrite({
        collectionId: place.collectionId,
        ts: ts(n),
        parts: parts.map(([part]) => part),
        segmentIds: parts.map(([, id]) => id),
      }),
    );
    await durable;
    positions.push(position);
  }
  return { wal, positions };
}

async function flushed() {
  const { wal, positions } = await logOf(
    [
      [insert('b', 'c'), place.segmentId],
      [remove('z'), 5n as SegmentId],
    ],
    [
      [insert('q'), other],
      [insert('a'), place.segmentId],
      [insert('b'), place.segmentId],
    ],
  );
  const store = new MemoryStore(() => 0);
  const input: FlushInput = { place, level: 'L1', schema, positions };
  const result = await run<FlushResult>(flushTasks({ store, wal }), FLUSH_SEGMENT, input);
  return { wal, store, input, ...result };
}

test('a flush that is tried again when the schema has changed writes another object: a late first attempt destroys nothing', async () => {
  const { store, wal, input, files } = await flushed();
  const changed = { ...schema, fields: fields.slice(0, 1), version: 7 };
  const again = await run<FlushResult>(flushTasks({ store, wal }), FLUSH_SEGMENT, {
    ...input,
    schema: changed,
  });
  assert.equal(again.files[0]!.key, 'segments/1/2/3/rows-7.parquet');
  assert.notEqual(again.files[0]!.sizeBytes, files[0]!.sizeBytes);
  assert.deepEqual(again.files[1], { ...files[1], etag: again.files[1]!.etag });
  await run(flushTasks({ store, wal }), FLUSH_SEGMENT, input);
  const loaded = await load(store, again.files, { fields: changed.fields });
  assert.equal(loaded.rowCount, 4);
});

const load = (store: MemoryStore, files: readonly SegmentFile[], more: object = {}): Promise<LoadedSegment> =>
  run(loadTasks({ store }), LOAD_SEGMENT, { files, fields, vectors: [], ...more });

test('a flush writes the rows of its segment and no others, in log order, with their statistics', async () => {
  const { store, files, rowCount } = await flushed();
  assert.equal(rowCount, 4);
  assert.deepEqual(
    files.map(({ kind, key }) => [kind, key]),
    [
      ['rows', 'segments/1/2/3/rows.parquet'],
      ['stats', 'segments/1/2/3/stats.bin'],
    ],
  );
  const loaded = await load(store, files);
  assert.equal(loaded.rowCount, 4);
  assert.deepEqual([...loaded.timestamps], [0n, 0n, 1n, 1n]);
  assert.deepEqual(loaded.columns.get(100 as FieldId), bytesColumn('VarChar', ['b', 'c', 'a', 'b']));
  assert.deepEqual(decodeStats(await store.get(files[1]!.key)), {
    rowCount: 4,
    minTs: 0n,
    maxTs: 1n,
    minKey: 'a',
    maxKey: 'c',
  });
});

test('a flush done again writes the same bytes', async () => {
  const { wal, store, input, files } = await flushed();
  const again = await run<FlushResult>(flushTasks({ store, wal }), FLUSH_SEGMENT, input);
  assert.deepEqual(
    again.files.map(({ crc32, sizeBytes }) => [crc32, sizeBytes]),
    files.map(({ crc32, sizeBytes }) => [crc32, sizeBytes]),
  );
});

test('vectors are loaded into the memory of the caller', async () => {
  const { store, files } = await flushed();
  const buffer = new SharedArrayBuffer(48);
  const vectors = [{ fieldId: 101 as FieldId, buffer, byteOffset: 8 }];
  // The clone of a message shares such a buffer; structuredClone alone refuses it.
  const { output } = await loadTasks({ store })[LOAD_SEGMENT]!({ files, fields, vectors } as never);
  assert.deepEqual([...(output as LoadedSegment).columns.keys()], [100]);
  assert.deepEqual([...new Float32Array(buffer, 8, 8)], [0, -0, 1, -1, 0, -0, 0, -0]);
  assert.equal((output as LoadedSegment).vectorValid.size, 0);
});

test('a file that is missing, too long, too short or changed is refused by its name', async () => {
  const { store, files } = await flushed();
  const [rows] = files;
  const isNamed = (error: unknown) => isDamage(error) && String(error).includes(rows!.key);
  const bytes = await store.get(rows!.key);
  const change = (at: number) => {
    const changed = bytes.slice();
    changed[at]! ^= 1;
    return changed;
  };
  const middle = Math.floor(bytes.length / 2);
  for (const damaged of [
    bytes.slice(1),
    new Uint8Array([...bytes, 0]),
    change(40),
    change(middle),
    change(bytes.length - 20),
  ]) {
    await store.put(rows!.key, damaged);
    await assert.rejects(load(store, files), isNamed);
  }
  await store.put(rows!.key, bytes);
  await load(store, files);
  await store.delete(rows!.key);
  await assert.rejects(load(store, files), (error) => isDbError(error, 'object-not-found'));
  await assert.rejects(load(store, []), isDamage);
});

test('the deletes of an L0 segment are flushed and loaded', async () => {
  const { wal, positions } = await logOf(
    [[remove('a', 'b'), place.segmentId]],
    [
      [insert('a'), other],
      [remove('a'), place.segmentId],
    ],
  );
  const store = new MemoryStore(() => 0);
  const input: FlushInput = { place, level: 'L0', schema, positions };
  const { files, rowCount } = await run<FlushResult>(flushTasks({ store, wal }), FLUSH_SEGMENT, input);
  assert.equal(rowCount, 3);
  const loaded = await run<Deletes>(loadTasks({ store }), LOAD_DELETES, { files });
  assert.deepEqual(loaded.keys, { type: 'VarChar', values: ['a', 'b', 'a'] });
  assert.deepEqual([...loaded.timestamps], [0n, 0n, 1n]);
});

test('records that hold nothing for the segment, or the wrong kind, are refused', async () => {
  const { wal, positions } = await logOf([[insert('a'), other]], [[remove('a'), place.segmentId]]);
  const store = new MemoryStore(() => 0);
  for (const position of positions)
    await assert.rejects(
      run(flushTasks({ store, wal }), FLUSH_SEGMENT, { place, level: 'L1', schema, positions: [position] }),
      isDamage,
    );
});
