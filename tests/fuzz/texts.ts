/** Decoders of what clients say about texts: parameters of analyzers, regular expressions, and the texts themselves. */
import assert from 'node:assert/strict';
import { isDbError } from '../../src/errors/db-error.ts';
import type { FieldId } from '../../src/model/ids.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { highlightingOf } from '../../src/proxy/handlers/highlighter.ts';
import { parseJson } from '../../src/support/json.ts';
import { analyzerOf } from '../../src/text/analyzer.ts';
import { termHashes } from '../../src/text/bm25-rows.ts';
import { multiAnalyzer } from '../../src/text/field-analyzers.ts';
import { highlighted } from '../../src/text/highlight.ts';
import { MatchQuery } from '../../src/text/match.ts';
import { minHashRules } from '../../src/text/minhash.ts';
import { signatureColumn } from '../../src/text/minhash-rows.ts';
import { PlainTerms } from '../../src/text/plain-terms.ts';
import { regexTest } from '../../src/text/regex.ts';
import { buildTextBlock } from '../../src/text/text-block.ts';
import { byteOffsets } from '../../src/text/token.ts';
import { fieldSchema } from '../field-schema.ts';
import type { Decoder } from './harness.ts';

const isTyped = (error: unknown): boolean => isDbError(error) && error.code !== 'internal';
const utf8 = (value: unknown): Uint8Array =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

const SAMPLE = "The Größe of 中文 data's v2.0, 😀 running";

const params: Decoder = {
  name: 'analyzer-params',
  covers: ['text/params.ts'],
  corpus: [
    { type: 'standard', stop_words: ['of', '_english_'] },
    { type: 'english' },
    {
      tokenizer: 'whitespace',
      filter: ['lowercase', 'asciifolding', 'removepunct', { type: 'length', min: 2, max: 10 }],
    },
    { tokenizer: { type: 'icu' }, filter: [{ type: 'stemmer', language: 'german' }, 'cnalphanumonly'] },
    {
      tokenizer: 'standard',
      filter: [
        { type: 'decompounder', word_list: ['run', 'ning'] },
        { type: 'regex', expr: '^r' },
      ],
    },
  ].map(utf8),
  words: [
    '"tokenizer"',
    '"filter"',
    '"type"',
    '"stop"',
    '"stop_words"',
    '"regex"',
    '"expr"',
    '[',
    '{',
    '"language"',
  ],
  decode: (bytes) => {
    const text = textOf(bytes);
    // The dictionaries of jieba are loaded for some tenth of a second: they are tested with the analyzers.
    if (/jieba|chinese/.test(text)) return 0;
    const tokens = analyzerOf(text).analyze(SAMPLE);
    for (const { start, end } of byteOffsets(SAMPLE, tokens))
      assert.ok(start <= end && end <= Buffer.byteLength(SAMPLE));
    for (const [i, token] of tokens.entries())
      assert.ok(i === 0 || token.position >= (tokens[i - 1]?.position ?? 0));
    return 1;
  },
  refuses: isTyped,
};

const several: Decoder = {
  name: 'multi-analyzer-params',
  covers: ['text/field-analyzers.ts'],
  corpus: [
    {
      analyzers: { english: { type: 'english' }, default: { type: 'standard' } },
      by_field: 'l',
      alias: { en: 'english' },
    },
    { analyzers: { default: {} }, by_field: 'l' },
  ].map(utf8),
  words: ['"analyzers"', '"by_field"', '"alias"', '"default"', '{}', '__proto__'],
  decode: (bytes) => {
    const field = fieldSchema('t', {
      dataType: 'VarChar',
      maxLength: 9,
      typeParams: { multi_analyzer_params: textOf(bytes) },
    });
    const multi = multiAnalyzer(field);
    for (const name of ['english', 'toString', '__proto__', ''])
      assert.equal(typeof multi?.paramsOf(name), 'string');
  },
  refuses: isTyped,
};

const expressions: Decoder = {
  name: 'regular-expression',
  covers: ['text/regex.ts'],
  corpus: [
    '^(?!test)',
    '(a|b)*c{2,3}?$',
    '[^\\w\\-é]+\\b.',
    '(?=.*\\d)(?:x+x+)+y',
    '\\p{Lu}\\P{Script=Han}',
    '(?i)^(?!te|\\Q|)\\E)(?=[]\\w)]+).$',
    '((a*)*)*b',
  ].map(utf8),
  words: [
    '^(?=',
    '(?!',
    '(?i)',
    '\\Q',
    '[]',
    '[[:alpha:]',
    '(?:',
    ')*',
    '{0,1000}',
    '[^',
    '\\d',
    '|',
    '+',
    '$',
  ],
  decode: (bytes) => {
    const test = regexTest(textOf(bytes));
    for (const text of ['', 'test', SAMPLE, 'a'.repeat(300)]) assert.equal(typeof test(text), 'boolean');
  },
  refuses: isTyped,
};

const texts: Decoder = {
  name: 'analyzed-text',
  covers: ['text/tokenizers.ts'],
  corpus: [SAMPLE, "can't __ a.b.c 1,000.5 l’été データ ไทย", '', '🏳️‍🌈 é ª', 'x'.repeat(2000)].map(utf8),
  words: ['_', "'", '.', ',', 'é', '中', '😀', '\u200d', ' '],
  decode: (bytes) => {
    const text = textOf(bytes);
    for (const own of ['', '{"type":"english"}', '{"tokenizer":"icu"}', '{"tokenizer":"whitespace"}']) {
      const tokens = analyzerOf(own).analyze(text);
      for (const { start, end, text: token } of tokens)
        assert.ok(start < end && end <= text.length && token !== '');
      const data = Buffer.from(text);
      const block = buildTextBlock(own, { offsets: Uint32Array.of(0, data.length), data }, 0, 1);
      const hits = new Uint8Array(1);
      new MatchQuery({ kind: 'phrase', slop: 0 }, tokens.slice(0, 5)).mark(block, hits);
      assert.equal(hits[0], tokens.length === 0 ? 0 : 1);
      const rules = { preTags: ['<'], postTags: ['>'], offset: 2, size: 9, pieces: 9 };
      highlighted(text, tokens, new Set(tokens.slice(0, 3).map((token) => token.text)), rules);
    }
  },
  refuses: isTyped,
};

const BM25_FIELDS = {
  text: fieldSchema('text', {
    fieldId: 101 as FieldId,
    dataType: 'VarChar',
    typeParams: { enable_analyzer: 'true' },
  }),
  sparse: fieldSchema('sparse', {
    fieldId: 102 as FieldId,
    dataType: 'SparseFloatVector',
    isFunctionOutput: true,
  }),
};
const searched: CollectionSchema = {
  description: '',
  fields: [BM25_FIELDS.text, BM25_FIELDS.sparse],
  functions: [
    {
      functionId: 100,
      name: 'f',
      description: '',
      type: 'BM25',
      inputFieldIds: [BM25_FIELDS.text.fieldId],
      outputFieldIds: [BM25_FIELDS.sparse.fieldId],
      params: {},
    },
  ],
  enableDynamicField: false,
  version: 0,
};

/** The pairs travel as protobuf: what is no JSON here says nothing about them. */
function entriesOf(text: string): object {
  try {
    return (parseJson(text) as object | null) ?? {};
  } catch {
    return { pre_tags: text, highlight_query: text, highlight_search_text: text };
  }
}

const highlighters: Decoder = {
  name: 'highlighter',
  covers: ['proxy/handlers/highlighter.ts'],
  corpus: [
    { highlight_search_text: 'true', pre_tags: '["<b>"]', post_tags: '["</b>"]', fragment_size: '9' },
    {
      highlight_query: '[{"type":"TextMatch","field":"text","text":"x"}]',
      fragment_offset: '5',
      num_of_fragments: '2',
    },
  ].map(utf8),
  words: ['"pre_tags"', '"highlight_query"', '[', '{', 'TextMatch', '-1', '1e9'],
  decode: (bytes) => {
    const pairs = Object.entries(entriesOf(textOf(bytes))).map(([key, value]) => ({
      key,
      value: String(value),
    }));
    const placeholders = {
      type: { kind: 'scalar', type: 'VarChar' },
      values: [utf8('x')],
      isElementLevel: false,
    } as const;
    const asked = { schema: searched, field: BM25_FIELDS.sparse, placeholders, params: {} };
    const found = highlightingOf({ type: 0, params: pairs }, asked);
    assert.ok(found !== undefined && found.rules.size > 0 && found.rules.preTags.length > 0);
  },
  refuses: isTyped,
};

/** Rules that clients give, then their texts under rules that are right. */
const signatures: Decoder = {
  name: 'minhash-function',
  covers: ['text/minhash.ts', 'text/minhash-rows.ts'],
  corpus: [
    { num_hashes: '4', shingle_size: '2', hash_function: 'sha1', token_level: 'char', seed: '-7' },
    { SEED: '18446744073709551615', Token_Level: 'Word' },
    { hash_function: 'xxhash64' },
    SAMPLE,
    'x x x x',
  ].map(utf8),
  words: ['"num_hashes"', '"shingle_size"', '"256"', '"-1"', '"char"', '"sha1"', '{', '😀', '\ud83d'],
  decode: (bytes) => {
    const given = Object.entries(entriesOf(textOf(bytes)));
    const asked = Object.fromEntries(given.map(([key, value]) => [key, String(value)]));
    const output = { name: 'bits', dim: 128 };
    const analyzer = analyzerOf('');
    const sign = (text: string, params: Record<string, string>): Buffer => {
      const rows = { column: undefined, textAt: () => text, analyzerAt: () => analyzer };
      const { values } = signatureColumn(rows, minHashRules({ name: 'f', params }, output), 0, 1);
      assert.equal(values.length, 16);
      return Buffer.from(values.buffer);
    };
    for (const token_level of ['char', 'word']) {
      const text = textOf(bytes);
      assert.deepEqual(sign(text, { token_level }), sign(text, { token_level, num_hashes: '4' }));
      if (text === '') assert.ok(sign(text, { token_level }).every((byte) => byte === 0xff));
    }
    sign(SAMPLE, asked);
  },
  refuses: isTyped,
};

/** ASCII as the standard analyzer cuts it; nothing else. */
const plainTexts: Decoder = {
  name: 'plain-terms',
  covers: ['text/plain-terms.ts'],
  corpus: ["it's 1,000.5 o'clock: U.S.A. a.1 _ __x_", 'a b', 'caf\u00e9', ''].map(utf8),
  words: ['.', "'", ':', ',', ';', '_', 'a', '0', 'Z', '\u00e9'],
  decode: (bytes) => {
    const plain = new PlainTerms();
    if (plain.read(bytes, 0, bytes.length))
      assert.deepEqual(
        [...plain.hashes],
        [...termHashes(analyzerOf('').analyze(Buffer.from(bytes).toString('latin1')))],
      );
    else assert.ok(bytes.some((byte) => byte >= 0x80));
  },
  refuses: () => false,
};

export const textDecoders: readonly Decoder[] = [
  plainTexts,
  params,
  several,
  expressions,
  texts,
  highlighters,
  signatures,
];
