import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fieldSchema } from '../../../tests/field-schema.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { FieldId } from '../../model/ids.ts';
import type { CollectionSchema, FieldSchema, FunctionSchema } from '../../model/schema.ts';
import { parseJson } from '../../support/json.ts';
import { JsonReader } from '../snapshot/json-reader.ts';
import { schemaFromJson, schemaToJson } from '../snapshot/schema-json.ts';
import { assignFields, withField } from './schema.ts';

const text = (more: Record<string, string> = {}): FieldSchema =>
  fieldSchema('text', {
    dataType: 'VarChar',
    maxLength: 100,
    typeParams: { max_length: '100', enable_analyzer: 'true', ...more },
  });
const sparse = fieldSchema('sparse', { dataType: 'SparseFloatVector', isFunctionOutput: true });
const bm25: FunctionSchema = {
  functionId: 0,
  name: 'f',
  description: 'd',
  type: 'BM25',
  inputFieldIds: [101 as FieldId],
  outputFieldIds: [102 as FieldId],
  params: { k: 'v' },
};
const schemaOf = (
  fields: readonly FieldSchema[],
  functions: readonly FunctionSchema[],
): CollectionSchema => ({
  description: '',
  fields: [fieldSchema('id', { isPrimaryKey: true }), ...fields],
  functions,
  enableDynamicField: true,
  version: 0,
});

suite('functions of a schema', () => {
  test('are numbered from 100 and stand with the ids of their fields, through the JSON of a snapshot too', () => {
    const schema = assignFields(schemaOf([text(), sparse], [bm25]));
    assert.deepEqual(schema.functions, [{ ...bm25, functionId: 100 }]);
    assert.deepEqual(
      schema.fields.map(({ name, fieldId }) => [name, Number(fieldId)]),
      [
        ['id', 100],
        ['text', 101],
        ['sparse', 102],
        ['$meta', 103],
      ],
    );
    assert.deepEqual(
      schemaFromJson(new JsonReader(parseJson(JSON.stringify(schemaToJson(schema))), 'schema')),
      schema,
    );
    assert.equal(
      assignFields(schemaOf([text(), { ...sparse, isFunctionOutput: false }], [])).functions,
      undefined,
    );
  });

  const wrong: readonly (readonly [what: string, CollectionSchema, RegExp])[] = [
    [
      'a text without an analyzer',
      schemaOf([text({ enable_analyzer: 'false' }), sparse], [bm25]),
      /enable_analyzer/,
    ],
    [
      'an output that is nullable',
      schemaOf([text(), { ...sparse, nullable: true }], [bm25]),
      /cannot be nullable/,
    ],
    [
      'an output of two functions',
      schemaOf([text(), sparse], [bm25, { ...bm25, name: 'g' }]),
      /more than one function/,
    ],
    ['two functions of one name', schemaOf([text(), sparse], [bm25, bm25]), /duplicate function name/],
    ['an output without a function', schemaOf([text(), sparse], []), /output of no function/],
    [
      'two inputs',
      schemaOf([text(), sparse], [{ ...bm25, inputFieldIds: [100, 101] as FieldId[] }]),
      /one VARCHAR field/,
    ],
    [
      'an unknown analyzer',
      schemaOf([text({ analyzer_params: '{"type":"x"}' }), sparse], [bm25]),
      /unknown analyzer/,
    ],
    [
      'match without analyzer',
      schemaOf([text({ enable_analyzer: 'false', enable_match: 'true' }), sparse], []),
      /enable match but not/,
    ],
    [
      'a word that is neither true nor false',
      schemaOf([text({ enable_match: 'maybe' }), sparse], [bm25]),
      /is true or false/,
    ],
    [
      'several analyzers without a default',
      schemaOf([text({ multi_analyzer_params: '{"analyzers":{},"by_field":"l"}' }), sparse], [bm25]),
      /'default'/,
    ],
    [
      'several analyzers by no field',
      schemaOf(
        [text({ multi_analyzer_params: '{"analyzers":{"default":{}},"by_field":"l"}' }), sparse],
        [bm25],
      ),
      /by_field l must be/,
    ],
    [
      'an analyzer on a number',
      schemaOf(
        [text(), sparse, fieldSchema('n', { dataType: 'Int64', typeParams: { enable_analyzer: 'true' } })],
        [bm25],
      ),
      /it is for VarChar/,
    ],
  ];
  for (const [what, schema, words] of wrong)
    test(`${what} is refused`, () =>
      assert.throws(
        () => assignFields(schema),
        (error) => isDbError(error, 'parameter-invalid') && words.test(error.message),
      ));

  const bits = (dim = 128) => fieldSchema('bits', { dataType: 'BinaryVector', dim, isFunctionOutput: true });
  const minHash: FunctionSchema = { ...bm25, name: 'g', type: 'MinHash', params: { num_hashes: '4' } };

  test('a MinHash function stands beside a BM25 function over the same text, through the JSON of a snapshot too', () => {
    const both = schemaOf(
      [text(), sparse, bits()],
      [bm25, { ...minHash, outputFieldIds: [103 as FieldId], params: { NUM_HASHES: '4', seed: '-1' } }],
    );
    const schema = assignFields(both);
    assert.deepEqual(
      schema.functions?.map(({ functionId, type }) => [functionId, type]),
      [
        [100, 'BM25'],
        [101, 'MinHash'],
      ],
    );
    assert.deepEqual(
      schemaFromJson(new JsonReader(parseJson(JSON.stringify(schemaToJson(schema))), 'schema')),
      schema,
    );
  });

  const plain = text({ enable_analyzer: 'false' });
  const wrongMinHashes: readonly (readonly [string, CollectionSchema, RegExp])[] = [
    ['without an analyzer', schemaOf([plain, bits()], [minHash]), /enable_analyzer set to true/],
    [
      'over a number',
      schemaOf([fieldSchema('n'), bits()], [minHash]),
      /input field must be one VARCHAR field/,
    ],
    ['that writes terms', schemaOf([text(), sparse], [minHash]), /output field must be one BinaryVector/],
    [
      'that writes nulls',
      schemaOf([text(), { ...bits(), nullable: true }], [minHash]),
      /output field cannot be nullable/,
    ],
    ['of another dimension', schemaOf([text(), bits(160)], [minHash]), /32 \* num_hashes/],
    ['of 40 bits', schemaOf([text(), bits(40)], [{ ...minHash, params: {} }]), /multiple of 32/],
    [
      'with an unknown parameter',
      schemaOf([text(), bits()], [{ ...minHash, params: { hashes: '4' } }]),
      /unknown parameter hashes/,
    ],
    [
      'with two inputs',
      schemaOf([text(), bits()], [{ ...minHash, inputFieldIds: [100, 101] as FieldId[] }]),
      /one VARCHAR field/,
    ],
  ];
  for (const [what, schema, words] of wrongMinHashes)
    test(`a MinHash function ${what} is refused`, () =>
      assert.throws(
        () => assignFields(schema),
        (error) => isDbError(error, 'parameter-invalid') && words.test(error.message),
      ));

  test('a MinHash function of characters needs no analyzer', () => {
    const params = { token_level: 'char' };
    const schema = assignFields(schemaOf([plain, bits()], [{ ...minHash, params }]));
    assert.deepEqual(schema.functions?.[0]?.params, params);
  });

  test('a function of another type is refused by name', () =>
    assert.throws(
      () => assignFields(schemaOf([text(), sparse], [{ ...bm25, type: 'TextEmbedding' }])),
      (error) => isDbError(error, 'unimplemented') && /TextEmbedding/.test(error.message),
    ));

  test('an added field may be analyzed and matched, by analyzers that are served', () => {
    const schema = assignFields(schemaOf([text(), sparse], [bm25]));
    const added = { ...text({ enable_match: 'true' }), name: 'more', nullable: true };
    assert.equal(withField(schema, added).fields.at(-2)?.typeParams['enable_match'], 'true');
    const unserved = { ...added, typeParams: { ...added.typeParams, analyzer_params: '{"type":"thai"}' } };
    assert.throws(
      () => withField(schema, unserved),
      (error) => isDbError(error, 'unimplemented'),
    );
  });
});
