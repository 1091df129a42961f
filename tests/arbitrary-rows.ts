/** Generators of columns, batches and writes: every type, nulls, extreme numbers, empty and strange texts. */
import fc, { type Arbitrary } from 'fast-check';
import { isFixedType, vectorArrays, vectorBytes, vectorWidth } from '../src/model/columns.ts';
import type { FieldId } from '../src/model/ids.ts';
import type {
  BytesColumn,
  BytesType,
  Column,
  FixedColumn,
  FixedType,
  ListColumn,
  PrimaryKeys,
  RowBatch,
  VectorColumn,
} from '../src/model/rows.ts';
import {
  type DataType,
  type ElementType,
  type FieldSchema,
  isDenseVector,
  type VectorType,
} from '../src/model/schema.ts';
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
  Timestamptz: (n) => many(int64, n).map((v) => BigInt64Array.from(v)),
};

/** Text without lone surrogates. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', 'a', 'é😀', '\0'),
);

export const bytesColumn = (type: BytesType, texts: readonly string[]): BytesColumn =>
  columnOfParts(
    type,
    texts.map((value) => new TextEncoder().encode(value)),
  );

function columnOfParts(type: BytesType, parts: readonly Uint8Array[]): BytesColumn {
  const offsets = new Uint32Array(parts.length + 1);
  parts.forEach((part, i) => {
    offsets[i + 1] = offsets[i]! + part.length;
  });
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(parts)) };
}

const json = fc.json({ maxDepth: 2 });
const bytes = fc.uint8Array({ maxLength: 12 });
type PlainType = Exclude<DataType, 'Array' | 'ArrayOfVector'>;

function plain(type: PlainType, dim: number, count: number): Arbitrary<ListColumn['items']> {
  if (isDenseVector(type)) return vectors(type, dim, count);
  if (isFixedType(type)) return fixedArrays[type](count).map((values) => ({ layout: 'fixed', type, values }));
  if (type === 'VarChar') return many(text, count).map((texts) => bytesColumn(type, texts));
  if (type === 'JSON') return many(json, count).map((texts) => bytesColumn(type, texts));
  return many(bytes, count).map((parts) => columnOfParts(type, parts));
}

/** Any bits: for floats NaNs among them. */
function vectors(type: VectorType, dim: number, count: number): Arbitrary<VectorColumn> {
  if (type === 'FloatVector')
    return floats(count * dim).map((values) => ({ layout: 'vector', type, dim, values }));
  const size = count * vectorBytes(type, dim);
  return fc.uint8Array({ minLength: size, maxLength: size }).map((data) => {
    const values = new vectorArrays[type](data.slice().buffer, 0, count * vectorWidth(type, dim));
    return { layout: 'vector', type, dim, values };
  });
}

const fixedTypes = Object.keys(fixedArrays) as FixedType[];
const vectorTypes = Object.keys(vectorArrays) as VectorType[];
const elementTypes = [
  ...fixedTypes.filter((type) => type !== 'Timestamptz'),
  'VarChar',
] as readonly ElementType[];

export interface ColumnKind {
  readonly type: DataType;
  /** Of lists. */
  readonly elementType?: ElementType | VectorType | undefined;
  /** Of vectors, alone or in lists. */
  readonly dim?: number | undefined;
}

export const columnType: Arbitrary<ColumnKind> = fc
  .record({
    type: fc.constantFrom<DataType>(
      ...fixedTypes,
      'VarChar',
      'JSON',
      'Geometry',
      'SparseFloatVector',
      ...vectorTypes,
      'Array',
      'ArrayOfVector',
    ),
    scalar: fc.constantFrom(...elementTypes),
    vector: fc.constantFrom(...vectorTypes),
    size: fc.integer({ min: 1, max: 5 }),
  })
  .map(({ type, scalar, vector, size }) => {
    const elementType = type === 'Array' ? scalar : type === 'ArrayOfVector' ? vector : undefined;
    const held = elementType ?? type;
    return { type, elementType, dim: isDenseVector(held) ? dimOf(held, size) : undefined };
  });

const dimOf = (type: VectorType, size: number): number => (type === 'BinaryVector' ? 8 * size : size);

/** The kind as a field has it: without what it does not have. */
export const fieldKind = ({ type, elementType, dim }: ColumnKind) =>
  ({
    dataType: type,
    ...(elementType === undefined ? {} : { elementType }),
    ...(dim === undefined ? {} : { dim }),
  }) satisfies Partial<FieldSchema>;

function lists(type: ListColumn['type'], item: PlainType, dim: number, count: number): Arbitrary<Column> {
  return many(fc.nat({ max: 3 }), count).chain((lengths) => {
    const offsets = new Uint32Array(count + 1);
    lengths.forEach((length, i) => {
      offsets[i + 1] = offsets[i]! + length;
    });
    return plain(item, dim, offsets[count]!).map(
      (items): Column => ({ layout: 'list', type, offsets, items }),
    );
  });
}

function plainColumn({ type, elementType, dim = 0 }: ColumnKind, count: number): Arbitrary<Column> {
  return type === 'Array' || type === 'ArrayOfVector'
    ? lists(type, elementType ?? 'Int64', dim, count)
    : plain(type, dim, count);
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
      const zero = (values instanceof BigInt64Array ? 0n : 0) as never;
      valid.forEach((is, i) => {
        if (is === 0) values.fill(zero, i, i + 1);
      });
      return { ...value, values, valid };
    }
    case 'vector': {
      const values = value.values.slice();
      const width = vectorWidth(value.type, value.dim);
      valid.forEach((is, i) => {
        if (is === 0) values.fill(0, i * width, (i + 1) * width);
      });
      return { ...value, values, valid };
    }
    case 'bytes': {
      const rows = [...valid].map((is, i) =>
        value.data.subarray(value.offsets[i], is === 0 ? value.offsets[i] : value.offsets[i + 1]),
      );
      return { ...columnOfParts(value.type, rows), valid };
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

function pick(items: ListColumn['items'], kept: readonly number[]): ListColumn['items'] {
  if (items.layout === 'bytes')
    return columnOfParts(
      items.type,
      kept.map((at) => items.data.subarray(items.offsets[at], items.offsets[at + 1])),
    );
  const width = items.layout === 'vector' ? vectorWidth(items.type, items.dim) : 1;
  const values = items.values.slice(0, kept.length * width);
  kept.forEach((at, i) => {
    (values as Uint8Array).set(items.values.subarray(at * width, (at + 1) * width) as Uint8Array, i * width);
  });
  return { ...items, values } as ListColumn['items'];
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
