import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fieldSchema } from '../../tests/field-schema.ts';
import { isDbError } from '../errors/db-error.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { filterOf } from './check.ts';
import { compileFilter } from './evaluate.ts';

const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: 100 as FieldId, dataType: 'Int64', isPrimaryKey: true }),
    fieldSchema('text', {
      fieldId: 101 as FieldId,
      dataType: 'VarChar',
      maxLength: 1000,
      nullable: true,
      typeParams: { enable_analyzer: 'true', enable_match: 'true', analyzer_params: '{"type":"english"}' },
    }),
    fieldSchema('plain', { fieldId: 102 as FieldId, dataType: 'VarChar', maxLength: 10 }),
  ],
  enableDynamicField: true,
  version: 0,
};

const texts = [
  'The quick brown fox',
  'foxes and dogs',
  null,
  '',
  'a dog runs quickly',
  'the brown quick fox',
];

function rowsOf(filter: string, codeGeneration: boolean, repeat = 1): number[] {
  const all = Array.from({ length: repeat }, () => texts).flat();
  const parts = all.map((text) => Buffer.from(text ?? ''));
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, { length }] of parts.entries()) offsets[i + 1] = (offsets[i] as number) + length;
  const valid = Uint8Array.from(all, (text) => (text === null ? 0 : 1));
  const text: Column = {
    layout: 'bytes',
    type: 'VarChar',
    offsets,
    data: new Uint8Array(Buffer.concat(parts)),
    valid,
  };
  const ids = BigInt64Array.from(all, (_, row) => BigInt(row % texts.length));
  const id: Column = { layout: 'fixed', type: 'Int64', values: ids };
  const source = {
    rowCount: all.length,
    column: (fieldId: FieldId) => (fieldId === 100 ? id : text),
    cache: new Map<string, unknown>(),
  };
  const out = new Uint32Array(Math.ceil(all.length / 32));
  const compiled = compileFilter(filterOf(filter, schema), { codeGeneration });
  for (let from = 0; from < all.length; from += 1024)
    compiled.evaluate(source, from, Math.min(all.length, from + 1024), out);
  return all.flatMap((_, row) => (((out[row >>> 5] as number) >>> (row & 31)) & 1 ? [row] : []));
}

describe('TEXT_MATCH and PHRASE_MATCH', () => {
  const sentences: readonly (readonly [filter: string, rows: number[]])[] = [
    ["TEXT_MATCH(text, 'fox dog')", [0, 1, 4, 5]],
    ["text_match(text, 'fox dog', minimum_should_match=2)", [1]],
    ["TEXT_MATCH(text, 'fox dog', minimum_should_match=3)", []],
    ["not TEXT_MATCH(text, 'fox')", [3, 4]],
    ["TEXT_MATCH(text, 'fox') or id == 2", [0, 1, 2, 5]],
    ["TEXT_MATCH(text, 'FOXES') and not TEXT_MATCH(text, 'dog')", [0, 5]],
    ["TEXT_MATCH(text, 'the and')", []],
    ["PHRASE_MATCH(text, 'quick brown fox')", [0]],
    ["phrase_match(text, 'quick brown', 2)", [0, 5]],
    ["not PHRASE_MATCH(text, 'brown quick', 0)", [0, 1, 3, 4]],
    ["TEXT_MATCH(text, '')", []],
  ];
  for (const [filter, rows] of sentences)
    test(`${filter} finds its rows; a null text is neither in nor out`, () => {
      for (const codeGeneration of [true, false]) assert.deepEqual(rowsOf(filter, codeGeneration), rows);
      const many = rowsOf(filter, true, 700);
      assert.equal(many.length, rows.length * 700);
      assert.deepEqual(many.slice(0, rows.length), rows);
    });

  const wrong: readonly (readonly [filter: string, words: RegExp])[] = [
    ["TEXT_MATCH(plain, 'x')", /offset 11: field 'plain' does not enable match/],
    ["TEXT_MATCH(id, 'x')", /is for VarChar fields/],
    ["TEXT_MATCH(absent, 'x')", /is for VarChar fields/],
    ['TEXT_MATCH(text, 5)', /looks for a string/],
    ['TEXT_MATCH(text)', /takes a field, a string/],
    ["TEXT_MATCH(text, 'x', 2)", /minimum_should_match = n/],
    ["TEXT_MATCH(text, 'x', minimum_should_match=0)", /from 1 to 1000/],
    ["TEXT_MATCH(text, 'x', minimum_should_match=1001)", /from 1 to 1000/],
    ["TEXT_MATCH(text, 'x', other=1)", /minimum_should_match = n/],
    ["PHRASE_MATCH(text, 'x', -1)", /slop is an integer/],
    ["PHRASE_MATCH(text, 'x', 1.5)", /slop is an integer/],
    [`TEXT_MATCH(text, '${'x'.repeat(65_537)}')`, /at most 65536 characters/],
  ];
  for (const [filter, words] of wrong)
    test(`${filter.slice(0, 60)} is refused with its place`, () =>
      assert.throws(
        () => filterOf(filter, schema),
        (error) => isDbError(error, 'filter-invalid') && words.test(error.message),
      ));

  test('the words may be a template', () => {
    const filter = filterOf('TEXT_MATCH(text, {words})', schema, new Map([['words', 'fox']]));
    assert.equal(filter.matches?.[0]?.text, 'fox');
    assert.deepEqual(filter.fields, [101]);
  });
});
