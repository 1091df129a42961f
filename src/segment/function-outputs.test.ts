/** Rows that were written before their schema had a function: flush, load and compaction give them what it makes of their texts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesColumn } from '../../tests/arbitrary-rows.ts';
import { fieldSchema } from '../../tests/field-schema.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column, RowBatch } from '../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { MemoryStore } from '../storage/memory.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { withAbsentOutputs, withFunctionOutputs } from '../text/function-rows.ts';
import { MemoryWal } from '../wal/memory.ts';
import { encodeWrite } from '../wal/message.ts';
import { COMPACT_SEGMENTS, type CompactInput, type CompactResult, compactTasks } from './compact.ts';
import { FLUSH_SEGMENT, type FlushInput, type FlushResult, flushTasks } from './flush.ts';
import { LOAD_SEGMENT, type LoadedSegment, type LoadInput, loadTasks } from './load.ts';

const [ID, TEXT, TERMS, SIGNATURE] = [100, 101, 102, 103] as FieldId[] as [
  FieldId,
  FieldId,
  FieldId,
  FieldId,
];
const text = fieldSchema('text', {
  fieldId: TEXT,
  dataType: 'VarChar',
  maxLength: 100,
  nullable: true,
  typeParams: { enable_analyzer: 'true' },
});
const id = fieldSchema('id', { fieldId: ID, isPrimaryKey: true });
const terms = fieldSchema('terms', { fieldId: TERMS, dataType: 'SparseFloatVector', isFunctionOutput: true });
const schemaOf = (textField: FieldSchema, isLate = true): CollectionSchema => ({
  description: '',
  fields: isLate ? [id, textField, terms] : [id, textField],
  ...(isLate
    ? {
        functions: [
          {
            functionId: 100,
            name: 'f',
            description: '',
            type: 'BM25',
            inputFieldIds: [TEXT],
            outputFieldIds: [TERMS],
            params: {},
          },
        ],
      }
    : {}),
  enableDynamicField: false,
  version: 1,
});

const texts = ['a fox', '', 'the dog, the fox', 'words'];
const rowsOf = (from: number, to: number, withText = true): RowBatch => {
  const columns = new Map<FieldId, Column>([
    [
      ID,
      {
        layout: 'fixed',
        type: 'Int64',
        values: BigInt64Array.from({ length: to - from }, (_, i) => BigInt(from + i)),
      },
    ],
  ]);
  if (withText) columns.set(TEXT, bytesColumn('VarChar', texts.slice(from, to)));
  return { rowCount: to - from, columns };
};

async function run<T>(tasks: WorkerTasks, name: string, input: object): Promise<T> {
  const { output } = await tasks[name]!(input as never);
  return output as T;
}

const place = (segmentId: bigint) => ({
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  segmentId: segmentId as SegmentId,
});

async function flushed(
  store: MemoryStore,
  segmentId: bigint,
  schema: CollectionSchema,
  rows: RowBatch,
): Promise<FlushResult> {
  const wal = new MemoryWal();
  const at = place(segmentId);
  const bytes = encodeWrite({
    ts: segmentId as HybridTime,
    collectionId: at.collectionId,
    parts: [{ kind: 'insert', channel: 'c', partitionId: at.partitionId, rows }],
    segmentIds: [at.segmentId],
  });
  const { position, durable } = wal.append(segmentId as HybridTime, bytes);
  await durable;
  const input: FlushInput = { place: at, level: 'L1', schema, positions: [position] };
  return run(flushTasks({ store, wal }), FLUSH_SEGMENT, input);
}

async function termsIn(
  store: MemoryStore,
  files: readonly SegmentFile[],
  { fields, functions }: CollectionSchema,
): Promise<Column | undefined> {
  const input: LoadInput = { files, fields, functions, vectors: [] };
  const { columns } = await run<LoadedSegment>(loadTasks({ store }), LOAD_SEGMENT, input);
  return columns.get(TERMS);
}

/** Offsets and bytes: arrays of columns may be views. */
const plain = (column: Column | undefined) => {
  assert.ok(column?.layout === 'bytes');
  return [[...column.offsets], [...column.data]];
};
const expected = (rows: RowBatch, schema: CollectionSchema) =>
  plain(withFunctionOutputs(schema, rows).columns.get(TERMS));

test('a file from before the function, a flush after it and a compaction of both hold the same as rows that were written with it', async () => {
  const store = new MemoryStore(() => 0);
  const late = schemaOf(text);
  const before = await flushed(store, 5n, schemaOf(text, false), rowsOf(0, 2));
  const after = await flushed(store, 6n, late, rowsOf(2, 4));
  assert.deepEqual(plain(await termsIn(store, before.files, late)), expected(rowsOf(0, 2), late));
  assert.deepEqual(plain(await termsIn(store, after.files, late)), expected(rowsOf(2, 4), late));
  const input: CompactInput = {
    place: place(7n),
    schema: late,
    sources: [before, after],
    deletes: [],
    minKilled: 0,
  };
  const { segment } = await run<CompactResult>(compactTasks({ store }), COMPACT_SEGMENTS, input);
  assert.deepEqual(plain(await termsIn(store, segment!.files, late)), expected(rowsOf(0, 4), late));
  // It stands in the file now: nobody has to make it again.
  assert.deepEqual(
    plain(await termsIn(store, segment!.files, { ...late, functions: [] })),
    expected(rowsOf(0, 4), late),
  );
});

test('rows that are older than the text, too, have the words of its default', async () => {
  const store = new MemoryStore(() => 0);
  const idOnly = { ...schemaOf(text, false), fields: [id] };
  const { files } = await flushed(store, 5n, idOnly, rowsOf(0, 2, false));
  for (const [field, words] of [
    [text, ['', '']],
    [{ ...text, defaultValue: 'a fox' }, ['a fox', 'a fox']],
  ] as const) {
    const late = schemaOf(field);
    const full: RowBatch = {
      rowCount: 2,
      columns: new Map([...rowsOf(0, 2, false).columns, [TEXT, bytesColumn('VarChar', words)]]),
    };
    assert.deepEqual(plain(await termsIn(store, files, late)), expected(full, late));
    assert.deepEqual(
      plain(withAbsentOutputs(late, rowsOf(0, 2, false)).columns.get(TERMS)),
      expected(full, late),
    );
  }
});

const signature = fieldSchema('signature', {
  fieldId: SIGNATURE,
  dataType: 'BinaryVector',
  dim: 64,
  isFunctionOutput: true,
});
const signing: CollectionSchema = {
  ...schemaOf(text),
  fields: [id, text, terms, signature],
  functions: [
    ...(schemaOf(text).functions ?? []),
    {
      functionId: 101,
      name: 'g',
      description: '',
      type: 'MinHash',
      inputFieldIds: [TEXT],
      outputFieldIds: [SIGNATURE],
      params: { shingle_size: '1' },
    },
  ],
};

test('signatures of rows that are older than their function go to where the vectors of others go, also for more rows than are made at once', async () => {
  const store = new MemoryStore(() => 0);
  const rowCount = 2500;
  const rows: RowBatch = {
    rowCount,
    columns: new Map<FieldId, Column>([
      [
        ID,
        {
          layout: 'fixed',
          type: 'Int64',
          values: BigInt64Array.from({ length: rowCount }, (_, i) => BigInt(i)),
        },
      ],
      [
        TEXT,
        bytesColumn(
          'VarChar',
          Array.from({ length: rowCount }, (_, i) => `text ${i}`),
        ),
      ],
    ]),
  };
  const whole = withFunctionOutputs(signing, rows);
  const made = whole.columns.get(SIGNATURE);
  assert.ok(made?.layout === 'vector');
  const load = async (files: readonly SegmentFile[], schema: CollectionSchema) => {
    const buffer = new SharedArrayBuffer(8 + rowCount * 8);
    const { fields, functions } = schema;
    const vectors = [{ fieldId: SIGNATURE, buffer, byteOffset: 4 }];
    const input: LoadInput = { files, fields, functions, vectors };
    const { columns } = await run<LoadedSegment>(loadTasks({ store }), LOAD_SEGMENT, input);
    return { columns, bits: Buffer.from(buffer.slice(4, 4 + rowCount * 8)), all: Buffer.from(buffer) };
  };
  const before = await flushed(store, 5n, schemaOf(text, false), rows);
  const after = await flushed(store, 6n, signing, rows);
  for (const { files } of [before, after]) {
    const { columns, bits, all } = await load(files, signing);
    assert.deepEqual(bits, Buffer.from(made.values.buffer));
    assert.deepEqual([all.readUInt32LE(0), all.readUInt32LE(4 + rowCount * 8)], [0, 0]);
    assert.equal(columns.has(SIGNATURE), false);
    assert.deepEqual(plain(columns.get(TERMS)), plain(whole.columns.get(TERMS)));
  }
  // It stands in the file of the later flush: nobody has to make it again.
  assert.deepEqual(
    (await load(after.files, { ...signing, functions: [] })).bits,
    Buffer.from(made.values.buffer),
  );
});
