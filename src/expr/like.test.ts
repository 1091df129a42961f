import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { likeTest, patternProblem } from './like.ts';
import { utf8 } from './text.ts';

const like = (text: string, pattern: string): boolean => {
  // Surrounded by other bytes, so that a test that looks beyond its range is seen.
  const data = utf8(`%a${text}a%`);
  return likeTest(pattern)(data, 2, data.length - 2);
};

describe('like', () => {
  const cases: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
    ['abc', ['abc'], ['ab', 'abcd', 'ABC', '']],
    ['', [''], ['a']],
    ['%', ['', 'a', 'äöü'], []],
    ['%%%', ['', 'a'], []],
    ['Prod%', ['Prod', 'Product A'], ['prod', 'aProd']],
    ['%XYZ', ['XYZ', 'aXYZ', 'XYZXYZ'], ['XYZa']],
    ['%Pro%', ['Pro', 'aProb'], ['Pr', 'pro']],
    ['a%a', ['aa', 'aba'], ['a', 'ab']],
    ['ab%ba', ['abba', 'abxba'], ['aba']],
    ['a_c', ['abc', 'aéc', 'a多c', 'a😀c'], ['ac', 'abbc']],
    ['_', ['a', '😀'], ['', 'ab']],
    ['%_', ['a', 'ab'], ['']],
    ['_%_', ['ab', 'é多'], ['a', '多']],
    ['%a_b%', ['a多b', 'xxaaxbyy'], ['ab', 'axxb']],
    ['100\\%', ['100%'], ['100', '1000']],
    ['a\\_b', ['a_b'], ['axb']],
    ['a\\\\b', ['a\\b'], ['ab']],
    ['\\a', ['a'], ['\\a']],
    ['%aab%aab', ['aabaab', 'aaabxaab'], ['aaab']],
    ['%\n%', ['a\nb'], ['ab']],
  ];
  for (const [pattern, yes, no] of cases)
    test(`'${pattern}' matches ${JSON.stringify(yes)}, not ${JSON.stringify(no)}`, () => {
      for (const text of yes) assert.ok(like(text, pattern), text);
      for (const text of no) assert.ok(!like(text, pattern), text);
    });
});

test('like agrees with the regular expression that says the same', () => {
  const piece = fc.constantFrom('a', 'b', 'ab', 'é', '多', '😀', '.', '%', '_', '%', '_');
  const letters = fc.array(fc.constantFrom('a', 'b', 'a', 'b', 'é', '多', '😀', '.'), { maxLength: 10 });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), letters, (pieces, text) => {
      const source = pieces.map((part) =>
        part === '%' ? '.*' : part === '_' ? '.' : part.replace('.', '\\.'),
      );
      const expected = new RegExp(`^${source.join('')}$`, 'su').test(text.join(''));
      assert.equal(like(text.join(''), pieces.join('')), expected);
    }),
    { numRuns: 5000, seed: 22 },
  );
});

/** How many bytes of the text a test reads. */
function readsOf(pattern: string, text: string): number {
  let reads = 0;
  const data = new Proxy(utf8(text), {
    get(target, key) {
      if (typeof key === 'string' && key !== 'length') reads++;
      return Reflect.get(target, key) as unknown;
    },
  });
  assert.equal(patternProblem(pattern), undefined);
  assert.equal(likeTest(pattern)(data, 0, text.length), false);
  return reads;
}

test('patterns that ruin a backtracking matcher read each byte a few times', () => {
  const text = 'a'.repeat(20_000);
  assert.ok(readsOf(`${'%a'.repeat(50)}%b`, text) < 4 * text.length);
  assert.ok(readsOf(`%${'a'.repeat(5_000)}b%`, text) < 4 * text.length);
  assert.ok(readsOf(`%${'ab'.repeat(2_000)}%`, text) < 4 * text.length);
  assert.ok(readsOf(`${'%a%a%'.repeat(3_000)}b`, text) < 4 * text.length);
});

test("a piece with '_' costs at most its own length for each byte", () => {
  const text = 'a'.repeat(10_000);
  assert.ok(readsOf(`%_${'a'.repeat(254)}b%`, text) < 3 * 256 * text.length);
});
