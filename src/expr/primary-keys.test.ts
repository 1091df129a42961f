import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FieldId } from '../model/ids.ts';
import { filterOf } from './check.ts';
import { filterSchema } from './filter-rows.suite.ts';
import { primaryKeysOf, valuesOf } from './primary-keys.ts';

const keysOf = (text: string, fieldId = 100) =>
  primaryKeysOf(filterOf(text, filterSchema), fieldId as FieldId);
const integers = (...values: bigint[]) => ({ type: 'Int64', values: BigInt64Array.from(values) });

test('a filter that only names Int64 keys gives them, each once', () => {
  assert.deepEqual(keysOf('id == 5'), integers(5n));
  assert.deepEqual(keysOf('-7 == id'), integers(-7n));
  assert.deepEqual(keysOf('id in [3, 1, 3]'), integers(3n, 1n));
  assert.deepEqual(keysOf('id in [9223372036854775807]'), integers(2n ** 63n - 1n));
  assert.deepEqual(keysOf('id in []'), integers());
});

test('a filter that only names VarChar keys gives them, each once', () => {
  assert.deepEqual(keysOf('name == "a"', 107), { type: 'VarChar', values: ['a'] });
  assert.deepEqual(keysOf('name in ["b", "a", "b"]', 107), { type: 'VarChar', values: ['b', 'a'] });
});

test('any other filter gives no keys', () => {
  for (const text of [
    'id > 5',
    'id != 5',
    'num == 5',
    'not (id == 5)',
    'id in [1] and num == 1',
    'id in [1] or id in [2]',
    'id + 0 == 5',
    'id == num',
    'true',
    'id not in [1]',
  ])
    assert.equal(keysOf(text), undefined, text);
});

test('values that every matching row has one of come from comparisons, lists, and what and and or make of them', () => {
  const of = (text: string) => valuesOf(filterOf(text, filterSchema), 100 as FieldId);
  assert.deepEqual(of('id == 5'), integers(5n));
  assert.deepEqual(of('id in [1, 2] and num == 1'), integers(1n, 2n));
  assert.deepEqual(of('id in [1, 2, 3] and (id == 2 and num > 1)'), integers(2n));
  assert.deepEqual(of('id == 1 or (id == 2 and num == 3) or id in [1, 4]'), integers(1n, 2n, 4n));
  for (const text of [
    'num == 1',
    'id == 1 or num == 1',
    'id != 1',
    'not (id == 1)',
    'id > 1 and id < 3',
    'true',
  ])
    assert.equal(of(text), undefined, text);
});
