import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../tests/field-schema.ts';
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn, Column } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { spelledNumber, withCastTexts } from './cast-texts.ts';
import { filterOf } from './check.ts';
import { compileFilter } from './evaluate.ts';

test('a text spells a number when all of it does', () => {
  // biome-ignore format: read down the columns.
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['12', 12], ['-3.5', -3.5], ['+7', 7], ['.5', 0.5], ['5.', 5], ['1e3', 1000], ['1E-2', 0.01], ['007', 7],
    ['9007199254740993', 2 ** 53],
    ['', undefined], [' 1', undefined], ['1 ', undefined], ['1,5', undefined], ['0x10', undefined], ['NaN', undefined],
    ['Infinity', undefined], ['1e999', undefined], ['--1', undefined], ['1e', undefined], ['.', undefined], ['é', undefined],
    [`1${'0'.repeat(64)}`, undefined],
  ];
  for (const [text, value] of cases) assert.equal(spelledNumber(Buffer.from(text)), value, text);
});

const META = 101 as FieldId;
const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: 100 as FieldId, isPrimaryKey: true }),
    fieldSchema('meta', { fieldId: META, dataType: 'JSON', nullable: true }),
  ],
  enableDynamicField: false,
  version: 1,
};
const documents = [
  '{"p":"10.5"}',
  '{"p":10.5}',
  '{"p":"ten"}',
  '{"p":3}',
  '{"p":"3","q":"10.5"}',
  '{}',
  '{"p":["4"]}',
];

function rowsOf(text: string, isCast: boolean): number[] {
  const pieces = documents.map((document) => Buffer.from(document));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = (offsets[i] ?? 0) + piece.length;
  const meta: BytesColumn = {
    layout: 'bytes',
    type: 'JSON',
    offsets,
    data: new Uint8Array(Buffer.concat(pieces)),
  };
  const ids: Column = {
    layout: 'fixed',
    type: 'Int64',
    values: BigInt64Array.from({ length: pieces.length }, (_, i) => BigInt(i)),
  };
  const place = { kind: 'json', type: 'json', fieldId: META, keys: ['p'] } as const;
  const filter = filterOf(text, schema);
  const out = new Uint32Array(1);
  compileFilter(isCast ? withCastTexts(filter, [place]) : filter).evaluate(
    { rowCount: pieces.length, column: (fieldId) => (fieldId === META ? meta : ids), cache: new Map() },
    0,
    pieces.length,
    out,
  );
  return documents.flatMap((_, row) => (((out[0] ?? 0) >>> row) & 1 ? [row] : []));
}

// biome-ignore format: read down the columns.
const cases: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['meta["p"] > 5',                  [1],       [0, 1]],
  ['not (meta["p"] > 5)',            [3],       [3, 4]],
  ['meta["p"] == 3',                 [3],       [3, 4]],
  ['3 <= meta["p"] < 11',            [1, 3],    [0, 1, 3, 4]],
  ['meta["p"] in [3, 10.5]',         [1, 3],    [0, 1, 3, 4]],
  ['meta["p"] + 1 == 4',             [3],       [3, 4]],
  ['meta["p"] * 2 > id',             [1, 3],    [0, 1, 3, 4]],
  ['meta["p"] == "3"',               [4],       [4]],
  ['meta["p"] in ["3", "ten"]',      [2, 4],    [2, 4]],
  ['meta["p"] like "1%"',            [0],       [0]],
  ['meta["q"] > 5',                  [],        []],
  ['meta["p"] is null',              [5],       [5]],
  ['meta["p"] == "ten" or meta["p"] < 4', [2, 3], [2, 3, 4]],
];
for (const [text, plain, cast] of cases)
  test(`with a cast of texts at meta["p"] and without: ${text}`, () => {
    assert.deepEqual(rowsOf(text, false), plain);
    assert.deepEqual(rowsOf(text, true), cast);
  });
