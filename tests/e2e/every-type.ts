/** One collection with every data type, as client test-suites have it, and rows that hold what is hard to keep. */
import { DataType, type FieldType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { load, succeed } from './fixture.ts';

const array = (name: string, element_type: DataType, more: object = {}): FieldType => ({
  name,
  data_type: DataType.Array,
  element_type,
  max_capacity: 8,
  nullable: true,
  ...more,
});
const scalar = (type: DataType, more: object = {}) => ({ data_type: type, ...more });
const text = { data_type: DataType.VarChar, max_length: 65_535 };

/** Each scalar type as it is, nullable, and with a default where the official client can tell one. */
const scalars: readonly (readonly [string, { readonly data_type: DataType }, unknown])[] = [
  ['bool', scalar(DataType.Bool), true],
  ['int8', scalar(DataType.Int8), -128],
  ['int16', scalar(DataType.Int16), 32_767],
  ['int32', scalar(DataType.Int32), -(2 ** 31)],
  ['int64', scalar(DataType.Int64), '9223372036854775807'],
  ['float', scalar(DataType.Float), 0.5],
  ['double', scalar(DataType.Double), 0.1],
  ['text', text, 'wörd 漢 🦈'],
  ['moment', scalar(DataType.Timestamptz), '2025-01-01T00:00:00+08:00'],
  ['json', scalar(DataType.JSON), undefined],
  ['place', scalar(DataType.Geometry), undefined],
];
const arrays = [
  array('bools', DataType.Bool),
  array('int8s', DataType.Int8),
  array('int16s', DataType.Int16),
  array('int32s', DataType.Int32),
  array('int64s', DataType.Int64),
  array('floats', DataType.Float),
  array('doubles', DataType.Double),
  array('texts', DataType.VarChar, { max_length: 100 }),
];
const clips: FieldType = {
  name: 'clips',
  data_type: DataType.Array,
  element_type: DataType.Struct,
  max_capacity: 4,
  nullable: true,
  fields: [
    { name: 'text', data_type: DataType.VarChar, max_length: 100 },
    { name: 'n', data_type: DataType.Int64 },
    { name: 'yes', data_type: DataType.Bool },
    { name: 'weight', data_type: DataType.Double },
    { name: 'float', data_type: DataType.FloatVector, dim: 2 },
    { name: 'int8', data_type: DataType.Int8Vector, dim: 2 },
  ],
};
const vectors: FieldType[] = [
  { name: 'vector', data_type: DataType.FloatVector, dim: 3 },
  { name: 'binary', data_type: DataType.BinaryVector, dim: 16 },
  { name: 'half', data_type: DataType.Float16Vector, dim: 4 },
  { name: 'brain', data_type: DataType.BFloat16Vector, dim: 4 },
  { name: 'bytes', data_type: DataType.Int8Vector, dim: 4 },
  { name: 'sparse', data_type: DataType.SparseFloatVector },
  { name: 'half_or_null', data_type: DataType.Float16Vector, dim: 2, nullable: true },
  { name: 'sparse_or_null', data_type: DataType.SparseFloatVector, nullable: true },
];

export const everyField: FieldType[] = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  ...scalars.map(([name, type]) => ({ name, ...type })),
  ...scalars.map(([name, type]) => ({ name: `${name}_or_null`, ...type, nullable: true })),
  ...scalars.flatMap(([name, type, value]) =>
    value === undefined ? [] : [{ name: `${name}_or_default`, ...type, default_value: value as never }],
  ),
  ...arrays,
  ...vectors,
  clips,
];

/** An index on each vector: without them nothing can be loaded. */
const indexes: readonly (readonly [string, string, string])[] = [
  ['vector', 'FLAT', 'L2'],
  ['binary', 'BIN_FLAT', 'HAMMING'],
  ['half', 'FLAT', 'COSINE'],
  ['brain', 'FLAT', 'IP'],
  ['bytes', 'FLAT', 'L2'],
  ['sparse', 'SPARSE_INVERTED_INDEX', 'IP'],
  ['half_or_null', 'FLAT', 'L2'],
  ['sparse_or_null', 'SPARSE_INVERTED_INDEX', 'IP'],
  ['clips[float]', 'FLAT', 'MAX_SIM_COSINE'],
  ['clips[int8]', 'FLAT', 'MAX_SIM_L2'],
];

export async function createEveryType(
  client: MilvusClient,
  collection_name: string,
  enable_dynamic_field: boolean,
): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields: everyField, enable_dynamic_field }));
  for (const [field_name, index_type, metric_type] of indexes)
    await succeed(client.createIndex({ collection_name, field_name, index_type, metric_type }));
  await load(client, collection_name);
}

type Row = Readonly<Record<string, unknown>>;

const least: Row = {
  bool: false,
  int8: -128,
  int16: -32_768,
  int32: -(2 ** 31),
  int64: '-9223372036854775808',
  float: -0,
  double: -0,
  text: '',
  moment: '0001-01-01T00:00:00Z',
  json: {},
  place: 'POINT EMPTY',
};
const most: Row = {
  bool: true,
  int8: 127,
  int16: 32_767,
  int32: 2 ** 31 - 1,
  int64: '9223372036854775807',
  float: Math.fround(3.4028234e38),
  double: Number.MAX_VALUE,
  text: `${'x'.repeat(65_532)}漢`,
  moment: '9999-12-31T23:59:59.999999Z',
  json: { deep: { list: [1, -2.5, 'ü', null, true, {}, []] }, 'key with "quotes"': 1e300 },
  place: 'GEOMETRYCOLLECTION (POINT (-0 1e-7), POLYGON ((0 0, 1 0, 1 1, 0 0)), MULTIPOINT EMPTY)',
};
const leastArrays: Row = Object.fromEntries(arrays.map(({ name }) => [name, []]));
const mostArrays: Row = {
  bools: [true, false, true],
  int8s: [-128, 0, 127],
  int16s: [-32_768, 32_767],
  int32s: [-(2 ** 31), 2 ** 31 - 1],
  int64s: ['-9223372036854775808', '0', '9223372036854775807'],
  floats: [-0, 1.5, Math.fround(1e-45)],
  doubles: [-0, Number.MIN_VALUE, Number.MAX_VALUE],
  texts: ['', 'one', '🦈'],
};
const leastVectors: Row = {
  vector: [-0, 0, Math.fround(1e-45)],
  binary: [0, 0],
  half: [-0, 0, 2 ** -24, -65_504],
  brain: [-0, 0, 1, -2],
  bytes: [-128, 0, 1, 127],
  sparse: {},
};
const mostVectors: Row = {
  vector: [Math.fround(1e18), -1.5, 1],
  binary: [255, 129],
  half: [65_504, 0.5, -0.333251953125, 1],
  brain: [3.140625, -0.5, 1e30, 2 ** -126].map(brainFloat),
  bytes: [1, -1, 0, 127],
  sparse: { 0: 1.5, 7: -0.25, 4294967293: Math.fround(0.1) },
};
/** The nearest number below that has the bits to be one. */
function brainFloat(value: number): number {
  const words = new Uint32Array(Float32Array.of(value).buffer);
  words[0]! &= 0xffff_0000;
  return new Float32Array(words.buffer)[0]!;
}

const suffixed = (row: Row, suffix: string): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [`${name}${suffix}`, value]));
const named = (row: Row, suffix: string): Row => {
  const known = new Set(everyField.map(({ name }) => name));
  return Object.fromEntries(Object.entries(suffixed(row, suffix)).filter(([name]) => known.has(name)));
};
const allNull: Row = Object.fromEntries(
  everyField.flatMap(({ name, nullable }) => (nullable === true ? [[name, null]] : [])),
);
const allDefault: Row = Object.fromEntries(
  scalars.flatMap(([name, , value]) => (value === undefined ? [] : [[`${name}_or_default`, value]])),
);
/** The server shows moments in the collection's zone: UTC. */
const shownDefault: Row = { ...allDefault, moment_or_default: '2024-12-31T16:00:00Z' };

const clip = (n: number): Row => ({
  text: n === 0 ? '' : `clip ${n} ü`,
  n: String(2n ** 62n + BigInt(n)),
  yes: n % 2 === 1,
  weight: n === 0 ? -0 : n / 3,
  float: [n, -0],
  int8: [n, -128],
});

const full = (row: Row, lists: Row, dense: Row): Row => ({
  ...row,
  ...named(row, '_or_null'),
  ...named(row, '_or_default'),
  ...lists,
  ...dense,
  half_or_null: [1, -0],
  sparse_or_null: { 3: 1 },
});

/** What goes in, and what must come out: nulls and defaults spelled out. `beside`: what is beside the schema. */
export interface EveryRow {
  readonly sent: Row;
  readonly back: Row;
  readonly beside: Row;
}

const rowOf = (sent: Row, back: Row = sent, beside: Row = {}): EveryRow => ({ sent, back, beside });

export const everyRow: readonly EveryRow[] = [
  rowOf({ ...full(least, leastArrays, leastVectors), clips: [] }),
  rowOf({ ...full(most, mostArrays, mostVectors), clips: [clip(0), clip(1), clip(2), clip(3)] }, undefined, {
    extra: 'beside',
    list: [1, 'a', null],
  }),
  // Null and default by name.
  rowOf(
    {
      ...least,
      ...mostVectors,
      ...allNull,
      ...Object.fromEntries(Object.keys(allDefault).map((name) => [name, null])),
    },
    { ...least, ...mostVectors, ...allNull, ...shownDefault },
  ),
  // Null and default by silence.
  rowOf(
    { ...most, ...leastVectors },
    { ...most, ...leastVectors, ...allNull, ...shownDefault },
    { extra: 7 },
  ),
  rowOf({ ...full(most, mostArrays, leastVectors), clips: [clip(5)] }),
];

/** JSON has no minus zero: it would hide a lost sign. */
const marked = (_: string, value: unknown): unknown => (Object.is(value, -0) ? 'minus zero' : value);
export const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, marked));
