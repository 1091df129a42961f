import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { systemClock } from '../support/system-clock.ts';
import { analyzerOf } from './analyzer.ts';
import { byteOffsets, termHash } from './token.ts';

const tokensOf = (params: object, text: string): string[] =>
  analyzerOf(JSON.stringify(params))
    .analyze(text)
    .map((token) => token.text);

suite('analyzers', () => {
  test('the standard analyzer, which is the default, cuts words and makes them small', () => {
    const words = ['the', 'milvus', 'vector', 'database', 'is', 'built', 'for', 'scale'];
    const text = 'The Milvus vector database is built for scale!';
    assert.deepEqual(tokensOf({ type: 'standard' }, text), words);
    assert.deepEqual(tokensOf({}, text), words);
    assert.deepEqual(
      analyzerOf('')
        .analyze(text)
        .map((token) => token.text),
      words,
    );
  });

  test('the standard analyzer leaves out its stop words', () => {
    const text =
      'An efficient system relies on a robust analyzer to correctly process text for various applications.';
    assert.deepEqual(tokensOf({ type: 'standard', stop_words: ['a', 'an', 'for'] }, text), [
      'efficient',
      'system',
      'relies',
      'on',
      'robust',
      'analyzer',
      'to',
      'correctly',
      'process',
      'text',
      'various',
      'applications',
    ]);
  });

  test('the english analyzer stems words and leaves out common ones', () => {
    const text = 'The Milvus vector database is built for scale!';
    assert.deepEqual(tokensOf({ type: 'english' }, text), ['milvus', 'vector', 'databas', 'built', 'scale']);
    assert.deepEqual(tokensOf({ type: 'english', stop_words: ['milvus'] }, 'the Milvus'), ['the']);
  });

  test('the chinese analyzer finds words and the words inside of them, without punctuation', () => {
    assert.deepEqual(tokensOf({ type: 'chinese' }, '我来到北京清华大学!Milvus 2'), [
      '我',
      '来到',
      '北京',
      '清华',
      '清华大学',
      '华大',
      '大学',
      'Milvus',
      '2',
    ]);
  });

  test('jieba takes words of one’s own, cuts exactly and need not guess', () => {
    const tokenizer = { type: 'jieba', dict: ['结巴分词器'], mode: 'exact', hmm: false };
    assert.deepEqual(tokensOf({ tokenizer }, 'milvus结巴分词器中文测试'), [
      'milvus',
      '结巴分词器',
      '中',
      '文',
      '测',
      '试',
    ]);
    assert.deepEqual(tokensOf({ tokenizer: 'jieba' }, '你好！世界。'), ['你好', '！', '世界', '。']);
    assert.deepEqual(tokensOf({ tokenizer: 'jieba', filter: ['removepunct'] }, '你好！世界。'), [
      '你好',
      '世界',
    ]);
  });

  test('words of one analyzer’s own do not change another’s', () => {
    const own = { tokenizer: { type: 'jieba', dict: ['_default_', '来到北京'], mode: 'exact' } };
    assert.deepEqual(tokensOf(own, '我来到北京'), ['我', '来到北京']);
    assert.deepEqual(tokensOf({ tokenizer: { type: 'jieba', mode: 'exact' } }, '我来到北京'), [
      '我',
      '来到',
      '北京',
    ]);
  });

  test('the standard tokenizer follows Unicode: inner marks, numbers, Han characters, Katakana, accents, no pictures', () => {
    assert.deepEqual(tokensOf({ tokenizer: 'standard' }, "can't stop: v2.0, 1,000.5 foo_bar __ a.b."), [
      "can't",
      'stop',
      'v2.0',
      '1,000.5',
      'foo_bar',
      'a.b',
    ]);
    assert.deepEqual(tokensOf({ tokenizer: 'standard' }, 'Milvus 是 LF AI 项目,Apache 2.0'), [
      'Milvus',
      '是',
      'LF',
      'AI',
      '项',
      '目',
      'Apache',
      '2.0',
    ]);
    assert.deepEqual(tokensOf({ tokenizer: 'standard' }, 'Größe l’été データ 😀👍 naïve'), [
      'Größe',
      'l’été',
      'データ',
      'naïve',
    ]);
  });

  test('a text without words, an empty one, and a lone surrogate have their tokens', () => {
    for (const params of [
      { type: 'standard' },
      { type: 'english' },
      { type: 'chinese' },
      { tokenizer: 'whitespace' },
    ])
      assert.deepEqual(tokensOf(params, ''), []);
    assert.deepEqual(tokensOf({}, ' \n\t …!? 😀'), []);
    assert.deepEqual(tokensOf({ tokenizer: 'whitespace' }, ' \ud800  x '), ['\ud800', 'x']);
  });

  test('64 KB of text have their tokens', () => {
    const text = 'running Häuser '.repeat(4096);
    assert.equal(tokensOf({ type: 'english' }, text).length, 8192);
    assert.equal(tokensOf({ type: 'chinese' }, '北京'.repeat(10_000)).length, 10_000);
    assert.deepEqual(tokensOf({}, 'x'.repeat(65_535)), ['x'.repeat(65_535)]);
  });

  test('the other tokenizers: spaces, ICU with everything between the words, Thai words', () => {
    assert.deepEqual(tokensOf({ tokenizer: 'whitespace' }, 'Vector Database, built\u3000now'), [
      'Vector',
      'Database,',
      'built',
      'now',
    ]);
    assert.deepEqual(tokensOf({ tokenizer: 'icu' }, 'Привет! Как дела?'), [
      'Привет',
      '!',
      ' ',
      'Как',
      ' ',
      'дела',
      '?',
    ]);
    assert.deepEqual(tokensOf({ tokenizer: 'thai' }, 'ภาษาไทย 5'), ['ภาษา', 'ไทย', '5']);
  });
});

suite('filters', () => {
  const cases: readonly [string, object, string, string[]][] = [
    ['lowercase', { tokenizer: 'whitespace', filter: ['lowercase'] }, 'High ÄÖ', ['high', 'äö']],
    [
      'asciifolding',
      { tokenizer: 'standard', filter: ['asciifolding'] },
      'Café Größe Łódź 中',
      ['Cafe', 'Grosse', 'Lodz', '中'],
    ],
    ['alphanumonly', { tokenizer: 'standard', filter: ['alphanumonly'] }, 'Café a1 2.0 中', ['a1']],
    ['cnalphanumonly', { tokenizer: 'whitespace', filter: ['cnalphanumonly'] }, '中a1 b! é', ['中a1']],
    ['cncharonly', { tokenizer: 'whitespace', filter: ['cncharonly'] }, '中文 a中 1', ['中文']],
    [
      'decimaldigit',
      { tokenizer: 'whitespace', filter: ['decimaldigit'] },
      '٣٤ ९ 𝟗𝟘 7',
      ['34', '9', '90', '7'],
    ],
    [
      'length',
      { tokenizer: 'standard', filter: [{ type: 'length', max: 5 }] },
      'a quick elephant',
      ['a', 'quick'],
    ],
    [
      'stop',
      { tokenizer: 'standard', filter: [{ type: 'stop', stop_words: ['of', '_english_'] }] },
      'the end of it',
      ['end'],
    ],
    [
      'stemmer',
      { tokenizer: 'standard', filter: [{ type: 'stemmer', language: 'english' }] },
      'running runs looked ran runner',
      ['run', 'run', 'look', 'ran', 'runner'],
    ],
    [
      'German stemmer',
      { tokenizer: 'standard', filter: ['lowercase', { type: 'stemmer', language: 'german' }] },
      'Häuser Bücher',
      ['haus', 'buch'],
    ],
    [
      'decompounder',
      { tokenizer: 'standard', filter: [{ type: 'decompounder', word_list: ['dampf', 'schiff', 'fahrt'] }] },
      'dampfschifffahrt dampfer',
      ['dampf', 'schiff', 'fahrt', 'dampfer'],
    ],
    [
      'regex',
      { tokenizer: 'standard', filter: [{ type: 'regex', expr: '^(?!test)' }] },
      'testItem apple testCase banana',
      ['apple', 'banana'],
    ],
  ];
  for (const [name, params, text, expected] of cases)
    test(`${name} does what Milvus documents`, () => assert.deepEqual(tokensOf(params, text), expected));

  test('a removed token leaves a gap in the positions, and tokens know where they stand in bytes', () => {
    const text = 'Größe of 😀 the end';
    const tokens = analyzerOf(JSON.stringify({ type: 'english' })).analyze(text);
    assert.deepEqual(
      tokens.map(({ text: each, position }) => [each, position]),
      [
        ['größe', 0],
        ['end', 3],
      ],
    );
    assert.deepEqual(byteOffsets(text, tokens), [
      { start: 0, end: 7 },
      { start: 20, end: 23 },
    ]);
  });

  test('overlapping Chinese words keep their distance in characters', () => {
    const tokens = analyzerOf(JSON.stringify({ tokenizer: 'jieba' })).analyze('清华大学');
    assert.deepEqual(
      tokens.map(({ text, position, positionLength }) => [text, position, positionLength]),
      [
        ['清华', 0, 2],
        ['清华大学', 0, 4],
        ['华大', 1, 2],
        ['大学', 2, 2],
      ],
    );
  });
});

suite('analyzer params from outside', () => {
  const refusals: readonly [string, string, string][] = [
    ['no JSON', '{', 'parameter-invalid'],
    ['no object', '[]', 'parameter-invalid'],
    ['deep nesting', `{"a":${'['.repeat(2000)}${']'.repeat(2000)}}`, 'parameter-invalid'],
    ['an unknown type', '{"type":"klingon"}', 'parameter-invalid'],
    ['an unknown filter', '{"tokenizer":"standard","filter":["klingon"]}', 'parameter-invalid'],
    ['a filter without its words', '{"tokenizer":"standard","filter":["stop"]}', 'parameter-invalid'],
    ['filters without a tokenizer', '{"filter":["lowercase"]}', 'parameter-invalid'],
    ['an unknown parameter', '{"type":"standard","stopwords":[]}', 'parameter-invalid'],
    [
      'too many filters',
      JSON.stringify({ tokenizer: 'standard', filter: Array(33).fill('lowercase') }),
      'parameter-invalid',
    ],
    [
      'a megabyte of stop words',
      JSON.stringify({ type: 'standard', stop_words: Array(250_000).fill('aa') }),
      'parameter-too-large',
    ],
    [
      'a back reference',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"(a)\\\\1"}]}',
      'parameter-invalid',
    ],
    [
      'looking behind',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"(?<!a)b"}]}',
      'unimplemented',
    ],
    [
      'looking ahead but at the beginning',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"^a(?=b)"}]}',
      'unimplemented',
    ],
    [
      'looking ahead in one of several alternatives',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"^(?!a)b|c"}]}',
      'unimplemented',
    ],
    [
      'what is not in a class, between brackets',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"[\\\\W1]"}]}',
      'unimplemented',
    ],
    [
      'a large repetition',
      '{"tokenizer":"standard","filter":[{"type":"regex","expr":"((a{1000}){1000})"}]}',
      'parameter-invalid',
    ],
    ['the lindera tokenizer', '{"tokenizer":{"type":"lindera","dict_kind":"ipadic"}}', 'unimplemented'],
    ['the arabic analyzer', '{"type":"arabic"}', 'unimplemented'],
    ['stop words of another language', '{"type":"standard","stop_words":["_french_"]}', 'unimplemented'],
  ];
  for (const [name, params, code] of refusals)
    test(`${name} is refused: ${code}`, () =>
      assert.throws(
        () => analyzerOf(params),
        (error) => isDbError(error, code as 'unimplemented'),
      ));

  test('catastrophic patterns end soon', () => {
    const startMs = systemClock.nowMs();
    for (const expr of [
      '^(a+)+$',
      '(a|a)*b',
      '^(?=(a*)*b)',
      '^(?!(a*)*!)(a*)*$',
      '(.*)*x(.*)*y',
      '(a{0,15}){0,15}b',
    ])
      tokensOf({ tokenizer: 'whitespace', filter: [{ type: 'regex', expr }] }, `${'a'.repeat(60_000)}! `);
    assert.ok(systemClock.nowMs() - startMs < 5000);
  });

  test('a regular expression knows classes, anchors, counts, alternatives and looking ahead', () => {
    const kept = (expr: string): string[] =>
      tokensOf({ tokenizer: 'whitespace', filter: [{ type: 'regex', expr }] }, 'abc ABC a1 2024 x-y été 中');
    assert.deepEqual(kept('^[a-z]+$'), ['abc']);
    assert.deepEqual(kept('^\\d{4}$'), ['2024']);
    assert.deepEqual(kept('^(abc|ABC)$'), ['abc', 'ABC']);
    assert.deepEqual(kept('\\W'), ['x-y']);
    assert.deepEqual(kept('^(?=.*\\d)\\w+$'), ['a1', '2024']);
    assert.deepEqual(kept('^\\p{Lu}'), ['ABC']);
    assert.deepEqual(kept('^\\p{Script=Han}?中$'), ['中']);
    assert.deepEqual(kept('^\\w+$'), ['abc', 'ABC', 'a1', '2024', 'été', '中']);
    assert.deepEqual(kept('^[\\w\\-]+$').length, 7);
    assert.deepEqual(kept('[^\\w]'), ['x-y']);
    assert.deepEqual(kept('^(?i)abc$'), ['abc', 'ABC']);
  });

  test('looking ahead at the beginning is as in Milvus, one after another, whatever stands in brackets and escapes', () => {
    const kept = (expr: string): string =>
      tokensOf(
        { tokenizer: 'whitespace', filter: [{ type: 'regex', expr }] },
        'test testing tea (a) a|b ab]',
      ).join(' ');
    assert.equal(kept('^(?!test)'), 'tea (a) a|b ab]');
    assert.equal(kept('(?i)^(?!TEST)t'), 'tea');
    assert.equal(kept('^(?!test$)(?=t)'), 'testing tea');
    assert.equal(kept('^(?!tea|.*\\|)(?=.*[)ea])[^(]*$'), 'test testing ab]');
    assert.equal(kept('^(?=.*[]|)])'), '(a) a|b ab]');
    assert.equal(kept('^(?!\\Qa|\\E|\\()(?!te)'), 'ab]');
    assert.equal(kept('^(?=(?:te(?:st|a))$)'), 'test tea');
  });
});

test('terms that differ have hashes that differ, the same in every version', () => {
  assert.deepEqual(
    ['milvus', 'größe', '中文', '😀', ''].map(termHash),
    [2630685860, 3449927484, 3089110669, 855877642, 2872998923],
  );
});
