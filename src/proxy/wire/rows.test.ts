import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignFields } from '../../coordinator/collections/schema.ts';
import { DbError } from '../../errors/db-error.ts';
import { wktOf } from '../../geometry/write-wkt.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import { seededRandom } from '../../support/random.ts';
import type { SchemaFieldData, SchemaFieldSchema } from './descriptor.generated.ts';
import { decodeMessage, encodeMessage, type Outgoing } from './descriptor.ts';
import { encodeFieldData, encodeIds } from './field-data-encode.ts';
import { takeRows } from './fill.ts';
import { toBytes } from './parts.ts';
import { decodePlaceholders } from './placeholder.ts';
import { checkedRows } from './rows.ts';
import { decodeSchema } from './schema.ts';
import { decodeWriteRequest } from './write-request.ts';

type WireField = Outgoing<SchemaFieldData>;

const params = (values: Record<string, string>) => ({
  type_params: Object.entries(values).map(([key, value]) => ({ key, value })),
});
const wireFields: Outgoing<SchemaFieldSchema>[] = [
  { name: 'id', data_type: 5, is_primary_key: true },
  { name: 'bool', data_type: 1, nullable: true },
  { name: 'i8', data_type: 2, nullable: true },
  { name: 'i16', data_type: 3, nullable: true },
  { name: 'i32', data_type: 4, nullable: true },
  { name: 'i64', data_type: 5, nullable: true },
  { name: 'float', data_type: 10, nullable: true },
  { name: 'double', data_type: 11, nullable: true },
  { name: 'text', data_type: 21, nullable: true, ...params({ max_length: '8' }) },
  { name: 'json', data_type: 23, nullable: true },
  { name: 'ints', data_type: 22, element_type: 2, nullable: true, ...params({ max_capacity: '3' }) },
  {
    name: 'texts',
    data_type: 22,
    element_type: 21,
    nullable: true,
    ...params({ max_capacity: '3', max_length: '4' }),
  },
  { name: 'v', data_type: 101, nullable: true, ...params({ dim: '2' }) },
];
const schemaOf = (fields: Outgoing<SchemaFieldSchema>[], dynamic: boolean): CollectionSchema => {
  const schema = decodeSchema(
    encodeMessage('milvus.proto.schema.CollectionSchema', { fields, enable_dynamic_field: dynamic }),
  );
  return { ...schema, fields: schema.fields.map((field, i) => ({ ...field, fieldId: (100 + i) as never })) };
};
const schema = schemaOf(wireFields, false);
const dynamicSchema = schemaOf(wireFields, true);
const textKeySchema = schemaOf(
  [{ name: 'id', data_type: 21, is_primary_key: true, ...params({ max_length: '8' }) }, wireFields[12]!],
  false,
);

const utf8 = (text: string) => Buffer.from(text);
const ids = (...keys: bigint[]): WireField => ({
  type: 5,
  field_name: 'id',
  scalars: { long_data: { data: keys } },
});
const everything: WireField[] = [
  ids(1n, -2n, 2n ** 63n - 1n),
  { type: 1, field_name: 'bool', scalars: { bool_data: { data: [true, false, true] } } },
  { type: 2, field_name: 'i8', scalars: { int_data: { data: [-128, 0, 127] } } },
  { type: 3, field_name: 'i16', scalars: { int_data: { data: [-32_768, 0, 32_767] } } },
  { type: 4, field_name: 'i32', scalars: { int_data: { data: [-(2 ** 31), 5, 2 ** 31 - 1] } } },
  { type: 5, field_name: 'i64', scalars: { long_data: { data: [-(2n ** 63n), 300n, 2n ** 40n] } } },
  { type: 10, field_name: 'float', scalars: { float_data: { data: [0.5, -1, 3] } } },
  { type: 11, field_name: 'double', scalars: { double_data: { data: [1e300, -0.1, 0] } } },
  { type: 21, field_name: 'text', scalars: { string_data: { data: ['ä', '', 'abcdefgh'] } } },
  {
    type: 23,
    field_name: 'json',
    scalars: { json_data: { data: [utf8('{"a":1}'), utf8('[]'), utf8('"x"')] } },
  },
  {
    type: 22,
    field_name: 'ints',
    scalars: {
      array_data: {
        element_type: 2,
        data: [{ int_data: { data: [1, -2] } }, { int_data: { data: [] } }, { int_data: { data: [3] } }],
      },
    },
  },
  {
    type: 22,
    field_name: 'texts',
    scalars: {
      array_data: {
        element_type: 21,
        data: [{ string_data: { data: ['é'] } }, { string_data: { data: ['a', '', 'c'] } }, {}],
      },
    },
  },
  { type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, 2, 3, 4, 5, 6] } } },
];

const insertBytes = (fields: readonly WireField[], numRows: number) =>
  encodeMessage('milvus.proto.milvus.InsertRequest', {
    db_name: 'd',
    collection_name: 'c',
    partition_name: 'p',
    fields_data: fields,
    num_rows: numRows,
  });
const check = (fields: readonly WireField[], numRows: number, of = schema, autoIds = false) =>
  checkedRows(of, decodeWriteRequest('insert', insertBytes(fields, numRows)), { autoIds });

test('every type survives the hand-written codecs as protobufjs reads and writes it', () => {
  const request = decodeWriteRequest('insert', insertBytes(everything, 3));
  assert.deepEqual(
    [request.db_name, request.collection_name, request.partition_name, request.numRows, request.isPartial],
    ['d', 'c', 'p', 3, false],
  );
  const rows = checkedRows(schema, request, { autoIds: false });
  assert.equal(rows.rowCount, 3);
  schema.fields.forEach((field, i) => {
    const bytes = toBytes(encodeFieldData(field, rows.columns.get(field.fieldId)!));
    const name = 'milvus.proto.schema.FieldData';
    const expected = { ...everything[i], field_id: BigInt(field.fieldId) };
    const normal = (message: Uint8Array) =>
      JSON.stringify(decodeMessage(name, message), (_key, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      );
    if (field.name !== 'texts')
      assert.equal(normal(bytes), normal(encodeMessage(name, expected)), field.name);
    else assert.match(normal(bytes), /"é"/);
  });
});

test('null rows may be left out or sent as placeholders, and come back as nulls', () => {
  const sparse = (data: bigint[]): WireField[] => [
    ids(1n, 2n, 3n),
    { type: 5, field_name: 'i64', valid_data: [false, true, false], scalars: { long_data: { data } } },
    {
      type: 101,
      field_name: 'v',
      valid_data: [true, false, true],
      vectors: { dim: 2n, float_vector: { data: [1, 2, 5, 6] } },
    },
  ];
  for (const data of [[7n], [0n, 7n, 0n]]) {
    const { columns } = check(sparse(data), 3);
    const column = columns.get(schema.fields[5]!.fieldId);
    assert.deepEqual(column, {
      layout: 'fixed',
      type: 'Int64',
      values: BigInt64Array.of(0n, 7n, 0n),
      valid: Uint8Array.of(0, 1, 0),
    });
    const vectors = columns.get(schema.fields[12]!.fieldId);
    assert.ok(vectors?.layout === 'vector');
    assert.deepEqual(
      [[...vectors.values], [...vectors.valid!]],
      [
        [1, 2, 0, 0, 5, 6],
        [1, 0, 1],
      ],
    );
  }
});

test('bad rows are refused with the reason', () => {
  const with_ = (field: WireField): WireField[] => [ids(1n), field];
  const table: [WireField[], number, RegExp][] = [
    [[ids(1n)], 0, /num_rows should be greater than 0/],
    [[ids(1n)], 2, /num_rows \(1\) of field id is not equal to passed num_rows \(2\)/],
    [[everything[12]!], 3, /field id has no corresponding data/],
    [[ids(1n), ids(1n)], 1, /duplicated field id/],
    [
      with_({ field_name: 'nope', scalars: { long_data: { data: [1n] } } }),
      1,
      /field nope is not in the schema/,
    ],
    [
      with_({ field_name: '$meta', scalars: { json_data: { data: [utf8('{}')] } } }),
      1,
      /without dynamic schema enabled/,
    ],
    [
      with_({ type: 4, field_name: 'i64', scalars: { int_data: { data: [1] } } }),
      1,
      /does not match its type Int64: found Int32/,
    ],
    [
      with_({ type: 5, field_name: 'i64', scalars: { int_data: { data: [1] } } }),
      1,
      /does not match its type Int64: found int data/,
    ],
    [with_({ type: 5, field_name: 'i64', vectors: { dim: 2n } }), 1, /does not match/],
    [
      with_({ field_name: 'v', vectors: { dim: 16n, binary_vector: utf8('ab') } }),
      1,
      /found BinaryVector data/,
    ],
    [
      with_({ type: 101, field_name: 'v', vectors: { dim: 4n, float_vector: { data: [1, 2, 3, 4] } } }),
      1,
      /invalid dimension/,
    ],
    [
      with_({ type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, 2, 3] } } }),
      1,
      /invalid dimension/,
    ],
    [
      with_({ type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, Number.NaN] } } }),
      1,
      /not a number or infinity/,
    ],
    [
      with_({ type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, -Infinity] } } }),
      1,
      /not a number or infinity/,
    ],
    [
      with_({ type: 11, field_name: 'double', scalars: { double_data: { data: [Number.NaN] } } }),
      1,
      /not a number or infinity/,
    ],
    [
      with_({ type: 21, field_name: 'text', scalars: { string_data: { data: ['äääää'] } } }),
      1,
      /length: 10, max length: 8/,
    ],
    [
      with_({ type: 2, field_name: 'i8', scalars: { int_data: { data: [128] } } }),
      1,
      /value 128 of field i8 is out of range/,
    ],
    [with_({ type: 3, field_name: 'i16', scalars: { int_data: { data: [-32_769] } } }), 1, /out of range/],
    [
      with_({ type: 23, field_name: 'json', scalars: { json_data: { data: [utf8('{"a":')] } } }),
      1,
      /invalid JSON, row number: 0/,
    ],
    [
      with_({
        type: 23,
        field_name: 'json',
        scalars: { json_data: { data: [utf8(`"${'x'.repeat(70_000)}"`)] } },
      }),
      1,
      /exceeds max length 65536/,
    ],
    [
      with_({
        type: 22,
        field_name: 'ints',
        scalars: { array_data: { data: [{ int_data: { data: [1, 2, 3, 4] } }] } },
      }),
      1,
      /max capacity \(3\)/,
    ],
    [
      with_({
        type: 22,
        field_name: 'ints',
        scalars: { array_data: { data: [{ int_data: { data: [200] } }] } },
      }),
      1,
      /out of range/,
    ],
    [
      with_({
        type: 22,
        field_name: 'ints',
        scalars: { array_data: { data: [{ string_data: { data: ['a'] } }] } },
      }),
      1,
      /does not match/,
    ],
    [
      with_({
        type: 22,
        field_name: 'texts',
        scalars: { array_data: { data: [{ string_data: { data: ['abcde'] } }] } },
      }),
      1,
      /exceeds max length/,
    ],
    [[{ ...ids(1n), valid_data: [true, false] }], 2, /field id is not nullable, but row 1 holds null/],
    [[{ ...ids(1n), valid_data: [true] }], 2, /valid_data of field id is 1, but num_rows is 2/],
    [
      with_({ type: 5, field_name: 'i64', valid_data: [true], scalars: { long_data: { data: [1n, 2n] } } }),
      1,
      /num_rows \(2\) of field i64/,
    ],
  ];
  for (const [fields, numRows, reason] of table)
    assert.throws(
      () => check(fields, numRows),
      (error: unknown) =>
        error instanceof DbError && error.code === 'parameter-invalid' && reason.test(error.message),
      String(reason),
    );
});

test('a VarChar key never holds half a character', () => {
  const halves = Buffer.from('\x0a\x01\xc3\x0a\x01\xa4', 'latin1');
  const fieldData = (strings: Buffer) => {
    const nested = (field: number, content: Buffer) =>
      Buffer.concat([Buffer.of(field * 8 + 2, content.length), content]);
    return nested(5, Buffer.concat([nested(2, Buffer.from('id')), nested(3, nested(6, strings))]));
  };
  const body = Buffer.concat([fieldData(halves), Buffer.of(7 * 8, 2)]);
  assert.throws(
    () => checkedRows(textKeySchema, decodeWriteRequest('insert', body), { autoIds: false }),
    /not UTF-8/,
  );
});

test('rows that need no bytes cannot make the server fill memory', () => {
  assert.throws(
    () => check([], 4_000_000_000, schema, true),
    (error: unknown) => error instanceof DbError && error.code === 'parameter-too-large',
  );
});

test('unknown columns and $meta become one object per row, numbers with every digit', () => {
  const meta = (...texts: string[]): WireField => ({
    type: 23,
    field_name: '$meta',
    is_dynamic: true,
    scalars: { json_data: { data: texts.map(utf8) } },
  });
  const texts = (fields: WireField[]) => {
    const column = check([ids(1n, 2n), ...fields], 2, dynamicSchema).columns.get(113 as never)!;
    assert.ok(column.layout === 'bytes');
    return [0, 1].map((row) =>
      Buffer.from(column.data).toString('utf8', column.offsets[row], column.offsets[row + 1]),
    );
  };
  assert.deepEqual(texts([]), ['{}', '{}']);
  assert.deepEqual(texts([meta('{"a": 9007199254740993}', '{}')]), ['{"a": 9007199254740993}', '{}']);
  const extra: WireField = {
    type: 5,
    field_name: 'x',
    valid_data: [true, false],
    scalars: { long_data: { data: [9007199254740993n] } },
  };
  assert.deepEqual(texts([meta('{"a": [1, {"b": "}"}] , "c":null}', '{}'), extra]), [
    '{"a":[1, {"b": "}"}],"c":null,"x":9007199254740993}',
    '{}',
  ]);
  assert.throws(() => texts([meta('[]', '{}')]), /must hold JSON objects/);
  assert.throws(() => texts([meta('{"id":1}', '{}')]), /contains the name of a field: id/);
  assert.throws(() => texts([meta('{"x":1}', '{}'), extra]), /duplicated dynamic key x/);
});

test('damaged requests end in an error, never in anything else', () => {
  const random = seededRandom(7);
  const good = insertBytes(everything, 3);
  let refused = 0;
  for (let round = 0; round < 4000; round++) {
    const bad = Uint8Array.from(good);
    for (let n = 0; n <= random.below(4); n++) bad[random.below(bad.length)] = random.below(256);
    const cut = random.below(3) === 0 ? bad.subarray(0, random.below(bad.length)) : bad;
    try {
      checkedRows(schema, decodeWriteRequest(random.below(2) === 0 ? 'insert' : 'upsert', cut), {
        autoIds: false,
      });
    } catch (error) {
      assert.ok(error instanceof DbError, String(error));
      refused++;
    }
  }
  assert.ok(refused > 1000);
  for (let round = 0; round < 2000; round++) {
    const noise = Uint8Array.from({ length: random.below(60) }, () => random.below(256));
    for (const decode of [
      () => decodeWriteRequest('insert', noise),
      () => decodePlaceholders(noise),
      () => decodeSchema(noise),
    ])
      try {
        decode();
      } catch (error) {
        assert.ok(error instanceof DbError, String(error));
      }
  }
});

test('packed and one-by-one values mean the same, and later chunks append', () => {
  // Field 5 (fields_data): name "id", scalars { long_data { data: 1, packed [2, 3], data: 4 } }.
  const longs = Buffer.of(8, 1, 10, 2, 2, 3, 8, 4);
  const scalars = Buffer.of(26, longs.length, ...longs);
  const field = Buffer.of(18, 2, 105, 100, 26, scalars.length, ...scalars);
  const request = decodeWriteRequest('insert', Buffer.of(42, field.length, ...field));
  assert.deepEqual(request.fields[0]?.data, { kind: 'long', values: BigInt64Array.of(1n, 2n, 3n, 4n) });
});

test('ids travel as protobufjs reads them', () => {
  const int = decodeMessage<{ int_id: { data: bigint[] } }>(
    'milvus.proto.schema.IDs',
    toBytes(encodeIds({ type: 'Int64', values: BigInt64Array.of(1n, -1n, 2n ** 62n) })),
  );
  assert.deepEqual(int.int_id.data, [1n, -1n, 2n ** 62n]);
  const text = decodeMessage<{ str_id: { data: string[] } }>(
    'milvus.proto.schema.IDs',
    toBytes(encodeIds({ type: 'VarChar', values: ['', 'ä'] })),
  );
  assert.deepEqual(text.str_id.data, ['', 'ä']);
});

test('rows can be picked in any order from every kind of column', () => {
  const { columns } = check(everything, 3);
  for (const field of schema.fields) {
    const column = columns.get(field.fieldId)!;
    const twice = takeRows(takeRows(column, [2, 0, 1]), [1, 2, 0]);
    assert.deepEqual(
      toBytes(encodeFieldData(field, twice)),
      toBytes(encodeFieldData(field, column)),
      field.name,
    );
  }
});

/** Nested protobuf fields by hand: what no encoder would send. */
const raw = (fieldNumber: number, ...content: readonly (number | readonly number[])[]): number[] => {
  const flat = content.flat();
  return [fieldNumber * 8 + 2, flat.length, ...flat];
};

test('a row of an array field that names two types is refused: it would take the items of the rows before it', () => {
  const longs = (...values: number[]) => raw(3, raw(1, values));
  const ints = (...values: number[]) => raw(2, raw(1, values));
  const texts = (text: string) => raw(6, raw(1, [...utf8(text)]));
  for (const second of [
    [...longs(9), ...ints(4)],
    [...longs(9), ...ints(4, 5, 6)],
    [...texts('a'), ...ints(4)],
    [...raw(7), ...ints(4)],
    [...raw(8), ...ints(4)],
  ]) {
    const array = raw(8, raw(1, ints(1, 2, 3)), raw(1, second));
    const field = [8, 22, ...raw(2, [...utf8('ints')]), ...raw(3, array)];
    const body = Uint8Array.from([...insertBytes([ids(1n, 2n)], 2), ...raw(5, field)]);
    assert.throws(
      () => checkedRows(schema, decodeWriteRequest('insert', body), { autoIds: false }),
      (error) =>
        error instanceof DbError &&
        error.code === 'parameter-invalid' &&
        /different types/.test(error.message),
    );
  }
});

test('an answer may hold more keys and lists than a call can take arguments', () => {
  const count = 200_000;
  const keys = Array.from({ length: count }, (_, i) => `é${i}`);
  const decoded = decodeMessage<{ str_id: { data: string[] } }>(
    'milvus.proto.schema.IDs',
    toBytes(encodeIds({ type: 'VarChar', values: keys })),
  );
  assert.deepEqual(decoded.str_id.data, keys);
  const lists = {
    layout: 'list',
    type: 'Array',
    offsets: Uint32Array.from({ length: count + 1 }, (_, i) => i),
    items: { layout: 'fixed', type: 'Int8', values: new Int8Array(count).fill(7) },
  } as const;
  const field = schema.fields.find(({ name }) => name === 'ints')!;
  const sent = decodeMessage<SchemaFieldData>(
    'milvus.proto.schema.FieldData',
    toBytes(encodeFieldData(field, lists)),
  );
  assert.equal(sent.scalars?.array_data?.data.length, count);
});

test('a dynamic value that is more than one JSON value cannot bring keys of its own', () => {
  const sent = (text: string): WireField => ({
    type: 23,
    field_name: 'x',
    scalars: { json_data: { data: [utf8(text)] } },
  });
  check([ids(1n), sent('{"id":2}')], 1, dynamicSchema);
  for (const text of ['1,"id":2', '1,"x":2', '', ' '])
    assert.throws(
      () => check([ids(1n), sent(text)], 1, dynamicSchema),
      (error) => error instanceof DbError && error.code === 'parameter-invalid',
    );
});

const toldSchema = assignFields(
  decodeSchema(
    encodeMessage('milvus.proto.schema.CollectionSchema', {
      enable_dynamic_field: true,
      fields: [
        { name: 'id', data_type: 5, is_primary_key: true },
        { name: 'v', data_type: 101, nullable: true, ...params({ dim: '2' }) },
        { name: 'float', data_type: 10, nullable: true },
        { name: 'json', data_type: 23, nullable: true },
        { name: 'place', data_type: 24, nullable: true, default_value: { string_data: 'POINT (7 8)' } },
        { name: 'moment', data_type: 26, nullable: true },
      ],
      struct_array_fields: [
        {
          name: 'clips',
          nullable: true,
          fields: [{ name: 'n', data_type: 22, element_type: 5, ...params({ max_capacity: '2' }) }],
        },
      ],
    }),
  ),
);
const told = (fields: WireField[], numRows: number) =>
  check([ids(...Array.from({ length: numRows }, (_, i) => BigInt(i))), ...fields], numRows, toldSchema);

test('what stands in the place of a null is not looked at', () => {
  const valid_data = [true, false];
  const { columns } = told(
    [
      { field_name: 'float', scalars: { float_data: { data: [1, Number.NaN] } }, valid_data },
      { field_name: 'json', scalars: { json_data: { data: [utf8('{}'), utf8('')] } }, valid_data },
      { field_name: 'place', scalars: { geometry_wkt_data: { data: ['POINT (1 2)', ''] } }, valid_data },
      { field_name: 'moment', scalars: { timestamptz_data: { data: [5n, 2n ** 62n] } }, valid_data },
    ],
    2,
  );
  const validOf = (name: string) => {
    const column = columns.get(toldSchema.fields.find((field) => field.name === name)!.fieldId);
    return column?.valid && [...column.valid];
  };
  assert.deepEqual(['float', 'json', 'moment', 'place'].map(validOf), [[1, 0], [1, 0], [1, 0], undefined]);
  const moments = columns.get(toldSchema.fields[5]!.fieldId);
  assert.deepEqual(moments?.layout === 'fixed' && [...moments.values], [5n, 0n]);
  const places = columns.get(toldSchema.fields[4]!.fieldId);
  assert.ok(places?.layout === 'bytes');
  assert.equal(wktOf(places.data.subarray(places.offsets[1], places.offsets[2])), 'POINT (7 8)');
});

test('a key of the dynamic field may not be called like a struct array', () => {
  const meta = (text: string): WireField => ({
    field_name: '$meta',
    is_dynamic: true,
    scalars: { json_data: { data: [utf8(text)] } },
  });
  assert.throws(() => told([meta('{"clips":[]}')], 1), /contains the name of a field: clips/);
  assert.doesNotThrow(() => told([meta('{"clip":[]}')], 1));
});

test('a geometry, a moment or a struct array of the wrong kind is refused', () => {
  const table: [WireField, RegExp][] = [
    [
      { field_name: 'place', scalars: { string_data: { data: ['POINT (1 2)'] } } },
      /Geometry: found string data/,
    ],
    [{ field_name: 'moment', scalars: { long_data: { data: [1n] } } }, /Timestamptz: found long data/],
    [{ field_name: 'moment', type: 21, scalars: { string_data: { data: ['x'] } } }, /found VarChar/],
    [{ field_name: 'clips', scalars: { long_data: { data: [1n] } } }, /type ArrayOfStruct/],
  ];
  for (const [field, words] of table) assert.throws(() => told([field], 1), words);
});
