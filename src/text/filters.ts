/** Milvus's token filters. */
import { createRequire } from 'node:module';
import type { Token, TokenFilter } from './token.ts';

const mapped =
  (change: (text: string) => string): TokenFilter =>
  (tokens) =>
    tokens.map((token) => {
      const text = change(token.text);
      if (text === token.text) return token;
      const { start, end, position, positionLength } = token;
      return { text, start, end, position, positionLength };
    });

const kept =
  (isWanted: (text: string) => boolean): TokenFilter =>
  (tokens) =>
    tokens.filter(({ text }) => isWanted(text));

export const lowercase = mapped((text) => text.toLowerCase());

/** Letters that do not decompose into an ASCII letter and marks. */
const foldings: Readonly<Record<string, string>> = {
  ß: 'ss',
  ẞ: 'SS',
  æ: 'ae',
  Æ: 'AE',
  œ: 'oe',
  Œ: 'OE',
  ø: 'o',
  Ø: 'O',
  đ: 'd',
  Đ: 'D',
  ð: 'd',
  Ð: 'D',
  þ: 'th',
  Þ: 'TH',
  ł: 'l',
  Ł: 'L',
  ħ: 'h',
  Ħ: 'H',
  ı: 'i',
  ĸ: 'k',
  ŋ: 'n',
  Ŋ: 'N',
  ŧ: 't',
  Ŧ: 'T',
  ƒ: 'f',
  '‘': "'",
  '’': "'",
  '“': '"',
  '”': '"',
  '–': '-',
  '—': '-',
};

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);

/** Accents go; what is not written in Latin letters stays. */
export const asciifolding = mapped((text) => {
  if (isAscii(text)) return text;
  const folded = text.normalize('NFKD').replace(/(?<=[A-Za-z])\p{M}+/gu, '');
  let result = '';
  for (const sign of folded) result += foldings[sign] ?? sign;
  // What has not become ASCII keeps the form it had.
  return result.normalize('NFC');
});

export const alphanumonly = kept((text) => /^[A-Za-z0-9]+$/.test(text));
export const cnalphanumonly = kept((text) => /^[A-Za-z0-9\p{sc=Han}]+$/u.test(text));
export const cncharonly = kept((text) => /^\p{sc=Han}+$/u.test(text));
export const removepunct = kept((text) => !/^[\p{P}\p{S}]+$/u.test(text));
/** Digits of every script as those of ASCII. */
export const decimaldigit = mapped((text) =>
  isAscii(text) ? text : text.replace(/\p{Nd}/gu, (digit) => String(digitOf(digit))),
);

/** Digits stand in runs of ten from 0 on. */
function digitOf(digit: string): number {
  const code = digit.codePointAt(0) ?? 0;
  let value = 0;
  while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(code - value - 1)) && !isZero(code - value))
    value++;
  return value;
}

/** Runs that follow one another without a gap begin at a multiple of ten behind this one: the mathematical digits. */
const isZero = (code: number): boolean => code >= 0x1d7ce && code <= 0x1d7ff && (code - 0x1d7ce) % 10 === 0;

export const stop = (words: ReadonlySet<string>): TokenFilter => kept((text) => !words.has(text));

/** Longer tokens go; the bound counts characters. */
export const length = ({ min, max }: { readonly min: number; readonly max: number }): TokenFilter =>
  kept((text) => {
    const count = [...text].length;
    return count >= min && count <= max;
  });

export const matching = (matches: (text: string) => boolean): TokenFilter => kept(matches);

export const ENGLISH_STOP_WORDS =
  'a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with'.split(
    ' ',
  );

/** As Milvus has them, but Greek. */
export const stemmerLanguages = [
  'arabic',
  'danish',
  'dutch',
  'english',
  'finnish',
  'french',
  'german',
  'hungarian',
  'italian',
  'norwegian',
  'portuguese',
  'romanian',
  'russian',
  'spanish',
  'swedish',
  'tamil',
  'turkish',
] as const;
export type StemmerLanguage = (typeof stemmerLanguages)[number];

/** Stems kept; words repeat, and to find a stem takes ten times as long as all the rest. */
const MAX_STEMS = 65_536;
/** Longer words are none: they stay as they are. */
const MAX_STEMMED = 64;

interface Snowball {
  newStemmer(language: string): { stem(word: string): string };
}

/** Snowball's stem of every word. */
export function stemmer(language: StemmerLanguage): TokenFilter {
  const require = createRequire(import.meta.url);
  const library = require('snowball-stemmers') as Snowball;
  const snowball = library.newStemmer(language);
  const stems = new Map<string, string>();
  return mapped((text) => {
    if (text.length > MAX_STEMMED) return text;
    const known = stems.get(text);
    if (known !== undefined) return known;
    if (stems.size >= MAX_STEMS) stems.clear();
    const stem = snowball.stem(text);
    stems.set(text, stem);
    return stem;
  });
}

/** A longer compound would take its square in time. */
const MAX_COMPOUND = 256;

/** A token that is made of words of the list and of nothing else becomes these, all at its position. */
export function decompounder(words: ReadonlySet<string>): TokenFilter {
  const longest = Math.min(MAX_COMPOUND, Math.max(0, ...Array.from(words, (word) => word.length)));
  return (tokens) => tokens.flatMap((token) => partsOf(token, words, longest));
}

/** The longest word first, from the left. */
function partsOf(token: Token, words: ReadonlySet<string>, longest: number): Token[] {
  const { text } = token;
  if (text.length > MAX_COMPOUND || text.length === 0) return [token];
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    let end = Math.min(text.length, from + longest);
    while (end > from && !words.has(text.slice(from, end))) end--;
    if (end === from) return [token];
    parts.push(text.slice(from, end));
    from = end;
  }
  if (parts.length === 1) return [token];
  let at = token.start;
  const hasPlaces = token.end - token.start === text.length;
  return parts.map((part) => {
    const start = at;
    if (hasPlaces) at += part.length;
    return { ...token, text: part, start, end: hasPlaces ? at : token.end };
  });
}
