/** The operators of the filter language and how tightly they bind. */
import type { Token } from './tokens.ts';

/** Binding powers: a higher one binds tighter. */
const OR = 1;
const AND = 2;
export const NOT = 3;
const EQUALITY = 4;
export const RELATIONAL = 5;
export const UNARY = 13;

export interface Infix {
  readonly power: number;
  readonly kind:
    | 'or'
    | 'and'
    | 'equality'
    | 'relational'
    | 'arithmetic'
    | 'in'
    | 'not'
    | 'like'
    | 'regex'
    | 'is';
}

const signs = new Map<string, Infix>([
  ['||', { power: OR, kind: 'or' }],
  ['&&', { power: AND, kind: 'and' }],
  ['==', { power: EQUALITY, kind: 'equality' }],
  ['!=', { power: EQUALITY, kind: 'equality' }],
  ['<', { power: RELATIONAL, kind: 'relational' }],
  ['<=', { power: RELATIONAL, kind: 'relational' }],
  ['>', { power: RELATIONAL, kind: 'relational' }],
  ['>=', { power: RELATIONAL, kind: 'relational' }],
  ['=~', { power: RELATIONAL, kind: 'regex' }],
  ['!~', { power: RELATIONAL, kind: 'regex' }],
  ['|', { power: 6, kind: 'arithmetic' }],
  ['^', { power: 7, kind: 'arithmetic' }],
  ['&', { power: 8, kind: 'arithmetic' }],
  ['<<', { power: 9, kind: 'arithmetic' }],
  ['>>', { power: 9, kind: 'arithmetic' }],
  ['+', { power: 10, kind: 'arithmetic' }],
  ['-', { power: 10, kind: 'arithmetic' }],
  ['*', { power: 11, kind: 'arithmetic' }],
  ['/', { power: 11, kind: 'arithmetic' }],
  ['%', { power: 11, kind: 'arithmetic' }],
  ['**', { power: 12, kind: 'arithmetic' }],
]);
const words = new Map<string, Infix>([
  ['or', { power: OR, kind: 'or' }],
  ['and', { power: AND, kind: 'and' }],
  ['in', { power: RELATIONAL, kind: 'in' }],
  ['not', { power: RELATIONAL, kind: 'not' }],
  ['like', { power: RELATIONAL, kind: 'like' }],
  ['is', { power: RELATIONAL, kind: 'is' }],
]);

/** What a token means between two operands, if anything. */
export const infixOf = (token: Token): Infix | undefined => {
  if (token.kind === 'sign') return signs.get(token.sign);
  return token.kind === 'keyword' ? words.get(token.word) : undefined;
};
