/** Expressions of the regex filter, judged by those of the language. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { regexTest } from './regex.ts';

const looks = ['(?=a)', '(?!b)', '(?=.*b)', '(?!a$|b)', '(?!(?:a|b)c)', '(?=[^)|]*[()]?)'];
const parts = [
  ...['a', 'b', 'c', '1', 'é', '.', 'a*', 'b+', '(a|b)', '[ab]', '[^a]', '[(|]', '[)]', '\\(', '\\|'],
  ...['(?:ab)?', '$', '|', '(a(b|c))', '\\w', '\\d', '\\W?', '[\\d(]', '^', ...looks],
];
const texts = [
  '',
  'a',
  'b',
  'ab',
  'ba',
  'aab',
  'abc',
  'cab',
  '(a',
  'a|b',
  ')',
  '1a',
  'é',
  'bé',
  'a)',
  'b(',
  'acb',
];

/** What `\w` and `\W` are in Milvus. */
const native = (pattern: string): RegExp =>
  new RegExp(pattern.replaceAll('\\w', '[\\p{L}\\p{Nd}_]').replaceAll('\\W', '[^\\p{L}\\p{Nd}_]'), 'su');

const patterns = fc
  .tuple(
    fc.constantFrom('', '^', '^', '^'),
    fc.array(fc.constantFrom(...looks), { maxLength: 2 }),
    fc.array(fc.constantFrom(...parts), { maxLength: 5 }),
  )
  .map(([start, ahead, rest]) => start + ahead.join('') + rest.join(''));

test('an expression that is taken matches what it matches elsewhere; what is not taken is looking around, refused by name', () => {
  let taken = 0;
  fc.assert(
    fc.property(patterns, (pattern) => {
      let matches: (text: string) => boolean;
      try {
        matches = regexTest(pattern);
      } catch (error) {
        assert.ok(isDbError(error, 'unimplemented') && /looking ahead/.test(error.message), String(error));
        assert.match(pattern, /\(\?[=!]/);
        return;
      }
      taken++;
      const expected = native(pattern);
      for (const text of texts) assert.equal(matches(text), expected.test(text), `${pattern} over '${text}'`);
    }),
    { numRuns: 2000 },
  );
  assert.ok(taken > 500, `${taken} were taken`);
});

test('looking ahead at the beginning is taken whatever it looks for, flags before it count for it too', () => {
  for (const pattern of ['^(?!test)', '(?i)^(?=a)(?!ab)', '^(?=.*\\d)(?=.*[a-z])\\w+$', '^(?!(a(b|c))+$)'])
    assert.equal(typeof regexTest(pattern)('x'), 'boolean');
  assert.equal(regexTest('(?i)^(?!TEST)')('testing'), false);
});

test('a token that would take too many steps does not match, whether it is wanted or not', () => {
  for (const pattern of ['(a{0,15}){0,15}', '^(?!(b{0,15}){0,15}c)']) {
    assert.equal(regexTest(pattern)('a'), true);
    assert.equal(regexTest(pattern)('a'.repeat(60_000)), false);
  }
});
