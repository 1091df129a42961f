/** RE2 expressions in filters. */
import { messageOf } from '../errors/db-error.ts';
import { compileRe2 } from '../support/re2.ts';
import type { TextTest } from './text.ts';

/** UTF-16 units of an expression, and steps of its program: a byte of text costs at most that many, some eight nanoseconds each. */
const MAX_PATTERN_LENGTH = 4096;
const MAX_PROGRAM = 2048;
/** A text that may take more is matched by a worker. */
export const MAX_STEPS_AT_ONCE = 250_000;
/** Of what the engine says. */
const MAX_SHOWN = 200;

/** Why an expression cannot be used; undefined when it can. */
export function regexProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH)
    return `a regular expression has at most ${MAX_PATTERN_LENGTH} characters`;
  try {
    const size = compileRe2(pattern).programSize();
    return size > MAX_PROGRAM ? 'the regular expression is too large: write smaller repetitions' : undefined;
  } catch (error) {
    return `no RE2 expression: ${messageOf(error).slice(0, MAX_SHOWN)}`;
  }
}

/** Steps that a byte of text may cost. */
export const regexWeight = (pattern: string): number => compileRe2(pattern).programSize();

/** Whether some part of the text matches. `pattern` has no problem: see `regexProblem`. */
export function regexTest(pattern: string): TextTest {
  const expression = compileRe2(pattern);
  return (data, start, end) =>
    expression.test(Buffer.from(data.buffer, data.byteOffset + start, end - start).toString());
}
