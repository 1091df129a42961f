import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareText, memberTest, TextDictionary, utf8 } from './text.ts';

const internAll = (dictionary: TextDictionary, texts: readonly string[]): number[] =>
  texts.map((text) => {
    const data = utf8(`..${text}..`);
    return dictionary.intern(data, 2, data.length - 2);
  });
const textOf = ({ data, offsets }: TextDictionary, code: number): string =>
  Buffer.from(data.subarray(offsets[code], offsets[code + 1])).toString();

test('a dictionary gives equal texts one code and keeps what each code stands for', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 6 }), { maxLength: 300 }), (texts) => {
      const dictionary = new TextDictionary();
      const codes = internAll(dictionary, texts);
      assert.equal(dictionary.size, new Set(texts).size);
      assert.deepEqual(
        codes.map((code) => textOf(dictionary, code)),
        texts,
      );
      assert.deepEqual(internAll(dictionary, texts), codes);
    }),
    { numRuns: 100, seed: 24 },
  );
});

/** The dictionary's hash, so that texts can be chosen that collide. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of utf8(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

test('texts chosen to collide get codes of their own, more than one at worst, never the code of another text', () => {
  const colliding: string[] = [];
  for (let i = 0; colliding.length < 200; i++) if ((hashOf(`${i}`) & 1023) === 5) colliding.push(`${i}`);
  const dictionary = new TextDictionary();
  for (let round = 0; round < 2; round++)
    assert.deepEqual(
      internAll(dictionary, colliding).map((code) => textOf(dictionary, code)),
      colliding,
    );
  assert.ok(dictionary.size > colliding.length, 'the texts did collide');
});

test('texts are ordered by code point and found by their bytes', () => {
  assert.ok(compareText('\u{ffff}', '\u{10000}') < 0);
  assert.ok(compareText('a', 'ab') < 0);
  assert.equal(compareText('é', 'é'), 0);
  const isMember = memberTest(['é', '', 'x']);
  const has = (text: string) => isMember(utf8(text), 0, utf8(text).length);
  assert.deepEqual(['é', '', 'x', 'e', 'Ã©'].map(has), [true, true, true, false, false]);
});
