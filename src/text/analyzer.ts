/** From analyzer parameters to tokens. */
import { lowercase } from './filters.ts';
import { parseParams, pipelineOf } from './params.ts';
import type { Token } from './token.ts';
import { standardTokenizer } from './tokenizers.ts';

export interface Analyzer {
  /** Its first text, or some texts, take long: it is for worker threads. */
  readonly isHeavy: boolean;
  /** It does what `PlainTerms` does. */
  readonly isPlain: boolean;
  analyze(text: string): Token[];
}

/** Analyzers kept ready, by their parameters. */
const MAX_ANALYZERS = 64;
const analyzers = new Map<string, Analyzer>();

/** The analyzer of these parameters, as JSON; empty: `standard`. Throws `parameter-invalid`, `parameter-too-large`, `unimplemented`. */
export function analyzerOf(params: string): Analyzer {
  const known = analyzers.get(params);
  if (known !== undefined) return known;
  const { tokenizer, filters, isHeavy } = pipelineOf(parseParams(params));
  const analyzer: Analyzer = {
    isHeavy,
    isPlain: tokenizer === standardTokenizer && filters.length === 1 && filters[0] === lowercase,
    analyze: (text) => filters.reduce<Token[]>((tokens, filter) => filter(tokens), tokenizer(text)),
  };
  if (analyzers.size >= MAX_ANALYZERS) analyzers.clear();
  analyzers.set(params, analyzer);
  return analyzer;
}
