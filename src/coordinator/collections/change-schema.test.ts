import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../../tests/field-schema.ts';
import type { FieldId } from '../../model/ids.ts';
import type { CollectionSchema, FieldSchema, StructFieldSchema } from '../../model/schema.ts';
import {
  type AddedFunction,
  type DroppedPart,
  withFunctionField,
  withoutDynamicField,
  withoutPart,
  withStruct,
} from './change-schema.ts';
import { assignFields, withDynamicField, withField } from './schema.ts';

const text = fieldSchema('text', {
  dataType: 'VarChar',
  maxLength: 100,
  typeParams: { enable_analyzer: 'true' },
});
const base = assignFields({
  description: '',
  fields: [
    fieldSchema('id', { isPrimaryKey: true }),
    text,
    fieldSchema('vector', { dataType: 'FloatVector', dim: 2 }),
  ],
  enableDynamicField: false,
  version: 3,
});
const words = fieldSchema('words', { dataType: 'SparseFloatVector' });
const bm25: AddedFunction = {
  name: 'by_words',
  description: '',
  type: 'BM25',
  params: {},
  inputFields: ['text'],
  outputFields: ['words'],
};
const drop = (schema: CollectionSchema, name: string) => withoutPart(schema, { kind: 'field', name });
const idsOf = ({ fields }: CollectionSchema) => fields.map(({ name, fieldId }) => [name, fieldId]);
const nullable = (name: string, of: Partial<FieldSchema> = {}) =>
  fieldSchema(name, { nullable: true, ...of });

test('a function comes with the one field that it writes, in one version; both go together', () => {
  const grown = withFunctionField(base, words, bm25);
  assert.deepEqual(idsOf(grown).at(-1), ['words', 103]);
  assert.deepEqual(
    [grown.version, grown.fields.at(-1)?.isFunctionOutput, grown.functions],
    [
      4,
      true,
      [
        {
          functionId: 100,
          name: 'by_words',
          description: '',
          type: 'BM25',
          params: {},
          inputFieldIds: [101],
          outputFieldIds: [103],
        },
      ],
    ],
  );
  const { schema, gone } = withoutPart(grown, { kind: 'function', name: 'by_words' });
  assert.deepEqual([schema.functions, schema.maxFieldId, schema.version, gone], [undefined, 103, 5, [103]]);
  assert.deepEqual(idsOf(schema), idsOf(base));
});

test('a function that does not fit is refused', () => {
  for (const [field, added, words_] of [
    [{ ...words, nullable: true }, bm25, /cannot be nullable/],
    [{ ...words, dataType: 'FloatVector', dim: 2 }, bm25, /must|output field must/],
    [words, { ...bm25, outputFields: ['text'] }, /must write the field that is added/],
    [words, { ...bm25, outputFields: ['words', 'text'] }, /must write the field that is added/],
    [words, { ...bm25, inputFields: ['none'] }, /input field not found: none/],
    [words, { ...bm25, inputFields: ['id'] }, /must be one VARCHAR field/],
    [{ ...words, name: 'text' }, { ...bm25, outputFields: ['text'] }, /duplicate field name: text/],
  ] as const)
    assert.throws(() => withFunctionField(base, field as FieldSchema, added), words_);
  const once = withFunctionField(base, words, bm25);
  const again = { ...bm25, outputFields: ['more'] };
  assert.throws(() => withFunctionField(once, { ...words, name: 'more' }, again), /duplicate function name/);
});

test('ids of dropped fields, also of the last one, are never given again', () => {
  let schema = withField(base, nullable('a'));
  for (let n = 0; n < 3; n++) {
    schema = drop(schema, 'a').schema;
    assert.equal(schema.maxFieldId, 103 + n);
    schema = withField(schema, nullable('a'));
    assert.deepEqual(idsOf(schema).at(-1), ['a', 104 + n]);
  }
  const middle = drop(withField(schema, nullable('b')), 'a').schema;
  assert.deepEqual([middle.maxFieldId, idsOf(middle).at(-1)], [undefined, ['b', 107]]);
});

test('the dynamic field that is dropped and comes back has another id', () => {
  const on = withDynamicField(base);
  const off = withoutDynamicField(on);
  assert.deepEqual([off.enableDynamicField, off.maxFieldId, idsOf(off)], [false, 103, idsOf(base)]);
  assert.deepEqual(idsOf(withDynamicField(off)).at(-1), ['$meta', 104]);
});

test('what a collection needs is not dropped: keys, the last vector, what functions and analyzers read or write', () => {
  const params = JSON.stringify({ analyzers: { default: {} }, by_field: 'tongue' });
  const several = {
    ...nullable('said', { dataType: 'VarChar', maxLength: 9 }),
    typeParams: { enable_analyzer: 'true', multi_analyzer_params: params },
  };
  let schema = withFunctionField(base, words, bm25);
  schema = withField(schema, nullable('tongue', { dataType: 'VarChar', maxLength: 9 }));
  schema = withField(schema, several);
  schema = withField(withDynamicField(schema), nullable('year', { isClusteringKey: true }));
  const keyed = assignFields({
    ...base,
    fields: [...base.fields, fieldSchema('tenant', { isPartitionKey: true })],
  });
  for (const [of, name, words_] of [
    [schema, 'id', /primary key/],
    [keyed, 'tenant', /partition key/],
    [schema, 'year', /clustering key/],
    [base, 'vector', /last vector field/],
    [schema, 'text', /referenced by function by_words/],
    [schema, 'words', /function by_words writes it/],
    [schema, 'tongue', /names the analyzers of field said/],
    [schema, '$meta', /dynamicfield.enabled/],
    [schema, 'none', /field not found\[field=none\]/],
  ] as const)
    assert.throws(() => drop(of, name), words_);
  assert.throws(() => withoutPart(schema, { kind: 'function', name: 'none' }), /function not found: none/);
  assert.throws(() => withoutPart(schema, { kind: 'field-id', fieldId: 1n }), /field=1/);
  const sparseOnly = drop(schema, 'vector').schema;
  const last: DroppedPart = { kind: 'function', name: 'by_words' };
  assert.throws(() => withoutPart(sparseOnly, last), /last vector field/);
  assert.deepEqual(drop(schema, 'said').gone, [105]);
  assert.deepEqual(withoutPart(schema, { kind: 'field-id', fieldId: 105n }).gone, [105]);
});

test('a struct array is added with its fields, null for rows that are there, and dropped as a whole', () => {
  const struct: StructFieldSchema = {
    fieldId: 0 as FieldId,
    name: 'parts',
    description: '',
    maxCapacity: 4,
    nullable: true,
    typeParams: {},
  };
  const fields = [
    fieldSchema('parts[n]', { dataType: 'Array', elementType: 'Int64', maxCapacity: 4 }),
    fieldSchema('parts[v]', {
      dataType: 'ArrayOfVector',
      elementType: 'FloatVector',
      dim: 2,
      maxCapacity: 4,
    }),
  ];
  const grown = withStruct(withDynamicField(base), { struct, fields });
  assert.deepEqual(idsOf(grown), [...idsOf(base), ['parts[n]', 105], ['parts[v]', 106], ['$meta', 103]]);
  assert.deepEqual(
    [
      grown.structs?.[0]?.fieldId,
      grown.version,
      grown.fields.map((field) => [field.nullable, field.structFieldId]),
    ],
    [
      104,
      5,
      [
        [false, undefined],
        [false, undefined],
        [false, undefined],
        [true, 104],
        [true, 104],
        [false, undefined],
      ],
    ],
  );
  assert.throws(() => drop(grown, 'parts[n]'), /drop the struct array parts/);
  const { schema, gone } = drop(grown, 'parts');
  assert.deepEqual([schema.structs, gone, schema.maxFieldId], [undefined, [105, 106], 106]);
  assert.throws(
    () => withStruct(base, { struct: { ...struct, nullable: false }, fields }),
    /must be nullable/,
  );
  assert.throws(() => withStruct(grown, { struct, fields }), /duplicate field name: parts/);
  assert.throws(() => withStruct(base, { struct, fields: [] }), /has no fields/);
});
