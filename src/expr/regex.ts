/**
 * RE2 expressions: matching is linear in the text, whatever the expression. The engine is loaded when the first filter with one is
 * checked.
 */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';
import { messageOf } from '../errors/db-error.ts';
import type { TextTest } from './text.ts';

/** UTF-16 units of an expression, and steps of its program: a byte of text costs at most that many, some eight nanoseconds each. */
const MAX_PATTERN_LENGTH = 4096;
const MAX_PROGRAM = 2048;
/** A text that may take more is matched by a worker. */
export const MAX_STEPS_AT_ONCE = 250_000;
/** Of what the engine says. */
const MAX_SHOWN = 200;

let engine: { readonly RE2JS: typeof RE2JS } | undefined;

function compiled(pattern: string): RE2JS {
  engine ??= createRequire(import.meta.url)('re2js') as { readonly RE2JS: typeof RE2JS };
  return engine.RE2JS.compile(pattern);
}

/** Why an expression cannot be used; undefined when it can. */
export function regexProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH)
    return `a regular expression has at most ${MAX_PATTERN_LENGTH} characters`;
  try {
    const size = compiled(pattern).programSize();
    return size > MAX_PROGRAM ? 'the regular expression is too large: write smaller repetitions' : undefined;
  } catch (error) {
    return `no RE2 expression: ${messageOf(error).slice(0, MAX_SHOWN)}`;
  }
}

/** Steps that a byte of text may cost. */
export const regexWeight = (pattern: string): number => compiled(pattern).programSize();

/** Whether some part of the text matches. `pattern` has no problem: see `regexProblem`. */
export function regexTest(pattern: string): TextTest {
  const expression = compiled(pattern);
  return (data, start, end) =>
    expression.test(Buffer.from(data.buffer, data.byteOffset + start, end - start).toString());
}
