import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { bytesColumn, withNulls } from '../../tests/arbitrary-rows.ts';
import { fieldOf, segment } from '../../tests/arbitrary-segment.ts';
import { concatColumns } from '../../tests/concat-columns.ts';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { bytesReader, type RangedReader } from './parquet-reader.ts';
import {
  encodeRows,
  readColumns,
  readRowsMeta,
  readTimestamps,
  readVectors,
  type WrittenRows,
} from './rows-file.ts';

/** As a file gives it back: no validity where nothing is null. */
const canonical = (column: Column): Column => {
  const { valid, ...rest } = column;
  return valid?.includes(0) === true ? column : (rest as Column);
};
const bytes = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
const image = (column: Column): unknown => ({
  ...column,
  ...(column.layout === 'list' ? { items: image(column.items) } : {}),
  ...('values' in column ? { values: bytes(column.values).toString('hex') } : {}),
  ...('data' in column ? { data: bytes(column.data).toString('hex') } : {}),
});

async function readAll(reader: RangedReader, fields: readonly FieldSchema[]) {
  const meta = await readRowsMeta(reader);
  const columns = await readColumns(reader, meta, fields);
  return { meta, columns, timestamps: await readTimestamps(reader, meta) };
}

test('rows of any types come back bit by bit, nulls included', async () => {
  await fc.assert(
    fc.asyncProperty(segment, async ({ fields, writes }) => {
      const { meta, columns, timestamps } = await readAll(bytesReader(encodeRows(fields, writes)), fields);
      assert.equal(meta.rowCount, timestamps.length);
      assert.deepEqual(
        [...timestamps],
        writes.flatMap(({ ts, rows }) => Array.from({ length: rows.rowCount }, () => ts)),
      );
      for (const { fieldId } of fields) {
        const written = concatColumns(writes.map(({ rows }) => rows.columns.get(fieldId)!));
        assert.deepEqual(image(columns.get(fieldId)!), image(canonical(written)));
      }
    }),
    { numRuns: 200, seed: 6 },
  );
});

test('extremes of every type come back bit by bit: 64 KB texts and JSON, empty ones, the ends of Int64, -0, NaN with a payload, subnormal numbers', async () => {
  const long = (unit: string) => unit.repeat(Math.floor(65_535 / Buffer.byteLength(unit)));
  const texts = fc.constantFrom('', 'x', long('x'), long('é'), long('😀'), '\0', '\ufeff', long('\0'));
  const int64s = fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n, 2n ** 53n + 1n);
  const bits32 = fc.constantFrom(
    0,
    0x8000_0000,
    0x7f80_0001,
    0xffc1_2345,
    0x7f80_0000,
    0xff80_0000,
    1,
    0x007f_ffff,
  );
  const bits64 = fc.constantFrom(
    0n,
    1n << 63n,
    0x7ff0_0000_0000_0001n,
    0xfff8_0000_0001_2345n,
    0x7ff0n << 48n,
    1n,
  );
  const valid = (count: number) =>
    fc.option(fc.uint8Array({ minLength: count, maxLength: count, max: 1 }), { nil: undefined });
  const list = <T>(of: fc.Arbitrary<T>, count: number) =>
    fc.array(of, { minLength: count, maxLength: count });
  const floats = (bits: readonly number[]) => new Float32Array(Uint32Array.from(bits).buffer);
  const block = fc.integer({ min: 1, max: 5 }).chain((count) =>
    fc
      .tuple(
        list(texts, count).map((of) => bytesColumn('VarChar', of)),
        list(texts, count).map((of) =>
          bytesColumn(
            'JSON',
            of.map((text) => JSON.stringify(text)),
          ),
        ),
        list(int64s, count).map(
          (of) => ({ layout: 'fixed', type: 'Int64', values: BigInt64Array.from(of) }) as const,
        ),
        list(bits32, count).map((of) => ({ layout: 'fixed', type: 'Float', values: floats(of) }) as const),
        list(bits64, count).map(
          (of) =>
            ({
              layout: 'fixed',
              type: 'Double',
              values: new Float64Array(BigUint64Array.from(of).buffer),
            }) as const,
        ),
        list(bits32, 3 * count).map(
          (of) => ({ layout: 'vector', type: 'FloatVector', dim: 3, values: floats(of) }) as const,
        ),
        list(fc.array(texts, { maxLength: 3 }), count).map((rows) => {
          const offsets = new Uint32Array(count + 1);
          for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + row.length;
          return {
            layout: 'list',
            type: 'Array',
            offsets,
            items: bytesColumn('VarChar', rows.flat()),
          } as const;
        }),
      )
      .chain((columns) =>
        fc.tuple(
          ...columns.map((column: Column) =>
            valid(count).map((is) => (is === undefined ? column : withNulls(column, is))),
          ),
        ),
      )
      .map((columns) => ({ count, columns })),
  );
  await fc.assert(
    fc.asyncProperty(block, async ({ count, columns }) => {
      const fields = columns.map((column, i) => fieldOf(100 + i, column, true));
      const held = new Map(columns.map((column, i) => [(100 + i) as FieldId, column]));
      const file = encodeRows(fields, [{ ts: 7n as HybridTime, rows: { rowCount: count, columns: held } }]);
      const { columns: found } = await readAll(bytesReader(file), fields);
      for (const { fieldId } of fields)
        assert.deepEqual(image(found.get(fieldId)!), image(canonical(held.get(fieldId)!)));
    }),
    { seed: 9, numRuns: 25 },
  );
});

test('the same rows give the same bytes, however they were written', () => {
  fc.assert(
    fc.property(segment, ({ fields, writes }) => {
      const [first] = writes;
      const together: WrittenRows = {
        ts: first!.ts,
        rows: {
          rowCount: writes.reduce((sum, { rows }) => sum + rows.rowCount, 0),
          columns: new Map(
            fields.map(({ fieldId }) => [
              fieldId,
              concatColumns(writes.map(({ rows }) => rows.columns.get(fieldId)!)),
            ]),
          ),
        },
      };
      const apart = writes.map(({ rows }) => ({ ts: first!.ts, rows }));
      assert.deepEqual(encodeRows(fields, apart), encodeRows(fields, [together]));
    }),
    { numRuns: 30, seed: 7 },
  );
});

test('vectors go straight into any buffer, shared ones too', async () => {
  const dim = 3;
  const values = Float32Array.from({ length: 12 }, (_, i) => i - 5.5);
  const vectors: Column = { layout: 'vector', type: 'FloatVector', dim, values };
  const holed: Column = { ...vectors, valid: Uint8Array.of(0, 1, 0, 1) };
  const ts = 5n as HybridTime;
  for (const [column, expected, expectedValid] of [
    [vectors, values, undefined],
    [holed, Float32Array.of(0, 0, 0, -2.5, -1.5, -0.5, 0, 0, 0, 3.5, 4.5, 5.5), holed.valid],
  ] as const) {
    const field = fieldOf(100, column, column !== vectors);
    const file = encodeRows(
      [field],
      [{ ts, rows: { rowCount: 4, columns: new Map([[100 as FieldId, column]]) } }],
    );
    const reader = bytesReader(file);
    const shared = new SharedArrayBuffer(64);
    const target = new Float32Array(shared, 8, 12).fill(9);
    const valid = await readVectors(reader, await readRowsMeta(reader), field, target);
    assert.deepEqual([valid, [...target]], [expectedValid, [...expected]]);
    assert.deepEqual([...new Float32Array(shared, 0, 2), ...new Float32Array(shared, 56, 2)], [0, 0, 0, 0]);
  }
});

const text = (value: string) => bytesColumn('VarChar', [value, '', value]);
const twoFields = (): { fields: FieldSchema[]; writes: WrittenRows[] } => {
  const columns: Column[] = [
    { layout: 'fixed', type: 'Int64', values: BigInt64Array.of(1n, -(2n ** 63n), 2n ** 63n - 1n) },
    { ...text('é😀'), valid: Uint8Array.of(1, 1, 1) },
    { layout: 'fixed', type: 'Float', values: Float32Array.of(Number.NaN, -0, 1e-40) },
    { layout: 'fixed', type: 'Bool', values: Uint8Array.of(1, 0, 1), valid: Uint8Array.of(1, 1, 0) },
    bytesColumn('JSON', ['{"a":[1,2]}', 'null', '"x"']),
    {
      layout: 'list',
      type: 'Array',
      offsets: Uint32Array.of(0, 2, 2, 2),
      items: { layout: 'fixed', type: 'Int16', values: Int16Array.of(-7, 8) },
      valid: Uint8Array.of(1, 1, 0),
    },
    { layout: 'vector', type: 'FloatVector', dim: 2, values: Float32Array.of(1, 2, 3, 4, 5, 6) },
  ];
  const fields = columns.map((column, i) => fieldOf(100 + i, column, i === 1 || i === 3 || i === 5));
  const rows = {
    rowCount: 3,
    columns: new Map(columns.map((column, i) => [(100 + i) as FieldId, column])),
  };
  return { fields, writes: [{ ts: 77n as HybridTime, rows }] };
};

test('an independent reader of Parquet sees the rows under the names of their fields', async () => {
  const { fields, writes } = twoFields();
  const file = encodeRows(fields, writes);
  const rows = await parquetReadObjects({ file: file.buffer });
  assert.deepEqual(
    rows.map((row) => Object.values(row).map((value) => (value === undefined ? null : value))),
    [
      [77n, 1n, 'é😀', Number.NaN, true, { a: [1, 2] }, [-7, 8], Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 64)],
      [77n, -(2n ** 63n), '', -0, false, null, [], Uint8Array.of(0, 0, 64, 64, 0, 0, 128, 64)],
      [
        77n,
        2n ** 63n - 1n,
        'é😀',
        Math.fround(1e-40),
        null,
        'x',
        null,
        Uint8Array.of(0, 0, 160, 64, 0, 0, 192, 64),
      ],
    ],
  );
  assert.deepEqual(Object.keys(rows[0]!), ['$ts', ...fields.map(({ name }) => name)]);
});

test('a field that the rows lack is null or its default, in a new file and in an old one', async () => {
  const { fields, writes } = twoFields();
  const [key] = fields;
  const added: FieldSchema[] = [
    { ...fieldOf(200, text('x'), true), defaultValue: 'née' },
    fieldOf(201, { layout: 'vector', type: 'FloatVector', dim: 2, values: new Float32Array() }, true),
    {
      ...fieldOf(202, { layout: 'fixed', type: 'Int64', values: new BigInt64Array() }, false),
      defaultValue: 9n,
    },
  ];
  const now = await readAll(bytesReader(encodeRows([key!, ...added], writes)), added);
  const reader = bytesReader(encodeRows([key!], writes));
  const old = await readAll(reader, added);
  for (const { columns } of [now, old]) {
    const [names, vectors, numbers] = added.map(({ fieldId }) => columns.get(fieldId)!);
    assert.deepEqual(names, bytesColumn('VarChar', ['née', 'née', 'née']));
    assert.deepEqual(vectors!.valid, new Uint8Array(3));
    assert.deepEqual('values' in numbers! && [...numbers.values], [9n, 9n, 9n]);
  }
  const target = new Float32Array(6).fill(1);
  assert.deepEqual(await readVectors(reader, old.meta, added[1]!, target), new Uint8Array(3));
  assert.deepEqual(target, new Float32Array(6));
  const required = { ...added[1]!, nullable: false };
  const isDamage = (error: unknown) => isDbError(error, 'data-integrity');
  assert.throws(() => encodeRows([required], writes), isDamage);
  await assert.rejects(readColumns(reader, old.meta, [required]), isDamage);
});

test('a column of another type than its field is refused, when written and when read', async () => {
  const { fields, writes } = twoFields();
  const other = { ...fields[0]!, dataType: 'Int32' as const };
  const isDamage = (error: unknown) => isDbError(error, 'data-integrity');
  assert.throws(() => encodeRows([other], writes), isDamage);
  const reader = bytesReader(encodeRows(fields, writes));
  const meta = await readRowsMeta(reader);
  await assert.rejects(readColumns(reader, meta, [other]), isDamage);
  await assert.rejects(readColumns(reader, meta, [{ ...fields[6]!, dim: 3 }]), isDamage);
});

test('damaged files are refused as damaged, whatever they are', async () => {
  const outcome = async (file: Uint8Array, fields: readonly FieldSchema[]): Promise<void> => {
    try {
      await readAll(bytesReader(file), fields);
    } catch (error) {
      assert.ok(isDbError(error, 'data-integrity'), String((error as Error).stack));
    }
  };
  const { fields, writes } = twoFields();
  const file = encodeRows(fields, writes);
  for (let at = 0; at < file.length; at++)
    for (const flip of [1, 0x80, 0xff]) {
      const changed = file.slice();
      changed[at]! ^= flip;
      await outcome(changed, fields);
    }
  for (let length = 0; length < file.length; length += 7) await outcome(file.slice(0, length), fields);
  await fc.assert(
    fc.asyncProperty(segment, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 }))), async (written, flips) => {
      const changed = encodeRows(written.fields, written.writes);
      for (const [at, flip] of flips) changed[at % changed.length]! ^= flip;
      await outcome(changed, written.fields);
    }),
    { numRuns: 100, seed: 8 },
  );
});
