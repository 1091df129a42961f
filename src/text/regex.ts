/**
 * Expressions of the regex filter, as Milvus's: RE2's, in which `\w`, `\d` and `\s` are of every script, and looking ahead at the
 * beginning, `^(?!test)`, which RE2 does not have and Milvus's own example is. It is another expression from there on.
 */
import { DbError, messageOf } from '../errors/db-error.ts';
import { compileRe2 } from '../support/re2.ts';

/** Units of an expression. */
const MAX_PATTERN = 1024;
/** Steps that a unit of a token may cost. */
const MAX_PROGRAM = 512;
/** What one token may cost, some milliseconds: one that would take more does not match. */
const MAX_STEPS = 2 ** 20;
/** Of what the engine says. */
const MAX_SHOWN = 200;

const WORD = '\\p{L}\\p{Nl}\\p{M}\\p{Nd}\\p{Pc}';
const SPACE = '\\s\\x{0b}\\x{85}\\p{Z}';
const classes: Readonly<Record<string, string>> = {
  '\\d': '\\p{Nd}',
  '\\D': '\\P{Nd}',
  '\\w': `[${WORD}]`,
  '\\W': `[^${WORD}]`,
  '\\s': `[${SPACE}]`,
  '\\S': `[^${SPACE}]`,
};
/** The same between brackets, where what is not in a class cannot be told. */
const inner: Readonly<Record<string, string | undefined>> = {
  ...classes,
  '\\w': WORD,
  '\\W': undefined,
  '\\s': SPACE,
  '\\S': undefined,
};

/**
 * Whether the expression matches anywhere in a text. Throws `parameter-invalid` for what is no expression or too large, `unimplemented`
 * for looking ahead elsewhere and looking behind.
 */
export function regexTest(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN) throw invalid(pattern, `it is longer than ${MAX_PATTERN} characters`);
  const [flags = ''] = /^(?:\(\?[is]+\))?/.exec(pattern) ?? [];
  const parts = partsOf(piecesOf(pattern.slice(flags.length)));
  const tests = parts.map(({ text, isWanted }) => ({ engine: compiled(pattern, flags + text), isWanted }));
  const steps = tests.reduce((sum, { engine }) => sum + engine.programSize(), 0);
  if (steps > MAX_PROGRAM) throw invalid(pattern, 'it is too large: write smaller repetitions');
  return (text) =>
    text.length * steps <= MAX_STEPS && tests.every(({ engine, isWanted }) => engine.test(text) === isWanted);
}

const shown = (pattern: string): string => pattern.slice(0, 60);
const invalid = (pattern: string, what: string): DbError =>
  new DbError('parameter-invalid', `invalid regular expression ${shown(pattern)}: ${what}`);

function compiled(pattern: string, text: string): ReturnType<typeof compileRe2> {
  try {
    return compileRe2(text);
  } catch (error) {
    const what = messageOf(error).slice(0, MAX_SHOWN);
    if (/`\(\?(=|!|<=|<!)/.test(what))
      throw new DbError(
        'unimplemented',
        `looking behind, and looking ahead but at the beginning, ^(?=…) and ^(?!…), are not implemented: regular expression ${shown(pattern)}`,
      );
    throw invalid(pattern, what);
  }
}

/** What is read as one; at depth 0 it stands in no group. */
interface Piece {
  readonly text: string;
  readonly depth: number;
}

const outside = /\\Q.*?(?:\\E|$)|\\[pP]\{[^}]*\}|\\.|\[\^?\]?|\(\?[=!]|./suy;
const between = /\[:\^?[a-z]+:\]|\\[pP]\{[^}]*\}|\\.|./suy;

/** Classes are spelled out. A bracket is at the depth of what it encloses it from. */
function piecesOf(pattern: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let depth = 0;
  let isBetween = false;
  for (let at = 0; at < pattern.length; ) {
    const sign: RegExp = isBetween ? between : outside;
    sign.lastIndex = at;
    const found: string = sign.exec(pattern)?.[0] ?? '';
    at = sign.lastIndex;
    if (!isBetween && found === ')') depth--;
    pieces.push({ text: spelled(pattern, found, isBetween), depth });
    if (!isBetween && /^\((\?[=!])?$/.test(found)) depth++;
    isBetween = isBetween ? found !== ']' : found.startsWith('[');
  }
  return pieces;
}

function spelled(pattern: string, found: string, isBetween: boolean): string {
  const table = isBetween ? inner : classes;
  if (Object.hasOwn(table, found)) {
    const text = table[found];
    if (text !== undefined) return text;
    throw new DbError(
      'unimplemented',
      `${found} between brackets is not implemented: regular expression ${shown(pattern)}`,
    );
  }
  return found.replace(/^(\\[pP]\{)(?:Script|sc)=/, '$1');
}

interface Part {
  readonly text: string;
  /** Whether it has to match, or must not. */
  readonly isWanted: boolean;
}

/** All of it, or what is looked for at the beginning, one after another, and what follows. An alternative would begin elsewhere. */
function partsOf(pieces: readonly Piece[]): readonly Part[] {
  const whole = [{ text: joined(pieces), isWanted: true }];
  if (pieces[0]?.text !== '^' || pieces.some(({ text, depth }) => text === '|' && depth === 0)) return whole;
  const parts: Part[] = [];
  let at = 1;
  for (let look = lookAt(pieces, at); look !== undefined; look = lookAt(pieces, at)) {
    parts.push(look.part);
    at = look.end;
  }
  return parts.length === 0 ? whole : [...parts, { text: behind(pieces.slice(at)), isWanted: true }];
}

function lookAt(
  pieces: readonly Piece[],
  at: number,
): { readonly part: Part; readonly end: number } | undefined {
  const opens = pieces[at]?.text;
  if (opens !== '(?=' && opens !== '(?!') return undefined;
  const closes = pieces.findIndex(({ text, depth }, i) => i > at && text === ')' && depth === 0);
  if (closes < 0) return undefined;
  return {
    part: { text: behind(pieces.slice(at + 1, closes)), isWanted: opens === '(?=' },
    end: closes + 1,
  };
}

const joined = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join('');
const behind = (pieces: readonly Piece[]): string => `^(?:${joined(pieces)})`;
