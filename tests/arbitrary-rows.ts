/** Generators of columns, batches and writes: every type, nulls, extreme numbers, empty and strange texts. */
import fc, { type Arbitrary } from 'fast-check';
import type { FieldId } from '../src/model/ids.ts';
import type {
  BytesColumn,
  Column,
  FixedColumn,
  FixedType,
  PrimaryKeys,
  RowBatch,
} from '../src/model/rows.ts';
import type { AppliedWrite, WritePart } from '../src/wal/message.ts';

const many = <T>(item: Arbitrary<T>, count: number): Arbitrary<T[]> =>
  fc.array(item, { minLength: count, maxLength: count });
const int = (bits: number): Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0),
    fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 }),
  );
const int64 = fc.oneof(
  fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, 0n, 2n ** 53n + 1n),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

/** NaNs that carry something, quiet and signalling: a move by value may lose it. */
const nan32 = fc.constantFrom(0x7f800001, 0xffc12345, 0x7fa00000);
const nan64 = fc.constantFrom(0x7ff0000000000001n, 0xfff8000000012345n);
const bitsOf = (value: number): bigint => new BigUint64Array(Float64Array.of(value).buffer)[0]!;
const floats = (count: number): Arbitrary<Float32Array> =>
  many(
    fc.oneof(
      {
        weight: 9,
        arbitrary: fc.float().map((value) => new Uint32Array(Float32Array.of(value).buffer)[0]!),
      },
      nan32,
    ),
    count,
  ).map((bits) => new Float32Array(Uint32Array.from(bits).buffer));

const fixedArrays: { readonly [T in FixedType]: (count: number) => Arbitrary<FixedColumn['values']> } = {
  Bool: (n) => many(fc.integer({ min: 0, max: 1 }), n).map((v) => Uint8Array.from(v)),
  Int8: (n) => many(int(8), n).map((v) => Int8Array.from(v)),
  Int16: (n) => many(int(16), n).map((v) => Int16Array.from(v)),
  Int32: (n) => many(int(32), n).map((v) => Int32Array.from(v)),
  Int64: (n) => many(int64, n).map((v) => BigInt64Array.from(v)),
  Float: (n) => floats(n),
  Double: (n) =>
    many(fc.oneof({ weight: 9, arbitrary: fc.double().map(bitsOf) }, nan64), n).map(
      (bits) => new Float64Array(BigUint64Array.from(bits).buffer),
    ),
};

/** Text without lone surrogates. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', 'a', 'é😀', '\0'),
);

export function bytesColumn(type: BytesColumn['type'], texts: readonly string[]): BytesColumn {
  const parts = texts.map((value) => new TextEncoder().encode(value));
  const offsets = new Uint32Array(parts.length + 1);
  parts.forEach((part, i) => {
    offsets[i + 1] = offsets[i]! + part.length;
  });
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(parts)) };
}

const json = fc.json({ maxDepth: 2 });
const scalars = (
  type: FixedType | 'VarChar' | 'JSON',
  count: number,
): Arbitrary<FixedColumn | BytesColumn> => {
  if (type === 'VarChar') return many(text, count).map((texts) => bytesColumn(type, texts));
  if (type === 'JSON') return many(json, count).map((texts) => bytesColumn(type, texts));
  return fixedArrays[type](count).map((values) => ({ layout: 'fixed', type, values }));
};

const fixedTypes = Object.keys(fixedArrays) as FixedType[];

export interface ColumnKind {
  readonly type: FixedType | 'VarChar' | 'JSON' | 'Array' | 'FloatVector';
  readonly elementType: FixedType | 'VarChar';
  readonly dim: number;
}

export const columnType: Arbitrary<ColumnKind> = fc.record({
  type: fc.constantFrom(...fixedTypes, 'VarChar', 'JSON', 'Array', 'FloatVector'),
  elementType: fc.constantFrom(...fixedTypes, 'VarChar'),
  dim: fc.integer({ min: 1, max: 5 }),
});

function lists(count: number, type: FixedType | 'VarChar'): Arbitrary<Column> {
  return many(fc.nat({ max: 3 }), count).chain((lengths) => {
    const offsets = new Uint32Array(count + 1);
    lengths.forEach((length, i) => {
      offsets[i + 1] = offsets[i]! + length;
    });
    return scalars(type, offsets[count]!).map(
      (items): Column => ({ layout: 'list', type: 'Array', offsets, items }),
    );
  });
}

const vectors = (count: number, dim: number): Arbitrary<Column> =>
  floats(count * dim).map((values) => ({ layout: 'vector', type: 'FloatVector', dim, values }));

function plainColumn({ type, elementType, dim }: ColumnKind, count: number): Arbitrary<Column> {
  if (type === 'Array') return lists(count, elementType);
  return type === 'FloatVector' ? vectors(count, dim) : scalars(type, count);
}

export const columnOf = (kind: ColumnKind, count: number, nullable: boolean): Arbitrary<Column> =>
  fc
    .tuple(plainColumn(kind, count), fc.option(many(fc.integer({ min: 0, max: 1 }), count)))
    .map(([value, valid]) =>
      valid === null || !nullable ? value : withNulls(value, Uint8Array.from(valid)),
    );

export const column = (count: number): Arbitrary<Column> =>
  columnType.chain((kind) => columnOf(kind, count, true));

/** The column with nulls where `valid` is 0: what stood there is gone. */
export function withNulls(value: Column, valid: Uint8Array): Column {
  switch (value.layout) {
    case 'fixed': {
      const values = value.values.slice();
      const zero = (value.type === 'Int64' ? 0n : 0) as never;
      valid.forEach((is, i) => {
        if (is === 0) values.fill(zero, i, i + 1);
      });
      return { ...value, values, valid };
    }
    case 'vector': {
      const values = value.values.slice();
      valid.forEach((is, i) => {
        if (is === 0) values.fill(0, i * value.dim, (i + 1) * value.dim);
      });
      return { ...value, values, valid };
    }
    case 'bytes': {
      const rows = [...valid].map((is, i) =>
        is === 0 ? '' : Buffer.from(value.data.subarray(value.offsets[i], value.offsets[i + 1])).toString(),
      );
      return { ...bytesColumn(value.type, rows), valid };
    }
    case 'list': {
      const offsets = value.offsets.slice();
      const kept: number[] = [];
      valid.forEach((is, i) => {
        offsets[i + 1] = offsets[i]! + (is === 0 ? 0 : value.offsets[i + 1]! - value.offsets[i]!);
        for (let at = value.offsets[i]!; is === 1 && at < value.offsets[i + 1]!; at++) kept.push(at);
      });
      return { ...value, offsets, items: pick(value.items, kept), valid };
    }
  }
}

function pick(items: FixedColumn | BytesColumn, kept: readonly number[]): FixedColumn | BytesColumn {
  if (items.layout === 'bytes')
    return bytesColumn(
      items.type,
      kept.map((at) => Buffer.from(items.data.subarray(items.offsets[at], items.offsets[at + 1])).toString()),
    );
  const values = items.values.slice(0, kept.length);
  kept.forEach((at, i) => {
    values[i] = items.values[at] as never;
  });
  return { ...items, values };
}

export function rowBatch(count: number): Arbitrary<RowBatch> {
  return fc.array(column(count), { maxLength: 5 }).map((columns) => ({
    rowCount: count,
    columns: new Map(columns.map((c, i) => [(100 + i) as FieldId, c])),
  }));
}

export const keys: Arbitrary<PrimaryKeys> = fc.oneof(
  fc.array(int64, { maxLength: 5 }).map((v) => ({ type: 'Int64' as const, values: BigInt64Array.from(v) })),
  fc.array(text, { maxLength: 5 }).map((values) => ({ type: 'VarChar' as const, values })),
);

const place = fc.record({ channel: text, partitionId: int64 });
const part: Arbitrary<WritePart> = fc.oneof(
  fc
    .tuple(place, fc.nat({ max: 6 }).chain(rowBatch))
    .map(([at, rows]) => ({ kind: 'insert', ...at, rows }) as unknown as WritePart),
  fc.tuple(place, keys).map(([at, k]) => ({ kind: 'delete', ...at, keys: k }) as unknown as WritePart),
);

export const write: Arbitrary<AppliedWrite> = fc
  .tuple(int64, int64, fc.array(fc.tuple(part, int64), { maxLength: 4 }))
  .map(
    ([collectionId, ts, parts]) =>
      ({
        collectionId,
        ts,
        parts: parts.map(([p]) => p),
        segmentIds: parts.map(([, id]) => id),
      }) as unknown as AppliedWrite,
  );
