/** Decoders of what clients send: gRPC messages and frames, HTTP requests. */
import assert from 'node:assert/strict';
import { checkHead, checkSite } from '../../src/admin/guard.ts';
import { Metrics } from '../../src/admin/metrics.ts';
import { findRoute } from '../../src/admin/router.ts';
import { adminRoutes } from '../../src/admin/routes.ts';
import { assignFields } from '../../src/coordinator/collections/schema.ts';
import { checkIndexParams } from '../../src/coordinator/indexes/params.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import { filterOf } from '../../src/expr/check.ts';
import { filterOfKeys, primaryKeysOf, valuesOf } from '../../src/expr/primary-keys.ts';
import { queryCountOf } from '../../src/model/columns.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { type CallContext, defaultLimits, userOf } from '../../src/proxy/context.ts';
import { frameMessage, MessageReader, timeoutMs } from '../../src/proxy/grpc-frames.ts';
import { isAggregation, planOf } from '../../src/proxy/handlers/aggregation.ts';
import { orderOf } from '../../src/proxy/handlers/order-by.ts';
import { fusionOf, rerankOf } from '../../src/proxy/handlers/rerank.ts';
import { groupingOf, iteratorOf, sessionTime } from '../../src/proxy/handlers/search-params.ts';
import { service } from '../../src/proxy/service.ts';
import { CallRefused } from '../../src/proxy/transport.ts';
import {
  type MilvusQueryRequest,
  rpcTypes,
  type SchemaFieldData,
  type SchemaFieldSchema,
  type SchemaFunctionScore,
} from '../../src/proxy/wire/descriptor.generated.ts';
import {
  decodeMessage,
  encodeMessage,
  type Outgoing,
  type RpcName,
} from '../../src/proxy/wire/descriptor.ts';
import { jsonEntries, jsonObjectText } from '../../src/proxy/wire/json-object.ts';
import { flattenParams } from '../../src/proxy/wire/key-values.ts';
import { decodePlaceholders, type Placeholders, queriesFor } from '../../src/proxy/wire/placeholder.ts';
import { checkedRows } from '../../src/proxy/wire/rows.ts';
import { decodeSchema } from '../../src/proxy/wire/schema.ts';
import { decodeWriteRequest, decodeWriteTarget } from '../../src/proxy/wire/write-request.ts';
import type {
  AggregateRequest,
  HybridRequest,
  QueryRequest,
  SearchRequest,
} from '../../src/querynode/api.ts';
import { parseJson } from '../../src/support/json.ts';
import { silentLog } from '../../src/support/log.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { TimeZone } from '../../src/timestamptz/zones.ts';
import { SparseIndex } from '../../src/vector-index/sparse.ts';
import { buildBlocks } from '../../src/vector-index/sparse-block.ts';
import { FakeDoor } from '../admin/fake-door.ts';
import { fieldSchema } from '../field-schema.ts';
import { FakePlanes } from '../proxy/fake-planes.ts';
import { batchOf } from '../proxy/fake-rows.ts';
import type { Decoder } from './harness.ts';

const isTyped = (error: unknown): boolean => isDbError(error) && error.code !== 'internal';
const utf8 = (text: string): Uint8Array => Buffer.from(text);

const params = (values: Record<string, string>) => ({
  type_params: Object.entries(values).map(([key, value]) => ({ key, value })),
});
const wireFields: readonly Outgoing<SchemaFieldSchema>[] = [
  { name: 'id', data_type: 5, is_primary_key: true },
  { name: 'bool', data_type: 1, nullable: true },
  { name: 'i8', data_type: 2, nullable: true, default_value: { int_data: 5 } },
  { name: 'i32', data_type: 4 },
  { name: 'i64', data_type: 5, nullable: true },
  { name: 'float', data_type: 10, nullable: true },
  { name: 'double', data_type: 11 },
  {
    name: 'text',
    data_type: 21,
    nullable: true,
    ...params({ max_length: '8' }),
    default_value: { string_data: 'é' },
  },
  { name: 'json', data_type: 23, nullable: true },
  { name: 'ints', data_type: 22, element_type: 2, nullable: true, ...params({ max_capacity: '3' }) },
  { name: 'texts', data_type: 22, element_type: 21, ...params({ max_capacity: '3', max_length: '4' }) },
  { name: 'v', data_type: 101, nullable: true, ...params({ dim: '2' }) },
];
const schemaMessage = 'milvus.proto.schema.CollectionSchema';
const schemaBytes = (fields: readonly Outgoing<SchemaFieldSchema>[], isDynamic: boolean): Uint8Array =>
  encodeMessage(schemaMessage, { name: 'c', fields, enable_dynamic_field: isDynamic });
const schemaOf = (bytes: Uint8Array): CollectionSchema => assignFields(decodeSchema(bytes));
const autoFields = [{ name: 'id', data_type: 5, is_primary_key: true, autoID: true }, wireFields[11]!];
/** Every other kind of vector. */
const otherFields: readonly Outgoing<SchemaFieldSchema>[] = [
  { name: 'id', data_type: 5, is_primary_key: true },
  { name: 'bits', data_type: 100, ...params({ dim: '16' }) },
  { name: 'half', data_type: 102, nullable: true, ...params({ dim: '2' }) },
  { name: 'brain', data_type: 103, ...params({ dim: '2' }) },
  { name: 'sparse', data_type: 104, nullable: true },
  { name: 'bytes', data_type: 105, ...params({ dim: '3' }) },
];
/** What is told as text, and a struct array. */
const toldSchema = encodeMessage(schemaMessage, {
  name: 'c',
  fields: [
    { name: 'id', data_type: 5, is_primary_key: true },
    { name: 'v', data_type: 101, ...params({ dim: '2' }) },
    { name: 'place', data_type: 24, nullable: true, default_value: { string_data: 'POINT (1 2)' } },
    { name: 'moment', data_type: 26, default_value: { string_data: '2024-01-01T00:00:00' } },
  ],
  struct_array_fields: [
    {
      name: 'clips',
      nullable: true,
      type_params: [{ key: 'max_capacity', value: '3' }],
      fields: [
        { name: 'text', data_type: 22, element_type: 21, ...params({ max_length: '4' }) },
        { name: 'vectors', data_type: 106, element_type: 101, ...params({ dim: '2' }) },
      ],
    },
  ],
});
const schemas = [
  schemaBytes(wireFields, false),
  schemaBytes(wireFields, true),
  schemaBytes(autoFields, true),
  schemaBytes(otherFields, true),
  toldSchema,
];

const columns: readonly Outgoing<SchemaFieldData>[] = [
  { type: 5, field_name: 'id', scalars: { long_data: { data: [1n, -2n, 2n ** 63n - 1n] } } },
  {
    type: 1,
    field_name: 'bool',
    scalars: { bool_data: { data: [true, false] } },
    valid_data: [true, false, true],
  },
  { type: 4, field_name: 'i32', scalars: { int_data: { data: [-(2 ** 31), 5, 2 ** 31 - 1] } } },
  { type: 10, field_name: 'float', scalars: { float_data: { data: [0.5, -1, 3] } } },
  { type: 11, field_name: 'double', scalars: { double_data: { data: [1e300, -0.1, 0] } } },
  { type: 21, field_name: 'text', scalars: { string_data: { data: ['ä', '', 'abcdefgh'] } } },
  { type: 23, field_name: 'json', scalars: { json_data: { data: ['{"a":1}', '[[]]', '"x"'].map(utf8) } } },
  {
    type: 22,
    field_name: 'ints',
    scalars: {
      array_data: {
        element_type: 2,
        data: [{ int_data: { data: [1, -2] } }, {}, { int_data: { data: [3] } }],
      },
    },
  },
  {
    type: 22,
    field_name: 'texts',
    scalars: {
      array_data: {
        element_type: 21,
        data: [{ string_data: { data: ['é'] } }, { string_data: { data: ['a', ''] } }, {}],
      },
    },
  },
  { type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, 2, 3, 4, 5, 6] } } },
];
const pair = (dimension: number, value: number): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(dimension, 0);
  bytes.writeFloatLE(value, 4);
  return bytes;
};
const otherColumns: readonly Outgoing<SchemaFieldData>[] = [
  { type: 5, field_name: 'id', scalars: { long_data: { data: [1n, 2n, 3n] } } },
  { type: 100, field_name: 'bits', vectors: { dim: 16n, binary_vector: new Uint8Array(6).fill(5) } },
  { type: 102, field_name: 'half', vectors: { dim: 2n, float16_vector: new Uint8Array(12).fill(60) } },
  { type: 103, field_name: 'brain', vectors: { dim: 2n, bfloat16_vector: new Uint8Array(12).fill(63) } },
  {
    type: 104,
    field_name: 'sparse',
    vectors: {
      dim: 10n,
      sparse_float_vector: {
        contents: [Buffer.concat([pair(9, 1), pair(2, 0.5)]), new Uint8Array(), pair(2 ** 31, -1)],
        dim: 10n,
      },
    },
  },
  { type: 105, field_name: 'bytes', vectors: { dim: 3n, int8_vector: new Uint8Array(9).fill(200) } },
];
const listOf = (members: object) => ({
  type: 22,
  scalars: { array_data: { element_type: 21, data: [members, {}, members] } },
});
const toldColumns: readonly Outgoing<SchemaFieldData>[] = [
  { type: 5, field_name: 'id', scalars: { long_data: { data: [1n, 2n, 3n] } } },
  { type: 101, field_name: 'v', vectors: { dim: 2n, float_vector: { data: [1, 2, 3, 4, 5, 6] } } },
  {
    type: 24,
    field_name: 'place',
    scalars: { geometry_wkt_data: { data: ['POINT (1 2)', 'LINESTRING EMPTY'] } },
    valid_data: [true, false, true],
  },
  {
    type: 26,
    field_name: 'moment',
    scalars: {
      string_data: { data: ['2024-01-01T00:00:00Z', '2024-01-01 00:00:00+08', '1969-01-01T00:00:00'] },
    },
  },
  {
    type: 200,
    field_name: 'clips',
    valid_data: [true, false, true],
    struct_arrays: {
      fields: [
        {
          field_name: 'text',
          ...listOf({ string_data: { data: ['a', 'b'] } }),
          valid_data: [true, false, true],
        },
        {
          field_name: 'vectors',
          type: 106,
          valid_data: [true, false, true],
          vectors: {
            dim: 2n,
            vector_array: {
              dim: 2n,
              element_type: 101,
              data: [
                { dim: 2n, float_vector: { data: [1, 2, 3, 4] } },
                {},
                { dim: 2n, float_vector: { data: [1, 2, 3, 4] } },
              ],
            },
          },
        },
      ],
    },
  },
];
const meta = {
  type: 23,
  field_name: '',
  is_dynamic: true,
  scalars: { json_data: { data: ['{"k":1.50}', '{}', '{"a":{"b":[1]}}'].map(utf8) } },
};
const extra = { type: 21, field_name: 'more', scalars: { string_data: { data: ['x', 'y', 'z'] } } };
const rowsMessage = (fields: readonly Outgoing<SchemaFieldData>[], numRows = 3): Uint8Array =>
  encodeMessage('milvus.proto.milvus.InsertRequest', {
    collection_name: 'c',
    fields_data: fields,
    num_rows: numRows,
  });
const writeCorpus = [
  rowsMessage(columns),
  rowsMessage([...columns, meta]),
  rowsMessage([...columns, extra]),
  rowsMessage([columns[9]!, extra]),
  rowsMessage([meta, extra]),
  rowsMessage(otherColumns),
  rowsMessage(toldColumns),
];
/** Tags of nested messages, numbers that do not end, long lists. */
const protobufWords = [
  '\x0a',
  '\x0a\x02',
  '\x1a\x04',
  '\x22',
  '\x2a',
  '\x38\xff\xff\xff\xff\x0f',
  '\x80',
  '\xff',
  '\x08\x00',
  '\x0b',
  '\x0c',
  '[',
  '{"a":',
  '\x0a\x00',
  '\x3a\x00',
];

const tables = schemas.map(schemaOf);
const writeRequest: Decoder = {
  name: 'write-request',
  covers: [
    'proxy/wire/write-request.ts',
    'proxy/wire/field-data-decode.ts',
    'proxy/wire/lists.ts',
    'proxy/wire/scalar-decode.ts',
    'proxy/wire/vector-decode.ts',
    'proxy/wire/vector-columns.ts',
    'proxy/wire/told-columns.ts',
    'proxy/wire/structs.ts',
    'proxy/wire/null-rows.ts',
    'proxy/wire/sparse.ts',
    'proxy/wire/checks.ts',
    'proxy/wire/reader.ts',
    'proxy/wire/rows.ts',
    'proxy/wire/columns.ts',
    'proxy/wire/dynamic.ts',
    'proxy/wire/json-object.ts',
  ],
  corpus: writeCorpus,
  words: protobufWords,
  decode: (bytes) => {
    let accepted = 0;
    for (const kind of ['insert', 'upsert'] as const) {
      const request = decodeWriteRequest(kind, bytes);
      const { fields: _, ...target } = request;
      assert.deepEqual(decodeWriteTarget(kind, bytes), { ...target, fields: [] });
      for (const schema of tables)
        for (const autoIds of [false, true]) {
          try {
            const rows = checkedRows(schema, request, { autoIds });
            assert.equal(rows.rowCount, request.numRows);
            accepted++;
          } catch (error) {
            if (!isTyped(error)) throw error;
          }
        }
    }
    return accepted;
  },
  refuses: isTyped,
  /** Defaults and nulls of rows that were left out are bounded by what they grow to, not by what was sent. */
  baseBytes: 700 << 20,
};

const textSchema = encodeMessage(schemaMessage, {
  name: 'c',
  fields: [
    { name: 'id', data_type: 5, is_primary_key: true },
    {
      name: 't',
      data_type: 21,
      ...params({ max_length: '9', enable_analyzer: 'true', analyzer_params: '{"type":"english"}' }),
    },
    { name: 's', data_type: 104, is_function_output: true },
  ],
  functions: [{ name: 'f', type: 1, input_field_names: ['t'], output_field_names: ['s'] }],
});

const collectionSchema: Decoder = {
  name: 'collection-schema',
  covers: [
    'proxy/wire/schema.ts',
    'proxy/wire/struct-schema.ts',
    'proxy/wire/function-schema.ts',
    'proxy/wire/default-value.ts',
    'proxy/wire/names.ts',
  ],
  corpus: [...schemas, textSchema],
  words: [...protobufWords, 'dim', 'max_length', '999999999', '-1'],
  decode: (bytes) => {
    assignFields(decodeSchema(bytes));
  },
  refuses: isTyped,
};

const placeholders = (type: number, values: readonly Uint8Array[]): Uint8Array =>
  encodeMessage('milvus.proto.common.PlaceholderGroup', { placeholders: [{ tag: '$0', type, values }] });
const vectorsMessage = (count: number): Uint8Array =>
  placeholders(
    101,
    Array.from({ length: count }, () => new Uint8Array(new Float32Array(2).buffer)),
  );
const queriedFields = [
  fieldSchema('v', { dataType: 'FloatVector', dim: 2 }),
  fieldSchema('b', { dataType: 'BinaryVector', dim: 16 }),
  fieldSchema('s', { dataType: 'SparseFloatVector' }),
  fieldSchema('l', { dataType: 'ArrayOfVector', elementType: 'FloatVector', dim: 2 }),
];
const queriedType = ({ type }: Placeholders): string => (type.kind === 'list' ? 'ArrayOfVector' : type.type);
const queryVectors: Decoder = {
  name: 'query-vectors',
  covers: ['proxy/wire/placeholder.ts'],
  corpus: [
    vectorsMessage(1),
    vectorsMessage(3),
    placeholders(104, [Uint8Array.of(7, 0, 0, 0, 0, 0, 128, 63, 9, 0, 0, 0, 0, 0, 0, 64), new Uint8Array(0)]),
    placeholders(301, [new Uint8Array(24).fill(60), new Uint8Array(8)]),
    placeholders(100, [new Uint8Array(2)]),
    placeholders(21, [utf8('text')]),
  ],
  words: protobufWords,
  decode: (bytes) => {
    const sent = decodePlaceholders(bytes);
    const field = queriedFields.find(({ dataType }) => dataType === queriedType(sent)) ?? queriedFields[0];
    assert.ok(field !== undefined);
    const queries = queriesFor(field, sent);
    assert.equal(queryCountOf(queries), sent.values.length);
    if (queries.layout === 'bytes') new SparseIndex(buildBlocks(queries, sent.values.length));
  },
  refuses: isTyped,
};

const jsonObject: Decoder = {
  name: 'json-object',
  covers: ['proxy/wire/json-object.ts'],
  corpus: ['{}', '{"a":1,"b":{"c":[1,2,"}"]},"d":"\\"x\\u0041"}', ' { "a" : [ ] , "b" : null } '].map(utf8),
  words: ['{', '}', '"', ':', ',', '\\', '[', ']', ' ', '\\u0022', '1.50', 'null'],
  decode: (bytes) => {
    const text = Buffer.from(bytes).toString();
    const value = parseJson(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    const again = parseJson(jsonObjectText(jsonEntries(text)));
    assert.deepEqual(again, value);
  },
  // It is only asked for text that is JSON.
  refuses: (error) => error instanceof SyntaxError,
};

const keyValues: Decoder = {
  name: 'search-parameters',
  covers: ['proxy/wire/key-values.ts', 'model/index-params.ts', 'coordinator/indexes/params.ts'],
  corpus: [
    '{"nprobe":10,"radius":0.5}',
    '{"M":16,"efConstruction":"200"}',
    '{"a":[{"b":1}]}',
    '{"index_type":"HNSW"}',
  ].map(utf8),
  words: [
    '{',
    '[',
    '"',
    ':',
    '}',
    ']',
    '{"a":',
    '"M":',
    '1e999',
    'null',
    '"__proto__":',
    '"json_path":',
    '"metric_type":',
  ],
  decode: (bytes) => {
    const text = Buffer.from(bytes).toString();
    const [vector, scalar] = [tables[0]?.fields.at(-1), tables[0]?.fields.at(4)];
    assert.ok(vector !== undefined && scalar !== undefined);
    for (const check of [
      () => flattenParams([{ key: 'params', value: text }]),
      () => checkIndexParams(vector, { params: text }),
      () => checkIndexParams(scalar, { params: text }),
      () => checkIndexParams(vector, { index_type: text, M: text }),
    ])
      try {
        check();
      } catch (error) {
        if (!isTyped(error)) throw error;
      }
  },
  refuses: isTyped,
};

/** Input: the name of a parameter, a line break, its value; given to everything that reads parameters of searches and queries. */
const rankParameters: Decoder = {
  name: 'rank-parameters',
  covers: [
    'proxy/handlers/aggregation.ts',
    'proxy/handlers/names.ts',
    'proxy/handlers/order-by.ts',
    'proxy/handlers/rerank.ts',
  ],
  corpus: [
    'weights\n[0.5,1]',
    'random_score\n{"seed":7,"field":"i64"}',
    'group_by_fields\n["i32","text"]',
    'order_by_fields\ni64:desc:nulls_first,text',
    'order_by_fields\njson["a, b:c"][0]:asc,$meta["x"]',
    'group_by_field\njson["a"]["b"]',
    'params\n{"strategy":"weighted","weights":[0.1,0.2],"norm_score":true}',
    'params\n{"reranker":"decay","function":"exp","origin":1,"scale":2,"decay":0.3}',
    'params\n{"reranker":"boost","filter":"i64 > 3","weight":2}',
    'output\nsum(i64)',
    'guarantee_timestamp\n470637523697139712',
    'search_iter_last_bound\n1.5',
  ].map(utf8),
  words: [
    '{',
    '[',
    '"',
    ':',
    ',',
    '(',
    'count(*)',
    'sum(',
    'nulls_last',
    'reranker',
    'rrf',
    'boost',
    'decay',
    'model',
    '1e999',
    '-1',
    'true',
    '__proto__',
  ],
  decode: (bytes) => {
    const text = Buffer.from(bytes).toString();
    const line = text.indexOf('\n');
    const [key, value] = line < 0 ? ['params', text] : [text.slice(0, line), text.slice(line + 1)];
    const [schema] = tables;
    assert.ok(schema !== undefined);
    const call = { filters: { check: filterOf } } as unknown as CallContext;
    const read = () => flattenParams([{ key, value }]);
    const ranker = (reranker: string, inputs: string[]): SchemaFunctionScore => ({
      functions: [
        {
          name: 'f',
          id: 0n,
          description: '',
          type: 3,
          input_field_names: inputs,
          input_field_ids: [],
          output_field_names: [],
          output_field_ids: [],
          params: [
            { key: 'reranker', value: reranker },
            { key, value },
          ],
        },
      ],
      params: [{ key, value }],
    });
    const utc = new TimeZone('UTC');
    const asked = { output_fields: [value, 'i32'] } as MilvusQueryRequest;
    for (const check of [
      () => orderOf(read(), schema),
      () => orderOf({ order_by_fields: value }, schema),
      () => groupingOf({ ...read(), group_by_field: 'text' }, schema),
      () => groupingOf({ group_by_field: value }, schema),
      () => [iteratorOf({ ...read(), search_iter_v2: 'true' }), sessionTime(read(), 0n)],
      () => fusionOf(schema, undefined, read(), 2),
      ...['rrf', 'weighted', 'decay', 'boost', value].flatMap((name) => [
        () => rerankOf(call, schema, ranker(name, ['i64']), utc),
        () => rerankOf(call, schema, ranker(name, []), utc),
        () => fusionOf(schema, ranker(name, ['i64']), {}, 2),
      ]),
      () => isAggregation(asked, read()) && planOf(asked, { ...read(), group_by_fields: 'i32' }, schema),
    ])
      try {
        check();
      } catch (error) {
        if (!isTyped(error)) throw error;
      }
  },
  refuses: isTyped,
};

/** Something for every field that requests have; those a message does not have are left out by the encoder. */
const everything = {
  db_name: 'default',
  collection_name: 'c',
  collectionName: 'c',
  collection_names: ['c'],
  partition_name: '_default',
  partition_names: ['_default'],
  field_name: 'v',
  index_name: 'i',
  name: 's',
  snapshot_name: 's',
  description: 'd',
  newName: 'other',
  target_collection_name: 'restored',
  new_collection_name: 'restored',
  extra_params: [
    { key: 'index_type', value: 'HNSW' },
    { key: 'params', value: '{"M":8}' },
  ],
  properties: [{ key: 'a', value: 'b' }],
  search_params: [
    { key: 'topk', value: '3' },
    { key: 'params', value: '{"ef":10}' },
  ],
  query_params: [{ key: 'limit', value: '3' }],
  placeholder_group: vectorsMessage(2),
  rank_params: [
    { key: 'limit', value: '3' },
    { key: 'params', value: '{"k":60}' },
  ],
  requests: [2, 2].map((count) => ({
    search_params: [
      { key: 'anns_field', value: 'v' },
      { key: 'topk', value: '3' },
      { key: 'group_by_field', value: 'i32' },
    ],
    placeholder_group: vectorsMessage(count),
    nq: 2n,
  })),
  nq: 2n,
  dsl: 'id > 3 and json["a"] == {t}',
  expr: 'id in [1, 2]',
  expr_template_values: { t: { int64_val: 5n }, u: { array_val: { long_data: { data: [1n, 2n] } } } },
  output_fields: ['id', 'json'],
  fields_data: columns,
  num_rows: 3,
  schema: schemas[1],
  shards_num: 2,
  collectionID: 1001n,
  compactionID: 1n,
  segmentIDs: [77n],
  job_id: 5n,
  pin_id: 6n,
  ttl_seconds: 60n,
  client_info: { sdk_type: 'x' },
};

const rpcs = Object.keys(service) as RpcName[];
const kitchenSink = (rpc: RpcName): Uint8Array => {
  let given: Record<string, unknown> = everything;
  for (;;) {
    try {
      return encodeMessage(rpcTypes[rpc].request, given as never);
    } catch (error) {
      // A field of that name has another type here.
      const [, field = ''] = /^\.?[\w.]*?(\w+)(?:\[\d*\])?:? /.exec((error as Error).message) ?? [];
      if (!(field in given)) return encodeMessage(rpcTypes[rpc].request, { collection_name: 'c' } as never);
      const { [field]: _, ...rest } = given;
      given = rest;
    }
  }
};

async function callContext(): Promise<CallContext> {
  const { coordinator, streamingNode } = new FakePlanes();
  const schema = decodeSchema(schemas[1] ?? new Uint8Array());
  const shape = { shardsNum: 2, consistencyLevel: 'Bounded', properties: {} } as const;
  await coordinator.createCollection({ database: '', name: 'c', schema, ...shape } as never);
  const at = { database: '', name: 'c' };
  await coordinator.createIndex(at, 'v', 'i', { index_type: 'HNSW', metric_type: 'L2' });
  await coordinator.createSnapshot({ at, name: 's', description: '' } as never);
  const rowsOf = (wanted: readonly number[]) => {
    const { fields } = coordinator.describeCollection(at).collection.schema;
    return batchOf(
      fields.filter(({ fieldId }) => wanted.includes(fieldId)),
      [],
    );
  };
  const found = async ({ queryCount, outputFields }: SearchRequest | HybridRequest) => ({
    counts: new Uint32Array(queryCount),
    keys: { type: 'Int64', values: new BigInt64Array() },
    scores: new Float32Array(),
    rows: rowsOf(outputFields),
    readTs: 1n,
  });
  const queryNode = {
    query: async ({ outputFields }: QueryRequest) => ({ ...rowsOf(outputFields), readTs: 1n }),
    count: async () => 0,
    search: found,
    hybridSearch: found,
    aggregate: async ({ groupBy, aggregates }: AggregateRequest) => ({
      rowCount: 0,
      columns: [...groupBy, ...aggregates].map(() => ({
        layout: 'fixed',
        type: 'Int64',
        values: new BigInt64Array(0),
      })),
    }),
  };
  return {
    coordinator,
    streamingNode,
    queryNode: queryNode as never,
    filters: {
      check: (text, of, values) => filterOf(text, of, values),
      ofKeys: filterOfKeys,
      primaryKeysOf,
      valuesOf,
    },
    clock: systemClock,
    log: silentLog,
    limits: { ...defaultLimits, loadAnswerMs: 1 },
    metadataDatabase: '',
    user: undefined,
  };
}

let context: Promise<CallContext> | undefined;
let uses = 0;
/** Input: which RPC, then its request. Through the handlers, to planes that take everything. */
const rpcRequest: Decoder = {
  name: 'rpc-request',
  covers: ['proxy/wire/descriptor.ts'],
  corpus: rpcs.map((rpc, n) => Buffer.concat([Uint8Array.of(n), kitchenSink(rpc)])),
  words: [...protobufWords, '{', '[', '"', 'id', ' in ', '{"a":', '\x12', '\x1a', '\x32'],
  decode: async (bytes) => {
    if (uses++ % 200 === 0) context = undefined;
    context ??= callContext();
    const call = await context;
    const rpc = rpcs[(bytes[0] ?? 0) % rpcs.length]!;
    try {
      const answer = await service[rpc].answer(new Uint8Array(bytes.slice(1)), call);
      decodeMessage(rpcTypes[rpc].response, answer);
    } catch (error) {
      // The planes behind are small: what they do not have, and what they stumble over, is no fault of the proxy.
      const [, first = ''] = error instanceof Error ? (error.stack ?? '').split('\n    at ') : [];
      if (!first.includes('fake-planes') && !first.includes('fake-rows')) throw error;
    }
  },
  refuses: isTyped,
};

/** Input: how long each chunk is, then the bytes of a request. */
const grpcFrames: Decoder = {
  name: 'grpc-frames',
  covers: ['proxy/grpc-frames.ts', 'proxy/context.ts'],
  corpus: [0, 5, 300].map((length) =>
    Buffer.concat([Uint8Array.of(7), ...frameMessage(new Uint8Array(length))]),
  ),
  words: ['\0\0\0\0\x05', '\x01', '\0\xff\xff\xff\xff', '12345678H', '1m', ':'],
  decode: (bytes) => {
    const limit = 1 << 20;
    const reader = new MessageReader((length) => {
      if (length > limit) throw new CallRefused(8, 'too large');
    });
    const text = Buffer.from(bytes).toString('latin1');
    const user = userOf(text);
    if (user !== undefined) assert.match(user, /^[A-Za-z][\w.-]*$/);
    try {
      const ms = timeoutMs(text) ?? 0;
      assert.ok(ms >= 0 && ms < 2 ** 31);
    } catch (error) {
      if (!(error instanceof CallRefused)) throw error;
    }
    const step = 1 + (bytes[0] ?? 0);
    for (let at = 1; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
    const { body } = reader.finish();
    assert.deepEqual(Buffer.from(body), Buffer.from(bytes.subarray(6)));
  },
  refuses: (error) => error instanceof CallRefused,
};

let admin: ReturnType<typeof adminRoutes> | undefined;
/** Input: lines: method, URL, Host, Origin, Sec-Fetch-Site, Content-Length. */
const adminRequest: Decoder = {
  name: 'admin-request',
  covers: ['admin/router.ts', 'admin/parameters.ts', 'admin/guard.ts'],
  corpus: [
    'GET\n/snapshots?limit=5&after=3&database=default\nlocalhost:1\n\n\n0',
    'POST\n/snapshots/default/films/monday/verify?subset=5%25\n127.0.0.1\nhttp://127.0.0.1\nsame-origin\n',
    'POST\n/restore?from=default/films/monday&to=default/again&partitions=a,b&mode=shared&dryRun=true\n[::1]:9\n\n\n',
    'POST\n/restore-jobs/501/cancel?reason=enough\nlocalhost\n\n\n',
    'GET\n/gc/plan?verdict=delete\nlocalhost\n\n\n',
    'HEAD\n/restore-jobs?state=completed\nlocalhost\n\n\n',
  ].map(utf8),
  words: [
    '/',
    '%',
    '%2F',
    '%00',
    '%ff',
    '..',
    '?',
    '&',
    '=',
    '\n',
    'limit=',
    'after=',
    '99999999999999999999',
    '-1',
    '\0',
    '[',
    ']',
    '@',
    '__proto__',
    '+',
    ',',
  ],
  decode: async (bytes) => {
    const door = new FakeDoor();
    admin ??= adminRoutes({ coordinator: door, version: '0', metrics: new Metrics(door) });
    const [method = '', url = '', host, origin, fetchSite, contentLength] = Buffer.from(bytes)
      .toString()
      .split('\n');
    const optional = (text: string | undefined) => (text === '' ? undefined : text);
    const head = {
      method,
      url,
      host: optional(host),
      origin: optional(origin),
      fetchSite: optional(fetchSite),
      contentLength: optional(contentLength),
      transferEncoding: undefined,
      localAddress: '127.0.0.1',
    };
    checkHead(head, '127.0.0.1');
    const { route, params: given, query } = findRoute(admin, head.method, head.url);
    if (route.isWork) checkSite(head);
    const answer = await route.answer({ params: given, query, signal: new AbortController().signal });
    if (answer.kind === 'lines') for await (const line of answer.lines) assert.ok(line !== undefined);
  },
  refuses: isTyped,
};

export const sentDecoders: readonly Decoder[] = [
  writeRequest,
  collectionSchema,
  queryVectors,
  jsonObject,
  keyValues,
  rankParameters,
  rpcRequest,
  grpcFrames,
  adminRequest,
];
