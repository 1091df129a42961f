import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterOf } from '../../expr/check.ts';
import { filterSchema } from '../../expr/filter-rows.suite.ts';
import { utc } from '../../timestamptz/zones.ts';
import type { CallContext, TemplateValue } from '../context.ts';
import type { SchemaTemplateValue } from '../wire/descriptor.generated.ts';
import { checkedFilter } from './filters.ts';

/** What the filter language is given for a value of the wire. */
function taken(value: SchemaTemplateValue): TemplateValue | undefined {
  let found: TemplateValue | undefined;
  const check = (...[text, schema, values, zone]: Parameters<typeof filterOf>) => {
    found = values?.get('v');
    return filterOf(text, schema, values, zone);
  };
  const call = { filters: { check } } as unknown as CallContext;
  checkedFilter(call, 'id > 0', filterSchema, { v: value }, utc);
  return found;
}
const json = (...texts: string[]): SchemaTemplateValue => ({
  array_val: { json_data: { data: texts.map((text) => Buffer.from(text)) } },
});

test('template values of every kind become constants', () => {
  assert.equal(taken({ bool_val: false }), false);
  assert.equal(taken({ int64_val: 0n }), 0n);
  assert.equal(taken({ float_val: 0 }), 0);
  assert.equal(taken({ string_val: '' }), '');
  assert.deepEqual(taken({ array_val: { bool_data: { data: [true, false] } } }), [true, false]);
  assert.deepEqual(taken({ array_val: { long_data: { data: [2n ** 63n - 1n] } } }), [2n ** 63n - 1n]);
  assert.deepEqual(taken({ array_val: { double_data: { data: [1, 0.5] } } }), [1, 0.5]);
  assert.deepEqual(taken({ array_val: { string_data: { data: ['a', ''] } } }), ['a', '']);
  const nested = {
    array_val: { array_data: { data: [{ long_data: { data: [1n] } }, { string_data: { data: ['x'] } }] } },
  };
  assert.deepEqual(taken(nested), [[1n], ['x']]);
  assert.deepEqual(taken({ array_val: {} }), []);
});

test('lists of JSON values keep their types and all digits of their integers', () => {
  assert.deepEqual(taken(json('1', ' 9223372036854775807 ', '-3', '0.5', '"x"', 'true', '[1, "y", [2.5]]')), [
    1n,
    2n ** 63n - 1n,
    -3n,
    0.5,
    'x',
    true,
    [1n, 'y', [2.5]],
  ]);
});

test('what a filter cannot compare with is refused by the name of its variable', () => {
  for (const text of ['null', '{}', '[{"a": 1}]', '[null]'])
    assert.throws(() => taken(json(text)), /value v holds/);
  for (const text of ['', '{', '1 2', 'x']) assert.throws(() => taken(json(text)), /value v is no JSON/);
  assert.throws(() => taken(json(`${'['.repeat(500)}${']'.repeat(500)}`)), /nested deeper than 400/);
  assert.throws(() => taken({}), /value v is empty/);
  assert.throws(() => taken({ bytes_val: new Uint8Array(1) }), /not implemented/);
});
