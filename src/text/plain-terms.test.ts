import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { analyzerOf } from './analyzer.ts';
import { hashesOf, termHashes } from './bm25-rows.ts';
import { PlainTerms } from './plain-terms.ts';

const analyzer = analyzerOf('');
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(`<${text}>`)).subarray(1, -1);

function read(text: string): number[] | undefined {
  const terms = new PlainTerms();
  const bytes = bytesOf(text);
  return terms.read(bytes, 0, bytes.length) ? [...terms.hashes] : undefined;
}

const slowly = (text: string): number[] => [...termHashes(analyzer.analyze(text))];

/** What words, numbers and joins are made of, more often than all of ASCII would have it. */
const character = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(..."abZ09_.':,;- \n") },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x7f }).map((code) => String.fromCharCode(code)) },
);

test('the terms of an ASCII text are, straight from its bytes, those that the standard analyzer finds', () => {
  for (const text of [
    '',
    "it's 1,000.5 o'clock: U.S.A. a.1 1.a _ __x_ 3;4 a:b a;b 1'2 x_.y",
    '_',
    '.',
    "a'",
    "'a",
  ])
    assert.deepEqual(read(text), slowly(text), text);
  fc.assert(
    fc.property(fc.array(character, { maxLength: 40 }), (parts) => {
      const text = parts.join('');
      assert.deepEqual(read(text), slowly(text), text);
    }),
    { numRuns: 2000, includeErrorInReport: true },
  );
});

test('a text with other characters is left to the analyzer, wherever they stand', () => {
  for (const text of ['é', 'abcé', 'a.é', 'a b c 中', '_中', "it'ſ", '\u212a'])
    assert.equal(read(text), undefined, text);
  for (const text of ['Été', 'plain Text', '']) assert.deepEqual([...hashesOf(analyzer, text)], slowly(text));
});

test('a long text has all of its terms', () => {
  const text = Array.from({ length: 5000 }, (_, i) => `word${i}`).join(' ');
  assert.deepEqual(read(text), slowly(text));
});

test('only the standard tokenizer with lower case alone is read that way', () => {
  const isPlain = (params: object) => analyzerOf(JSON.stringify(params)).isPlain;
  assert.deepEqual(
    [{}, { type: 'standard' }, { tokenizer: 'standard', filter: ['lowercase'] }].map(isPlain),
    [true, true, true],
  );
  assert.deepEqual(
    [
      { type: 'english' },
      { type: 'standard', stop_words: ['a'] },
      { tokenizer: 'standard' },
      { tokenizer: 'whitespace', filter: ['lowercase'] },
      { tokenizer: 'standard', filter: ['lowercase', 'asciifolding'] },
    ].map(isPlain),
    [false, false, false, false, false],
  );
});
