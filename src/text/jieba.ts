/**
 * Chinese words by jieba, the segmenter Milvus uses (docs/design/0018-analyzers.md). The dictionary takes a fifth of a second to load:
 * whoever answers clients has a worker thread do this.
 */
import { createRequire } from 'node:module';
import type { Jieba } from '@node-rs/jieba';
import { DbError } from '../errors/db-error.ts';
import { present } from '../support/assert.ts';
import type { Token, Tokenizer } from './token.ts';

export interface JiebaOptions {
  /** Words of one's own; `_default_` is the built-in dictionary. */
  readonly dict: readonly string[];
  /** `search` adds the words inside of long words. */
  readonly mode: 'exact' | 'search';
  /** Guesses words that no dictionary has. */
  readonly hmm: boolean;
}

export const DEFAULT_DICT = '_default_';
const OWN_WORD_WEIGHT = 100_000;

/** Loaded dictionaries: each takes some ten megabytes. */
const MAX_LOADED = 4;
const loaded = new Map<string, Jieba>();

/** Where a token stands is told in characters, so that overlapping words keep their distance: a phrase is found by any of them. */
export function jiebaTokenizer(options: JiebaOptions): Tokenizer {
  return (text) => {
    const jieba = jiebaOf(options);
    const tokens: Token[] = [];
    const place = { unit: 0, character: 0 };
    for (const word of wholeWords(jieba, text, options)) place.unit = addWord(tokens, text, word, place);
    return tokens;
  };
}

function jiebaOf({ dict }: JiebaOptions): Jieba {
  const key = dict.join(' ');
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const require = createRequire(import.meta.url);
  const own = dict.filter((word) => word !== DEFAULT_DICT);
  const library = libraryOf(require);
  const withWords = dict.includes(DEFAULT_DICT)
    ? library.Jieba.withDict(
        (require('@node-rs/jieba/dict.js') as typeof import('@node-rs/jieba/dict.js')).dict,
      )
    : new library.Jieba();
  if (own.length > 0)
    withWords.loadDict(Buffer.from(own.map((word) => `${word} ${OWN_WORD_WEIGHT}\n`).join('')));
  const [oldest] = loaded.keys();
  if (loaded.size >= MAX_LOADED && oldest !== undefined) loaded.delete(oldest);
  loaded.set(key, withWords);
  return withWords;
}

/** Throws `unimplemented` on a platform that the package has no binary for. */
function libraryOf(require: NodeJS.Require): typeof import('@node-rs/jieba') {
  try {
    return require('@node-rs/jieba') as typeof import('@node-rs/jieba');
  } catch (cause) {
    throw new DbError('unimplemented', 'jieba is not implemented on this platform', { cause });
  }
}

interface Word {
  readonly whole: string;
  /** Shorter words inside of it, in the order of their places, those of two characters before those of three. */
  readonly inner: readonly string[];
}

/** The words one after another are the text. */
function wholeWords(jieba: Jieba, text: string, { mode, hmm }: JiebaOptions): Word[] {
  const whole = jieba.cut(text, hmm);
  if (mode === 'exact') return whole.map((word) => ({ whole: word, inner: [] }));
  const parts = jieba.cutForSearch(text, hmm);
  let at = 0;
  return whole.map((word) => {
    const inner: string[] = [];
    while (parts[at] !== word) inner.push(present(parts[at++], 'a word behind its parts'));
    at++;
    return { whole: word, inner };
  });
}

/** Answers where the word ends. */
function addWord(
  tokens: Token[],
  text: string,
  { whole, inner }: Word,
  place: { readonly unit: number; character: number },
): number {
  const { unit, character } = place;
  if (inner.length === 0) {
    tokens.push(tokenOf(text, unit, whole, character));
    place.character += characters(whole);
    return unit + whole.length;
  }
  const from = tokens.length;
  let last = { length: 0, at: -1 };
  for (const part of inner) {
    const at = whole.indexOf(part, part.length === last.length ? last.at + 1 : 0);
    last = { length: part.length, at };
    tokens.push(tokenOf(text, unit + at, part, character + characters(whole.slice(0, at))));
  }
  tokens.push(tokenOf(text, unit, whole, character));
  const found = tokens.splice(from).sort((a, b) => a.position - b.position || a.end - b.end);
  tokens.push(...found);
  place.character += characters(whole);
  return unit + whole.length;
}

const tokenOf = (text: string, start: number, word: string, position: number): Token => ({
  text: text.slice(start, start + word.length),
  start,
  end: start + word.length,
  position,
  positionLength: characters(word),
});

function characters(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  return count;
}
