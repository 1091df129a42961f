/** The syntax tree of a filter. Offsets count UTF-16 units from the start of the text. */
import { DbError } from '../errors/db-error.ts';

/** Of integers only. */
export type BitOp = '&' | '|' | '^' | '<<' | '>>';
/** `**` is the power, always a Double. */
export type ArithmeticOp = '+' | '-' | '*' | '/' | '%' | '**' | BitOp;
export type RelationalOp = '<' | '<=' | '>' | '>=';
export type CompareOp = '==' | '!=' | RelationalOp;

interface At {
  readonly at: number;
  /** Longest way down to a leaf; the parser keeps it under `MAX_DEPTH`, so walks of a tree may recurse. */
  readonly height: number;
}

/** A node. */
export type Syntax = At &
  (
    | { readonly kind: 'literal'; readonly value: bigint | number | string | boolean }
    | { readonly kind: 'list'; readonly items: readonly Syntax[] }
    /** A field or a dynamic key, with the keys in brackets behind it. */
    | { readonly kind: 'name'; readonly name: string; readonly keys: readonly (string | number)[] }
    | { readonly kind: 'template'; readonly name: string }
    /** `$[name]`, a field of the struct at hand, or `$`, the item of the array at hand. */
    | { readonly kind: 'item'; readonly name: string | undefined }
    /** `ISO '…'` and `INTERVAL '…'`. */
    | { readonly kind: 'moment' | 'interval'; readonly text: string }
    /** `name = value` among the arguments of a call. */
    | { readonly kind: 'named'; readonly name: string; readonly value: Syntax }
    | { readonly kind: 'negate'; readonly value: Syntax }
    | {
        readonly kind: 'arithmetic';
        readonly op: ArithmeticOp;
        readonly left: Syntax;
        readonly right: Syntax;
      }
    | { readonly kind: 'compare'; readonly op: CompareOp; readonly left: Syntax; readonly right: Syntax }
    | { readonly kind: 'in'; readonly value: Syntax; readonly list: Syntax }
    | { readonly kind: 'like' | 'regex'; readonly value: Syntax; readonly pattern: Syntax }
    | { readonly kind: 'null'; readonly value: Syntax }
    | { readonly kind: 'exists'; readonly value: Syntax }
    | { readonly kind: 'and' | 'or'; readonly items: readonly Syntax[] }
    | { readonly kind: 'not'; readonly value: Syntax }
    | { readonly kind: 'call'; readonly name: string; readonly args: readonly Syntax[] }
  );

/** A parsed filter: the tree and the text its offsets point into. */
export interface FilterSyntax {
  readonly text: string;
  readonly root: Syntax;
}

/** Nesting of parentheses, operators and calls. */
export const MAX_DEPTH = 400;
/** UTF-16 units of a whole filter: room for deleting some 400,000 keys at once. */
export const MAX_TEXT_LENGTH = 8 * 1024 * 1024;
/** Operators, tests, calls and lists of a filter. */
export const MAX_NODES = 16_384;
/** Items of one list. */
export const MAX_LIST_LENGTH = 500_000;

/** `filter-invalid` at a place of the text; line and column too when there is more than one line. */
export function invalidAt(text: string, at: number, message: string): DbError {
  return new DbError('filter-invalid', `filter at ${placeOf(text, at)}: ${message}`);
}

/** A part of Milvus's language that this server does not evaluate. */
export function unimplementedAt(text: string, at: number, what: string): DbError {
  return new DbError('unimplemented', `filter at ${placeOf(text, at)}: ${what} is not implemented`);
}

function placeOf(text: string, at: number): string {
  if (!text.includes('\n')) return `offset ${at}`;
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return `offset ${at} (line ${line}, column ${at - lineStart + 1})`;
}
