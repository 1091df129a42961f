import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesColumn, column } from '../../tests/arbitrary-rows.ts';
import { fieldOf } from '../../tests/arbitrary-segment.ts';
import { isDbError } from '../errors/db-error.ts';
import { bytesOf, vectorBytes } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import { MemoryStore } from '../storage/memory.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { putFile } from './checked-file.ts';
import { encodeDeletes } from './deletes-file.ts';
import { fingerprintRows, fingerprintTasks, type MarkedColumn, WorkerFingerprints } from './fingerprint.ts';
import { encodePickedRows, encodeRows, type RowSource } from './rows-file.ts';
import { Runs } from './runs.ts';

const never = new AbortController().signal;
const ts = (n: number) => BigInt(n) as HybridTime;

const digestOf = (stamps: readonly number[], ...columns: Column[]): string =>
  fingerprintRows(BigInt64Array.from(stamps, BigInt), marked(columns)).digest;

const marked = (columns: readonly Column[]): MarkedColumn[] =>
  columns.map((each, i) => ({ fieldId: 100 + i, column: each }));

const int = (...values: number[]): Column => ({
  layout: 'fixed',
  type: 'Int64',
  values: BigInt64Array.from(values, BigInt),
});

const picked = (rows: readonly number[]): Runs => {
  const runs = new Runs();
  for (const row of rows) runs.add(0, row, row + 1);
  return runs;
};

/** A batch of some columns with nulls, and its rows in another order. */
const shuffled = fc.integer({ min: 1, max: 8 }).chain((rowCount) =>
  fc.record({
    columns: fc.array(column(rowCount), { minLength: 1, maxLength: 4 }),
    stamps: fc.array(fc.nat({ max: 5 }), { minLength: rowCount, maxLength: rowCount }),
    order: fc.shuffledSubarray(
      Array.from({ length: rowCount }, (_, i) => i),
      { minLength: rowCount },
    ),
  }),
);

test('a permutation of the rows has the same fingerprint, through files and threads', async () => {
  await fc.assert(
    fc.asyncProperty(shuffled, async ({ columns, stamps, order }) => {
      const store = new MemoryStore(() => 0);
      const fingerprints = new WorkerFingerprints(inlineWorkers(fingerprintTasks(store)));
      const fields = columns.map((each, i) => fieldOf(100 + i, each, true));
      const source: RowSource = {
        rowCount: stamps.length,
        columns: new Map(columns.map((each, i) => [(100 + i) as FieldId, each])),
        timestamps: BigInt64Array.from(stamps, BigInt),
      };
      const put = async (key: string, bytes: Uint8Array) =>
        fingerprints.of(await putFile(store, 'rows', key, bytes), never);
      const was = await put('a', encodePickedRows(fields, [source], picked(order.toSorted())));
      const is = await put('b', encodePickedRows(fields, [source], picked(order)));
      assert.deepEqual(is, was);
      assert.match(was.digest, /^[0-9a-f]{32}$/);
      assert.equal(was.digest, fingerprintRows(source.timestamps, marked(columns)).digest);
    }),
    { numRuns: 150, seed: 4 },
  );
});

test('a change of any value, of a null, of a type or of a timestamp gives another fingerprint', () => {
  const batch = fc.integer({ min: 1, max: 6 }).chain((rowCount) =>
    fc.record({
      column: column(rowCount),
      stamps: fc.array(fc.nat({ max: 5 }), { minLength: rowCount, maxLength: rowCount }),
      row: fc.nat({ max: rowCount - 1 }),
      bit: fc.nat(),
    }),
  );
  fc.assert(
    fc.property(batch, ({ column: was, stamps, row, bit }) => {
      const before = digestOf(stamps, was);
      const later = stamps.map((stamp, i) => (i === row ? stamp + 1 : stamp));
      assert.notEqual(digestOf(later, was), before);
      assert.notEqual(digestOf(stamps, was, int(...stamps)), before);
      const isNull = was.valid?.[row] === 0;
      const valid = was.valid?.slice() ?? new Uint8Array(stamps.length).fill(1);
      valid[row] = isNull ? 1 : 0;
      assert.notEqual(digestOf(stamps, { ...was, valid }), before);
      const flipped = isNull ? undefined : flip(was, row, bit);
      if (flipped !== undefined) assert.notEqual(digestOf(stamps, flipped), before);
    }),
    { numRuns: 600, seed: 5 },
  );
});

/** The column with one bit of a row's value turned over; undefined when the value has no bytes. */
function flip(was: Column, row: number, bit: number): Column | undefined {
  const is = structuredClone(was);
  const [bytes, from, to] = placeOf(is, row);
  if (to === from) return undefined;
  const at = from + ((bit >> 3) % (to - from));
  bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
  return is;
}

function placeOf(column: Column, row: number): readonly [Uint8Array, number, number] {
  switch (column.layout) {
    case 'fixed': {
      const width = column.values.BYTES_PER_ELEMENT;
      return [bytesOf(column.values), row * width, (row + 1) * width];
    }
    case 'vector': {
      const width = vectorBytes(column.type, column.dim);
      return [bytesOf(column.values), row * width, (row + 1) * width];
    }
    case 'bytes':
      return [column.data, column.offsets[row]!, column.offsets[row + 1]!];
    case 'list': {
      const [from, to] = [column.offsets[row]!, column.offsets[row + 1]!];
      return from === to ? [new Uint8Array(), 0, 0] : placeOf(column.items, from);
    }
  }
}

test('the same bytes under another type, field or division into rows and values are others', () => {
  const seen = new Set<string>();
  const texts = (...values: string[]) => bytesColumn('VarChar', values);
  const zeros = (type: 'Int32' | 'Float', values: Int32Array | Float32Array): Column => ({
    layout: 'fixed',
    type,
    values,
  });
  const list = (...offsets: number[]): Column => ({
    layout: 'list',
    type: 'Array',
    offsets: Uint32Array.from(offsets),
    items: texts('ab', 'c', ''),
  });
  const all = [
    digestOf([1], zeros('Int32', new Int32Array(1))),
    digestOf([1], zeros('Float', new Float32Array(1))),
    digestOf([1], { ...zeros('Int32', new Int32Array(1)), valid: new Uint8Array(1) }),
    digestOf([1]),
    digestOf([1], int(0)),
    digestOf([1], int(0), int(0)),
    fingerprintRows(BigInt64Array.of(1n), [{ fieldId: 7, column: int(0) }]).digest,
    digestOf([1], texts('')),
    digestOf([1], texts('\0')),
    digestOf([1], texts('a'), texts('bc')),
    digestOf([1], texts('ab'), texts('c')),
    digestOf([1, 1], texts('a', 'bc')),
    digestOf([1, 1], texts('ab', 'c')),
    digestOf([1], bytesColumn('JSON', [''])),
    digestOf([1], list(0, 3)),
    digestOf([1, 1], list(0, 1, 3)),
    digestOf([1, 1], list(0, 2, 3)),
    digestOf([1, 1, 1], list(0, 2, 2, 3)),
  ];
  for (const digest of all) seen.add(digest);
  assert.equal(seen.size, all.length);
});

test('a row that stands twice counts twice: rows cannot cancel each other out', () => {
  const counts = [0, 1, 2, 3, 4].map((count) =>
    digestOf(Array<number>(count).fill(1), int(...Array<number>(count).fill(7))),
  );
  assert.equal(new Set(counts).size, counts.length);
  assert.notEqual(digestOf([1, 1, 2, 2], int(5, 5, 6, 6)), digestOf([1, 1, 1, 1], int(5, 5, 5, 5)));
  assert.notEqual(digestOf([1, 2], int(5, 6)), digestOf([1, 2], int(6, 5)));
  assert.equal(digestOf([]), '0'.repeat(32));
});

test('deletes have fingerprints, too; damage of any byte is found, and what is missing is named', async () => {
  const store = new MemoryStore(() => 0);
  const fingerprints = new WorkerFingerprints(inlineWorkers(fingerprintTasks(store)));
  const deletes = (keys: bigint[], at: number) => ({
    ts: ts(at),
    keys: { type: 'Int64' as const, values: BigInt64Array.from(keys) },
  });
  const put = (key: string, ...writes: ReturnType<typeof deletes>[]): Promise<SegmentFile> =>
    putFile(store, 'deletes', key, encodeDeletes(writes));
  const of = async (file: SegmentFile) => fingerprints.of(file, never);
  const was = await of(await put('a', deletes([1n, 2n], 1), deletes([3n], 2)));
  assert.deepEqual(was, await of(await put('b', deletes([3n], 2), deletes([2n, 1n], 1))));
  assert.equal(was.rowCount, 3);
  assert.notEqual(was.digest, (await of(await put('c', deletes([1n, 2n, 3n], 1)))).digest);
  assert.notEqual(was.digest, (await of(await put('d', deletes([1n, 4n], 1), deletes([3n], 2)))).digest);
  const file = await put('e', deletes([1n], 1));
  const bytes = await store.get('e');
  const isDamage = (error: unknown) => isDbError(error, 'data-integrity') && error.message.includes("'e'");
  for (let i = 0; i < bytes.length; i++) {
    const bad = bytes.slice();
    bad[i] = (bad[i] as number) ^ 1;
    await store.delete('e');
    await store.put('e', bad);
    await assert.rejects(of(file), isDamage, `byte ${i}`);
  }
  await store.delete('e');
  await assert.rejects(of(file), (error) => isDbError(error, 'object-not-found'));
  const stopped = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(fingerprints.of(await put('f', deletes([1n], 1)), stopped), /stopped/);
});

test('a column that the file does not have is not one of nulls', async () => {
  const store = new MemoryStore(() => 0);
  const fingerprints = new WorkerFingerprints(inlineWorkers(fingerprintTasks(store)));
  const rows = { rowCount: 1, columns: new Map([[100 as FieldId, int(1)]]) };
  const [id, extra] = [fieldOf(100, int(1), false), fieldOf(101, int(1), true)];
  const write = async (key: string, fields: (typeof id)[]) =>
    fingerprints.of(await putFile(store, 'rows', key, encodeRows(fields, [{ ts: ts(1), rows }])), never);
  assert.notEqual((await write('a', [id])).digest, (await write('b', [id, extra])).digest);
});
