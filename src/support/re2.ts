/** RE2 expressions: matching is linear in the text, whatever the expression. The engine is loaded with the first one. */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';

let engine: { readonly RE2JS: typeof RE2JS } | undefined;

/** A unit of a text costs at most `programSize()` steps. Throws the engine's error for what is no RE2 expression. */
export function compileRe2(pattern: string): RE2JS {
  engine ??= createRequire(import.meta.url)('re2js') as { readonly RE2JS: typeof RE2JS };
  return engine.RE2JS.compile(pattern);
}
