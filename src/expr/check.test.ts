import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DbError, isDbError } from '../errors/db-error.ts';
import { filterOf } from './check.ts';
import { compileFilter } from './evaluate.ts';
import { filterSchema, strictSchema } from './filter-rows.suite.ts';
import type { TemplateValue } from './scope.ts';
import { MAX_LIST_LENGTH } from './syntax.ts';

const templates = new Map<string, TemplateValue>([
  ['five', 5n],
  ['half', 0.5],
  ['zero', 0n],
  ['word', 'red'],
  ['yes', true],
  ['ids', [1n, 2n]],
  ['words', ['a', 'b']],
  ['huge', 2n ** 64n],
  ['none', Number.NaN],
  ['nested', [[1n, 2n], 'x']],
]);
const rootOf = (text: string): unknown => filterOf(text, filterSchema, templates).root;

const field = (fieldId: number, type: string) => ({ kind: 'field', type, fieldId });
const always = (value: boolean) => ({ kind: 'always', value });

describe('checked filters', () => {
  const checked: readonly (readonly [text: string, root: unknown])[] = [
    [
      'id == 1 + 2 * 3',
      { kind: 'compare', op: '==', left: field(100, 'int'), right: { kind: 'int', value: 7n } },
    ],
    [
      'id == 7 / 2',
      { kind: 'compare', op: '==', left: field(100, 'int'), right: { kind: 'int', value: 3n } },
    ],
    [
      'id == -7 % 3',
      { kind: 'compare', op: '==', left: field(100, 'int'), right: { kind: 'int', value: -1n } },
    ],
    [
      'id == 2 ** 3',
      { kind: 'compare', op: '==', left: field(100, 'int'), right: { kind: 'float', value: 8 } },
    ],
    [
      'price > {half}',
      { kind: 'compare', op: '>', left: field(105, 'float'), right: { kind: 'float', value: 0.5 } },
    ],
    [
      'big == -9223372036854775808',
      { kind: 'compare', op: '==', left: field(103, 'int'), right: { kind: 'int', value: -(2n ** 63n) } },
    ],
    ['id in {ids}', { kind: 'in', value: field(100, 'int'), list: [1n, 2n] }],
    ['id in [1, 2.0, 2.5, 1e30]', { kind: 'in', value: field(100, 'int'), list: [1n, 2n] }],
    ['price in [1, 0.5, 9007199254740993]', { kind: 'in', value: field(105, 'float'), list: [1, 0.5] }],
    ['flag', { kind: 'compare', op: '==', left: field(106, 'bool'), right: { kind: 'bool', value: true } }],
    ['(id > 1) == false', { kind: 'not', item: rootOf('id > 1') }],
    ['true != (id > 1)', { kind: 'not', item: rootOf('id > 1') }],
    ['1 < 2', always(true)],
    ['"b" < "a"', always(false)],
    ['"\u{ffff}" < "\u{10000}"', always(true)],
    ['9007199254740993 == 9007199254740992.0', always(false)],
    ['true and not false', always(true)],
    ['id > 1 and true', rootOf('id > 1')],
    ['id > 1 and false', always(false)],
    ['id > 1 or {yes}', always(true)],
    ['not not id > 1', rootOf('id > 1')],
    ['color == "red"', rootOf('$meta["color"] == "red"')],
    ['color["a"][0] == 1', rootOf('$meta["color"]["a"][0] == 1')],
    ['exists color', rootOf('not ($meta["color"] is null)')],
    ['array_contains_all(counts, [1, 1.5])', rootOf('array_contains_any(counts, [])')],
    ['json_contains(meta["a"], {nested})', rootOf('json_contains(meta["a"], [[1, 2], "x"])')],
  ];
  for (const [text, root] of checked) test(`${text} is checked`, () => assert.deepEqual(rootOf(text), root));

  test('name the fields they read, each once', () =>
    assert.deepEqual(filterOf('id > 1 and id < 5 and color == name', filterSchema).fields, [100, 112, 107]));

  test('are plain data', () => {
    const filter = filterOf(
      '1 < id + 1 < 5 and json_contains(a, [1]) and not (name like "x%" or big is null)',
      filterSchema,
    );
    assert.deepEqual(structuredClone(filter), filter);
  });
});

describe('filters that do not fit the schema are refused with the place', () => {
  const refusals: readonly (readonly [text: string, message: RegExp])[] = [
    ['name == 5', /offset 5: cannot compare a string with an integer/],
    ['id == "5"', /offset 3: cannot compare an integer with a string/],
    ['flag == 1', /cannot compare a Bool with an integer/],
    ['flag < true', /a Bool has no order/],
    ['meta["a"] < true', /a Bool has no order/],
    ['meta["a"] + 1 == "x"', /cannot compare a number with a string/],
    ['id like "a%"', /offset 0: 'like' needs a string, found an integer/],
    ['"a" like "a%"', /'like' tests a field/],
    ['name like 5', /offset 10: the pattern of 'like' is a string/],
    ['name like "a\\\\"', /cannot end with a backslash/],
    [`name like "%${'_'.repeat(300)}%"`, /at most 256 characters/],
    ['name + "a" == "b"', /offset 5: '\+' needs numbers, found a string/],
    ['flag + 1 == 2', /'\+' needs numbers, found a Bool/],
    ['-name == 1', /'-' needs numbers, found a string/],
    ['price % 2 == 1', /'%' needs integers, found a Double/],
    ['id / 0 == 1', /division by zero/],
    ['id % {zero} == 1', /modulo by zero/],
    ['id / 0.0 == 1', /division by zero/],
    ['id == 9223372036854775808', /offset 6: the integer 9223372036854775808 does not fit Int64/],
    ['id == -9223372036854775809', /does not fit Int64/],
    ['id == 9223372036854775807 + 1', /offset 26: the result does not fit Int64/],
    ['id == -9223372036854775808 / -1', /the result does not fit Int64/],
    ['price == 10.0 ** 400', /the result is not a finite number/],
    ['id == {huge}', /does not fit Int64/],
    ['price == {none}', /NaN is not a number to compare with/],
    ['id == {fivee}', /no value was given for the template variable 'fivee'; did you mean 'five'\?/],
    ['id in {five}', /the template variable 'five' is not a list/],
    ['id == {ids}', /offset 3: a list is compared only with a JSON path/],
    ['id in {words}', /offset 6: expected an integer, found a string/],
    ['id in [1, id]', /offset 10: a list holds constants/],
    ['id in [[1]]', /expected an integer, found a list/],
    ['name in ["a", 5]', /expected a string, found an integer/],
    ['vec == 1', /field 'vec' is a vector/],
    ['vec is null', /field 'vec' is a vector/],
    ['tags == "a"', /field 'tags' is an Array; use array_contains, array_length or tags\[0\]/],
    ['tags["a"] == "a"', /field 'tags' is an Array; its elements are reached as tags\[0\]/],
    ['tags[0][1] == "a"', /its elements are reached as/],
    ['tags[0] is null', /an element of an Array is never null/],
    ['id["a"] == 1', /field 'id' is Int64; only JSON and Array fields have keys/],
    ['array_contains(id, 1)', /offset 15: 'id' is neither an Array field nor a JSON path/],
    ['array_contains(1, 1)', /expected an Array field or a JSON path/],
    ['array_contains(tags, 5)', /expected a string, found an integer/],
    ['array_contains(tags)', /array_contains takes an array and a value/],
    ['array_contains_any(tags, "a")', /expected a list/],
    ['array_length(tags)', /array_length\(…\) is a number; compare it with one/],
    ['array_length(tags, 1) == 1', /array_length takes one array/],
    ['json_contians(tags, "a")', /unknown function 'json_contians'; did you mean 'json_contains'\?/],
    ['Json_Contains(tags, "a")', /unknown function 'Json_Contains'; did you mean 'json_contains'\?/],
    ['array_contains(tags, "a") + 1 == 2', /is a condition, not a value/],
    ['id', /offset 0: expected a condition, found an integer/],
    ['5', /expected a condition, found an integer/],
    ['id + 1', /expected a condition/],
    ['[1]', /a list stands only behind in/],
    ['(id > 1) + 1 == 2', /expected a value, found a condition/],
    ['(id > 1) == (id > 2)', /they compare only with true or false/],
    ['exists id', /'exists' tests a key of a JSON field/],
    ['exists meta', /'exists' tests a key of a JSON field/],
    ['id + 1 is null', /'is null' tests a field or a JSON path/],
  ];
  for (const [text, message] of refusals)
    test(text.slice(0, 60), () =>
      assert.throws(
        () => rootOf(text),
        (error) => isDbError(error, 'filter-invalid') && message.test(error.message),
      ),
    );
});

test('an unknown name is refused with the nearest one where there is no dynamic field', () => {
  const message = (text: string) => {
    try {
      filterOf(text, strictSchema);
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  assert.equal(
    message('id > 1 and prise < 2'),
    "filter at offset 11: field 'prise' does not exist; did you mean 'price'?",
  );
  assert.equal(message('entirely_other < 2'), "filter at offset 0: field 'entirely_other' does not exist");
  assert.equal(
    message('$meta["a"] < 2'),
    "filter at offset 0: field '$meta' does not exist; did you mean 'meta'?",
  );
});

test("Milvus's other functions are refused by name", () => {
  for (const name of ['membership_match', 'BLOOM_MATCH'])
    assert.throws(
      () => rootOf(`id > 1 and ${name}(name, "x")`),
      (error) => isDbError(error, 'unimplemented') && error.message.includes(name.toUpperCase()),
    );
});

test('a list template longer than a list may be is refused', () => {
  const ids = new Map([['ids', new Array<bigint>(MAX_LIST_LENGTH + 1).fill(1n)]]);
  assert.throws(() => filterOf('id in {ids}', filterSchema, ids), /at most 500000 items/);
});

test('any text over the schema is a filter that compiles, or a DbError', () => {
  const words = [
    'id',
    'num',
    'price',
    'name',
    'flag',
    'meta["a"]',
    'tags',
    'counts[0]',
    'color',
    '1',
    '2.5',
    '"x%"',
    'true',
    '{five}',
    '{ids}',
    '==',
    '<',
    'in',
    'like',
    'and',
    'or',
    'not',
    '(',
    ')',
    '[',
    ']',
    ',',
    '+',
    '/',
    '%',
    'is null',
    'exists',
    'array_contains(tags,',
    'array_length(',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 12 }), (parts) => {
      try {
        compileFilter(filterOf(parts.join(' '), filterSchema, templates));
      } catch (error) {
        assert.ok(error instanceof DbError, String(error));
      }
    }),
    { numRuns: 5000, seed: 21 },
  );
});
