import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load, sharedServer, succeed } from './fixture.ts';
import { encoded, RawClient } from './raw-client.ts';

/** A column of one type: its schema, two values, what stands for null in an answer, and the message they travel in. */
interface Kind {
  readonly name: string;
  readonly field: object;
  readonly values: readonly [unknown, unknown];
  readonly zero: unknown;
  readonly wrap: (values: readonly unknown[]) => object;
}

const scalar = (member: string) => (data: readonly unknown[]) => ({ scalars: { [member]: { data } } });
const list = (member: string, element_type: number) => (rows: readonly unknown[]) => ({
  scalars: { array_data: { data: rows.map((data) => ({ [member]: { data } })), element_type } },
});
const params = (values: Record<string, string>) => ({
  type_params: Object.entries(values).map(([key, value]) => ({ key, value })),
});
const array = (element_type: number) => ({
  data_type: 22,
  element_type,
  ...params({ max_capacity: '4', max_length: '20' }),
});
const bytes = (text: string): Buffer => Buffer.from(text);
const joined = (member: string, dim: number) => (rows: readonly unknown[]) => ({
  vectors: { dim: String(dim), [member]: Buffer.concat(rows as Buffer[]) },
});

const kinds: readonly Kind[] = [
  { name: 'bool', field: { data_type: 1 }, values: [true, false], zero: false, wrap: scalar('bool_data') },
  { name: 'int8', field: { data_type: 2 }, values: [-128, 127], zero: 0, wrap: scalar('int_data') },
  { name: 'int16', field: { data_type: 3 }, values: [-32_768, 32_767], zero: 0, wrap: scalar('int_data') },
  {
    name: 'int32',
    field: { data_type: 4 },
    values: [-(2 ** 31), 2 ** 31 - 1],
    zero: 0,
    wrap: scalar('int_data'),
  },
  {
    name: 'int64',
    field: { data_type: 5 },
    values: ['-9223372036854775808', '9223372036854775807'],
    zero: '0',
    wrap: scalar('long_data'),
  },
  {
    name: 'float',
    field: { data_type: 10 },
    values: [-0, Math.fround(1e-45)],
    zero: 0,
    wrap: scalar('float_data'),
  },
  {
    name: 'double',
    field: { data_type: 11 },
    values: [-0, Number.MIN_VALUE],
    zero: 0,
    wrap: scalar('double_data'),
  },
  {
    name: 'text',
    field: { data_type: 21, ...params({ max_length: '65535' }) },
    values: ['', '漢'.repeat(21_845)],
    zero: '',
    wrap: scalar('string_data'),
  },
  {
    name: 'json',
    field: { data_type: 23 },
    values: [bytes('{"a": 1.50, "n": 12345678901234567890123}'), bytes('null')],
    zero: bytes(''),
    wrap: scalar('json_data'),
  },
  {
    name: 'place',
    field: { data_type: 24 },
    values: ['POINT (-0 1e-300)', 'LINESTRING Z (0 0 0, 1 2 3)'],
    zero: '',
    wrap: scalar('geometry_wkt_data'),
  },
  {
    name: 'moment',
    field: { data_type: 26 },
    values: ['2024-12-31T22:00:00.000001Z', '1900-01-01T00:00:00Z'],
    zero: '',
    wrap: scalar('string_data'),
  },
  { name: 'bools', field: array(1), values: [[true, false], []], zero: [], wrap: list('bool_data', 1) },
  { name: 'int8s', field: array(2), values: [[-128, 127], []], zero: [], wrap: list('int_data', 2) },
  {
    name: 'int64s',
    field: array(5),
    values: [['-9223372036854775808'], ['0', '1']],
    zero: [],
    wrap: list('long_data', 5),
  },
  { name: 'floats', field: array(10), values: [[-0], [1.5]], zero: [], wrap: list('float_data', 10) },
  { name: 'doubles', field: array(11), values: [[-0], [0.1]], zero: [], wrap: list('double_data', 11) },
  { name: 'texts', field: array(21), values: [['', 'ü'], []], zero: [], wrap: list('string_data', 21) },
  {
    name: 'bits',
    field: { data_type: 100, ...params({ dim: '16' }) },
    values: [Buffer.of(1, 2), Buffer.of(255, 0)],
    zero: Buffer.alloc(2),
    wrap: joined('binary_vector', 16),
  },
  {
    name: 'half',
    field: { data_type: 102, ...params({ dim: '1' }) },
    values: [Buffer.of(0, 0x80), Buffer.of(0xff, 0x7b)],
    zero: Buffer.alloc(2),
    wrap: joined('float16_vector', 1),
  },
  {
    name: 'brain',
    field: { data_type: 103, ...params({ dim: '1' }) },
    values: [Buffer.of(0, 0x80), Buffer.of(0x7f, 0x7f)],
    zero: Buffer.alloc(2),
    wrap: joined('bfloat16_vector', 1),
  },
  {
    name: 'tiny',
    field: { data_type: 105, ...params({ dim: '2' }) },
    values: [Buffer.of(0x80, 0x7f), Buffer.of(0, 1)],
    zero: Buffer.alloc(2),
    wrap: joined('int8_vector', 2),
  },
];
const indexOf: Readonly<Record<number, readonly [string, string]>> = {
  100: ['BIN_FLAT', 'HAMMING'],
  101: ['FLAT', 'L2'],
  102: ['FLAT', 'L2'],
  103: ['FLAT', 'L2'],
  105: ['FLAT', 'L2'],
};

/** How a column of a value, a null and a value, or of nothing but nulls, may be sent. */
const forms: Readonly<Record<string, (kind: Kind) => readonly object[]>> = {
  'nulls left out': ({ wrap, values }) => [{ ...wrap(values), valid_data: [true, false, true] }],
  'nulls as values': ({ wrap, values: [a, b], zero }) => [
    { ...wrap([a, zero, b]), valid_data: [true, false, true] },
  ],
  'nothing but nulls, without values': ({ wrap }) => [{ ...wrap([]), valid_data: [false, false, false] }],
  'nothing but nulls, as values': ({ wrap, zero }) => [
    { ...wrap([zero, zero, zero]), valid_data: [false, false, false] },
  ],
  'nothing but nulls, without a message': () => [{ valid_data: [false, false, false] }],
  'left out': () => [],
};

/** Buffers and signs of zero, which deepEqual of JSON would not see. */
const told = (value: unknown): string =>
  JSON.stringify(value, (key, each: unknown) => {
    // By number when it is sent, by name when it comes back.
    if (key === 'element_type') return undefined;
    if (Object.is(each, -0)) return 'minus zero';
    const buffer = each as { type?: string; data?: number[] } | null;
    return buffer?.type === 'Buffer' ? Buffer.from(buffer.data!).toString('hex') : each;
  });

describe('columns on the wire', () => {
  const fixture = sharedServer();

  async function create(raw: RawClient): Promise<void> {
    const schema = encoded('schema.CollectionSchema', {
      name: 'columns',
      fields: [
        { name: 'id', data_type: 5, is_primary_key: true },
        { name: 'vector', data_type: 101, ...params({ dim: '1' }) },
        ...kinds.map(({ name, field }) => ({ name, nullable: true, ...field })),
      ],
    });
    const created = await raw.status('CreateCollection', { collection_name: 'columns', schema });
    assert.equal(created.code, 0, created.reason);
    for (const { name, field } of [{ name: 'vector', field: { data_type: 101 } }, ...kinds]) {
      const [index_type, metric_type] = indexOf[(field as { data_type: number }).data_type] ?? [];
      if (index_type !== undefined)
        await succeed(
          fixture.client.createIndex({
            collection_name: 'columns',
            field_name: name,
            index_type,
            metric_type: metric_type!,
          }),
        );
    }
    await load(fixture.client, 'columns');
  }

  test('every type, null among values and nothing but nulls, in every form that clients send, comes back bit for bit', async () => {
    const raw = new RawClient(fixture.server.address);
    await create(raw);
    let first = 0;
    for (const [form, columnOf] of Object.entries(forms)) {
      const ids = [first, first + 1, first + 2];
      first += 3;
      const columns = kinds.flatMap((kind) =>
        columnOf(kind).map((column) => ({
          field_name: kind.name,
          type: (kind.field as { data_type: number }).data_type,
          ...column,
        })),
      );
      const fields_data = [
        { field_name: 'id', type: 5, scalars: { long_data: { data: ids } } },
        { field_name: 'vector', type: 101, vectors: { dim: 1, float_vector: { data: [0, 0, 0] } } },
        ...columns,
      ];
      const { code, reason } = await raw.status('Insert', {
        collection_name: 'columns',
        num_rows: 3,
        fields_data,
      });
      if (code !== 0) throw new Error(`${form}: ${reason}`);
      const answer = await raw.answer('Query', {
        collection_name: 'columns',
        expr: `id in [${ids.join(', ')}]`,
        output_fields: ['*'],
      });
      const isMixed = form.startsWith('nulls');
      for (const { name, wrap, values, zero } of kinds) {
        const [a, b] = isMixed ? values : [zero, zero];
        const found = (answer['fields_data'] as { field_name: string }[]).find(
          (each) => each.field_name === name,
        ) as unknown as Record<string, unknown>;
        const { scalars, vectors } = wrap([a, zero, b]) as Record<string, unknown>;
        assert.equal(
          told({ valid: found['valid_data'], scalars: found['scalars'], vectors: found['vectors'] }),
          told({ valid: [isMixed, false, isMixed], scalars, vectors }),
          `${form}: ${name}`,
        );
      }
    }
    raw.close();
  });

  test('JSON keeps its text up to 64 KB and however deep; what is no JSON, or more, is refused', async () => {
    const raw = new RawClient(fixture.server.address);
    const write = (id: number, ...values: Buffer[]) =>
      raw.status('Insert', {
        collection_name: 'columns',
        num_rows: values.length,
        fields_data: [
          { field_name: 'id', type: 5, scalars: { long_data: { data: values.map((_, i) => id + i) } } },
          {
            field_name: 'vector',
            type: 101,
            vectors: { dim: 1, float_vector: { data: values.map(() => 0) } },
          },
          { field_name: 'json', type: 23, scalars: { json_data: { data: values } } },
        ],
      });
    const kept = [
      `"${'x'.repeat(65_534)}"`,
      '['.repeat(32_768) + ']'.repeat(32_768),
      `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
      ' {"b":1, "b":2 ,"\\u0041":1E400}\n',
      '""',
      '0',
      'true',
    ].map(bytes);
    const { code, reason } = await write(1000, ...kept);
    assert.equal(code, 0, reason);
    const answer = await raw.answer('Query', {
      collection_name: 'columns',
      expr: 'id >= 1000',
      output_fields: ['json'],
    });
    const columns = answer['fields_data'] as { field_name: string; scalars: Record<string, unknown> }[];
    const { scalars } = columns.find(({ field_name }) => field_name === 'json')!;
    const { data } = scalars['json_data'] as { data: Buffer[] };
    assert.deepEqual(data.map(String), kept.map(String));
    const table: [Buffer, RegExp][] = [
      [bytes(`"${'x'.repeat(65_535)}"`), /exceeds max length 65536, row number: 0/],
      [bytes('{'), /holds invalid JSON, row number: 0/],
      [bytes(''), /holds invalid JSON/],
      [bytes('NaN'), /holds invalid JSON/],
      [bytes('{}{}'), /holds invalid JSON/],
      [Buffer.of(0x22, 0xff, 0x22), /not UTF-8/],
    ];
    for (const [value, words] of table) {
      const refusal = await write(2000, value);
      assert.deepEqual([refusal.code, words.test(refusal.reason)], [1100, true], refusal.reason);
    }
    raw.close();
  });
});
