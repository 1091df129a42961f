import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DbError } from '../../errors/db-error.ts';
import { TimeZone } from '../../timestamptz/zones.ts';
import type { SchemaCollectionSchema, SchemaFieldSchema } from './descriptor.generated.ts';
import { encodeMessage, type Outgoing } from './descriptor.ts';
import { decodeSchema, encodeSchema } from './schema.ts';

type WireField = Outgoing<SchemaFieldSchema>;
type WireSchema = Outgoing<SchemaCollectionSchema>;

const encoded = (schema: WireSchema) => encodeMessage('milvus.proto.schema.CollectionSchema', schema);
const params = (values: Record<string, string>) => ({
  type_params: Object.entries(values).map(([key, value]) => ({ key, value })),
});
const key: WireField = { name: 'id', data_type: 5, is_primary_key: true };
const vector: WireField = { name: 'v', data_type: 101, ...params({ dim: '4' }) };
const text = (more: WireField): WireField => ({
  name: 't',
  data_type: 21,
  ...params({ max_length: '3' }),
  ...more,
});
const list = (elementType: number, capacity: string): WireField => ({
  name: 'a',
  data_type: 22,
  element_type: elementType,
  ...params({ max_capacity: capacity }),
});

test('a wrong schema is refused with the reason', () => {
  const table: [WireField[], RegExp][] = [
    [[key, vector, vector], /duplicated field name: v/],
    [[vector], /primary key is not specified/],
    [[key, { ...key, name: 'id2' }, vector], /more than one primary key: id, id2/],
    [[{ ...key, data_type: 10 }, vector], /primary key should be Int64 or VarChar/],
    [[{ ...key, nullable: true }, vector], /not support null/],
    [[{ ...key, default_value: { long_data: 1n } }, vector], /not support default_value/],
    [[key, { ...text({}), autoID: true }, vector], /only the primary field can set auto id/],
    [[key], /does not contain vector field/],
    [[key, ...Array.from({ length: 11 }, (_, i) => ({ ...vector, name: `v${i}` }))], /vector field's number/],
    [
      [key, ...Array.from({ length: 64 }, (_, i) => ({ name: `b${i}`, data_type: 1 }))],
      /maximum field's number/,
    ],
    [[key, { ...vector, ...params({ dim: '0' }) }], /invalid dimension: 0/],
    [[key, { ...vector, ...params({ dim: '32769' }) }], /invalid dimension: 32769/],
    [[key, { ...vector, ...params({ dim: '4.5' }) }], /invalid dimension: 4.5/],
    [[key, { ...vector, type_params: [] }], /invalid dimension/],
    [[key, vector, text(params({ max_length: '65536' }))], /maximum length specified for the field\(t\)/],
    [[key, vector, text(params({ max_length: '0' }))], /maximum length/],
    [[key, vector, text({ type_params: [] })], /max_length/],
    [[key, vector, text({ default_value: { string_data: 'four' } })], /exceeds max length/],
    [[key, vector, text({ default_value: { long_data: 1n } })], /mismatches with VarChar/],
    [
      [key, vector, { name: 'i', data_type: 2, default_value: { int_data: 128 } }],
      /out of range \[-128, 127\]/,
    ],
    [
      [key, vector, { name: 'i', data_type: 4, default_value: { long_data: 2n ** 31n } }],
      /out of range \[-2147483648, 2147483647\]/,
    ],
    [
      [key, vector, { name: 'f', data_type: 10, default_value: { float_data: Number.NaN } }],
      /must be finite/,
    ],
    [[key, { ...vector, default_value: { float_data: 1 } }], /not support default_value/],
    [[key, vector, list(2, '4097')], /maximum capacity/],
    [[key, vector, { ...list(2, '1'), type_params: [] }], /max_capacity/],
    [[key, vector, list(23, '5')], /element type JSON is not supported/],
    [[key, vector, list(0, '5')], /element type None/],
    [[key, vector, { name: '1a', data_type: 1 }], /first character of field name/],
    [[key, vector, { name: '', data_type: 1 }], /field name should be not empty/],
    [[key, vector, { name: '$meta', data_type: 23 }], /\$meta is reserved/],
    [[key, vector, { name: 'RowID', data_type: 5 }], /reserved/],
    [[key, vector, { name: 'x', data_type: 0 }], /data type None/],
  ];
  for (const [fields, reason] of table)
    assert.throws(
      () => decodeSchema(encoded({ fields })),
      (error: unknown) =>
        error instanceof DbError && error.code === 'parameter-invalid' && reason.test(error.message),
      String(reason),
    );
});

test('what is not served is refused by name', () => {
  const table: [WireSchema, RegExp][] = [
    [{ fields: [key, vector, { name: 'z', data_type: 9999 }] }, /data type 9999/],
    [{ fields: [key, vector], functions: [{ name: 'embed', type: 2 }] }, /TextEmbedding function \(embed\)/],
    [{ fields: [key, vector], functions: [{ name: 'mol', type: 5 }] }, /MolFingerprint function/],
  ];
  for (const [schema, reason] of table)
    assert.throws(
      () => decodeSchema(encoded(schema)),
      (error: unknown) =>
        error instanceof DbError && error.code === 'unimplemented' && reason.test(error.message),
      String(reason),
    );
});

test('defaults of small integers may be told as 64-bit ones', () => {
  for (const data_type of [2, 3, 4]) {
    const field: WireField = { name: 'i', data_type, default_value: { long_data: -128n } };
    const schema = decodeSchema(encoded({ fields: [key, vector, field] }));
    assert.equal(schema.fields[2]?.defaultValue, -128);
    assert.deepEqual(encodeSchema('c', schema, 'default').fields?.[2]?.default_value, { int_data: -128 });
  }
});

test('defaults told as text: a moment in the zone given, a geometry as it was written', () => {
  const moment: WireField = {
    name: 't',
    data_type: 26,
    default_value: { string_data: '2025-01-01 00:00:00' },
  };
  const micros: WireField = { name: 'u', data_type: 26, default_value: { timestamptz_data: -1n } };
  const place: WireField = { name: 'g', data_type: 24, default_value: { string_data: 'POINT(1 2)' } };
  const shanghai = new TimeZone('Asia/Shanghai');
  const schema = decodeSchema(encoded({ fields: [key, vector, moment, micros, place] }), shanghai);
  assert.deepEqual(
    schema.fields.slice(2).map(({ defaultValue }) => defaultValue),
    [1_735_660_800_000_000n, -1n, 'POINT(1 2)'],
  );
  const shown = encodeSchema('c', schema, 'default', shanghai);
  assert.deepEqual(
    shown.fields?.slice(2).map((field) => field.default_value),
    [
      { string_data: '2025-01-01T00:00:00+08:00' },
      { string_data: '1970-01-01T07:59:59.999999+08:00' },
      { string_data: 'POINT(1 2)' },
    ],
  );
  const wrong: [WireField, RegExp][] = [
    [{ ...moment, default_value: { string_data: 'noon' } }, /invalid timestamptz string 'noon'/],
    [{ ...micros, default_value: { timestamptz_data: 2n ** 63n - 1n } }, /years 1 to 9999/],
    [{ ...place, default_value: { string_data: 'POINT(1)' } }, /invalid geometry/],
    [{ ...place, default_value: { long_data: 1n } }, /mismatches with Geometry/],
  ];
  for (const [field, words] of wrong)
    assert.throws(() => decodeSchema(encoded({ fields: [key, vector, field] })), words);
});

test('bytes that are no schema are refused', () => {
  assert.throws(() => decodeSchema(Uint8Array.of(0x22, 0x7f)), DbError);
});

test('the dynamic field is kept hidden: a flag outside, a field inside', () => {
  const schema = decodeSchema(encoded({ fields: [key, vector], enable_dynamic_field: true }));
  assert.deepEqual(
    schema.fields.map(({ name, isDynamic }) => [name, isDynamic]),
    [
      ['id', false],
      ['v', false],
      ['$meta', true],
    ],
  );
  const shown = encodeSchema('c', schema, 'default');
  assert.deepEqual(
    shown.fields?.map(({ name }) => name),
    ['id', 'v'],
  );
  assert.equal(shown.enable_dynamic_field, true);
});
