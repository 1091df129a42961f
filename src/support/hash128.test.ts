import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hash128 } from './hash128.ts';

const hashOf = (words: readonly number[]): string => {
  const into = new Uint32Array(4);
  hash128(Uint32Array.from(words), into);
  return [...into].map((word) => word.toString(16).padStart(8, '0')).join('');
};

/** Bytes of a text as words; its length is a multiple of four. */
const wordsOf = (text: string): number[] => [...new Uint32Array(new Uint8Array(Buffer.from(text)).buffer)];

test('the hash is MurmurHash3 x86 128', () => {
  assert.equal(hashOf([]), '0'.repeat(32));
  assert.equal(hashOf(wordsOf('abcd')), '96b6ccaa45afc62e45afc62e45afc62e');
  assert.equal(hashOf(wordsOf('The quick brown fox jumps over t')), '7fc78aad2d537202102e762c393ef0c1');
  assert.equal(hashOf(wordsOf('The quick brown fox jumps ov')), '4bd72ebc373823ed8f43575ecb9fffc0');
});

test('contents of any length that differ in one bit have other hashes', () => {
  const seen = new Set<string>();
  let count = 0;
  for (let length = 0; length < 12; length++) {
    const words = Array.from({ length }, (_, i) => i * 0x9e3779b1);
    seen.add(hashOf(words));
    count++;
    for (let bit = 0; bit < length * 32; bit++) {
      seen.add(hashOf(words.map((word, i) => (i === bit >> 5 ? word ^ (1 << (bit & 31)) : word))));
      count++;
    }
  }
  assert.equal(seen.size, count);
});
