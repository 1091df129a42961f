import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { analyzerOf } from './analyzer.ts';
import { highlighted } from './highlight.ts';

const rules = { preTags: ['{'], postTags: ['}'], offset: 0, size: 100, pieces: 5 };
const piecesOf = (text: string, terms: string[], more: object = {}) =>
  highlighted(text, analyzerOf('').analyze(text), new Set(terms), { ...rules, ...more });

test('a text without the terms has no pieces', () => {
  assert.deepEqual(piecesOf('nothing here', ['absent']), []);
  assert.deepEqual(piecesOf('', ['a']), []);
});

test('pictures and accents are whole characters, before a term and behind it', () => {
  assert.deepEqual(piecesOf('😀😀 größe 😀😀😀', ['größe'], { offset: 2, size: 9 }), ['😀 {größe} 😀']);
});

test('overlapping Chinese words are marked as one', () => {
  const text = '我来到北京清华大学';
  const tokens = analyzerOf('{"type":"chinese"}').analyze(text);
  assert.deepEqual(highlighted(text, tokens, new Set(['清华', '华大', '大学']), rules), ['{清华大学}']);
});

test('a term that is longer than a piece is a piece; one that a piece would cut is in the next', () => {
  assert.deepEqual(piecesOf('abcdefgh x', ['abcdefgh'], { size: 3 }), ['{abcdefgh}']);
  assert.deepEqual(piecesOf('ab cdefgh', ['ab', 'cdefgh'], { size: 5 }), ['{ab} ', '{cdefgh}']);
});

test('pieces without their marks are parts of the text that follow one another', () => {
  const words = fc.array(fc.constantFrom('ab', 'c', '😀', 'déf', 'x'), { maxLength: 30 });
  fc.assert(
    fc.property(words, fc.nat({ max: 6 }), fc.integer({ min: 1, max: 12 }), (parts, offset, size) => {
      const text = parts.join(' ');
      let from = 0;
      for (const piece of piecesOf(text, ['ab', 'déf'], { offset, size, pieces: 100 })) {
        const plain = piece.replace(/[{}]/g, '');
        assert.ok(/\{/.test(piece));
        const at = text.indexOf(plain, from);
        assert.ok(at >= from, `${piece} in ${text}`);
        from = at + plain.length;
        assert.ok([...plain].length <= Math.max(size, offset + 3));
      }
    }),
  );
});
