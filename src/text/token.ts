/** What an analyzer makes of a text. */

/** A piece of a text. */
export interface Token {
  readonly text: string;
  /** Where it stands in the text, in UTF-16 units; `end` is behind it. */
  readonly start: number;
  readonly end: number;
  /** Rises with the tokens; a filter that removes one leaves a gap. */
  readonly position: number;
  readonly positionLength: number;
}

/** Cuts a text. Positions never fall. */
export type Tokenizer = (text: string) => Token[];
/** Changes or removes tokens. */
export type TokenFilter = (tokens: Token[]) => Token[];

/** Offsets of tokens in the UTF-8 form of their text. */
export function byteOffsets(
  text: string,
  tokens: readonly Token[],
): readonly { readonly start: number; readonly end: number }[] {
  const bytes = new Uint32Array(text.length + 1);
  for (let i = 0, at = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Of a pair of surrogates the first has no bytes yet, the second ends all four.
    const isPair = unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
    at += unitBytes(unit);
    if (isPair) {
      bytes[i + 1] = at;
      at += 4 - unitBytes(unit);
      i++;
    }
    bytes[i + 1] = at;
  }
  return tokens.map(({ start, end }) => ({ start: bytes[start] ?? 0, end: bytes[end] ?? 0 }));
}

/** A lone surrogate is written as the three bytes of a replacement character. */
const unitBytes = (unit: number): number => (unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3);

/**
 * The dimension of a term in the sparse vectors of a BM25 function: FNV-1a (Fowler, Noll, Vo) over its UTF-8 form with the final mix of
 * MurmurHash3. Stored with the rows: it may never change. Below 2^32 - 1.
 */
export function termHash(term: string): number {
  let hash = hashStart;
  for (let i = 0; i < term.length; i++) {
    const unit = term.charCodeAt(i);
    if (unit < 0x80) hash = hashByte(hash, unit);
    else if (unit < 0x800) {
      hash = hashByte(hash, 0xc0 | (unit >> 6));
      hash = hashByte(hash, 0x80 | (unit & 63));
    } else {
      const code = term.codePointAt(i) ?? 0;
      if (code > 0xffff) {
        i++;
        hash = hashByte(hash, 0xf0 | (code >> 18));
        hash = hashByte(hash, 0x80 | ((code >> 12) & 63));
      } else hash = hashByte(hash, 0xe0 | (code >> 12));
      hash = hashByte(hash, 0x80 | ((code >> 6) & 63));
      hash = hashByte(hash, 0x80 | (code & 63));
    }
  }
  return mixedHash(hash);
}

/** Of no byte. */
export const hashStart = 0x811c9dc5;

/** Takes one byte more of a term. */
export const hashByte = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193);

/** When all bytes are taken. */
export function mixedHash(taken: number): number {
  let hash = Math.imul(taken ^ (taken >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return Math.min((hash ^ (hash >>> 16)) >>> 0, 0xffff_fffe);
}
