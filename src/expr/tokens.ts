/** Cuts the text of a filter into tokens, one at a time. */
import { invalidAt } from './syntax.ts';

/** One token; offsets in the text. */
export type Token = { readonly at: number; readonly end: number } & (
  | { readonly kind: 'end' }
  | { readonly kind: 'number'; readonly value: bigint | number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'keyword'; readonly word: Keyword }
  | { readonly kind: 'name'; readonly word: string }
  | { readonly kind: 'sign'; readonly sign: string }
);

/** Words with a meaning. */
export type Keyword = 'and' | 'or' | 'not' | 'in' | 'like' | 'is' | 'null' | 'exists' | 'true' | 'false';

/** Lower and upper case as Milvus documents them; the constants also as Python prints them. */
const keywords = new Map<string, Keyword>(
  (['and', 'or', 'not', 'in', 'like', 'is', 'null', 'exists', 'true', 'false'] as const).flatMap((word) => [
    [word, word],
    [word.toUpperCase(), word],
  ]),
)
  .set('True', 'true')
  .set('False', 'false');

const pairs = new Set(['**', '==', '!=', '<=', '>=', '&&', '||', '<<', '>>', '=~', '!~']);
const singles = new Set('<>+-*/%()[]{},!~&|^=');

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const isLetter = (code: number): boolean =>
  (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || code === 0x24;
const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0;

const isQuote = (code: number): boolean => code === 0x22 || code === 0x27;

const BACKSLASH = 0x5c;
/** More digits than any 64-bit integer has; a longer literal is refused before it is converted. */
const MAX_INTEGER_DIGITS = 20;
const numberForm = /0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;

const simpleEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  '0': '\0',
  '\\': '\\',
  '/': '/',
  "'": "'",
  '"': '"',
  // Kept with their backslash, so that a pattern can be written with one backslash or with two.
  '%': '\\%',
  _: '\\_',
};
const hexEscapes: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** Reads the tokens of a text in order; the last one is `end`, for ever. */
export class Tokens {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Token {
    const text = this.#text;
    while (isSpace(text.charCodeAt(this.#position))) this.#position++;
    const at = this.#position;
    if (at >= text.length) return { kind: 'end', at, end: at };
    const code = text.charCodeAt(at);
    if ((code === 0x72 || code === 0x52) && isQuote(text.charCodeAt(at + 1))) return this.#rawString(at);
    if (isLetter(code)) return this.#word(at);
    if (isDigit(code) || (code === 0x2e && isDigit(text.charCodeAt(at + 1)))) return this.#number(at);
    if (isQuote(code)) return this.#string(at, code);
    return this.#sign(at);
  }

  #word(at: number): Token {
    const text = this.#text;
    let end = at + 1;
    while (end < text.length && (isLetter(text.charCodeAt(end)) || isDigit(text.charCodeAt(end)))) end++;
    this.#position = end;
    const word = text.slice(at, end);
    const keyword = keywords.get(word);
    return keyword === undefined
      ? { kind: 'name', at, end, word }
      : { kind: 'keyword', at, end, word: keyword };
  }

  #number(at: number): Token {
    numberForm.lastIndex = at;
    const form = numberForm.exec(this.#text)?.[0] ?? '';
    const end = at + form.length;
    this.#position = end;
    if (isLetter(this.#text.charCodeAt(end)) || isDigit(this.#text.charCodeAt(end)))
      throw invalidAt(this.#text, at, `'${shorten(this.#text.slice(at, end + 1))}' is not a number`);
    return { kind: 'number', at, end, value: this.#numberValue(at, form) };
  }

  #numberValue(at: number, form: string): bigint | number {
    const based =
      form.length > 1 && form.startsWith('0') && isLetter(form.charCodeAt(1)) && !/^0[eE]/.test(form);
    if (!based && /[.eE]/.test(form)) {
      const value = Number(form);
      if (!Number.isFinite(value)) throw invalidAt(this.#text, at, 'the number is too large for a Double');
      return value;
    }
    if (!based && form.length > 1 && form.startsWith('0'))
      throw invalidAt(this.#text, at, `write the integer '${shorten(form)}' without leading zeros`);
    const digits = based ? form.slice(2).replace(/^0+(?=.)/, '').length : form.length;
    if (digits > (based ? 64 : MAX_INTEGER_DIGITS))
      throw invalidAt(this.#text, at, 'the integer does not fit Int64');
    return BigInt(form);
  }

  #string(at: number, quote: number): Token {
    const text = this.#text;
    let value = '';
    let from = at + 1;
    for (let i = from; i < text.length; ) {
      const code = text.charCodeAt(i);
      if (code === quote) {
        this.#position = i + 1;
        return { kind: 'text', at, end: i + 1, value: value + text.slice(from, i) };
      }
      if (code === BACKSLASH) {
        const escaped = this.#escape(i);
        value += text.slice(from, i) + escaped.value;
        i = escaped.end;
        from = i;
      } else i++;
    }
    throw invalidAt(text, at, `the string that starts here has no closing ${String.fromCharCode(quote)}`);
  }

  /** `r"…"`: every backslash stays, also the one that lets a quote stand inside. */
  #rawString(at: number): Token {
    const text = this.#text;
    const quote = text.charCodeAt(at + 1);
    for (let i = at + 2; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === BACKSLASH) i++;
      else if (code === quote) {
        this.#position = i + 1;
        return { kind: 'text', at, end: i + 1, value: text.slice(at + 2, i) };
      }
    }
    throw invalidAt(text, at, `the string that starts here has no closing ${String.fromCharCode(quote)}`);
  }

  #escape(at: number): { readonly value: string; readonly end: number } {
    const letter = this.#text.charAt(at + 1);
    const simple = simpleEscapes[letter];
    if (simple !== undefined) return { value: simple, end: at + 2 };
    const length = hexEscapes[letter];
    if (length !== undefined) {
      const hex = this.#text.slice(at + 2, at + 2 + length);
      const code = /^[0-9a-fA-F]+$/.test(hex) && hex.length === length ? Number.parseInt(hex, 16) : -1;
      if (code >= 0 && code <= 0x10ffff) return { value: String.fromCodePoint(code), end: at + 2 + length };
    }
    throw invalidAt(this.#text, at, `'\\${letter}' is not an escape; write '\\\\' for a backslash`);
  }

  #sign(at: number): Token {
    const pair = this.#text.slice(at, at + 2);
    const sign = pairs.has(pair) ? pair : pair.charAt(0);
    if (!pairs.has(sign) && !singles.has(sign)) {
      const character = String.fromCodePoint(this.#text.codePointAt(at) ?? 0);
      const hint = character > '\x7f' ? '; write names outside ASCII as $meta["…"]' : '';
      throw invalidAt(this.#text, at, `unexpected character '${character}'${hint}`);
    }
    this.#position = at + sign.length;
    return { kind: 'sign', at, end: this.#position, sign };
  }
}

/** A piece of user text that is safe to show in a message. */
export const shorten = (text: string): string => (text.length > 40 ? `${text.slice(0, 37)}...` : text);
