import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { present } from '../support/assert.ts';
import { analyzerOf } from './analyzer.ts';
import { leastSlop, type MatchMode, MatchQuery } from './match.ts';
import { buildTextBlock, type TextRows } from './text-block.ts';
import { BYTES_AT_ONCE, TextIndex } from './text-index.ts';

function rowsOf(texts: readonly (string | null)[]): TextRows {
  const parts = texts.map((text) => Buffer.from(text ?? ''));
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, { length }] of parts.entries()) offsets[i + 1] = (offsets[i] as number) + length;
  const valid = Uint8Array.from(texts, (text) => (text === null ? 0 : 1));
  return { offsets, data: new Uint8Array(Buffer.concat(parts)), valid };
}

const WORDS = JSON.stringify({ tokenizer: 'whitespace' });
const wordsOf = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Rows that match, by the definition. */
function naive(texts: readonly (string | null)[], query: string, mode: MatchMode): number[] {
  const wanted = wordsOf(query);
  const rows: number[] = [];
  for (const [row, text] of texts.entries()) {
    const words = wordsOf(text ?? '');
    const matches =
      mode.kind === 'terms'
        ? new Set(wanted.filter((word) => words.includes(word))).size >= mode.least
        : wanted.length > 0 && isPhrase(words, wanted, mode.slop);
    if (matches) rows.push(row);
  }
  return rows;
}

/** Every choice of places is tried. */
function isPhrase(words: readonly string[], wanted: readonly string[], slop: number): boolean {
  for (const word of wanted)
    if (words.filter((each) => each === word).length < wanted.filter((each) => each === word).length)
      return false;
  const tryFrom = (at: number, least: number, most: number): boolean => {
    if (most - least > slop) return false;
    if (at === wanted.length) return true;
    return words.some((word, place) => {
      const moved = place - at;
      return word === wanted[at] && tryFrom(at + 1, Math.min(least, moved), Math.max(most, moved));
    });
  };
  return tryFrom(0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
}

function matched(index: TextIndex, rows: number, query: string, mode: MatchMode): number[] {
  const hits = new Uint8Array(rows);
  const words = new MatchQuery(mode, analyzerOf(index.params).analyze(query));
  for (const block of index.blocks) words.mark(block, hits);
  return Array.from(hits.keys()).filter((row) => hits[row] === 1);
}

suite('matches of texts', () => {
  const word = fc.constantFrom('a', 'b', 'c', 'd', 'ä中', '😀');
  const text = fc.array(word, { maxLength: 12 }).map((words) => words.join(' '));
  const mode: fc.Arbitrary<MatchMode> = fc.oneof(
    fc.record({ kind: fc.constant('terms' as const), least: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('phrase' as const), slop: fc.integer({ min: 0, max: 4 }) }),
  );

  test('rows match by terms and by phrases as the definition says, however the rows came', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(text, { freq: 9 }), { maxLength: 40 }),
        fc.array(word, { maxLength: 4 }),
        mode,
        fc.array(fc.nat({ max: 40 }), { maxLength: 5 }),
        (texts, query, how, steps) => {
          const rows = rowsOf(texts);
          const index = new TextIndex(WORDS);
          for (const step of steps.sort((a, b) => a - b)) index.extendNow(rows, Math.min(step, texts.length));
          index.extendNow(rows, texts.length);
          assert.deepEqual(
            matched(index, texts.length, query.join(' '), how),
            naive(texts, query.join(' '), how),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('the slop of Milvus: a word between costs one, the other order two', () => {
    const texts = [
      'machine learning boosts efficiency',
      'learning machine basics',
      'a learning deep machine',
      'machine deep learning',
    ];
    const index = new TextIndex(WORDS);
    index.extendNow(rowsOf(texts), texts.length);
    const found = (slop: number) =>
      matched(index, texts.length, 'machine learning', { kind: 'phrase', slop });
    assert.deepEqual([found(0), found(1), found(2), found(3)], [[0], [0, 3], [0, 1, 3], [0, 1, 2, 3]]);
  });

  test('a text without words matches nothing', () => {
    const index = new TextIndex('');
    index.extendNow(rowsOf(['a', '']), 2);
    for (const query of ['', '!?'])
      for (const how of [
        { kind: 'terms', least: 1 },
        { kind: 'phrase', slop: 9 },
      ] as const)
        assert.deepEqual(matched(index, 2, query, how), []);
  });

  test('a phrase of too many words is refused', () => {
    const tokens = analyzerOf('').analyze('word '.repeat(129));
    assert.throws(() => new MatchQuery({ kind: 'phrase', slop: 0 }, tokens), /at most 128 words/);
    assert.doesNotThrow(() => new MatchQuery({ kind: 'terms', least: 1 }, tokens));
  });

  test('a stop word leaves its gap in a phrase', () => {
    const texts = ['state of the art', 'state art', 'state in an art'];
    const index = new TextIndex('{"type":"english"}');
    index.extendNow(rowsOf(texts), texts.length);
    assert.deepEqual(matched(index, 3, 'states of the art', { kind: 'phrase', slop: 0 }), [0, 2]);
  });

  test('a Chinese phrase is found by any of its words', () => {
    const texts = ['我来到北京清华大学', '清华的大学', '大学清华'];
    const index = new TextIndex('{"type":"chinese"}');
    index.extendNow(rowsOf(texts), texts.length);
    assert.deepEqual(matched(index, 3, '清华大学', { kind: 'phrase', slop: 0 }), [0]);
    assert.deepEqual(matched(index, 3, '清华', { kind: 'terms', least: 1 }), [0, 1, 2]);
  });
});

suite('the index of texts', () => {
  test('many small additions make few blocks', () => {
    const texts = Array.from({ length: 5000 }, (_, i) => `row ${i} of many`);
    const rows = rowsOf(texts);
    const index = new TextIndex('');
    for (let row = 1; row <= texts.length; row++) index.extendNow(rows, row);
    const bytes = present(rows.offsets.at(-1), 'the end');
    assert.ok(
      index.blocks.length <= Math.ceil((bytes / BYTES_AT_ONCE) * 4) + 12,
      `${index.blocks.length} blocks`,
    );
    assert.deepEqual(matched(index, texts.length, '4711', { kind: 'terms', least: 1 }), [4711]);
  });

  test('additions that run at once are one after another, and one that cannot wait may come between', async () => {
    const texts = Array.from({ length: 400 }, (_, i) => `word${i} ${'x '.repeat(500)}`);
    const rows = rowsOf(texts);
    const index = new TextIndex(WORDS);
    const build = async (some: TextRows, from: number, to: number) => {
      await new Promise<void>((resolve) => setImmediate(resolve));
      return buildTextBlock(WORDS, some, from, to);
    };
    const first = index.extend(rows, 300, 1 << 16, build);
    const second = index.extend(rows, 400, 1 << 16, build);
    index.extendNow(rows, 50);
    await Promise.all([first, second]);
    let next = 0;
    for (const { firstRow, rowCount } of index.blocks) {
      assert.equal(firstRow, next);
      next += rowCount;
    }
    assert.equal(next, 400);
    assert.deepEqual(matched(index, 400, 'word7 word399', { kind: 'terms', least: 1 }), [7, 399]);
  });

  test('an addition that fails leaves the index as it was, for the next', async () => {
    const rows = rowsOf(['a', 'b']);
    const index = new TextIndex(WORDS);
    await assert.rejects(
      index.extend(rows, 2, 100, () => Promise.reject(new Error('no thread'))),
      /no thread/,
    );
    await index.extend(rows, 2, 100, async (some, from, to) => buildTextBlock(WORDS, some, from, to));
    assert.deepEqual(matched(index, 2, 'b', { kind: 'terms', least: 1 }), [1]);
  });
});

test('the least slop of a phrase is the one from which PHRASE_MATCH finds it; of a phrase whose words are not all there, there is none', () => {
  const { analyze } = analyzerOf('');
  const text = 'I like swimming and riding!';
  // biome-ignore format: read down the columns.
  const cases: readonly (readonly [string, string, number | undefined])[] = [
    ['swimming and riding', text, 0],
    ['swimming riding', text, 1],
    ['riding swimming', text, 3],
    ['riding', text, 0],
    ['riding walking', text, undefined],
    ['riding riding', text, undefined],
    ['', text, undefined],
    ['a b', 'a x x b y b a', 1 + 1],
    ['a b c', 'c b a c x b a', 2],
  ];
  for (const [phrase, of, slop] of cases) assert.equal(leastSlop(analyze(phrase), analyze(of)), slop, phrase);
  const hostile = 'a b '.repeat(64);
  assert.throws(() => leastSlop(analyze(hostile), analyze('b a '.repeat(100_000))), {
    code: 'filter-invalid',
  });
});
