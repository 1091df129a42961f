/**
 * `like` patterns over UTF-8: `%` any run, `_` one code point, `\` takes the next character as it is. The pattern is cut at its
 * `%`s and each piece is looked for from where the last one ended, which is enough: the earliest place is never worse.
 * Pieces without `_` are searched by Knuth, Morris and Pratt (1977), so matching is linear; a piece with `_` costs at most
 * text times its own length, which is bounded.
 */
import { present } from '../support/assert.ts';
import { type TextTest, utf8 } from './text.ts';

const ANY_CODE_POINT = -1;
/** Code points and bytes of one piece with `_` that is searched for. */
const MAX_WILD_PIECE = 256;

/** One piece: bytes, and `ANY_CODE_POINT` for `_`. */
type Piece = readonly number[];

/** Why a pattern cannot be used; undefined when it can. */
export function patternProblem(pattern: string): string | undefined {
  const pieces = piecesOf(pattern);
  if (pieces === undefined) return "a 'like' pattern cannot end with a backslash";
  const isLong = (piece: Piece): boolean => piece.length > MAX_WILD_PIECE && piece.includes(ANY_CODE_POINT);
  if (!pieces.slice(1, -1).some(isLong)) return undefined;
  return `between two '%' of a 'like' pattern, a piece with '_' has at most ${MAX_WILD_PIECE} characters`;
}

/** `pattern` has no problem: see `patternProblem`. */
export function likeTest(pattern: string): TextTest {
  const pieces = present(piecesOf(pattern), 'pattern');
  const first = present(pieces[0], 'first piece');
  if (pieces.length === 1) return (data, start, end) => matchAt(first, data, start, end) === end;
  const last = present(pieces.at(-1), 'last piece');
  const searches = pieces
    .slice(1, -1)
    .filter((piece) => piece.length > 0)
    .map(searchFor);
  return (data, start, end) => {
    let at = matchAt(first, data, start, end);
    for (const search of searches) {
      if (at < 0) return false;
      at = search(data, at, end);
    }
    return at >= 0 && matchesEnd(last, data, at, end);
  };
}

/** The bytes every match begins with, and what may follow them: nothing, anything, or what only the whole pattern tells. */
export function likePrefix(pattern: string): {
  readonly prefix: Uint8Array;
  readonly rest: 'nothing' | 'anything' | 'pattern';
} {
  const [first = [], ...others] = present(piecesOf(pattern), 'pattern');
  const wild = first.indexOf(ANY_CODE_POINT);
  if (wild >= 0) return { prefix: Uint8Array.from(first.slice(0, wild)), rest: 'pattern' };
  const prefix = Uint8Array.from(first);
  if (others.length === 0) return { prefix, rest: 'nothing' };
  return { prefix, rest: others.every((piece) => piece.length === 0) ? 'anything' : 'pattern' };
}

/** Undefined when a backslash has nothing behind it. */
function piecesOf(pattern: string): readonly Piece[] | undefined {
  const pieces: number[][] = [];
  let piece: number[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const sign = pattern[i];
    if (sign === '%') {
      pieces.push(piece);
      piece = [];
    } else if (sign === '_') piece.push(ANY_CODE_POINT);
    else {
      if (sign === '\\') i++;
      const code = pattern.codePointAt(i);
      if (code === undefined) return undefined;
      const character = String.fromCodePoint(code);
      for (const byte of utf8(character)) piece.push(byte);
      i += character.length - 1;
    }
  }
  pieces.push(piece);
  return pieces;
}

/** Where the piece ends when it starts at `start`; -1 when it does not match there. */
function matchAt(piece: Piece, data: Uint8Array, start: number, end: number): number {
  let at = start;
  for (const wanted of piece) {
    if (at >= end) return -1;
    if (wanted === ANY_CODE_POINT) at = nextCodePoint(data, at, end);
    else if (data[at] === wanted) at++;
    else return -1;
  }
  return at;
}

const isContinuation = (data: Uint8Array, at: number): boolean => ((data[at] ?? 0) & 0xc0) === 0x80;

function nextCodePoint(data: Uint8Array, start: number, end: number): number {
  let at = start + 1;
  while (at < end && isContinuation(data, at)) at++;
  return at;
}

/** Whether the last piece matches the end of the text, from `from` on. */
function matchesEnd(piece: Piece, data: Uint8Array, from: number, end: number): boolean {
  let at = end;
  for (let i = piece.length - 1; i >= 0; i--) {
    if (at <= from) return false;
    at--;
    if (piece[i] === ANY_CODE_POINT) {
      while (at > from && isContinuation(data, at)) at--;
    } else if (data[at] !== piece[i]) return false;
  }
  return true;
}

/** Finds the piece in `[start, end)`: the offset behind it, or -1. */
type Search = (data: Uint8Array, start: number, end: number) => number;

function searchFor(piece: Piece): Search {
  if (!piece.includes(ANY_CODE_POINT)) return literalSearch(piece);
  return (data, start, end) => {
    for (let at = start; at < end; at = nextCodePoint(data, at, end)) {
      const behind = matchAt(piece, data, at, end);
      if (behind >= 0) return behind;
    }
    return -1;
  };
}

function literalSearch(piece: Piece): Search {
  const wanted = Uint8Array.from(piece);
  const fallback = fallbackTable(wanted);
  return (data, start, end) => {
    let matched = 0;
    for (let at = start; at < end; at++) {
      while (matched > 0 && data[at] !== wanted[matched]) matched = fallback[matched - 1] as number;
      if (data[at] === wanted[matched]) matched++;
      if (matched === wanted.length) return at + 1;
    }
    return -1;
  };
}

/** For each prefix, the length of its longest proper prefix that is also its suffix. */
function fallbackTable(wanted: Uint8Array): Uint32Array {
  const table = new Uint32Array(wanted.length);
  let matched = 0;
  for (let i = 1; i < wanted.length; i++) {
    while (matched > 0 && wanted[i] !== wanted[matched]) matched = table[matched - 1] as number;
    if (wanted[i] === wanted[matched]) matched++;
    table[i] = matched;
  }
  return table;
}

/** Steps a byte of text may cost: pieces with `_` between two `%` are looked for place by place. */
export function likeWeight(pattern: string): number {
  const pieces = present(piecesOf(pattern), 'pattern').slice(1, -1);
  return pieces.reduce(
    (most, piece) => (piece.includes(ANY_CODE_POINT) ? Math.max(most, piece.length) : most),
    1,
  );
}
