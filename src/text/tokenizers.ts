/** Milvus's tokenizers. */
import type { Token, Tokenizer } from './token.ts';

/**
 * Words by the rules of Unicode (UAX #29), where they can be told without a dictionary: letters and numbers with what may stand inside
 * them, runs of Katakana; every Han and Hiragana character, and every one of a script that writes no spaces, is a word.
 */
const SINGLE = '[\\p{sc=Han}\\p{sc=Hira}\\p{sc=Thai}\\p{sc=Laoo}\\p{sc=Khmr}\\p{sc=Mymr}]';
const MARKS = '[\\p{M}\\u200d]*';
const LETTER = `(?:(?!${SINGLE}|\\p{sc=Kana})\\p{Alphabetic}${MARKS})`;
const DIGIT = `(?:\\p{Nd}${MARKS})`;
const WORD = `(?:${LETTER}|${DIGIT}|\\p{Pc})+`;
const INNER = "(?<=\\p{Alphabetic}\\p{M}?)[.'’‘·:](?=\\p{Alphabetic})|(?<=\\p{Nd})[.'’‘,;](?=\\p{Nd})";
const words = (): RegExp =>
  new RegExp(`${SINGLE}${MARKS}|[\\p{sc=Kana}ー]+|${WORD}(?:(?:${INNER})${WORD})*`, 'gu');
const asciiWords = (): RegExp =>
  /[A-Za-z0-9_]+(?:(?:(?<=[A-Za-z])[.':](?=[A-Za-z])|(?<=[0-9])[.',;](?=[0-9]))[A-Za-z0-9_]+)*/g;

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);
const hasWord = (text: string): boolean => /[\p{Alphabetic}\p{Nd}]/u.test(text);

/** Words; punctuation, spaces and pictures are left out. */
export const standardTokenizer: Tokenizer = (text) => {
  const tokens: Token[] = [];
  const pattern = isAscii(text) ? asciiWords() : words();
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [word] = match;
    if (word.charCodeAt(0) === 0x5f && !hasWord(word)) continue;
    push(tokens, word, match.index, tokens.length);
  }
  return tokens;
};

/** What stands between spaces. */
export const whitespaceTokenizer: Tokenizer = (text) => {
  const tokens: Token[] = [];
  for (const match of text.matchAll(/\S+/gu)) push(tokens, match[0], match.index, tokens.length);
  return tokens;
};

/** Segmenting takes more than its share of time for a long text at once: it is done in pieces that end at a space or a line. */
const SEGMENT_UNITS = 1024;

/** Words, punctuation and spaces, each a token, by the dictionaries of ICU. */
export const icuTokenizer: Tokenizer = (text) => segmented(text, 'und', () => true);

/** Thai words; punctuation and spaces are left out. */
export const thaiTokenizer: Tokenizer = (text) =>
  segmented(text, 'th', ({ isWordLike }) => isWordLike === true);

const segmenters = new Map<string, Intl.Segmenter>();

function segmented(text: string, locale: string, isWanted: (part: Intl.SegmentData) => boolean): Token[] {
  const segmenter = segmenters.get(locale) ?? new Intl.Segmenter(locale, { granularity: 'word' });
  segmenters.set(locale, segmenter);
  const tokens: Token[] = [];
  for (let from = 0; from < text.length; ) {
    const to = pieceEnd(text, from);
    for (const part of segmenter.segment(text.slice(from, to)))
      if (isWanted(part)) push(tokens, part.segment, from + part.index, tokens.length);
    from = to;
  }
  return tokens;
}

/** Behind the last space of the piece, or else wherever no character is cut. */
function pieceEnd(text: string, from: number): number {
  const most = from + SEGMENT_UNITS;
  if (most >= text.length) return text.length;
  for (let to = most; to > from + SEGMENT_UNITS / 2; to--)
    if (/[\s。，、！？；]/u.test(text[to - 1] ?? '')) return to;
  return (text.charCodeAt(most) & 0xfc00) === 0xdc00 ? most + 1 : most;
}

export function push(tokens: Token[], text: string, start: number, position: number): void {
  tokens.push({ text, start, end: start + text.length, position, positionLength: 1 });
}
