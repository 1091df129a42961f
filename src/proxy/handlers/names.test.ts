import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameList, splitOutside } from './names.ts';

test('names are split at separators that do not stand in quotes', () => {
  // biome-ignore format: read down the columns.
  const cases: readonly (readonly [string, ',' | ':', readonly string[]])[] = [
    ['a', ',', ['a']],
    ['', ',', ['']],
    ['a, b ,c', ',', ['a', 'b', 'c']],
    ['a,', ',', ['a', '']],
    ['meta["x,y"],b', ',', ['meta["x,y"]', 'b']],
    ["meta['it''s, so'],b", ',', ["meta['it''s, so']", 'b']],
    [String.raw`meta["a\",b"],c`, ',', [String.raw`meta["a\",b"]`, 'c']],
    ['meta["a:b"]["c"]:desc:nulls_last', ':', ['meta["a:b"]["c"]', 'desc', 'nulls_last']],
    ['an open " quote, b', ',', ['an open " quote', 'b']],
  ];
  for (const [text, separator, parts] of cases) assert.deepEqual(splitOutside(text, separator), parts, text);
  assert.ok(splitOutside('"'.repeat(100_001), ',').length >= 1);
});

test('a list of names is told with commas or in JSON', () => {
  assert.deepEqual(nameList('k', 'a, meta["b,c"]'), ['a', 'meta["b,c"]']);
  assert.deepEqual(nameList('k', '["a", "meta[\\"b\\"]"]'), ['a', 'meta["b"]']);
  assert.deepEqual(nameList('k', ' '), []);
  assert.deepEqual(nameList('k', '[]'), []);
  assert.throws(() => nameList('k', '[1]'), { code: 'parameter-invalid' });
  assert.throws(() => nameList('k', '["a"'), { code: 'parameter-invalid' });
});
